//! Faults: each operation that changes the disk is made to fail once, in each way that disks fail.
//!
//! Whatever fails, an acknowledged append is there after reopening and after a power cut, an append after a failed write
//! or sync is refused until the store is reopened, and reads go on. No space for the next segment heals without that.
//!
//! A failure names the fault, the operation and the seed. `ANNALS_FAULT_SEED` sets the first seed (default 1),
//! `ANNALS_FAULT_WORKLOADS` how many workloads are run (default 1).

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};

use annals::testkit::{Fault, History, Model, Outcome, SimDisk, Workload};
use annals::{AppendError, Error, EventStore, ExpectedVersion, Health};

use crate::support::*;

const ATTEMPTS: u64 = 36;
const EVENT_BYTES_MAX: u64 = 5000;

const FAULTS: [Fault; 4] =
    [Fault::Error(ErrorKind::Other), Fault::SyncLies, Fault::NoSpace, Fault::ShortWrite];

/// A run in which one operation fails.
struct Run {
    disk: SimDisk,
    history: History,
    time: u64,
    model: Model,
    what: String,
}

impl Run {
    fn new(seed: u64, fault: Fault, operation: u64) -> Run {
        let disk = SimDisk::new(seed);
        disk.fail_operation(operation, fault);
        let what = format!("seed {seed}, operation {operation} fails by {fault:?}");
        Run { disk, history: History::default(), time: 0, model: Model::default(), what }
    }

    /// Opens the store, again if a fault hits the opening, and checks what it holds.
    fn open(&mut self) -> EventStore {
        let what = self.what.clone();
        let again = |_| EventStore::open(on(&self.disk));
        let store = EventStore::open(on(&self.disk)).or_else(again).or_else(again);
        let store = store.unwrap_or_else(|error| panic!("{what}: it does not open: {error}"));
        let found = self.check(&store, "opened");
        self.model = Model::holding(found);
        store
    }

    fn check(&self, store: &EventStore, when: &str) -> Vec<annals::testkit::Placed> {
        let what = &self.what;
        let found = placed(store).unwrap_or_else(|error| panic!("{what}, {when}: {error}"));
        self.history.check(&found).unwrap_or_else(|error| panic!("{what}, {when}: {error}"));
        check_reads(store, &found).unwrap_or_else(|error| panic!("{what}, {when}: {error}"));
        found
    }

    fn append(&mut self, store: &EventStore, attempt: &annals::testkit::Attempt) -> Result<(), AppendError> {
        self.time += 1;
        let number = self.history.begin(self.time, attempt.clone());
        let answer = store.append(attempt.to_append());
        self.history.end(number, self.time, Outcome::of(&answer));
        answer.map(drop)
    }

    /// Cuts the power, in a few ways, and opens what is left; this run goes on as if nothing had been.
    fn cut_power(&self, when: &str) {
        for seed in 0..3 {
            let disk = if seed == 0 { self.disk.crash_keeping_nothing() } else { self.disk.crash(seed) };
            let what = format!("{}, {when}, power cut {seed}", self.what);
            let store = EventStore::open(on(&disk)).unwrap_or_else(|error| panic!("{what}: {error}"));
            self.check(&store, &format!("{when}, power cut {seed}"));
        }
    }

    /// The log has failed: appends are refused, reads go on, and all of it stays so.
    fn check_failed(&self, store: &EventStore) {
        let refused = store.append_to(&stream("s-0"), ExpectedVersion::Any, [event(0)]);
        let failed = matches!(refused, Err(AppendError::Store(Error::Failed { .. })));
        assert!(failed, "{}: an append after the failure: {refused:?}", self.what);
        assert!(matches!(store.health(), Health::Degraded { .. }), "{}", self.what);
        self.check(store, "failed");
    }

    /// Runs the workload to its end; tells whether the fault hit an append.
    fn run(&mut self, seed: u64) -> bool {
        let mut workload = Workload::new(seed, 4, EVENT_BYTES_MAX);
        let mut hit = false;
        let mut store = self.open();
        for n in 1..=ATTEMPTS {
            let attempt = workload.next(&self.model);
            match self.append(&store, &attempt) {
                Ok(()) => drop(self.model.append(&attempt).expect("the model agrees")),
                Err(AppendError::Conflict { actual, .. }) => {
                    let (_, wanted) = self.model.append(&attempt).expect_err("the model agrees");
                    assert_eq!(actual, wanted, "{}", self.what);
                }
                Err(AppendError::Store(Error::NoSpace { .. })) => {
                    hit = true;
                    assert!(matches!(store.health(), Health::Degraded { .. }), "{}", self.what);
                    self.append(&store, &attempt).expect("there is space again");
                    self.model.append(&attempt).expect("the model agrees");
                    assert_eq!(store.health(), Health::Ready, "{}", self.what);
                }
                Err(error) => {
                    hit = true;
                    let failed = matches!(error, AppendError::Store(Error::Failed { .. }));
                    assert!(failed, "{}: {error}", self.what);
                    self.check_failed(&store);
                    self.cut_power("before reopening");
                    drop(store);
                    store = self.open();
                    self.cut_power("reopened");
                }
            }
            if n == ATTEMPTS / 2 {
                // The mark of a clean close may be what fails; nothing is lost by that.
                let _ = store.close();
                store = self.open();
            }
        }
        drop(store);
        self.cut_power("at the end");
        hit
    }
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost() {
    let first_seed = setting("ANNALS_FAULT_SEED", 1);
    for seed in first_seed..first_seed + setting("ANNALS_FAULT_WORKLOADS", 1) {
        let mut whole = Run::new(seed, Fault::NoSpace, u64::MAX);
        assert!(!whole.run(seed));
        let operations = whole.disk.operations();
        let runs: Vec<_> = FAULTS.iter().flat_map(|fault| (1..=operations).map(|k| (*fault, k))).collect();
        let hits = AtomicU64::new(0);
        on_all_processors(&runs, |(fault, operation)| {
            if Run::new(seed, *fault, *operation).run(seed) {
                hits.fetch_add(1, Ordering::Relaxed);
            }
        });
        let hits = hits.into_inner();
        assert!(hits > operations, "most faults hit an append: {hits} of {}", runs.len());
        say(&format!("{operations} operations, {} faults, {hits} appends hit", FAULTS.len()));
    }
}

#[test]
fn a_second_failure_during_recovery_loses_nothing_either() {
    let seed = setting("ANNALS_FAULT_SEED", 1);
    let mut whole = Run::new(seed, Fault::NoSpace, u64::MAX);
    whole.run(seed);
    // The last third of the run is enough: by then segments have rolled and the store was reopened.
    let all = whole.disk.operations();
    let operations = all * 2 / 3..all;
    let pairs: Vec<_> = FAULTS[..2]
        .iter()
        .flat_map(|fault| operations.clone().flat_map(move |k| (1..=6).map(move |gap| (*fault, k, gap))))
        .collect();
    on_all_processors(&pairs, |(fault, operation, gap)| {
        let mut run = Run::new(seed, *fault, *operation);
        run.disk.fail_operation(operation + gap, *fault);
        run.what = format!("{}, and so does the one {gap} later", run.what);
        run.run(seed);
    });
}

#[test]
fn a_full_disk_refuses_the_next_segment_and_takes_appends_again_when_there_is_space() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    disk.set_capacity(3 * SMALL / 2);
    let mut appended = 0;
    let refused = loop {
        match store.append_to(&stream("s"), ExpectedVersion::Any, [large_event(appended, 5000)]) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Store(Error::NoSpace { .. })), "{refused}");
    assert_eq!(everything(&store).len() as u64, appended, "nothing was written");
    append(&store, "s", [event(appended)]);
    assert!(
        matches!(store.health(), Health::Degraded { .. }),
        "a small event fits where a large one did not"
    );

    disk.set_capacity(100 * SMALL);
    append(&store, "s", [large_event(appended + 1, 5000)]);
    assert_eq!(store.health(), Health::Ready);
    assert_eq!(everything(&store).len() as u64, appended + 2);
}

#[test]
fn a_store_that_nobody_appends_to_learns_of_space_when_it_looks_for_it() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    assert!(!store.look_for_space(), "it never had none");
    disk.set_capacity(3 * SMALL / 2);
    let append_large =
        |n| store.append_to(&stream("s"), ExpectedVersion::Any, [large_event(n, 5000)]).map(|_| ());
    let appended = (0..).find(|n| append_large(*n).is_err()).expect("a disk is full one day");
    assert!(store.look_for_space() && matches!(store.health(), Health::Degraded { .. }), "it has none");

    disk.set_capacity(100 * SMALL);
    assert!(!store.look_for_space());
    assert_eq!(store.health(), Health::Ready);
    append_large(appended).expect("there is a segment for it");
    assert_eq!(everything(&store).len() as u64, appended + 1);
}

#[test]
fn an_append_that_no_segment_can_be_made_for_leaves_the_one_made_ahead_to_others() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk).background(true));
    for n in 0..10 {
        append(&store, "s", [large_event(n, 5000)]);
    }
    let second = std::path::Path::new("store/log/0000000002.seg");
    while !disk.paths().iter().any(|path| path == second) {
        std::thread::yield_now();
    }
    // Full, but for the index of the first segment.
    disk.set_capacity(2 * SMALL + 10_000);
    let events = (0..40).map(|n| large_event(n, 5000)).collect::<Vec<_>>();
    let refused = store.append_to(&stream("s"), ExpectedVersion::Any, events);
    assert!(matches!(refused, Err(AppendError::Store(Error::NoSpace { .. }))), "{refused:?}");
    for n in 0..10 {
        append(&store, "s", [large_event(n, 5000)]);
    }
    assert_eq!(everything(&store).len(), 20);
    assert_eq!(store.health(), Health::Ready);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_read() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    for n in 0..100 {
        append(&store, "s", [large_event(n, 3000)]);
    }
    store.close().expect("closed");
    for path in disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(".idx")) {
        disk.remove_file(path).expect("the file is there");
    }
    disk.set_capacity(0);
    let store = open(on(&disk));
    assert_eq!(everything(&store).len(), 100);
    assert_eq!(read(&store, annals::Read::stream(stream("s"))).len(), 100);
}

#[test]
fn a_sync_that_lies_is_made_good_when_the_store_is_reopened() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    // The write, then the sync.
    disk.fail_operation(2, Fault::SyncLies);
    let failed = store.append_to(&stream("s"), ExpectedVersion::Any, [event(2)]);
    assert!(matches!(failed, Err(AppendError::Store(Error::Failed { .. }))), "{failed:?}");
    drop(store);
    // The bytes can be read, but count as written back: only writing them again makes them durable.
    let store = open(on(&disk));
    assert_eq!(everything(&store).len(), 2);
    append(&store, "s", [event(3)]);
    assert_eq!(everything(&open(on(&disk.crash_keeping_nothing()))).len(), 3);
}

#[test]
fn a_store_that_has_failed_is_not_closed_as_if_it_were_whole() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    // The write, the sync, and the note of the durable position in STATE: the append is safe, and nobody else has to know.
    disk.fail_operation(3, Fault::Error(ErrorKind::Other));
    append(&store, "s", [event(1)]);
    let closed = store.close();
    assert!(matches!(closed, Err(Error::Failed { .. })), "{closed:?}");
    assert_eq!(everything(&open(on(&disk))).len(), 1);
}
