//! Writers, readers and followers that race on one store, also while segments roll.
//!
//! Whatever any of them was told goes into one history, which is checked against the store, and against the disks that a
//! power cut would have left between the operations of the race. For longer runs set `ANNALS_RACE_SEEDS`, how many races
//! are run (default 4), `ANNALS_RACE_SEED`, the first seed, and `ANNALS_RACE_CRASHES`, how many of the moments of each
//! race are crashed (default 50).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use annals::testkit::{
    Attempt, Condition, History, Model, Observation, Outcome, Placed, Rng, SimDisk, Workload,
};
use annals::{
    Delivery, EventStore, ExpectedVersion, Position, QueryItem, Read, RecordedEvent, StreamName, Subscribe,
};

use crate::support::*;

const WRITERS: u64 = 4;
const ATTEMPTS: u64 = 60;
const STREAMS: u64 = 3;

/// A store under a race, with the history of what its users were told.
struct Race {
    store: EventStore,
    disk: SimDisk,
    history: Mutex<History>,
    /// How many operations the disk had done at each time of the history. Times are counted from 1.
    times: Mutex<Vec<u64>>,
    /// Writers who are not done.
    writing: AtomicU64,
}

/// Counts a writer as done, also when it panics: the others wait for that.
struct Done<'a>(&'a AtomicU64);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Race {
    fn new(seed: u64) -> Race {
        let disk = SimDisk::new(seed);
        let store = open(on(&disk).background(seed.is_multiple_of(2)));
        let (history, times) = (Mutex::default(), Mutex::default());
        Race { store, disk, history, times, writing: AtomicU64::new(WRITERS) }
    }

    fn now(&self) -> u64 {
        let mut times = self.times.lock().expect("no panic");
        times.push(self.disk.operations());
        times.len() as u64
    }

    /// What had been told when the disk had done so many operations, and what was under way.
    fn history_of(&self, operations: u64) -> History {
        let times = self.times.lock().expect("no panic");
        self.history().as_of(times.partition_point(|done| *done <= operations) as u64)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no panic")
    }

    fn is_over(&self) -> bool {
        self.writing.load(Ordering::SeqCst) == 0
    }

    /// Appends with what it believes of the streams, which others change meanwhile: it waits, it submits and waits, or it
    /// turns away and never learns what became of it.
    fn write(&self, seed: u64, writer: u64) {
        let _done = Done(&self.writing);
        let mut workload = Workload::new(seed * 10 + writer, STREAMS, 3000);
        let mut rng = Rng::new(!(seed * 10 + writer));
        for n in 0..ATTEMPTS {
            let model = Model::holding(placed(&self.store).expect("readable"));
            let attempt = renumbered(workload.next(&model), writer * 1000 + n * 10);
            let attempt = believing(attempt, &model, &mut rng);
            let number = self.history().begin(self.now(), attempt.clone());
            let answer = match rng.below(8) {
                0 => {
                    drop(self.store.submit(attempt.to_append()));
                    continue;
                }
                1..=4 => self.store.append(attempt.to_append()),
                _ => self.store.submit(attempt.to_append()).and_then(|ticket| ticket.wait()),
            };
            self.history().end(number, self.now(), Outcome::of(&answer));
        }
    }

    /// Reads all events, or a stream by its name or by a query, from somewhere to the head, over and over while there are
    /// writers.
    fn read(&self, reader: u64) {
        let mut after = 0;
        while !self.is_over() {
            let at = Position::new(after);
            let (mut observation, read) = match reader {
                0 => (Observation::of_all(self.now(), at), Read::all()),
                1 => (Observation::of_stream(self.now(), name(1), at), Read::stream(name(1))),
                _ => (Observation::of_stream(self.now(), name(2), at), Read::all().query(of(2).into())),
            };
            let events = self.store.read(read.after(at)).expect("a legal read");
            let head = events.head();
            for event in events {
                self.see(&mut observation, &event.expect("whole"));
            }
            observation.reach(self.now(), head);
            self.history().observe(observation);
            // From the beginning, from the middle, from the end.
            after = if after == 0 { head.get() / 2 } else { 0 };
        }
    }

    /// Follows all events, or a stream by its name or by a query, until the store is closed.
    fn follow(&self, follower: u64) {
        let after = Position::START;
        let (mut observation, subscribe) = match follower {
            0 => (Observation::of_all(self.now(), after), Subscribe::all()),
            1 => (Observation::of_stream(self.now(), name(1), after), Subscribe::stream(name(1))),
            _ => (Observation::of_stream(self.now(), name(2), after), Subscribe::all().query(of(2).into())),
        };
        for delivery in self.store.subscribe(subscribe).expect("from the beginning") {
            match delivery.expect("whole") {
                Delivery::Event(event) => self.see(&mut observation, &event),
                Delivery::CaughtUp(position) | Delivery::Checkpoint(position) => {
                    observation.reach(self.now(), position);
                }
                other => panic!("an unknown delivery: {other:?}"),
            }
        }
        self.history().observe(observation);
    }

    fn see(&self, observation: &mut Observation, event: &RecordedEvent) {
        let placed = Placed::of(event).expect("what somebody wrote");
        observation.see(self.now(), event.position(), placed);
    }

    /// Lets them race; gives the disk before each of its operations, and after the last.
    fn run(&self, seed: u64) -> Vec<SimDisk> {
        self.disk.record();
        thread::scope(|scope| {
            for follower in 0..3 {
                scope.spawn(move || self.follow(follower));
            }
            let readers = (0..3).map(|reader| scope.spawn(move || self.read(reader)));
            let readers: Vec<_> = readers.collect();
            for writer in 0..WRITERS {
                scope.spawn(move || self.write(seed, writer));
            }
            let read: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
            // Also when one of them has failed: followers wait for it.
            self.store.close().expect("the disk has no faults");
            assert!(read.iter().all(Result::is_ok), "a reader failed");
        });
        self.disk.moments()
    }
}

#[test]
fn what_racing_writers_and_readers_were_told_holds_on_every_disk_that_a_power_cut_leaves() {
    let (first_seed, crashes) = (setting("ANNALS_RACE_SEED", 0), setting("ANNALS_RACE_CRASHES", 50));
    for seed in first_seed..first_seed + setting("ANNALS_RACE_SEEDS", 4) {
        let race = Race::new(seed);
        let before = race.disk.operations();
        let moments = race.run(seed);
        let found = placed(&open(on(&race.disk))).expect("readable");
        let history = race.history().clone();
        history.check(&found).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        let (acknowledged, outrun) = (history.acknowledged(), history.outrun());
        assert!(outrun > 0, "seed {seed}: nobody was in the way of another");

        let mut rng = Rng::new(seed);
        let one_in = (moments.len() as u64 / crashes).max(1);
        let mut crashed: Vec<_> = (before..).zip(&moments).map(|moment| (moment, rng.next_u64())).collect();
        crashed.retain(|_| rng.chance(1, one_in));
        on_all_processors(&crashed, |((operations, disk), keeps)| {
            let found = placed(&open(on(&disk.crash(*keeps)))).expect("readable");
            let checked = race.history_of(*operations).check(&found);
            checked.unwrap_or_else(|fault| panic!("seed {seed}, after {operations} operations: {fault}"));
        });
        say(&format!(
            "seed {seed}: {acknowledged} attempts acknowledged, {outrun} outrun, {} events, {} moments crashed",
            found.len(),
            crashed.len()
        ));
    }
}

fn name(number: u64) -> StreamName {
    stream(&format!("s-{number}"))
}

/// What selects one stream.
fn of(number: u64) -> QueryItem {
    QueryItem { streams: vec![name(number).as_str().to_owned()], ..QueryItem::default() }
}

/// The attempt, now and then with what it believes of streams that it does not write to, and with what must not have
/// come since it looked.
fn believing(mut attempt: Attempt, model: &Model, rng: &mut Rng) -> Attempt {
    if rng.chance(1, 6) {
        let other = name(rng.below(STREAMS));
        let stands = model.version(other.as_str());
        let expected = if rng.chance(1, 2) { stands.into() } else { ExpectedVersion::Exists };
        if attempt.writes.iter().all(|write| write.stream != other) {
            attempt.expecting.push((other, expected));
        }
    }
    for _ in 0..rng.below(6).saturating_sub(3) {
        let streams = (0..STREAMS).filter(|_| rng.chance(1, 2)).map(name).collect();
        let since = rng.below(4).min(model.head().get());
        let after = Position::new(model.head().get() - if rng.chance(1, 6) { since } else { 0 });
        attempt.refused_by.push(Condition { streams, after });
    }
    attempt
}

/// The attempt with numbers that no other writer uses.
fn renumbered(mut attempt: Attempt, first: u64) -> Attempt {
    let events = attempt.writes.iter_mut().flat_map(|write| &mut write.events);
    events.zip(first..).for_each(|(event, number)| event.number = number);
    attempt
}
