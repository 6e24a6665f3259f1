//! What every store has to do alike, or its figures are of something else.

use std::path::PathBuf;

use super::{CONTENDERS, LIMIT};
use crate::event::{Event, stream};
use crate::store::{Contender, Setup, Store};

const SETUP: Setup = Setup { checked: true, file_bytes: 4 << 20 };

/// A directory that is removed.
struct Dir(PathBuf);

impl Dir {
    fn new(test: &str, store: &str) -> Dir {
        let name = format!("annals-bench-compare-{}-{test}-{store}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    fn open(&self, contender: &Contender) -> Box<dyn Store> {
        (contender.open)(&self.0, SETUP).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn contenders() -> impl Iterator<Item = &'static Contender> {
    CONTENDERS.into_iter().flatten()
}

fn events(numbers: std::ops::Range<u64>) -> impl Iterator<Item = (String, Event)> {
    numbers.map(|number| (stream(number % 100), Event::new(number)))
}

#[test]
fn a_reopened_store_replays_every_event_that_was_appended_in_any_way() {
    for contender in contenders() {
        let dir = Dir::new("reopened", contender.name);
        let store = dir.open(contender);
        store.append("a", (0..30).map(Event::new).collect()).unwrap();
        store.append_in_flight(&mut events(0..1000), 128).unwrap().unwrap();
        store.load(&mut events(1000..4500)).unwrap();
        store.close().unwrap();
        let store = dir.open(contender);
        assert_eq!(store.replay().unwrap(), 4530, "{}", contender.name);
        if contender.name != LIMIT.name {
            assert_eq!(store.read("a").unwrap(), 30, "{}", contender.name);
            assert_eq!(store.read(&stream(7)).unwrap(), 45, "{}", contender.name);
            assert_eq!(store.read("nobody").unwrap(), 0, "{}", contender.name);
        }
        store.close().unwrap();
    }
}

#[test]
fn an_append_at_another_version_is_refused_and_told_the_right_one() {
    for contender in contenders().filter(|contender| contender.name != LIMIT.name) {
        let dir = Dir::new("refused", contender.name);
        let store = dir.open(contender);
        let at = |version| store.append_at("a", version, Event::new(version)).unwrap().unwrap();
        assert_eq!(at(0), Ok(1), "{}", contender.name);
        assert_eq!(at(0), Err(1), "{}", contender.name);
        assert_eq!(at(3), Err(1), "{}", contender.name);
        assert_eq!(at(1), Ok(2), "{}", contender.name);
        assert_eq!(store.read("a").unwrap(), 2, "{}", contender.name);
        store.close().unwrap();
    }
}

#[test]
fn appends_of_many_threads_all_succeed_once() {
    for contender in contenders().filter(|contender| contender.name != LIMIT.name) {
        let dir = Dir::new("threads", contender.name);
        let store = dir.open(contender);
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..20 {
                        store.append(&stream(thread), vec![Event::new(number)]).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.replay().unwrap(), 320, "{}", contender.name);
        assert!((0..16).all(|thread| store.read(&stream(thread)).unwrap() == 20), "{}", contender.name);
        store.close().unwrap();
    }
}
