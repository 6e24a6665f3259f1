//! Events by their id: all that have it, in order, and nothing else, wherever they lie.

use annals::testkit::{Rng, SimDisk};
use annals::{EventId, EventStore, Position, Read, RecordedEvent};

use crate::support::*;

/// Texts, a UUID in its short form on disk, and the same one as a text.
const IDS: [&str; 4] =
    ["evt-1", "evt-2", "0190a5b8-1d5e-7000-8000-000000000001", "0190A5B8-1D5E-7000-8000-000000000001"];

fn id(text: &str) -> EventId {
    EventId::parse(text).expect("a legal id")
}

/// Checks that what is found by each id is what a look at every event finds.
fn check(store: &EventStore) {
    let events = read(store, Read::all());
    let head = store.head().get();
    for text in IDS {
        for after in [0, 1, head / 2, head - 1, head, head + 5] {
            let after = Position::new(after);
            let found: Vec<RecordedEvent> = store
                .events_with_id(id(text), after)
                .expect("the store is open")
                .collect::<Result<_, _>>()
                .expect("whole");
            let wanted = events.iter().filter(|event| event.id() == id(text) && event.position() > after);
            assert!(found.iter().eq(wanted), "{text} after {after}");
        }
    }
}

/// A store of several segments in which most streams have most of the ids.
fn filled() -> (SimDisk, EventStore) {
    let (disk, mut rng) = (SimDisk::new(1), Rng::new(7));
    let store = open(on(&disk));
    for n in 0..400 {
        let given = large_event(n, rng.below(1500) as usize);
        match IDS.get(rng.below(8) as usize) {
            Some(text) => drop(append(&store, &format!("s-{n}"), [given.id(id(text))])),
            None => drop(append(&store, &format!("s-{}", n % 5), [given])),
        }
    }
    assert!(store.stats().expect("readable").segments > 3);
    (disk, store)
}

#[test]
fn all_events_with_an_id_are_found_in_order_also_when_the_indexes_are_gone() {
    let (disk, store) = filled();
    check(&store);
    store.close().expect("closed");
    for path in disk.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "idx")) {
        disk.remove_file(path).expect("it was just listed");
    }
    check(&open(on(&disk)));
}

#[test]
fn what_is_appended_while_they_are_taken_is_left_out() {
    let (_disk, store) = filled();
    let mut events = store.events_with_id(id(IDS[0]), Position::START).expect("the store is open");
    let before = events.by_ref().take(1).count();
    append(&store, "late", [event(1).id(id(IDS[0]))]);
    let all = store.events_with_id(id(IDS[0]), Position::START).expect("the store is open").count();
    assert_eq!(before + events.count() + 1, all);
}
