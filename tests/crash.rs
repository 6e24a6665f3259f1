//! Crashes: a workload is cut at every operation of the disk, and what was acknowledged is there when it is opened again.
//!
//! One run is recorded operation by operation. Each moment is crashed with several seeds, each of which keeps another
//! part of what was not synced; the store is opened, checked against the history of the run, written to, crashed and
//! opened once more. Recovery is itself crashed at one of its operations.
//!
//! Whole lives drawn from seeds, with failures and damage between the crashes, come from `testkit::simulate`.
//!
//! A failure names the moment and the seed. For longer runs use `cargo hunt simulate --seeds 100000`, or set
//! `ANNALS_SIMULATION_SEEDS`, the lives (default 3000), or `ANNALS_CRASH_SEEDS`, the crashes of each moment
//! (default 2), `ANNALS_CRASH_SEED`, the first seed, and `ANNALS_CRASH_WORKLOADS`, how many workloads are run.

use std::sync::Mutex;

use annals::testkit::{
    Attempt, Figures, History, Model, Numbered, Outcome, Rng, SimDisk, Workload, Write, simulate,
};
use annals::{Disk, EventStore, ExpectedVersion};

use crate::support::*;

/// The attempts of a workload.
const ATTEMPTS: u64 = 70;

/// The largest event: a segment holds about a dozen attempts.
const EVENT_BYTES_MAX: u64 = 5000;

/// A moment of a run: how many operations had been done, the disk, the history up to there.
struct Moment {
    operations: u64,
    disk: SimDisk,
    history: History,
}

/// Runs a workload on a store that nothing happens to, and answers as the model does.
fn run(seed: u64) -> Vec<Moment> {
    let disk = SimDisk::new(seed);
    disk.record();
    let (mut history, mut model) = (History::default(), Model::default());
    let mut workload = Workload::new(seed, 5, EVENT_BYTES_MAX);
    // Closing seals a segment here, and leaves one as it is at the end.
    let mut store = open(on(&disk).unsealed_bytes_max(0));
    for n in 1..=ATTEMPTS {
        let attempt = workload.next(&model);
        let number = history.begin(disk.operations(), attempt.clone());
        let answer = store.append(attempt.to_append());
        history.end(number, disk.operations(), Outcome::of(&answer));
        match (model.append(&attempt), &answer) {
            (Ok(position), Ok(receipt)) => assert_eq!(position, receipt.position),
            (Err((stream, actual)), Err(annals::AppendError::Conflict { stream: s, actual: a, .. })) => {
                assert_eq!((&stream, actual), (s, *a));
            }
            (wanted, found) => panic!("wanted {wanted:?}, found {found:?}"),
        }
        if n % 20 == 0 {
            let at = model.version("s-0");
            store.put_snapshot(&stream("s-0"), at, vec![7; 100].into()).expect("the version exists");
        }
        if n == ATTEMPTS / 2 {
            store.close().expect("closed");
            for path in disk.paths().iter().filter(|path| !path.to_string_lossy().ends_with(".seg")) {
                disk.remove(path).expect("it was just listed");
            }
            store = open(on(&disk));
        }
    }
    assert!(store.stats().expect("readable").segments > 2, "the workload fills several segments");
    drop(store);
    let moments = disk.moments().into_iter().zip(0..);
    moments
        .map(|(disk, operations)| Moment { operations, disk, history: history.as_of(operations) })
        .collect()
}

/// Opens the store after a crash, and checks what it holds.
fn reopen(disk: &SimDisk, history: &History, crash: &str) -> EventStore {
    let store =
        EventStore::open(on(disk)).unwrap_or_else(|error| panic!("{crash}: it does not open: {error}"));
    let found = placed(&store).unwrap_or_else(|error| panic!("{crash}: {error}"));
    history.check(&found).unwrap_or_else(|error| panic!("{crash}: {error}"));
    check_reads(&store, &found).unwrap_or_else(|error| panic!("{crash}: {error}"));
    store
}

/// An append after a crash, to a stream that goes on where it stands.
fn continued(store: &EventStore, number: u64) -> Attempt {
    let name = stream("s-1");
    let at = store.stream(&name).expect("readable").map_or(version(0), |info| info.version);
    let event = Numbered { number, bytes: 3000 };
    Attempt {
        writes: vec![Write { stream: name, expected: at.into(), events: vec![event] }],
        ..Attempt::default()
    }
}

/// Crashes a moment, opens, appends, cuts the power, and opens again.
fn crash_once(moment: &Moment, seed: u64) {
    let crash = format!("after operation {}, seed {seed}", moment.operations);
    let disk = moment.disk.crash(seed);
    let mut history = moment.history.clone();
    let store = reopen(&disk, &history, &crash);
    for n in 0..2 {
        let time = moment.operations + n + 1;
        let attempt = continued(&store, 1_000_000 + n);
        let number = history.begin(time, attempt.clone());
        let answer = store.append(attempt.to_append());
        assert!(answer.is_ok(), "{crash}: {answer:?}");
        history.end(number, time, Outcome::of(&answer));
    }
    drop(reopen(&disk.crash_keeping_nothing(), &history, &format!("{crash}, then the power was cut")));
}

/// Crashes a moment, and then the opening and the append that follow, at one of their operations.
fn crash_twice(moment: &Moment, seed: u64) {
    let disk = moment.disk.crash(seed);
    disk.record();
    let mut history = moment.history.clone();
    let store = reopen(&disk, &history, &format!("after operation {}, seed {seed}", moment.operations));
    let attempt = continued(&store, 2_000_000);
    history.begin(moment.operations + 1, attempt.clone());
    store.append(attempt.to_append()).expect("the store was just opened");
    drop(store);

    let moments = disk.moments();
    let again = Rng::new(seed).below(moments.len() as u64);
    let crash = format!("after operation {}, seed {seed}, and {again} more", moment.operations);
    drop(reopen(&moments[again as usize].crash(seed ^ 1), &history, &crash));
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_every_operation_and_one_during_recovery() {
    let first_seed = setting("ANNALS_CRASH_SEED", 1);
    let seeds = setting("ANNALS_CRASH_SEEDS", 2);
    for workload in 0..setting("ANNALS_CRASH_WORKLOADS", 1) {
        let moments = run(first_seed + workload);
        on_all_processors(&moments, |moment| {
            for n in 0..seeds {
                crash_once(moment, first_seed + moment.operations * 1000 + n);
            }
            crash_twice(moment, first_seed + moment.operations * 1000 + 999);
        });
        say(&format!("{} crash points, {} crashes each", moments.len(), 2 * seeds + 2));
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_wrote() {
    for moment in run(7).iter().step_by(7) {
        let crash = format!("killed after operation {}", moment.operations);
        let disk = moment.disk.crash_keeping_all();
        drop(reopen(&disk, &moment.history, &crash));
        drop(reopen(
            &disk.crash_keeping_nothing(),
            &moment.history,
            &format!("{crash}, then the power was cut"),
        ));
    }
}

#[test]
fn a_store_that_was_never_finished_making_is_made_again() {
    let disk = SimDisk::new(1);
    disk.record();
    drop(open(on(&disk)));
    for (operations, moment) in disk.moments().iter().enumerate() {
        for seed in 0..20 {
            let crashed = moment.crash(seed);
            let store = EventStore::open(on(&crashed));
            let store = store.unwrap_or_else(|error| panic!("after {operations}, seed {seed}: {error}"));
            store.append_to(&stream("a"), ExpectedVersion::None, [event(1)]).expect("an empty store");
        }
    }
}

#[test]
fn no_life_of_a_store_loses_or_invents_anything() {
    let seeds: Vec<u64> = (1..=setting("ANNALS_SIMULATION_SEEDS", 3000)).collect();
    let all = Mutex::new(Figures::default());
    on_all_processors(&seeds, |seed| {
        let figures = simulate(*seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        *all.lock().expect("nobody panics with it") += figures;
    });
    let all = all.into_inner().expect("nobody panics with it");
    assert!(all.crashes > all.seeds && all.failures > all.seeds / 2 && all.damages > all.seeds / 2, "{all}");
    say(&all.to_string());
}
