//! The HTTP contract, from outside.

mod appending;
mod bounding;
mod cloudevents;
mod following;
mod importing;
mod keeping;
mod metrics;
mod openapi;
mod page;
mod reading;
mod refusing;
mod snapshots;
mod tokens;
mod transactions;
