//! `annals health`: whether a server takes appends, for whoever supervises it and has no other client.

use serde::Deserialize;

use super::client::Server;
use super::failure::Failure;
use super::output::Output;
use super::settings::{Place, Settings};

/// Asks a server whether it takes appends: by default one on this machine. Exit code 0 when it does
#[derive(Debug, clap::Args)]
pub(crate) struct HealthArgs {}

#[derive(Deserialize)]
struct Health {
    status: String,
}

/// Runs the command.
pub(crate) fn run(_: &HealthArgs, settings: &Settings) -> Result<(), Failure> {
    let server = match settings.place() {
        Place::Server(server) => server.clone(),
        Place::Directory(_) => {
            let url = format!("http://127.0.0.1:{}", settings.listen.port());
            url.parse::<Server>().map_err(Failure::Usage)?
        }
    };
    let health: Health = server.get_json("/health/ready")?;
    let mut out = Output::stdout();
    out.line(format_args!("{}", health.status))?;
    out.flush()
}
