//! `annals`: the event store over HTTP, and on the command line.

fn main() -> std::process::ExitCode {
    annals_server::run()
}
