//! A store beside its model: any operations, in any order, on a disk that is crashed now and then.
//!
//! A failure is shrunk to the fewest and smallest operations that still fail, and these are printed. For longer runs set
//! `ANNALS_MACHINE_CASES`, how many sequences are tried (default 400), and `ANNALS_MACHINE_SEED`, which draws them
//! (default 1). A failure that is worth keeping becomes a test of its own.

mod draw;

use std::collections::BTreeMap;

use annals::testkit::{Attempt, Model, Numbered, Placed, SimDisk, Write};
use annals::{
    Append, AppendError, Delivery, Disk, EventStore, ExpectedVersion, Metadata, NewEvent, Position, Query,
    QueryItem, Read, Receipt, SnapshotError, StreamName, Subscribe, Subscription,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::support::*;
use draw::{Belief, Bounds, Change, Derived, Kept, Operation, Wanted, operation};

const STREAMS: usize = 4;
const FOLLOWERS: usize = 4;
const OPERATIONS_MAX: usize = 40;

/// Each event carries one of so many tags, by its number.
const TAGS: u64 = 3;

/// One who follows some events, over all lives of the store.
struct Follower {
    wanted: Wanted,
    subscription: Option<Subscription>,
    position: Position,
}

/// A store, and what it must be.
struct Machine {
    disk: SimDisk,
    store: EventStore,
    model: Model,
    numbers: u64,
    followers: Vec<Follower>,
    /// The newest snapshot of each stream, since the store was opened: a simulated disk keeps none.
    snapshots: BTreeMap<usize, (u64, Vec<u8>)>,
}

/// An append to make, and the condition on all events that stands in no model.
struct Made {
    attempt: Attempt,
    unless: Option<(Wanted, Position)>,
}

fn name(number: usize) -> StreamName {
    stream(&format!("s-{number}"))
}

fn tag(number: u64) -> String {
    format!("rest:{}", number % TAGS)
}

fn tagged(event: Numbered) -> NewEvent {
    let metadata = Metadata::default().with("tags", &[tag(event.number)]).expect("legal");
    event.to_event().metadata(metadata)
}

impl Wanted {
    fn item(&self) -> QueryItem {
        let streams = self.stream.map(|number| name(number).as_str().to_owned());
        QueryItem {
            streams: streams.into_iter().collect(),
            tags: self.tag.map(tag).into_iter().collect(),
            ..QueryItem::default()
        }
    }

    fn matches(&self, event: &Placed) -> bool {
        self.stream.is_none_or(|number| event.stream == name(number).as_str())
            && self.tag.is_none_or(|number| tag(number) == tag(event.event.number))
    }
}

impl Made {
    fn to_append(&self) -> Append {
        let append = self.attempt.to_append_of(tagged);
        self.unless
            .iter()
            .fold(append, |append, (wanted, after)| append.fail_if_events_match(wanted.item(), *after))
    }
}

impl Machine {
    fn new() -> Machine {
        let disk = SimDisk::new(1);
        let store = open(on(&disk));
        let follower = |(stream, tag)| Follower {
            wanted: Wanted { stream, tag },
            subscription: None,
            position: Position::START,
        };
        let wanted: [_; FOLLOWERS] = [(None, None), (Some(0), None), (None, Some(1)), (Some(1), Some(2))];
        let followers = wanted.map(follower).into();
        Machine { disk, store, model: Model::default(), numbers: 0, followers, snapshots: BTreeMap::new() }
    }

    fn operate(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(change) => self.append(change),
            Operation::Submit(changes) => self.submit(changes),
            Operation::AppendCut(change, at, seed) => self.append_cut(change, *at, *seed),
            Operation::Read(bounds) => self.read(bounds),
            Operation::Follow(follower) => self.follow(*follower),
            Operation::Snapshot(stream, version) => self.snapshot(*stream, *version),
            Operation::Look => self.look(),
            Operation::Reopen(derived) => self.reopen(*derived),
            Operation::Crash(kept) => self.crash(*kept),
        }
        assert_eq!(self.store.head(), self.model.head());
    }

    /// The append that a change means now; a stream that is named again is left out.
    fn made(&mut self, change: &Change) -> Made {
        let mut attempt = Attempt::default();
        for part in &change.parts {
            let stream = name(part.stream);
            if attempt.writes.iter().any(|write| write.stream == stream) {
                continue;
            }
            let expected = self.believed(part.stream, part.expected);
            let event = |bytes: &usize| {
                self.numbers += 1;
                Numbered { number: self.numbers, bytes: *bytes }
            };
            attempt.writes.push(Write { stream, expected, events: part.bytes.iter().map(event).collect() });
        }
        if let Some((number, belief)) = change.expecting {
            attempt.expecting.push((name(number), self.believed(number, belief)));
        }
        let head = self.model.head().get();
        let unless = change.unless.map(|(wanted, back)| (wanted, Position::new(head - back.min(head))));
        Made { attempt, unless }
    }

    fn believed(&self, stream: usize, belief: Belief) -> ExpectedVersion {
        let stands = self.model.version(name(stream).as_str());
        match belief {
            Belief::Any => ExpectedVersion::Any,
            Belief::None => ExpectedVersion::None,
            Belief::Exists => ExpectedVersion::Exists,
            Belief::Right => stands.into(),
            Belief::Off(by) => stands.advanced(by).into(),
        }
    }

    fn append(&mut self, change: &Change) {
        let made = self.made(change);
        let answer = self.store.append(made.to_append());
        self.compare(&made, answer);
    }

    /// Queues several appends at once: they are answered as if they had come one after the other.
    fn submit(&mut self, changes: &[Change]) {
        let made: Vec<Made> = changes.iter().map(|change| self.made(change)).collect();
        let tickets: Vec<_> = made.iter().map(|made| self.store.submit(made.to_append())).collect();
        for (made, ticket) in made.iter().zip(tickets) {
            self.compare(made, ticket.and_then(|ticket| ticket.wait()));
        }
    }

    /// Holds an answer against the model, which first looks at streams, then at all events.
    fn compare(&mut self, made: &Made, answer: Result<Receipt, AppendError>) {
        let mut after = self.model.clone();
        let wanted = after.append(&made.attempt);
        let broken = made.unless.and_then(|(wanted, after)| self.first_match(wanted, after));
        match (wanted, broken, answer) {
            (Ok(position), None, Ok(receipt)) => {
                assert_eq!(receipt.position, position);
                for of_stream in &receipt.streams {
                    assert_eq!(of_stream.version, after.version(of_stream.stream.as_str()));
                }
                self.model = after;
            }
            (Ok(_), Some(broken), Err(AppendError::Matched { position, .. })) => {
                assert_eq!(position, broken);
            }
            (Err((stream, stands)), _, Err(AppendError::Conflict { stream: told, actual, .. })) => {
                assert_eq!((told, actual), (stream, stands));
            }
            // A caller looks for events before it queues: it need not get as far as where its streams stand.
            (Err(_), Some(broken), Err(AppendError::Matched { position, .. })) => {
                assert_eq!(position, broken);
            }
            (wanted, broken, found) => panic!("wanted {wanted:?} unless {broken:?}, found {found:?}"),
        }
    }

    fn first_match(&self, wanted: Wanted, after: Position) -> Option<Position> {
        let behind = (1..).map(Position::new).zip(self.model.events()).skip(after.get() as usize);
        behind.into_iter().find(|(_, event)| wanted.matches(event)).map(|(position, _)| position)
    }

    /// Cuts the power at some moment of an append: it is there or not, and is if that was told.
    fn append_cut(&mut self, change: &Change, at: usize, seed: u64) {
        let before = self.model.events().to_vec();
        self.disk.record();
        self.append(change);
        let moments = self.disk.moments();
        let at = at % moments.len();
        self.open(moments[at].crash(seed));
        let found = placed(&self.store).expect("readable");
        let told = at + 1 == moments.len();
        assert!(found == self.model.events() || (!told && found == before), "in part: {found:?}");
        self.model = Model::holding(found);
        self.check_all();
    }

    /// Reads with any bounds, and compares with the list from which the same is taken.
    fn read(&self, bounds: &Bounds) {
        let within = |bound: Option<u64>, most: u64| bound.map(|number| number % (most + 3));
        let head = self.model.head().get();
        let (after, before) = (within(bounds.after, head), within(bounds.before, head));
        let limit = within(bounds.limit, head);
        let mut read = bounds.stream.map_or(Read::all(), |number| Read::stream(name(number)));
        let (mut from, mut to) = (None, None);
        if let Some(number) = bounds.stream {
            let stands = self.model.version(name(number).as_str()).get();
            (from, to) = (within(bounds.from, stands), within(bounds.to, stands));
        }
        read = from.into_iter().fold(read, |read, from| read.from(version(from)));
        read = to.into_iter().fold(read, |read, to| read.to(version(to)));
        read = after.into_iter().fold(read, |read, after| read.after(Position::new(after)));
        read = before.into_iter().fold(read, |read, before| read.before(Position::new(before)));
        read = limit.into_iter().fold(read, |read, limit| read.limit(limit));
        read = if bounds.backward { read.backward() } else { read };
        let items = bounds.wanted.iter().map(Wanted::item).collect();
        read = read.query(Query { items });

        let wanted = |(position, event): &(u64, &Placed)| {
            bounds.stream.is_none_or(|number| event.stream == name(number).as_str())
                && (bounds.wanted.is_empty() || bounds.wanted.iter().any(|wanted| wanted.matches(event)))
                && from.is_none_or(|from| event.version.get() >= from)
                && to.is_none_or(|to| event.version.get() <= to)
                && after.is_none_or(|after| *position > after)
                && before.is_none_or(|before| *position < before)
        };
        let mut wanted: Vec<_> = (1..).zip(self.model.events().iter()).filter(wanted).collect();
        if bounds.backward {
            wanted.reverse();
        }
        wanted.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        let found = crate::support::read(&self.store, read);
        let found: Vec<_> = found.iter().map(|event| (event.position().get(), Placed::of(event))).collect();
        let same = found.iter().map(|(position, event)| (*position, event.as_ref()));
        let same = same.eq(wanted.iter().map(|(position, event)| (*position, Some(*event))));
        assert!(same, "found {found:?}, wanted {wanted:?}");
    }

    /// Goes on behind what a follower has seen: exactly what came since, in order, and then that it was all.
    fn follow(&mut self, follower: usize) {
        let Follower { wanted, subscription, position } = &mut self.followers[follower];
        let wanted = *wanted;
        let subscription = subscription.get_or_insert_with(|| {
            let request = match wanted {
                Wanted { stream: Some(stream), tag: None } => Subscribe::stream(name(stream)),
                wanted => Subscribe::all().query(wanted.item().into()),
            };
            self.store.subscribe(request.after(*position)).expect("a position that was there")
        });
        let came = (1..).zip(self.model.events()).skip(position.get() as usize);
        let mut came = came.filter(|(_, event)| wanted.matches(event));
        while let Some(delivery) = subscription.try_next() {
            match delivery.expect("readable") {
                Delivery::Event(event) => {
                    let placed = Placed::of(&event).expect("what somebody wrote");
                    assert_eq!(Some((event.position().get(), &placed)), came.next());
                }
                Delivery::CaughtUp(caught_up) => assert_eq!(caught_up, self.model.head()),
                other => panic!("a store of few events has no need for {other:?}"),
            }
        }
        assert_eq!(came.next(), None, "it stopped before the end");
        *position = Subscription::position(subscription);
        assert_eq!(*position, self.model.head());
    }

    fn snapshot(&mut self, stream: usize, at: u64) {
        let stands = self.model.version(name(stream).as_str()).get();
        let at = at % (stands + 2);
        let state = format!("{stream} at {at}, with {} events", self.model.head()).into_bytes();
        match self.store.put_snapshot(&name(stream), version(at), state.clone().into()) {
            Ok(()) => {
                assert!((1..=stands).contains(&at));
                if self.snapshots.get(&stream).is_none_or(|(newest, _)| *newest <= at) {
                    self.snapshots.insert(stream, (at, state));
                }
            }
            Err(SnapshotError::Ahead { actual, .. }) => {
                assert!(!(1..=stands).contains(&at));
                assert_eq!(actual.get(), stands);
            }
            Err(error) => panic!("{error}"),
        }
        let latest = self.store.latest_snapshot(&name(stream)).expect("readable");
        let latest = latest.map(|snapshot| (snapshot.version.get(), snapshot.state.to_vec()));
        assert_eq!(latest.as_ref(), self.snapshots.get(&stream));
    }

    /// Opens the store for reading only, beside the one that writes: it shows a beginning, and changes nothing.
    fn look(&self) {
        let operations = self.disk.operations();
        let beside = open(on(&self.disk).read_only(true));
        let shown = placed(&beside).expect("readable");
        assert!(self.model.events().starts_with(&shown), "{} events are shown: {shown:?}", shown.len());
        check_reads(&beside, &shown).expect("all reads agree");
        assert_eq!(self.disk.operations(), operations);
    }

    fn reopen(&mut self, derived: Derived) {
        self.store.close().expect("the disk has no faults");
        if let Derived::Deleted = derived {
            let paths = self.disk.paths();
            for path in paths.iter().filter(|path| path.extension().is_none_or(|it| it != "seg")) {
                self.disk.remove(path).expect("it was listed");
            }
        }
        self.open(self.disk.clone());
        assert!(self.store.torn_tail().is_none(), "it was closed");
        self.check_all();
    }

    fn crash(&mut self, kept: Kept) {
        let disk = match kept {
            Kept::All => self.disk.crash_keeping_all(),
            Kept::Nothing => self.disk.crash_keeping_nothing(),
            Kept::Drawn(seed) => self.disk.crash(seed),
        };
        self.open(disk);
        self.check_all();
    }

    fn open(&mut self, disk: SimDisk) {
        self.followers.iter_mut().for_each(|follower| follower.subscription = None);
        self.store = open(on(&disk));
        self.disk = disk;
        self.snapshots.clear();
    }

    /// Every way to read says what the model does.
    fn check_all(&self) {
        assert_eq!(placed(&self.store).expect("readable"), self.model.events());
        check_reads(&self.store, self.model.events()).expect("all reads agree");
    }
}

/// Tries so many sequences that this seed draws, and panics with the shortest that fails.
fn run(seed: u64, cases: u64) {
    let config = ProptestConfig {
        cases: u32::try_from(cases).expect("fewer cases than that"),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&vec(operation(), 1..OPERATIONS_MAX), |sequence| {
            let mut machine = Machine::new();
            sequence.iter().for_each(|operation| machine.operate(operation));
            (0..FOLLOWERS).for_each(|follower| machine.follow(follower));
            machine.reopen(Derived::Kept);
            Ok(())
        });
    outcome.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
}

#[test]
fn whatever_is_done_to_it_the_store_answers_as_its_model() {
    let (cases, seed) = (setting("ANNALS_MACHINE_CASES", 400), setting("ANNALS_MACHINE_SEED", 1));
    let halves = [(2 * seed, cases / 2), (2 * seed + 1, cases - cases / 2)];
    on_all_processors(&halves, |(seed, cases)| run(*seed, *cases));
    say(&format!("{cases} sequences of up to {OPERATIONS_MAX} operations, drawn from seed {seed}"));
}
