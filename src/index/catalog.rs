//! All parts of the store, oldest first. Readers take the list as it is; the writer replaces it when a segment is added.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::memory::Previous;
use super::part::{Part, StreamHere};
use crate::error::Error;
use crate::model::{Position, StreamVersion, Timestamp};

/// Where a stream stands, and in which segment its newest event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: StreamVersion,
    pub(crate) segment: u64,
}

/// A bound beyond every event.
pub(crate) const ALL: Position = Position::new(u64::MAX - 1);

/// In how many of the newest parts a stream is looked up at one time, as far as that is fetching from memory.
const ASKED_AHEAD: usize = 8;

/// How many streams are looked up in one part at one time, as far as that is fetching from memory.
const ASKED_TOGETHER: usize = 16;

/// The list of parts that readers share with the writer.
#[derive(Debug, Default)]
pub(crate) struct Catalog(ArcSwap<Vec<Arc<Part>>>);

impl Catalog {
    pub(crate) fn new(parts: Vec<Arc<Part>>) -> Catalog {
        Catalog(ArcSwap::from_pointee(parts))
    }

    /// The parts as they are.
    pub(crate) fn parts(&self) -> Arc<Vec<Arc<Part>>> {
        self.0.load_full()
    }

    /// Adds the newest part. Only the one writer calls this.
    pub(crate) fn push(&self, part: Arc<Part>) {
        self.0.rcu(|parts| {
            let mut parts = parts.as_ref().clone();
            parts.push(part.clone());
            parts
        });
    }

    /// Puts a part in the place of the one with its number.
    pub(crate) fn replace(&self, part: Arc<Part>) {
        self.0.rcu(|parts| {
            let mut parts = parts.as_ref().clone();
            if let Ok(at) = parts.binary_search_by_key(&part.number(), |part| part.number()) {
                parts[at] = part.clone();
            }
            parts
        });
    }
}

/// The part that holds a position, which lies in one of them.
pub(crate) fn part_of(parts: &[Arc<Part>], position: Position) -> Option<&Arc<Part>> {
    let after = parts.partition_point(|part| part.first <= position);
    parts.get(after.checked_sub(1)?)
}

/// When the event at a position was committed, or of one that has been removed, a time between those of its neighbours.
pub(crate) fn time_at(parts: &[Arc<Part>], position: Position) -> Result<Timestamp, Error> {
    let part =
        part_of(parts, position).ok_or_else(|| Error::invalid(format!("position {position} is not held")))?;
    part.commit_time(part.place(position.since(part.first) as u32)?)
}

/// Says that a stream is about to be read from its beginning: what the newest parts say of it is fetched from memory.
pub(crate) fn will_read_stream(parts: &[Arc<Part>], hash: u128) {
    let newest = || parts.iter().rev().take(ASKED_AHEAD);
    newest().for_each(|part| part.will_look_up(hash));
    newest().for_each(|part| part.will_read_row(hash));
}

/// Where a stream stands: looked up in the newest part first.
pub(crate) fn head(parts: &[Arc<Part>], hash: u128) -> Result<Option<Head>, Error> {
    let newest = newest(parts, hash, ALL)?;
    Ok(newest.map(|(part, here)| Head { version: here.last(), segment: part.number() }))
}

/// Notes where streams stand, as [`head`] tells of each, beside their hashes.
pub(crate) fn heads(parts: &[Arc<Part>], mut streams: Vec<(u128, &mut Option<Head>)>) -> Result<(), Error> {
    if let [(hash, head_of)] = &mut streams[..] {
        **head_of = head(parts, *hash)?;
        return Ok(());
    }
    for together in streams.chunks_mut(ASKED_TOGETHER) {
        for part in parts.iter().rev() {
            let missing = || together.iter().filter(|(_, head)| head.is_none()).map(|(hash, _)| *hash);
            if missing().next().is_none() {
                break;
            }
            part.will_look_up_all(missing);
            for (hash, head) in together.iter_mut().filter(|(_, head)| head.is_none()) {
                let here = part.stream(parts, *hash, ALL)?;
                **head = here.map(|here| Head { version: here.last(), segment: part.number() });
            }
        }
    }
    Ok(())
}

/// The newest of some parts that holds a stream, as far as readers may see, and what it holds of it.
pub(crate) fn newest(
    parts: &[Arc<Part>],
    hash: u128,
    visible: Position,
) -> Result<Option<(Arc<Part>, StreamHere)>, Error> {
    let from_newest = || parts.iter().rev();
    from_newest().take(ASKED_AHEAD).for_each(|part| part.will_look_up(hash));
    for part in from_newest() {
        if let Some(here) = part.stream(parts, hash, visible)? {
            return Ok(Some((part.clone(), here)));
        }
    }
    Ok(None)
}

/// The part before `part` that holds the stream, by the link in `here`, or by looking.
pub(crate) fn before(
    parts: &[Arc<Part>],
    part: &Part,
    here: &StreamHere,
    hash: u128,
) -> Result<Option<(Arc<Part>, StreamHere)>, Error> {
    if here.first == StreamVersion::new(1) {
        return Ok(None);
    }
    if let Previous::Segment(number) = here.previous
        && let Ok(at) = parts.binary_search_by_key(&number, |part| part.number())
        && let Some(found) = parts[at].stream(parts, hash, ALL)?
    {
        return Ok(Some((parts[at].clone(), found)));
    }
    newest(older(parts, part.number()), hash, ALL)
}

/// The parts before segment `number`.
pub(super) fn older(parts: &[Arc<Part>], number: u64) -> &[Arc<Part>] {
    &parts[..parts.partition_point(|part| part.number() < number)]
}
