//! Retention and backup: a stream keeps its newest events, the space of the others comes back, and the store is restored as it was
//! before a mistake.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use annals::{
    Append, Data, EventStore, EventType, ExpectedVersion, NewEvent, Options, Read, Restore, Scavenge,
    StreamName, StreamSettings,
};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let scratch = tempfile::tempdir()?;
    let (data, backup, restored) =
        (scratch.path().join("data"), scratch.path().join("backup"), scratch.path().join("restored"));
    let store = EventStore::open(Options::new(&data).segment_bytes(64 * 1024))?;

    println!("A sensor measures a thousand times, and is set to keep its newest hundred events.");
    let sensor = StreamName::parse("sensor-1")?;
    for n in 0..1000 {
        append(&store, &sensor, "measured", n)?;
    }
    let newest = StreamSettings { max_count: Some(100), ..StreamSettings::default() };
    store.set_stream(&sensor, newest)?;
    println!(
        "It shows {} events and stands at version {}.",
        count(&store, &sensor)?,
        version(&store, &sensor)?
    );

    let report = store.scavenge(&Scavenge::new())?;
    let percent = 100 - report.bytes_after * 100 / report.bytes_before;
    println!(
        "A scavenge has rewritten {} of {} sealed segments without {} events: {percent} % of their bytes are free again.",
        report.rewritten, report.segments, report.removed
    );

    let first = store.back_up(&backup)?;
    println!("A backup reaches position {}: {} segments copied.", first.position, first.copied);
    append(&store, &sensor, "measured", 1000)?;
    let second = store.back_up(&backup)?;
    println!("The next one copies {} of {} segments.", second.copied, second.segments);

    let before = store.head();
    store.delete_stream(&sensor, ExpectedVersion::Any)?;
    let gone = store.read(Read::stream(sensor.clone())).map(|events| events.count());
    println!(
        "The stream is deleted by mistake: {}.",
        gone.err().map_or_else(String::new, |error| error.to_string())
    );

    let report = Restore::from(&backup).until(before).to(&restored)?;
    let again = EventStore::open(Options::new(&restored))?;
    println!("Restored up to position {}, it shows {} events.", report.position, count(&again, &sensor)?);
    println!("Its history is new: {} was {}.", report.history, report.old_history);
    Ok(())
}

fn append(store: &EventStore, stream: &StreamName, event_type: &str, n: u64) -> Outcome<()> {
    let data = Data::json(&json!({"n": n, "value": n as f64 / 10.0}))?;
    let event = NewEvent::new(EventType::parse(event_type)?, data);
    store.append(Append::to(stream.clone(), ExpectedVersion::Any, [event]))?;
    Ok(())
}

fn count(store: &EventStore, stream: &StreamName) -> Outcome<usize> {
    Ok(store.read(Read::stream(stream.clone()))?.collect::<Result<Vec<_>, _>>()?.len())
}

fn version(store: &EventStore, stream: &StreamName) -> Outcome<u64> {
    Ok(store.stream(stream)?.map_or(0, |info| info.version.get()))
}
