//! `annals set`: which of a stream's events are shown.

use std::time::Duration;

use annals::{EventStore, StreamName, StreamSettings, StreamVersion};
use serde::Serialize;

use super::duration::{parse_duration, write_duration};
use super::failure::Failure;
use super::output::Output;
use super::settings::{Directory, Settings};

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

/// Runs the command.
pub(crate) fn run(args: &SetArgs, settings: &Settings) -> Result<(), Failure> {
    let directory = settings.only_directory("set")?;
    let held = if args.sets_nothing() { read(args, directory)? } else { change(args, directory)? };
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
