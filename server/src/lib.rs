//! What the program `annals` is made of: the event store over HTTP, and on the command line.
//!
//! `cli` reads the command and runs it; `http` serves; `wire` is the JSON that both speak. What an event store is lies
//! in the library `annals`: nothing here knows a byte on disk. This is no interface for other programs.

mod cli;
#[cfg(feature = "testkit")]
#[doc(hidden)]
pub mod fuzz;
mod http;
mod wire;

/// Runs the command that the process was started with.
pub fn run() -> std::process::ExitCode {
    cli::run()
}
