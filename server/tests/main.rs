//! The server and the command line, tested through the real binary; and their decoders, by `fuzz`.

mod cli;
mod clients;
mod deploying;
mod fuzz;
mod http;
mod killing;
mod support;
