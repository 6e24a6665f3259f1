//! `annals backup`: a copy of the log in another directory, also while a server writes.

use std::path::PathBuf;

use annals::{BackupReport, EventStore, Read};
use serde::{Deserialize, Serialize};

use super::client::Server;
use super::failure::Failure;
use super::output::Output;
use super::settings::{Place, Settings};

/// Copies the events of a directory into another one; into the same again, only what is new
///
/// Works beside a server, and takes what is on stable storage when it begins. Every copy is read back and checked.
/// `annals restore` makes a store of it. Exits with 1 when events at the end of the store are damaged: it ends before them.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupArgs {
    /// The directory of the backup: a new one, or one that holds a backup of this store; with --url, its name among those of
    /// the server
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
struct Report {
    position: u64,
    segments: u64,
    copied: u64,
    bytes: u64,
}

/// Runs the command.
pub(crate) fn run(args: &BackupArgs, settings: &Settings) -> Result<(), Failure> {
    let (report, store) = match settings.place() {
        Place::Directory(directory) => {
            let store = EventStore::open(directory.to_read())?;
            (Report::from(&store.back_up(&args.out)?), Some(store))
        }
        Place::Server(server) => (by_server(args, server)?, None),
    };
    let mut out = Output::stdout();
    if args.json {
        out.json(&report)?;
    } else {
        let Report { position, segments, copied, bytes } = report;
        let dir = args.out.display();
        out.line(format_args!(
            "{dir} holds everything up to position {position}: copied {copied} of {segments} segments, {bytes} bytes"
        ))?;
    }
    out.flush()?;
    // A backup that ends before damaged events does not pass for one of the whole store.
    let Some(store) = store else { return Ok(()) };
    match store.read(Read::all().after(store.head()))?.next() {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The server makes it below a directory of its own, under a name.
fn by_server(args: &BackupArgs, server: &Server) -> Result<Report, Failure> {
    let name = args.out.to_str().ok_or_else(|| {
        Failure::Usage("a backup of a server has a name that is text, such as --out monday".to_owned())
    })?;
    server.post("/admin/backup", Some(&serde_json::json!({"name": name})))
}

impl From<&BackupReport> for Report {
    fn from(report: &BackupReport) -> Report {
        let BackupReport { position, segments, copied, bytes, .. } = report;
        Report { position: position.get(), segments: *segments, copied: *copied, bytes: *bytes }
    }
}
