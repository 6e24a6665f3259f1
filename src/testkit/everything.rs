//! Everything that a store holds, read in every way that there is; the ways must agree.
//!
//! What the events should be is not known here: a [`History`](super::History) says that.

use std::fmt;

use super::model::{Model, Placed};
use crate::error::Error;
use crate::model::{Position, RecordedEvent, StreamName, StreamVersion};
use crate::read::Read;
use crate::store::EventStore;

/// Why not everything was read.
#[derive(Debug, Clone)]
pub enum Misread {
    /// The store says that it cannot.
    Refused(Error),
    /// The store says what cannot be.
    Wrong(String),
}

impl fmt::Display for Misread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misread::Refused(error) => error.fmt(out),
            Misread::Wrong(what) => what.fmt(out),
        }
    }
}

impl From<Error> for Misread {
    fn from(error: Error) -> Misread {
        Misread::Refused(error)
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Misread> {
    Err(Misread::Wrong(what.into()))
}

/// Every event, as far as it says what it was made to say.
pub fn placed(store: &EventStore) -> Result<Vec<Placed>, Misread> {
    let events = store.read(Read::all())?;
    let head = events.head();
    let mut found = Vec::new();
    for event in events {
        let event = event?;
        if event.position().get() != found.len() as u64 + 1 {
            return wrong(format!("position {} follows {}", event.position(), found.len()));
        }
        let Some(made) = Placed::of(&event) else {
            return wrong(format!("position {} says what nobody wrote", event.position()));
        };
        found.push(made);
    }
    match head.get() == found.len() as u64 {
        true => Ok(found),
        false => wrong(format!("the head was {head}, but {} events can be read", found.len())),
    }
}

/// Checks that every way to read agrees with `found`, all events in order.
pub fn check_reads(store: &EventStore, found: &[Placed]) -> Result<(), Misread> {
    same(store, Read::all().backward(), found.iter().rev(), "all backward")?;
    let model = Model::holding(found.to_vec());
    for (name, at) in model.versions() {
        check_stream(store, found, name, at)?;
    }
    let listed: Result<Vec<_>, _> =
        store.streams(Position::START)?.map(|info| info.map(|info| info.name.to_string())).collect();
    let firsts = found.iter().filter(|placed| placed.version.get() == 1).map(|placed| &placed.stream);
    match listed? {
        listed if listed.iter().eq(firsts) => {}
        listed => return wrong(format!("these streams are listed, and not those that begin: {listed:?}")),
    }
    let stats = store.stats()?;
    match (stats.events, stats.streams) == (found.len() as u64, model.versions().count() as u64) {
        true => Ok(()),
        false => wrong(format!("{} events are there, and these are counted: {stats:?}", found.len())),
    }
}

fn check_stream(store: &EventStore, found: &[Placed], name: &str, at: StreamVersion) -> Result<(), Misread> {
    let stream = StreamName::parse(name).expect("an event has a legal stream");
    let wanted = || found.iter().filter(|placed| placed.stream == name);
    same(store, Read::stream(stream.clone()), wanted(), &format!("{name} forward"))?;
    same(store, Read::stream(stream.clone()).backward(), wanted().rev(), &format!("{name} backward"))?;
    let info = store.stream(&stream)?;
    match info.as_ref().map(|info| info.version) == Some(at) {
        true => Ok(()),
        false => wrong(format!("stream {name} is at {at}, but this is told of it: {info:?}")),
    }
}

/// Checks that a read gives the numbers of `wanted`, in order.
fn same<'a>(
    store: &EventStore,
    read: Read,
    mut wanted: impl Iterator<Item = &'a Placed>,
    way: &str,
) -> Result<(), Misread> {
    let number = |event: &RecordedEvent| Placed::of(event).map(|placed| placed.event.number);
    for event in store.read(read)? {
        let (found, wanted) = (number(&event?), wanted.next().map(|placed| placed.event.number));
        if found != wanted || found.is_none() {
            return wrong(format!("read {way}: event {found:?} in the place of {wanted:?}"));
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some(missing) => wrong(format!("read {way}: it ends before {missing:?}")),
    }
}
