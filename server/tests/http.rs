//! The HTTP contract, from outside.

mod appending;
mod bounding;
mod cloudevents;
mod following;
mod importing;
mod page;
mod reading;
mod refusing;
mod snapshots;
mod transactions;
