//! Lives that went wrong once, and what a simulation must be able to do.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::{ExpectedVersion, StreamName};
use crate::options::Options;
use crate::store::EventStore;
use crate::testkit::SECTOR_BYTES;
use crate::testkit::everything::placed;
use crate::testkit::{Fault, Numbered, Write};

fn open(disk: &SimDisk) -> Result<EventStore, String> {
    let clock = ManualClock::new(Timestamp::from_nanos(1_700_000_000_000_000_000));
    let options = Options::new("store").disk(Arc::new(disk.clone())).clock(Arc::new(clock));
    let store = EventStore::open(options.segment_bytes(1).background(false));
    store.map_err(|error| error.to_string())
}

fn attempt(number: u64, bytes: usize) -> Attempt {
    let stream = StreamName::parse("s").expect("a legal name");
    let events = vec![Numbered { number, bytes }];
    Attempt { writes: vec![Write { stream, expected: ExpectedVersion::Any, events }], ..Attempt::default() }
}

fn numbers(store: &EventStore) -> Vec<u64> {
    placed(store).expect("whole").iter().map(|held| held.event.number).collect()
}

#[test]
fn a_seed_lives_the_same_life_again() {
    for seed in 1..40 {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}

/// A disk with one acknowledged event, of `bytes` bytes, and two appends behind it that were written in one group and not
/// synced. Tells where the second of them begins.
fn unsynced_group(bytes: usize) -> (SimDisk, u64) {
    let disk = SimDisk::new(1);
    let store = open(&disk).expect("an empty disk takes a store");
    store.append(attempt(1, bytes).to_append()).expect("nothing fails");
    store.close().expect("nothing fails");
    let store = open(&disk).expect("nothing fails");
    disk.cut_power_after(1);
    let answers = store.append_together([2, 3].map(|number| attempt(number, 1000).to_append()).into());
    assert!(answers.iter().all(Result::is_err), "they were not synced");
    let log = disk.read(Path::new("store/log/0000000001.seg")).expect("it is there");
    let last = log.windows(4).rposition(|bytes| bytes == b"ANFR").expect("there are frames");
    (disk, last as u64)
}

#[test]
fn what_stood_behind_a_torn_append_does_not_come_back_when_that_is_made_again() {
    // Whoever writes the first again writes into all its sectors: the second survives that if it begins in another one.
    let groups = (0..SECTOR_BYTES as usize / 8).map(|n| unsynced_group(8 * n));
    let (disk, _) =
        groups.into_iter().find(|(_, at)| at % SECTOR_BYTES == 0).expect("one of these sizes fits");
    let mut torn_tails = 0;
    for seed in 0..60 {
        for operation in 1..20 {
            // The zeros that recovery writes over them are seen and not stored.
            let torn = disk.crash(seed);
            torn.fail_operation(operation, Fault::SyncLies);
            let store = open(&torn).or_else(|_| open(&torn)).expect("one call failed");
            torn.fail_no_more();
            if numbers(&store) == [1] {
                torn_tails += 1;
                // Whoever tried the first tries it again, by a clock that stands still.
                store.append(attempt(2, 1000).to_append()).expect("nothing fails any more");
                let after = open(&torn.crash_keeping_nothing()).expect("it opens");
                assert_eq!(numbers(&after), [1, 2], "seed {seed}, operation {operation}");
            }
        }
    }
    assert!(torn_tails > 100, "{torn_tails}");
}

#[test]
fn an_aligned_append_ends_where_a_sector_ends() {
    let disk = SimDisk::new(1);
    let store = open(&disk).expect("an empty disk takes a store");
    for number in 1..20 {
        let mut group = [attempt(10 * number, 100 * number as usize), attempt(10 * number + 1, 7)];
        align::align(&disk, &mut group);
        for attempt in group {
            store.append(attempt.to_append()).expect("nothing fails");
            let log = disk.read(Path::new("store/log/0000000001.seg")).expect("it is there");
            let end = log.iter().rposition(|byte| *byte != 0).expect("there are frames") as u64 + 1;
            // The last bytes of a checksum may be zero.
            assert!((SECTOR_BYTES - end % SECTOR_BYTES) % SECTOR_BYTES < 4, "it ends at {end}");
        }
    }
}
