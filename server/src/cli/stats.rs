//! `annals stats`: sizes and counts.

use annals::{EventStore, Read, StoreStats};
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::settings::Settings;

/// Prints sizes and counts of the store in a directory
#[derive(Debug, clap::Args)]
pub(crate) struct StatsArgs {
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    history: String,
    events: u64,
    streams: u64,
    segments: u64,
    log_bytes: u64,
    index_bytes: u64,
    bytes_per_event: f64,
}

/// Runs the command.
pub(crate) fn run(args: &StatsArgs, settings: &Settings) -> Result<(), Failure> {
    let store = EventStore::open(settings.only_directory("stats")?.to_read())?;
    let stats = Stats::new(store.history().to_string(), &store.stats()?);
    let mut out = Output::stdout();
    if args.json {
        out.json(&stats)?;
    } else {
        stats.print(&mut out)?;
    }
    out.flush()?;
    // What is counted is what can be read: events that are damaged at the end of the log are told of, not passed over.
    match store.read(Read::all().after(store.head()))?.next() {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

impl Stats {
    fn new(history: String, stats: &StoreStats) -> Stats {
        Stats {
            history,
            events: stats.events,
            streams: stats.streams,
            segments: stats.segments,
            log_bytes: stats.log_bytes,
            index_bytes: stats.index_bytes,
            bytes_per_event: (stats.log_bytes + stats.index_bytes) as f64 / stats.events.max(1) as f64,
        }
    }

    fn print(&self, out: &mut Output) -> Result<(), Failure> {
        out.line(format_args!("history          {}", self.history))?;
        out.line(format_args!("events           {}", self.events))?;
        out.line(format_args!("streams          {}", self.streams))?;
        out.line(format_args!("segments         {}", self.segments))?;
        out.line(format_args!("log bytes        {}", self.log_bytes))?;
        out.line(format_args!("index bytes      {}", self.index_bytes))?;
        out.line(format_args!("bytes per event  {:.1}", self.bytes_per_event))
    }
}
