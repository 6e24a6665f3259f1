//! The real binary, killed in the middle: what it had acknowledged is there, and what it had not is whole or absent.

mod appending;
mod importing;
mod request;
#[cfg(unix)]
mod resuming;
mod syncing;
mod workload;
