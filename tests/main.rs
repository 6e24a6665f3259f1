//! The tests that see the store from outside, in one binary.

mod append;
mod crash;
mod damage;
mod segments;
mod support;
mod tidy;
