//! `annals`: the event store over HTTP, and on the command line.
//!
//! [`cli`] reads the command and runs it; [`http`] serves; [`wire`] is the JSON that both speak. What an event store
//! is lies in the library: nothing here knows a byte on disk.

mod cli;
mod http;
mod wire;

fn main() -> std::process::ExitCode {
    cli::run()
}
