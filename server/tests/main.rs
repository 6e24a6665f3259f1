//! The server and the command line, tested through the real binary.

mod cli;
mod http;
mod killing;
mod support;
