//! `annals set`: which of a stream's events are shown.

use std::time::Duration;

use annals::{EventStore, StreamName, StreamSettings, StreamVersion};
use serde::{Deserialize, Serialize};

use super::client::{Server, path_segment};
use super::duration::{parse_duration, write_duration};
use super::failure::Failure;
use super::output::Output;
use super::settings::{Directory, Place, Settings};

/// Sets which events of a stream are shown, and prints what holds then; without flags only prints it
///
/// A flag changes what it names and leaves the rest. What is no longer shown is gone for every reader at once; `annals
/// scavenge` gives its space back. The stream need not exist yet.
#[derive(Debug, clap::Args)]
pub(crate) struct SetArgs {
    /// The stream
    stream: StreamName,
    /// Show only events that were committed at most so long before the newest event of the store, such as 12h or 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_age: Option<Duration>,
    /// Show only the newest so many events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    max_count: Option<u64>,
    /// Show only events of this version and later ones
    #[arg(long, value_name = "VERSION")]
    truncate_before: Option<u64>,
    /// Forget what was set before
    #[arg(long)]
    none: bool,
    /// Print the settings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    stream: &'a str,
    /// In seconds.
    max_age: Option<u64>,
    max_count: Option<u64>,
    truncate_before: Option<u64>,
}

/// Settings as a server takes and tells them.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sent {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate_before: Option<u64>,
}

impl From<StreamSettings> for Sent {
    fn from(settings: StreamSettings) -> Sent {
        Sent {
            max_age: settings.max_age.map(|age| age.as_secs()),
            max_count: settings.max_count,
            truncate_before: settings.truncate_before.map(StreamVersion::get),
        }
    }
}

impl From<Sent> for StreamSettings {
    fn from(sent: Sent) -> StreamSettings {
        StreamSettings {
            max_age: sent.max_age.map(Duration::from_secs),
            max_count: sent.max_count,
            truncate_before: sent.truncate_before.map(StreamVersion::new),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &SetArgs, settings: &Settings) -> Result<(), Failure> {
    let held = match (settings.place(), args.sets_nothing()) {
        (Place::Directory(directory), true) => read(args, directory)?,
        (Place::Directory(directory), false) => change(args, directory)?,
        (Place::Server(server), true) => told(args, server)?,
        (Place::Server(server), false) => {
            let next = args.beside(told(args, server)?);
            server.put(&args.path(), &Sent::from(next)).map(|Sent { .. }| next)?
        }
    };
    let mut out = Output::stdout();
    if args.json {
        let StreamSettings { max_age, max_count, truncate_before } = held;
        let stream = args.stream.as_str();
        let (max_age, truncate_before) =
            (max_age.map(|age| age.as_secs()), truncate_before.map(StreamVersion::get));
        out.json(&Shown { stream, max_age, max_count, truncate_before })?;
    } else {
        out.line(format_args!("{} {}", args.stream, text(&held)))?;
    }
    out.flush()
}

/// What the server says that holds; a stream that it does not know yet has no settings.
fn told(args: &SetArgs, server: &Server) -> Result<StreamSettings, Failure> {
    Ok(server.find_json(&args.path())?.map_or_else(StreamSettings::default, |sent: Sent| sent.into()))
}

fn read(args: &SetArgs, directory: Directory<'_>) -> Result<StreamSettings, Failure> {
    Ok(EventStore::open(directory.to_read())?.stream_settings(&args.stream)?)
}

fn change(args: &SetArgs, directory: Directory<'_>) -> Result<StreamSettings, Failure> {
    let store = EventStore::open(directory.to_write().background(false).prewrite(false))?;
    let next = args.beside(store.stream_settings(&args.stream)?);
    store.set_stream(&args.stream, next)?;
    store.close()?;
    Ok(next)
}

impl SetArgs {
    /// Where a server has the settings.
    fn path(&self) -> String {
        format!("/streams/{}/metadata", path_segment(self.stream.as_str()))
    }

    fn sets_nothing(&self) -> bool {
        let SetArgs { max_age, max_count, truncate_before, none, .. } = self;
        max_age.is_none() && max_count.is_none() && truncate_before.is_none() && !none
    }

    /// What holds with these flags, where `before` held.
    fn beside(&self, before: StreamSettings) -> StreamSettings {
        let before = if self.none { StreamSettings::default() } else { before };
        StreamSettings {
            max_age: self.max_age.or(before.max_age),
            max_count: self.max_count.or(before.max_count),
            truncate_before: self.truncate_before.map(StreamVersion::new).or(before.truncate_before),
        }
    }
}

/// What settings say, to people.
fn text(settings: &StreamSettings) -> String {
    let StreamSettings { max_age, max_count, truncate_before } = settings;
    let rules = [
        max_age.map(|age| format!("of the last {}", write_duration(age))),
        max_count.map(|count| format!("among the newest {count}")),
        truncate_before.map(|version| format!("from version {version} on")),
    ];
    let rules: Vec<_> = rules.into_iter().flatten().collect();
    if rules.is_empty() {
        "shows all its events".to_owned()
    } else {
        format!("shows only events {}", rules.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_rule_by_rule() {
        let mut settings = StreamSettings::default();
        assert_eq!(text(&settings), "shows all its events");
        settings.max_age = Some(Duration::from_secs(7200));
        settings.truncate_before = Some(StreamVersion::new(3));
        assert_eq!(text(&settings), "shows only events of the last 2h, from version 3 on");
    }
}
