//! Subscriptions: a cursor over the log that waits at its end. Catching up and following live are one code path.
//!
//! Nothing is buffered for a subscriber: it reads from the log what it has not seen, however slow it is, so that no
//! event can be skipped or repeated on the way from the past to the present.

mod request;
mod stream;

pub use request::{Delivery, Subscribe};
pub use stream::SubscriptionStream;

use std::time::{Duration, Instant};

use crate::commit::{Interest, Waiter};
use crate::error::Error;
use crate::model::{Position, StreamVersion};
use crate::read::{Aside, Events, Read, Reader, Step};

/// How many unwanted events are passed over before the subscriber is told how far it has come.
const CHECKPOINT_EVENTS: u64 = 10_000;

/// A subscriber who would wait for more terms than these is woken by every event instead.
const TERMS_MAX: usize = 64;

/// A subscription for a thread: `next` waits for the next delivery. It ends when the store is closed, and after an
/// error.
///
/// ```
/// use annals::{Delivery, EventStore, Options, Subscribe};
/// # let dir = tempfile::tempdir()?;
/// # let store = EventStore::open(Options::new(dir.path()))?;
/// for delivery in store.subscribe(Subscribe::all())? {
///     match delivery? {
///         Delivery::Event(event) => println!("{}", event.event_type()),
///         Delivery::CaughtUp(_) => break,
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Subscription {
    reader: Reader,
    subscribe: Subscribe,
    /// The subscribed stream's hash.
    stream: Option<u128>,
    /// Everything up to here has been delivered, or was not wanted.
    scanned: Position,
    /// The last delivered version, when one stream is subscribed.
    version: StreamVersion,
    events: Option<Events>,
    /// Positions of events that were removed or are not shown, which the subscriber is still to be told of.
    skipped: Option<(Position, Position)>,
    /// What comes after that.
    held_back: Option<Delivery>,
    /// Where the subscriber was last told that it is.
    told: Option<Position>,
    delivered: bool,
    /// The subscriber was told once that it has reached the end.
    caught_up: bool,
    ended: bool,
    waiter: Waiter,
}

/// What a subscription can do without waiting.
enum Advance {
    Deliver(Delivery),
    Wait,
    End,
}

impl Subscription {
    pub(crate) fn new(reader: &Reader, subscribe: Subscribe) -> Result<Subscription, Error> {
        let head = reader.visible().get();
        if subscribe.after > head {
            return Err(Error::invalid(format!(
                "position {} lies beyond the head of this store, {head}; the cursor belongs to another history",
                subscribe.after
            )));
        }
        let stream = subscribe.stream.as_ref().map(|name| reader.stream_hash(name.as_str()));
        let version = stream.map_or(Ok(StreamVersion::START), |hash| reader.stream_version(hash))?;
        if subscribe.after_version > version {
            let what = match &subscribe.stream {
                None => {
                    "a version belongs to one stream: subscribe to a stream, or give a position".to_owned()
                }
                Some(name) => format!(
                    "version {} lies beyond stream {name}, which is at version {version}; the cursor belongs to another \
                     history",
                    subscribe.after_version
                ),
            };
            return Err(Error::invalid(what));
        }
        let version = match stream {
            Some(hash) if subscribe.after_version == StreamVersion::START => {
                reader.stream_version_at(hash, subscribe.after)?
            }
            _ => subscribe.after_version,
        };
        let cover = reader.plan(&subscribe.query, subscribe.stream.as_ref()).map(|plan| plan.cover());
        let interest = match cover {
            Some(terms) if terms.len() <= TERMS_MAX => Interest::Terms(terms.into()),
            _ => Interest::AnyEvent,
        };
        Ok(Subscription {
            reader: reader.clone(),
            waiter: reader.visible().waiter(interest),
            stream,
            scanned: subscribe.after,
            version,
            events: None,
            skipped: None,
            held_back: None,
            told: None,
            delivered: false,
            caught_up: false,
            ended: false,
            subscribe,
        })
    }

    /// Everything up to this position has been delivered, or does not match. A later subscription can begin here.
    pub fn position(&self) -> Position {
        match &self.held_back {
            Some(Delivery::Event(event)) => event.position().previous(),
            _ => self.scanned,
        }
    }

    /// Goes on behind `position`, for a subscriber who has what lies before it from elsewhere, such as from another subscription to the
    /// same events. It is told again when it has reached the end.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there is no such position yet.
    pub fn pass_to(&mut self, position: Position) -> Result<(), Error> {
        let head = self.reader.visible().get();
        if position > head {
            return Err(Error::invalid(format!(
                "position {position} lies beyond the head of this store, {head}"
            )));
        }
        if position <= Subscription::position(self) {
            return Ok(());
        }
        if let Some(hash) = self.stream {
            self.version = self.version.max(self.reader.stream_version_at(hash, position)?);
        }
        (self.events, self.held_back) = (None, None);
        self.scanned = position;
        self.delivered = true;
        Ok(())
    }

    /// The next delivery, if there is one without waiting for new events; none also at the end.
    pub fn try_next(&mut self) -> Option<Result<Delivery, Error>> {
        match self.advance() {
            Ok(Advance::Deliver(delivery)) => Some(Ok(delivery)),
            Ok(Advance::Wait | Advance::End) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// The next delivery, if it comes within `timeout`; none also at the end.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<Delivery, Error>> {
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// The same for async code, on any executor.
    pub fn into_stream(self) -> SubscriptionStream {
        SubscriptionStream::new(self)
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Result<Delivery, Error>> {
        let mut is_over = false;
        loop {
            match self.advance() {
                Ok(Advance::Deliver(delivery)) => return Some(Ok(delivery)),
                Ok(Advance::End) => return None,
                Err(error) => return Some(Err(error)),
                Ok(Advance::Wait) if is_over => return None,
                // Also after the deadline, so that the subscriber's position tells what did not concern it meanwhile.
                Ok(Advance::Wait) => {
                    is_over = !self.reader.visible().wait_beyond(self.scanned, &self.waiter, deadline);
                }
            }
        }
    }

    fn advance(&mut self) -> Result<Advance, Error> {
        let advance = self.step();
        self.ended |= matches!(advance, Ok(Advance::End) | Err(_));
        advance
    }

    fn step(&mut self) -> Result<Advance, Error> {
        loop {
            if self.ended {
                return Ok(Advance::End);
            }
            if let Some(delivery) = self.held_back.take() {
                return Ok(Advance::Deliver(delivery));
            }
            let Some(events) = &mut self.events else {
                // Closed first: what was made visible before it is then seen, too.
                let closed = self.reader.visible().is_closed();
                if !self.has_news()? {
                    return Ok(match self.reached_end() {
                        _ if closed => Advance::End,
                        Some(delivery) => Advance::Deliver(delivery),
                        None => Advance::Wait,
                    });
                }
                self.events = Some(Events::new(&self.reader, self.rest())?);
                continue;
            };
            match events.next_within(CHECKPOINT_EVENTS) {
                Some(Ok(Step::Event(event))) => {
                    let position = event.position();
                    self.note_removed(position.previous())?;
                    self.note_missing_versions(event.stream_version().previous(), position.previous());
                    self.scanned = position;
                    self.version = event.stream_version();
                    self.delivered = true;
                    return Ok(self.after_skipped(Delivery::Event(event)));
                }
                Some(Ok(Step::Aside(Aside::Passed(position)))) => {
                    self.note_removed(position)?;
                    self.scanned = position;
                    self.told = Some(position);
                    return Ok(self.after_skipped(Delivery::Checkpoint(position)));
                }
                Some(Ok(Step::Aside(Aside::Skipped(from, to)))) => {
                    let from = self.skipped.map_or(from, |(first, _)| first);
                    self.skipped = Some((from, to));
                    if to.since(from) >= CHECKPOINT_EVENTS {
                        self.note_removed(to)?;
                        let from = self.skipped.take().map_or(from, |(first, _)| first);
                        self.scanned = to;
                        self.told = Some(to);
                        return Ok(Advance::Deliver(Delivery::Skipped { from, to }));
                    }
                }
                Some(Err(error)) => return Err(error),
                None => {
                    let head = events.head();
                    self.note_removed(head)?;
                    self.events = None;
                    if let Some(hash) = self.stream {
                        let version = self.reader.stream_version_at(hash, head)?;
                        self.note_missing_versions(version, head);
                        self.version = self.version.max(version);
                    }
                    self.scanned = self.scanned.max(head);
                    if let Some(delivery) = self.reached_end() {
                        return Ok(self.after_skipped(delivery));
                    }
                    if let Some((from, to)) = self.skipped.take() {
                        return Ok(Advance::Deliver(Delivery::Skipped { from, to }));
                    }
                }
            }
        }
    }

    /// Notes that the subscribed stream has versions up to `version`, at positions up to `to`, which were not delivered.
    fn note_missing_versions(&mut self, version: StreamVersion, to: Position) {
        // Of a query's events the versions have holes anyway.
        if self.stream.is_some() && self.subscribe.query.matches_all() && version > self.version {
            let first = self.skipped.map_or(self.scanned.next(), |(first, _)| first);
            self.skipped = Some((first, to));
        }
    }

    /// Notes which events up to `to` have been removed, where terms led past them: they may have been wanted.
    fn note_removed(&mut self, to: Position) -> Result<(), Error> {
        let Some(events) = &self.events else { return Ok(()) };
        if let Some((first, last)) = events.removed_unseen(self.scanned.next(), to)? {
            let (from, to) = self.skipped.unwrap_or((first, last));
            self.skipped = Some((from.min(first), to.max(last)));
        }
        Ok(())
    }

    /// `delivery`, or first what was skipped before it.
    fn after_skipped(&mut self, delivery: Delivery) -> Advance {
        Advance::Deliver(match self.skipped.take() {
            Some((from, to)) => {
                self.held_back = Some(delivery);
                Delivery::Skipped { from, to }
            }
            None => delivery,
        })
    }

    /// What is to be told at the end of what was visible. After events, that they were the last; after a long stretch
    /// of others, how far they reach.
    fn reached_end(&mut self) -> Option<Delivery> {
        let silent = self.scanned.since(self.told.unwrap_or_default());
        let delivery = if !self.caught_up || self.delivered {
            self.caught_up = true;
            Delivery::CaughtUp(self.scanned)
        } else if silent >= CHECKPOINT_EVENTS {
            Delivery::Checkpoint(self.scanned)
        } else {
            return None;
        };
        self.told = Some(self.scanned);
        self.delivered = false;
        Some(delivery)
    }

    /// Whether there may be events to deliver. A subscriber of one stream does not look further than its stream.
    fn has_news(&mut self) -> Result<bool, Error> {
        let visible = self.reader.visible().get();
        if !self.caught_up {
            return Ok(true);
        }
        if visible == self.scanned {
            return Ok(false);
        }
        match self.stream {
            Some(hash) if !self.reader.stream_has_events_after(hash, self.scanned)? => {
                self.scanned = visible;
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// The read of what has not been delivered.
    fn rest(&self) -> Read {
        let read = match &self.subscribe.stream {
            Some(name) => Read::stream(name.clone()).from(self.version.next()).following(),
            None => Read::all().system(self.subscribe.system),
        };
        read.after(self.scanned).query(self.subscribe.query.clone())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.reader.visible().forget(&self.waiter);
    }
}

impl Iterator for Subscription {
    type Item = Result<Delivery, Error>;

    fn next(&mut self) -> Option<Result<Delivery, Error>> {
        loop {
            if let Some(delivery) = self.next_until(None) {
                return Some(delivery);
            }
            if self.ended {
                return None;
            }
        }
    }
}
