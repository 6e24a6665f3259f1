//! What stands where: whose each event is, and which events each stream has.
//!
//! Everything is found once, by one walk over the events; each question after that is a search in something sorted.

use std::collections::HashMap;
use std::ops::Range;

use super::Operation;
use crate::model::{StreamName, StreamVersion};
use crate::testkit::{Condition, Placed};

/// Indexes of operations in the history, and of events in the store.
pub(super) struct Places<'a> {
    /// The events of each operation that is there.
    pub(super) of: HashMap<usize, Range<usize>>,
    /// The operation of each event.
    owners: Vec<usize>,
    /// The events of each stream.
    streams: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Places<'a> {
    /// Finds each operation's events: all of them, one behind the other, once; and nobody else's.
    pub(super) fn find(operations: &[Operation], found: &'a [Placed]) -> Result<Places<'a>, String> {
        let mut owner_of = HashMap::new();
        for (number, operation) in operations.iter().enumerate() {
            for (_, event) in operation.attempt.events() {
                owner_of.insert(event.number, number);
            }
        }
        let (mut of, mut owners) = (HashMap::new(), Vec::with_capacity(found.len()));
        let mut at = 0;
        while let Some(first) = found.get(at) {
            let Some(number) = owner_of.get(&first.event.number) else {
                return Err(format!("position {} holds {first:?}, which nobody appended", at + 1));
            };
            let operation = &operations[*number];
            let len = operation.attempt.events().count();
            let held = found.get(at..at + len).unwrap_or(&found[at..]);
            let whole = held.len() == len
                && operation
                    .attempt
                    .events()
                    .zip(held)
                    .all(|((stream, event), held)| stream.as_str() == held.stream && event == held.event);
            if !whole {
                return Err(format!("position {}: {operation:?} is there in part: {held:?}", at + 1));
            }
            if of.insert(*number, at..at + len).is_some() {
                return Err(format!("position {}: {operation:?} is there twice", at + 1));
            }
            at += len;
            owners.resize(at, *number);
        }
        let mut streams: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, held) in found.iter().enumerate() {
            streams.entry(&held.stream).or_default().push(at);
        }
        Ok(Places { of, owners, streams })
    }

    /// The operation that an event belongs to.
    pub(super) fn owner(&self, at: usize) -> usize {
        self.owners[at]
    }

    /// The operations that are there, in the order in which they stand.
    pub(super) fn in_order(&self) -> impl Iterator<Item = usize> {
        let mut last = None;
        self.owners.iter().copied().filter(move |owner| last.replace(*owner) != Some(*owner))
    }

    /// The events of a stream, in order.
    pub(super) fn of_stream(&self, stream: &StreamName) -> &[usize] {
        self.streams.get(stream.as_str()).map_or(&[], |events| events)
    }

    /// The event of a version of a stream. Versions are dense.
    pub(super) fn of_version(&self, stream: &StreamName, version: StreamVersion) -> Option<usize> {
        self.of_stream(stream).get((version.get() as usize).checked_sub(1)?).copied()
    }

    /// Where a stream stood before an event.
    pub(super) fn version_before(&self, stream: &StreamName, at: usize) -> StreamVersion {
        StreamVersion::new(self.of_stream(stream).partition_point(|event| *event < at) as u64)
    }

    /// The first event that breaks a condition.
    pub(super) fn first_match(&self, condition: &Condition) -> Option<usize> {
        let after = condition.after.get() as usize;
        if condition.streams.is_empty() {
            return (after < self.owners.len()).then_some(after);
        }
        let first_of = |stream| {
            let events = self.of_stream(stream);
            events.get(events.partition_point(|event| *event < after)).copied()
        };
        condition.streams.iter().filter_map(first_of).min()
    }
}
