//! The HTTP contract, from outside.

mod abuses;
mod appending;
mod bounding;
mod cloudevents;
mod console;
mod following;
mod health;
mod http2;
mod importing;
mod keeping;
mod limits;
mod logs;
mod metrics;
mod openapi;
mod packing;
mod page;
mod problems;
mod reading;
mod refusing;
mod snapshots;
#[cfg(feature = "otlp")]
mod spans;
mod tls;
mod tokens;
mod traces;
mod transactions;
mod verifying;
