//! Warming: what a store answers while indexes are missing, and what it leaves for later.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use annals::testkit::SimDisk;
use annals::{
    AppendError, Disk, DiskFile, Error, EventStore, ExpectedVersion, Health, OpenMode, Position, Read,
    RecordedEvent, Subscribe,
};

use crate::damaged::{Place, Whole, build_indexes, options, read_until_error, segments};
use crate::support::*;

fn indexes(disk: &SimDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.extension().is_some_and(|name| name == "idx")).collect()
}

/// The disk of a store without any index file.
fn without_indexes(whole: &Whole) -> SimDisk {
    let disk = whole.copy();
    indexes(&disk).iter().for_each(|path| disk.remove_file(path).expect("it was listed"));
    disk
}

fn positions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position().get()).collect()
}

/// Every way to read by position or time gives what the list of all events gives.
fn check_positions(store: &EventStore, all: &[RecordedEvent]) {
    assert!(read(store, Read::all()) == all, "all of them");
    let mut backward = read(store, Read::all().backward());
    backward.reverse();
    assert!(backward == all, "backward");
    for event in all.iter().step_by(37) {
        let (position, time) = (event.position(), event.recorded_at());
        let from = positions(&read(store, Read::all().after(position.previous()).limit(2)));
        assert_eq!(
            from,
            [position.get(), position.get() + 1].map(|at| at.min(all.len() as u64))[..from.len()]
        );
        let one = read(store, Read::all().before(position.next()).backward().limit(1));
        assert_eq!(positions(&one), [position.get()]);
        let since: Vec<_> = all.iter().filter(|other| other.recorded_at() >= time).cloned().collect();
        assert_eq!(positions(&read(store, Read::all().since(time))), positions(&since));
    }
}

#[test]
fn reads_by_position_and_time_need_no_index_and_make_none() {
    let whole = Whole::new(1);
    for read_only in [false, true] {
        let disk = without_indexes(&whole);
        let store = open(options(&disk).read_only(read_only));
        check_positions(&store, &whole.events);
        assert_eq!(indexes(&disk), [] as [PathBuf; 0]);
    }
}

#[test]
fn without_its_index_a_damaged_segment_is_read_up_to_the_damage_and_those_behind_it_whole() {
    let whole = Whole::new(2);
    let path = &segments(&whole.disk)[1];
    let places: Vec<(&u64, &Place)> = whole.places.iter().filter(|(_, place)| place.path == *path).collect();
    let (middle, place) = places[places.len() / 2];
    // The length of the frame, which leads to the next one.
    let disk = without_indexes(&whole);
    disk.flip_bit(path, (place.frame + 4) * 8 + 5).expect("the file is there");
    let store = open(options(&disk));
    let mut events = store.read(Read::all()).expect("a legal read");
    let before: Vec<_> = events.by_ref().map_while(Result::ok).collect();
    let frame_of = |position: &&u64| whole.places[position].frame == place.frame;
    let first = places.iter().map(|(position, _)| *position).find(frame_of).expect("it holds the event");
    assert!(first <= middle);
    assert_eq!(positions(&before), (1..*first).collect::<Vec<_>>());
    let (last, _) = places.last().expect("the segment has events");
    let behind = read(&store, Read::all().after(Position::new(**last)));
    assert_eq!(positions(&behind), (**last + 1..=whole.last()).collect::<Vec<_>>());

    let error = read_until_error(options(&disk).read_only(true)).expect_err("damaged");
    let wanted = format!("{} is damaged at offset {}", path.display(), place.frame);
    assert!(error.contains(&wanted), "{error}");
}

/// A disk on which no index file can be made before the gate opens.
#[derive(Debug, Clone)]
struct Slow {
    disk: SimDisk,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Slow {
    fn new(disk: SimDisk) -> Slow {
        Slow { disk, gate: Arc::default() }
    }

    fn open_gate(&self) {
        *self.gate.0.lock().expect("no panic") = true;
        self.gate.1.notify_all();
    }

    fn open_store(&self, wait_max: Duration) -> EventStore {
        let options = options(&self.disk).disk(Arc::new(self.clone())).background(true);
        open(options.warming_wait_max(wait_max))
    }
}

impl Disk for Slow {
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dirs(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if path.to_string_lossy().ends_with(".idx.tmp") {
            let mut is_open = self.gate.0.lock().expect("no panic");
            while !*is_open {
                is_open = self.gate.1.wait(is_open).expect("no panic");
            }
        }
        self.disk.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn native_dir(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

fn wait_until(what: impl Fn() -> bool) {
    while !what() {
        thread::yield_now();
    }
}

#[test]
fn what_needs_a_missing_index_says_warming_and_everything_else_works() {
    let whole = Whole::new(3);
    let sealed = segments(&whole.disk).len() as u64 - 1;
    let disk = Slow::new(without_indexes(&whole));
    let store = disk.open_store(Duration::ZERO);
    wait_until(|| store.health() == Health::Warming { missing: sealed });
    check_positions(&store, &whole.events);

    let new = stream("nobody-has-written-here");
    let warming = |error: &Error| matches!(error, Error::Warming { missing, .. } if *missing == sealed);
    let refused = store.append_to(&new, ExpectedVersion::Any, [event(1)]);
    assert!(matches!(&refused, Err(AppendError::Store(error)) if warming(error)), "{refused:?}");
    let found = store.stream(&new);
    assert!(matches!(&found, Err(error) if warming(error)), "{found:?}");
    let subscribed = store.subscribe(Subscribe::stream(new.clone()));
    assert!(matches!(&subscribed, Err(error) if warming(error)), "{subscribed:?}");
    // What the active segment holds is decided by it alone.
    let newest = whole.events.last().expect("there are events");
    append(&store, newest.stream(), [event(2)]);

    disk.open_gate();
    wait_until(|| store.health() == Health::Ready);
    assert_eq!(indexes(&disk.disk).len() as u64, sealed);
    append(&store, new.as_str(), [event(3)]);
}

#[test]
fn what_needs_a_missing_index_waits_for_it_while_that_does_not_take_long() {
    let whole = Whole::new(4);
    let disk = Slow::new(without_indexes(&whole));
    let store = disk.open_store(Duration::from_secs(10));
    wait_until(|| matches!(store.health(), Health::Warming { .. }));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| append(&store, "nobody-has-written-here", [event(1)]));
        check_positions(&store, &whole.events);
        disk.open_gate();
        waiting.join().expect("appended");
    });
}

#[test]
fn indexes_that_no_file_can_be_written_for_answer_alike() {
    let whole = Whole::new(5);
    let disk = without_indexes(&whole);
    build_indexes(&disk);
    let with_files = open(options(&disk).read_only(true));
    let disk = without_indexes(&whole);
    // Room for the indexes of few segments.
    let without = open(options(&disk).read_only(true).memory_bytes(annals::MEMORY_BYTES_MIN));
    for event in whole.events.iter().step_by(11) {
        let name = stream(event.stream());
        let alike = read(&without, Read::stream(name.clone())) == read(&with_files, Read::stream(name));
        assert!(alike, "{}", event.stream());
    }
    assert_eq!(indexes(&disk), [] as [PathBuf; 0]);
}
