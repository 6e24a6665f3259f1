//! The store over HTTP: requests in, answers out. What the store promises, the server passes on; it keeps no state.

mod accept;
mod access;
mod ahead;
mod answer;
mod app;
mod append;
mod attendant;
mod begun;
mod body;
mod chunks;
mod condition;
mod config;
mod connection;
mod cors;
mod dialect;
mod disk;
mod exposition;
mod followers;
#[cfg(feature = "testkit")]
pub(crate) mod fuzz;
#[cfg(feature = "testkit")]
pub(crate) mod fuzz_request;
mod guard;
mod health;
mod import;
mod keeping;
mod listing;
mod live;
mod metrics;
mod multiplexed;
mod openapi;
mod packing;
mod paths;
mod patient;
mod places;
mod problem;
mod rate;
mod read;
mod receipt;
mod request_id;
mod seen;
mod serve;
mod snapshots;
#[cfg(feature = "otlp")]
mod spans;
mod status;
mod streams;
mod submission;
mod tail;
mod tls;
mod token;
mod traffic;
mod turns;
mod unpacking;
mod verifying;

pub(crate) use access::Scope;
pub(crate) use config::{HttpConfig, ServeConfig, quoted};
pub(crate) use places::threads;
pub(crate) use rate::Rate;
pub(crate) use serve::serve;
#[cfg(feature = "otlp")]
pub(crate) use spans::Spans;
pub(crate) use tls::{Tls, TlsFiles};
pub(crate) use token::{Entry, Hash, TokenFile, Tokens};
