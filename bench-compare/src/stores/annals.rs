//! annals, as it comes: the default options.

use std::collections::VecDeque;
use std::path::Path;

use annals::{
    Append, AppendError, Data, Delivery, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Options,
    Read, StreamName, StreamVersion, Subscribe,
};

use crate::event::{Event, TYPE};
use crate::store::{Appends, Contender, Outcome, Result, Setup, Store, look_at};

pub const CONTENDER: Contender = Contender { name: "annals", about: "default options", open };

/// Events of one append while loading.
const LOAD_EVENTS: usize = 1000;
/// Appends under way while loading.
const LOAD_DEPTH: usize = 4;

struct Annals(EventStore);

fn open(dir: &Path, setup: Setup) -> Result<Box<dyn Store>> {
    let options = Options::new(dir).verify_reads(setup.checked).segment_bytes(setup.file_bytes);
    Ok(Box::new(Annals(EventStore::open(options)?)))
}

fn new_event(event: Event) -> Result<NewEvent> {
    Ok(NewEvent::new(EventType::parse(TYPE)?, Data::from_json_bytes(event.data)?)
        .metadata(Metadata::parse(event.metadata)?))
}

fn look_at_all(event: &annals::RecordedEvent) -> u64 {
    look_at(event.data()).wrapping_add(event.metadata().map_or(0, |metadata| look_at(metadata.as_bytes())))
}

impl Store for Annals {
    fn append(&self, stream: &str, events: Vec<Event>) -> Result<()> {
        let events: Vec<_> = events.into_iter().map(new_event).collect::<Result<_>>()?;
        self.0.append_to(&StreamName::parse(stream)?, ExpectedVersion::Any, events)?;
        Ok(())
    }

    fn append_at(&self, stream: &str, version: u64, event: Event) -> Option<Result<Outcome>> {
        let append = || {
            let expected = match version {
                0 => ExpectedVersion::None,
                version => ExpectedVersion::Exactly(StreamVersion::new(version)),
            };
            match self.0.append_to(&StreamName::parse(stream)?, expected, [new_event(event)?]) {
                Ok(_) => Ok(Ok(version + 1)),
                Err(AppendError::Conflict { actual, .. }) => Ok(Err(actual.get())),
                Err(error) => Err(error.into()),
            }
        };
        Some(append())
    }

    fn append_in_flight(&self, appends: &mut Appends, depth: usize) -> Option<Result<()>> {
        let run = || {
            let mut under_way = VecDeque::with_capacity(depth);
            for (stream, event) in appends {
                if under_way.len() == depth {
                    under_way.pop_front().map(annals::Ticket::wait).transpose()?;
                }
                let append =
                    Append::to(StreamName::parse(&stream)?, ExpectedVersion::Any, [new_event(event)?]);
                under_way.push_back(self.0.submit(append)?);
            }
            under_way.into_iter().try_for_each(|ticket| ticket.wait().map(drop))?;
            Ok(())
        };
        Some(run())
    }

    fn load(&self, events: &mut Appends) -> Result<&'static str> {
        let mut under_way = VecDeque::with_capacity(LOAD_DEPTH);
        let mut events = events.peekable();
        while events.peek().is_some() {
            let taken = events.by_ref().take(LOAD_EVENTS);
            let append = taken.map(|(stream, event)| Ok((StreamName::parse(&stream)?, new_event(event)?)));
            let append = append.collect::<Result<Append>>()?;
            if under_way.len() == LOAD_DEPTH {
                under_way.pop_front().map(annals::Ticket::wait).transpose()?;
            }
            under_way.push_back(self.0.submit(append)?);
        }
        under_way.into_iter().try_for_each(|ticket| ticket.wait().map(drop))?;
        Ok("appends of 1,000 events to many streams, each synced, 4 under way")
    }

    fn replay(&self) -> Result<u64> {
        let (mut count, mut sum) = (0, 0_u64);
        for event in self.0.read(Read::all())? {
            sum = sum.wrapping_add(look_at_all(&event?));
            count += 1;
        }
        std::hint::black_box(sum);
        Ok(count)
    }

    fn read(&self, stream: &str) -> Result<u64> {
        let mut count = 0;
        for event in self.0.read(Read::stream(StreamName::parse(stream)?))? {
            std::hint::black_box(look_at_all(&event?));
            count += 1;
        }
        Ok(count)
    }

    fn follow(&self, on_event: &mut dyn FnMut(&[u8]) -> bool) -> Option<Result<()>> {
        let mut run = || {
            let from = self.0.head();
            for delivery in self.0.subscribe(Subscribe::all().after(from))? {
                if let Delivery::Event(event) = delivery?
                    && !on_event(event.data())
                {
                    break;
                }
            }
            Ok(())
        };
        Some(run())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close()?;
        Ok(())
    }
}
