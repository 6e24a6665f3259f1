//! The tests that see the store from outside, in one binary.

mod append;
mod closing;
mod conditions;
mod crash;
mod damage;
mod damaged;
mod faults;
mod fuzz;
mod golden;
mod groups;
mod import;
mod inspect;
mod lineage;
mod locking;
mod mutants;
mod query;
mod reads;
mod resync;
mod salvage;
mod segments;
mod subscribe;
mod support;
mod tidy;
mod verify;
mod waking;
mod worn;
