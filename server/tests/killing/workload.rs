//! What clients do to a server until it is killed: write with all kinds of expectations, read, and follow; and what they
//! were told, as one history.
//!
//! Numbers of events go on from one life of the server to the next, and so do those who follow. A writer whose connection
//! breaks, or who turns away before the answer, does not know what became of its attempt; the next life settles it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use annals::testkit::{Attempt, Condition, History, Numbered, Observation, Outcome, Placed, Rng, Write};
use annals::{ExpectedVersion, Position, StreamName, StreamVersion};
use serde_json::Value;

use super::request::{answer, placed, request, send};
use crate::support::{AS_LINES, get};

const STREAMS: u64 = 5;

/// Enough for several segments in a few rounds.
const BYTES_MAX: u64 = 3_000;

/// After at most so many events a follower leaves and comes back.
const EVENTS_FOLLOWED_MAX: u64 = 400;

/// A run over all lives of the server.
#[derive(Default)]
pub(super) struct Run {
    history: Mutex<History>,
    /// Moments are numbered as they pass.
    time: AtomicU64,
    numbers: AtomicU64,
    told: Mutex<Told>,
    changed: Condvar,
    /// Where writers believe that the streams stand, and the head.
    versions: [AtomicU64; STREAMS as usize],
    head: AtomicU64,
    /// Behind which position each follower goes on.
    followed: [AtomicU64; 2],
}

/// How many appends ended in which way, and what was seen.
#[derive(Debug, Default)]
struct Told {
    acknowledged: u64,
    events: u64,
    conflicts: u64,
    matched: u64,
    cut_off: u64,
    unknown: u64,
    /// Of those of unknown outcome.
    found: usize,
    read: usize,
    followed: [usize; 2],
    /// Writers at work.
    writing: u64,
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { acknowledged, events, conflicts, matched, cut_off, unknown, found, read, .. } = self;
        let [as_events, as_lines] = self.followed;
        write!(
            out,
            "{acknowledged} appends of {events} events acknowledged, {conflicts} conflicts, {matched} refused by an event, \
             {cut_off} requests cut off, {unknown} of unknown outcome ({found} of them found), {read} events read, \
             {as_events} followed as server-sent events and {as_lines} as lines"
        )
    }
}

/// Counts a writer as done, also when it panics: somebody waits for what it is told.
struct Writing<'a>(&'a Run);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.note(|told| told.writing -= 1);
    }
}

impl Run {
    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("no panic")
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no panic")
    }

    fn note(&self, note: impl FnOnce(&mut Told)) {
        note(&mut self.told());
        self.changed.notify_all();
    }

    /// Checks what a new life of the server found.
    pub(super) fn settle(&self, found: &[Placed]) -> Result<(), String> {
        let mut history = self.history();
        history.check(found)?;
        let settled = history.settle(found);
        self.note(|told| told.found += settled);
        Ok(())
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.told().acknowledged
    }

    /// Waits until so many appends were acknowledged, or nobody writes any more.
    pub(super) fn wait_until_acknowledged(&self, wanted: u64) {
        let mut told = self.told();
        while told.acknowledged < wanted && told.writing > 0 {
            told = self.changed.wait(told).expect("no panic");
        }
    }

    pub(super) fn figures(&self) -> String {
        self.told().to_string()
    }

    /// A run in which nothing was refused, cut off or seen would prove little.
    pub(super) fn check_covered(&self) {
        let told = self.told();
        let outcomes = [told.acknowledged, told.conflicts, told.matched, told.cut_off, told.unknown];
        let seen = [told.found, told.read, told.followed[0], told.followed[1]];
        assert!(outcomes.iter().all(|count| *count > 0) && seen.iter().all(|count| *count > 0), "{told}");
    }

    /// Notes that so many writers begin.
    pub(super) fn begin_writing(&self, writers: u64) {
        self.note(|told| told.writing += writers);
    }

    /// Appends until nobody answers any more.
    pub(super) fn write(&self, address: &str, mut rng: Rng) {
        let _writing = Writing(self);
        loop {
            let attempt = self.attempt(&mut rng);
            let request = request(address, &attempt, rng.chance(1, 2));
            let number = self.history().begin(self.now(), attempt);
            if !self.ask(address, &request, number, &mut rng) {
                return;
            }
        }
    }

    /// Sends the request of an attempt, and mostly waits for the answer. Tells whether there is still a server.
    fn ask(&self, address: &str, request: &[u8], number: usize, rng: &mut Rng) -> bool {
        if rng.chance(1, 40) {
            // Without its last byte it is no request: nobody may act on it.
            let connection = send(address, &request[..request.len() - 1]);
            self.history().end(number, self.now(), Outcome::Refused);
            self.note(|told| told.cut_off += 1);
            return connection.is_some();
        }
        let connection = send(address, request);
        if connection.is_some() && rng.chance(1, 20) {
            self.note(|told| told.unknown += 1);
            return true;
        }
        let Some(answered) = connection.and_then(answer) else {
            self.note(|told| told.unknown += 1);
            return false;
        };
        let outcome = answered.outcome();
        self.learn(&outcome);
        self.history().end(number, self.now(), outcome);
        true
    }

    /// Takes from an outcome where streams stand, for what is tried next.
    fn learn(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Acknowledged(receipt) => {
                for of_stream in &receipt.streams {
                    self.believe(&of_stream.stream, of_stream.version);
                }
                self.head.fetch_max(receipt.position.get(), Ordering::Relaxed);
                self.note(|told| {
                    told.acknowledged += 1;
                    told.events += receipt.streams.len() as u64;
                });
            }
            Outcome::Conflict { stream, actual } => {
                self.believe(stream, *actual);
                self.note(|told| told.conflicts += 1);
            }
            Outcome::Matched { position, .. } => {
                self.head.fetch_max(position.get(), Ordering::Relaxed);
                self.note(|told| told.matched += 1);
            }
            Outcome::Refused | Outcome::Unknown => panic!("no answer of a server means that: {outcome:?}"),
        }
    }

    fn believe(&self, stream: &StreamName, version: StreamVersion) {
        let number: usize = stream.as_str()[2..].parse().expect("streams are named by numbers");
        self.versions[number].fetch_max(version.get(), Ordering::Relaxed);
    }

    fn attempt(&self, rng: &mut Rng) -> Attempt {
        let first = rng.below(STREAMS);
        let mut attempt = Attempt { writes: vec![self.write_to(first, rng)], ..Attempt::default() };
        let other = (first + 1 + rng.below(STREAMS - 1)) % STREAMS;
        match rng.below(8) {
            0 | 1 => attempt.writes.push(self.write_to(other, rng)),
            2 => attempt.expecting.push((name(other), self.expected(other, rng))),
            3 => attempt.refused_by.push(self.condition(rng)),
            _ => {}
        }
        attempt
    }

    fn write_to(&self, stream: u64, rng: &mut Rng) -> Write {
        let expected = self.expected(stream, rng);
        let event = |rng: &mut Rng| Numbered {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            bytes: rng.below(BYTES_MAX) as usize,
        };
        let count = 1 + rng.below(3);
        Write { stream: name(stream), expected, events: (0..count).map(|_| event(rng)).collect() }
    }

    fn expected(&self, stream: u64, rng: &mut Rng) -> ExpectedVersion {
        let stands = StreamVersion::new(self.versions[stream as usize].load(Ordering::Relaxed));
        match rng.below(12) {
            0 => ExpectedVersion::None,
            1 => ExpectedVersion::Exists,
            2..=6 => stands.into(),
            _ => ExpectedVersion::Any,
        }
    }

    /// That nothing has come to some streams since the last position that somebody was told.
    fn condition(&self, rng: &mut Rng) -> Condition {
        let streams = (0..STREAMS).filter(|_| rng.chance(1, 2)).map(name).collect();
        Condition { streams, after: Position::new(self.head.load(Ordering::Relaxed)) }
    }

    /// Reads what has come since it last read, to the head, until nobody answers any more: all events and one stream in
    /// turn.
    pub(super) fn read(&self, address: &str) {
        let mut after = [Position::START; 2];
        for turn in (0..2).cycle() {
            let mut observation = match turn {
                0 => Observation::of_all(self.now(), after[turn]),
                _ => Observation::of_stream(self.now(), name(2), after[turn]),
            };
            let query = if turn == 0 { "" } else { "&streams=s-2" };
            let path = format!("/events?after={}{query}", after[turn]);
            let Some(mut answer) = get(address, &path, &[AS_LINES]) else { return };
            assert_eq!(answer.status, 200);
            let is_whole = loop {
                match answer.line_if_whole() {
                    Ok(Some(line)) => self.see(&mut observation, &line),
                    Ok(None) => break true,
                    Err(_) => break false,
                }
            };
            if is_whole {
                observation.end(self.now());
            }
            after[turn] = observation.position();
            self.note(|told| told.read += observation.events());
            self.history().observe(observation);
            if !is_whole {
                return;
            }
        }
    }

    fn see(&self, observation: &mut Observation, json: &str) {
        let (position, event) = placed(&serde_json::from_str(json).expect("an event is JSON"));
        observation.see(self.now(), position, event);
    }

    /// Follows all events as server-sent events, and comes back when it has seen some, until nobody answers any more.
    pub(super) fn follow_events(&self, address: &str, mut rng: Rng) {
        loop {
            let after = Position::new(self.followed[0].load(Ordering::Relaxed));
            let mut observation = Observation::of_all(self.now(), after);
            let enough = rng.below(EVENTS_FOLLOWED_MAX) as usize;
            let last = after.to_string();
            let answer = get(address, "/events/stream?envelope=true", &[("Last-Event-ID", &last)]);
            let Some(mut answer) = answer else { return };
            assert_eq!(answer.status, 200);
            while observation.events() < enough
                && let Ok(Some(line)) = answer.line_if_whole()
            {
                assert!(!line.starts_with("event: error"), "{line}");
                if let Some(json) = line.strip_prefix("data: ") {
                    self.see(&mut observation, json);
                }
            }
            self.followed_until(0, observation);
        }
    }

    /// The same with one stream, as lines.
    pub(super) fn follow_lines(&self, address: &str, mut rng: Rng) {
        loop {
            let after = Position::new(self.followed[1].load(Ordering::Relaxed));
            let mut observation = Observation::of_stream(self.now(), name(1), after);
            let enough = rng.below(EVENTS_FOLLOWED_MAX) as usize;
            let path = format!("/events/stream?streams=s-1&after={after}");
            let Some(mut answer) = get(address, &path, &[AS_LINES]) else { return };
            assert_eq!(answer.status, 200);
            while observation.events() < enough
                && let Ok(Some(line)) = answer.line_if_whole()
            {
                let json: Value = serde_json::from_str(&line).expect("a line is JSON");
                match json["caughtUp"].as_u64().or(json["checkpoint"].as_u64()) {
                    Some(position) => observation.reach(self.now(), Position::new(position)),
                    None => self.see(&mut observation, &line),
                }
            }
            self.followed_until(1, observation);
        }
    }

    fn followed_until(&self, follower: usize, observation: Observation) {
        self.followed[follower].store(observation.position().get(), Ordering::Relaxed);
        self.note(|told| told.followed[follower] += observation.events());
        self.history().observe(observation);
    }
}

fn name(number: u64) -> StreamName {
    StreamName::parse(&format!("s-{number}")).expect("a legal name")
}
