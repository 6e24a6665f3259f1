//! What is done to a store, as it is drawn: operations that mean something whatever was done before.
//!
//! Numbers that bound something are taken modulo what there is, and beliefs are relative to it, so that an operation keeps
//! its sense when those before it are shrunk away.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{FOLLOWERS, STREAMS, TAGS};
use crate::support::SMALL;

/// The largest event but those that need a segment of their own: two of them fill a segment.
const BYTES_MAX: usize = 40_000;

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Append(Change),
    /// Appends that are queued together.
    Submit(Vec<Change>),
    /// An append during which the power is cut: at one of its operations on the disk, which keeps what a seed draws.
    AppendCut(Change, usize, u64),
    Read(Bounds),
    Follow(usize),
    Snapshot(usize, u64),
    /// Opens the store beside itself, for reading only.
    Look,
    /// Closes and opens, with or without the files that can be built again.
    Reopen(Derived),
    Crash(Kept),
}

/// What an append does, and on which conditions.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) parts: Vec<Part>,
    /// A stream that need not be written.
    pub(super) expecting: Option<(usize, Belief)>,
    /// Events that must not be among so many last ones.
    pub(super) unless: Option<(Wanted, u64)>,
}

/// What an append writes to one stream.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) stream: usize,
    pub(super) expected: Belief,
    pub(super) bytes: Vec<usize>,
}

/// What an append believes of a stream, relative to where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Belief {
    Any,
    None,
    Exists,
    Right,
    Off(u64),
}

/// Which events, by stream and tag; all, if neither is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) stream: Option<usize>,
    pub(super) tag: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub(super) stream: Option<usize>,
    pub(super) backward: bool,
    pub(super) from: Option<u64>,
    pub(super) to: Option<u64>,
    pub(super) after: Option<u64>,
    pub(super) before: Option<u64>,
    pub(super) limit: Option<u64>,
    /// The items of its query.
    pub(super) wanted: Vec<Wanted>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Derived {
    Kept,
    Deleted,
}

/// What a crash keeps of what was not synced.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    All,
    Nothing,
    Drawn(u64),
}

fn belief() -> impl Strategy<Value = Belief> {
    prop_oneof![
        3 => Just(Belief::Any),
        1 => Just(Belief::None),
        1 => Just(Belief::Exists),
        3 => Just(Belief::Right),
        1 => (1..4_u64).prop_map(Belief::Off),
    ]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let (stream, tag) = (proptest::option::of(0..STREAMS), proptest::option::of(0..TAGS));
    (stream, tag).prop_map(|(stream, tag)| Wanted { stream, tag })
}

fn change() -> impl Strategy<Value = Change> {
    // Large ones seal a segment behind a few appends, the largest at once.
    let bytes = prop_oneof![12 => 0..600_usize, 2 => 0..BYTES_MAX, 1 => Just(SMALL as usize)];
    let part = (0..STREAMS, belief(), vec(bytes, 1..4));
    let part = part.prop_map(|(stream, expected, bytes)| Part { stream, expected, bytes });
    let expecting = proptest::option::weighted(0.2, (0..STREAMS, belief()));
    let unless = proptest::option::weighted(0.3, (wanted(), 0..6_u64));
    let change = (vec(part, 1..4), expecting, unless);
    change.prop_map(|(parts, expecting, unless)| Change { parts, expecting, unless })
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let bound = || proptest::option::weighted(0.3, any::<u64>());
    let stream = proptest::option::of(0..STREAMS);
    let which = (stream, any::<bool>(), vec(wanted(), 0..3));
    (which, bound(), bound(), bound(), bound(), bound()).prop_map(
        |((stream, backward, wanted), from, to, after, before, limit)| Bounds {
            stream,
            backward,
            from,
            to,
            after,
            before,
            limit,
            wanted,
        },
    )
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let crash = prop_oneof![Just(Kept::All), Just(Kept::Nothing), any::<u64>().prop_map(Kept::Drawn),];
    prop_oneof![
        12 => change().prop_map(Operation::Append),
        4 => vec(change(), 2..6).prop_map(Operation::Submit),
        2 => (change(), any::<usize>(), any::<u64>())
            .prop_map(|(change, at, seed)| Operation::AppendCut(change, at, seed)),
        6 => bounds().prop_map(Operation::Read),
        4 => (0..FOLLOWERS).prop_map(Operation::Follow),
        2 => (0..STREAMS, any::<u64>()).prop_map(|(stream, version)| Operation::Snapshot(stream, version)),
        1 => Just(Operation::Look),
        1 => Just(Operation::Reopen(Derived::Kept)),
        1 => Just(Operation::Reopen(Derived::Deleted)),
        2 => crash.prop_map(Operation::Crash),
    ]
}
