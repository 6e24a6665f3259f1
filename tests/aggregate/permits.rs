//! The permits, where they are at hand: 1,434 aggregates of real data, with snapshots and without, under old names and new.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use annals::{
    Aggregate, AsOf, Data, EventStore, EventType, Metadata, NewEvent, Options, Position, Repository, Schema,
    SnapshotPolicy, Source, StreamName, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::support::*;

fn path() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/permits.ndjson");
    path.exists().then_some(path)
}

#[derive(Deserialize)]
struct Line<'a> {
    stream: &'a str,
    r#type: &'a str,
    timestamp: &'a str,
    source: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// A store with all permits, in a directory of the system, and how many events each stream has.
fn permits(path: &Path) -> (tempfile::TempDir, EventStore, BTreeMap<String, u64>) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(Options::new(dir.path()).background(false));
    let mut streams = BTreeMap::new();
    let text = std::fs::read_to_string(path).expect("the permits are text");
    let mut import = store.import();
    for line in text.lines() {
        let line: Line<'_> = serde_json::from_str(line).expect("an event");
        *streams.entry(line.stream.to_owned()).or_insert(0) += 1;
        let event = NewEvent::new(EventType::parse(line.r#type).expect("legal"), Data::from_raw(line.data))
            .timestamp(Timestamp::parse(line.timestamp).expect("a time"))
            .source(Source::parse(line.source).expect("legal"))
            .metadata(Metadata::parse(line.metadata.get().to_owned()).expect("legal"));
        import.push(StreamName::parse(line.stream).expect("legal"), event).expect("imported");
    }
    import.finish().expect("imported");
    (dir, store, streams)
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Permit {
    channel: String,
    steps: Vec<String>,
    by: BTreeMap<String, u64>,
    confirmed: bool,
    stopped: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    activity: String,
    resource: String,
    channel: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum PermitEvent {
    #[serde(rename = "permit.confirmed")]
    Confirmed { channel: String },
    #[serde(rename = "permit.worked-on")]
    WorkedOn { resource: String },
    #[serde(rename = "permit.step")]
    Step(Step),
    #[serde(rename = "permit.stopped")]
    Stopped,
}

impl Aggregate for Permit {
    const CATEGORY: &'static str = "permit";
    type Event = PermitEvent;
    type Command = ();
    type Error = std::convert::Infallible;

    fn apply(&mut self, event: PermitEvent) {
        match event {
            PermitEvent::Confirmed { channel } => {
                self.confirmed = true;
                self.channel = channel;
            }
            PermitEvent::WorkedOn { resource } => *self.by.entry(resource).or_default() += 1,
            PermitEvent::Step(step) => {
                *self.by.entry(step.resource).or_default() += 1;
                self.steps.push(step.activity);
                self.channel = step.channel;
            }
            PermitEvent::Stopped => self.stopped = true,
        }
    }

    fn decide(&self, (): &()) -> Result<Vec<PermitEvent>, Self::Error> {
        Ok(Vec::new())
    }
}

/// Every type of the data becomes one of the enum: one is renamed, one is split, the others are steps.
fn schema(store: &EventStore) -> Schema {
    let mut schema = Schema::new()
        .rename("permit.t10-determine-necessity-to-stop-indication", "permit.stopped")
        .split("permit.confirmation-of-receipt", 1, |step: Step| {
            let Step { resource, channel, .. } = step;
            vec![PermitEvent::Confirmed { channel }, PermitEvent::WorkedOn { resource }]
        });
    let events = read(store, annals::Read::all());
    let types: std::collections::BTreeSet<&str> = events.iter().map(|event| event.event_type()).collect();
    let as_they_are = ["permit.confirmation-of-receipt", "permit.t10-determine-necessity-to-stop-indication"];
    for event_type in types.into_iter().filter(|event_type| !as_they_are.contains(event_type)) {
        schema = schema.rename(event_type, "permit.step");
    }
    schema
}

#[test]
fn all_permits_are_rebuilt_alike_with_and_without_snapshots_and_from_any_time() {
    let Some(path) = path() else { return };
    let (_dir, store, streams) = permits(&path);
    assert_eq!(streams.len(), 1434);
    let plain = Repository::<Permit>::new(&store).schema(schema(&store));
    let keeping = plain.clone().snapshots(SnapshotPolicy::Every(5));
    let (mut events, mut replayed, mut confirmed) = (0, 0, 0);
    for (number, (name, count)) in streams.iter().enumerate() {
        let id = name.strip_prefix("permit-").expect("a permit");
        // Every other one has a snapshot of its middle.
        if number % 2 == 0 {
            let middle = keeping.load_at(id, AsOf::Version(version(count / 2 + 1))).expect("readable");
            keeping.snapshot(&middle).expect("saved");
        }
        let (with, without) = (keeping.load(id).expect("readable"), plain.load(id).expect("readable"));
        assert_eq!((&with.state, with.version), (&without.state, version(*count)), "{name}");
        assert_eq!(without.replayed, *count);
        assert_eq!(with.snapshot.is_some(), number % 2 == 0);
        (events, replayed) = (events + count, replayed + with.replayed);
        confirmed += u64::from(with.state.confirmed);
        let half = plain.load_at(id, AsOf::Position(Position::new(4000))).expect("readable");
        let version_then = AsOf::Version(half.version);
        assert_eq!(keeping.load_at(id, version_then).expect("readable").state, half.state, "{name}");
    }
    assert_eq!(events, 8577);
    assert!(replayed < events && confirmed > 1000, "{replayed} of {events}, {confirmed} confirmed");
}
