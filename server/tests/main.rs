//! The server and the command line, tested through the real binary; and their decoders, by `fuzz`.

mod cli;
#[cfg(unix)]
mod clients;
mod deploying;
mod fuzz;
mod http;
mod killing;
mod support;
