//! Groups: appends of several callers that share one write and one sync, and what becomes of each.
//!
//! A clock that stops the commit thread puts chosen appends into one group.

use std::sync::{Arc, Condvar, Mutex};

use annals::testkit::{Fault, SimDisk};
use annals::{Append, AppendError, Clock, Error, EventStore, ExpectedVersion, Options, Ticket, Timestamp};

use crate::support::*;

/// A clock at which the commit thread stops while the gate is shut.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    shut: bool,
    waiting: bool,
}

impl Clock for Gate {
    fn now(&self) -> Timestamp {
        if std::thread::current().name() == Some("annals-commit") {
            let (state, changed) = &*self.0;
            let mut state = state.lock().expect("no panic");
            while state.shut {
                state.waiting = true;
                changed.notify_all();
                state = changed.wait(state).expect("no panic");
            }
        }
        annals::SystemClock.now()
    }
}

impl Gate {
    pub(crate) fn set(&self, shut: bool) {
        self.0.0.lock().expect("no panic").shut = shut;
        self.0.1.notify_all();
    }

    pub(crate) fn wait_until_somebody_waits(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no panic");
        while !state.waiting {
            state = changed.wait(state).expect("no panic");
        }
    }
}

/// Submits appends so that they form one group, behind one that goes first; tells their tickets before they are done.
pub(crate) fn one_group(store: &EventStore, gate: &Gate, appends: Vec<Append>) -> Vec<Ticket> {
    gate.set(true);
    let first = store.submit(Append::to(stream("first"), ExpectedVersion::Any, [event(0)])).expect("queued");
    gate.wait_until_somebody_waits();
    let tickets = appends.into_iter().map(|append| store.submit(append).expect("queued")).collect();
    gate.set(false);
    first.wait().expect("it is alone in its group");
    tickets
}

pub(crate) fn gated(disk: &SimDisk) -> (EventStore, Gate) {
    let gate = Gate::default();
    let options: Options = on(disk).clock(Arc::new(gate.clone()));
    (open(options), gate)
}

fn to_a(expected: ExpectedVersion, n: u64) -> Append {
    Append::to(stream("a"), expected, [event(n)])
}

#[test]
fn a_refusal_in_a_group_does_not_touch_its_neighbours_and_all_share_one_sync() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    let before = disk.operations();
    let tickets = one_group(
        &store,
        &gate,
        vec![
            to_a(ExpectedVersion::None, 1),
            to_a(ExpectedVersion::None, 2),
            to_a(ExpectedVersion::Exactly(version(1)), 3),
        ],
    );
    let answers: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
    assert!(matches!(
        &answers[..],
        [Ok(_), Err(AppendError::Conflict { actual, .. }), Ok(_)] if *actual == version(1)
    ));
    store.close().expect("closed");
    // Of each group a write, a sync and a note in STATE; then CLOSE with its sync, and STATE with its own.
    assert_eq!(disk.operations() - before, 3 + 3 + 3 + 1);
}

#[test]
fn a_refusal_is_told_only_when_what_it_rests_on_is_durable() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    // Behind the three operations of the first group come the write of the second, and its sync.
    disk.fail_operation(5, Fault::SyncLies);
    let appends = vec![to_a(ExpectedVersion::None, 1), to_a(ExpectedVersion::None, 2)];
    for ticket in one_group(&store, &gate, appends) {
        let answer = ticket.wait();
        assert!(matches!(answer, Err(AppendError::Store(Error::Failed { .. }))), "{answer:?}");
    }
    assert_eq!(everything(&open(on(&disk.crash_keeping_nothing()))).len(), 1);
}

#[test]
fn a_group_is_counted_with_its_appends_events_and_refusals() {
    let disk = SimDisk::new(1);
    let (store, gate) = gated(&disk);
    let to = |name: &str, expected, count: u64| Append::to(stream(name), expected, (0..count).map(event));
    let (any, exists) = (ExpectedVersion::Any, ExpectedVersion::Exists);
    let appends = vec![to("a", any, 2), to("b", exists, 1), to("c", any, 3)];
    let refused = one_group(&store, &gate, appends).into_iter().filter_map(|ticket| ticket.wait().err());
    assert_eq!(refused.count(), 1);

    let metrics = store.metrics();
    assert_eq!((metrics.commits.appends, metrics.commits.events, metrics.commits.refused), (3, 6, 1));
    assert_eq!(metrics.commits.group_appends.counts[..2], [1, 1], "one alone, then two");
    assert_eq!(metrics.commits.sync_nanos.counts.iter().sum::<u64>(), 2);
    assert!(
        metrics.commits.bytes > 6 * 64 && metrics.commits.bytes <= store.stats().expect("readable").log_bytes
    );
    assert_eq!((metrics.visible, metrics.durable, metrics.segments), (store.head(), store.head(), 1));
    store.close().expect("closed");
    assert_eq!(store.metrics(), metrics);
}
