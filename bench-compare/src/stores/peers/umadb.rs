//! UmaDB: an event store with conditions by tag; a stream is a tag here. Its own writer thread makes groups, as in its server.
//!
//! It knows no versions: an event says its version in its metadata where versions are asked for, and the condition is that no
//! event of the stream lies behind the one that has it.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::db::{UmaDb, is_integrity_error};
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{
    DcbAppendCondition, DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem, DcbResult, DcbSequencedEvent,
};

use super::CACHE_BYTES;
use crate::event::{Event, TYPE};
use crate::store::{Appends, Contender, Outcome, Result, Store, look_at};

pub const CONTENDER: Contender = Contender {
    name: "umadb",
    about: "umadb-core 0.7.8: its own writer thread, which syncs pages and then the header of each group; cache 256 MB, \
            other options as by default; CRC when read from the file",
    open: |dir, _| Ok(Box::new(Uma::open(dir)?)),
};

/// Appends that can wait for the writer.
const QUEUE_APPENDS: usize = 1024;
/// After so many events a group takes no further append.
const GROUP_EVENTS: usize = 2000;
const LOAD_EVENTS: usize = 1000;
const LOAD_DEPTH: usize = 4;
/// A read without a limit gathers all that it finds before it answers.
const REPLAY_EVENTS: u32 = 1000;
const VERSION: &str = "version";

struct Uma {
    db: UmaDb,
    requests: mpsc::Sender<WriterThreadRequest>,
    head: watch::Receiver<Option<u64>>,
    writer: JoinHandle<()>,
    /// The version of a stream and the position of the event that has it, as last seen.
    seen: Mutex<HashMap<String, (u64, u64)>>,
}

type Receipt = oneshot::Receiver<DcbResult<u64>>;

fn text(bytes: Vec<u8>) -> Result<String> {
    Ok(String::from_utf8(bytes)?)
}

fn uma_event(stream: &str, event: Event) -> Result<DcbEvent> {
    Ok(DcbEvent::new()
        .event_type(TYPE)
        .tags([stream])
        .data(event.data)
        .metadata([("json".to_owned(), text(event.metadata)?)]))
}

fn of_stream(stream: &str) -> DcbQuery {
    DcbQuery::new().item(DcbQueryItem::new().tags([stream]))
}

fn look_at_all(event: &DcbSequencedEvent) -> u64 {
    let metadata = event.event.metadata.iter().map(|(_, value)| look_at(value.as_bytes()));
    metadata.fold(look_at(&event.event.data), u64::wrapping_add)
}

impl Uma {
    fn open(dir: &Path) -> Result<Uma> {
        let options = StorageOptions::default().db_path(dir).page_cache_max_mb(CACHE_BYTES / 1_000_000);
        let mvcc = Arc::new(Mvcc::new(false, options)?);
        let (requests, queue) = mpsc::channel(QUEUE_APPENDS);
        let db = UmaDb::from_arc(mvcc.clone());
        let (moves, head) = watch::channel(db.head()?);
        // Its other writer, with io_uring, was slower on all workloads.
        let writer = std::thread::spawn(move || writer_thread_blocking(mvcc, queue, moves, GROUP_EVENTS));
        Ok(Uma { db, requests, head, writer, seen: Mutex::default() })
    }

    fn submit(&self, events: Vec<DcbEvent>, condition: Option<DcbAppendCondition>) -> Result<Receipt> {
        let (response_tx, receipt) = oneshot::channel();
        let request =
            WriterThreadRequest::Append { events, condition, tracking_info: None, response_tx, cancel: None };
        self.requests.blocking_send(request).map_err(|_| "the writer has ended")?;
        Ok(receipt)
    }

    fn wait(receipt: Receipt) -> Result<u64> {
        Ok(receipt.blocking_recv()??)
    }

    /// The version of a stream and the position of its last event.
    fn newest(&self, stream: &str) -> Result<(u64, u64)> {
        let newest = self.db.read(Some(of_stream(stream)), None, true, Some(1))?.next().transpose()?;
        let Some(DcbSequencedEvent { position, event, .. }) = newest else { return Ok((0, 0)) };
        let version = event.metadata.iter().find(|(name, _)| name == VERSION);
        Ok((version.ok_or("an event does not say its version")?.1.parse()?, position))
    }

    fn seen(&self, stream: &str) -> Option<(u64, u64)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    fn see(&self, stream: &str, version: u64, position: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = seen.entry(stream.to_owned()).or_default();
        *newest = (*newest).max((version, position));
    }
}

impl Store for Uma {
    fn append(&self, stream: &str, events: Vec<Event>) -> Result<()> {
        let events = events.into_iter().map(|event| uma_event(stream, event)).collect::<Result<_>>()?;
        Uma::wait(self.submit(events, None)?).map(drop)
    }

    fn append_at(&self, stream: &str, version: u64, event: Event) -> Option<Result<Outcome>> {
        let append = || {
            let known = match self.seen(stream) {
                Some(seen) if seen.0 == version => seen,
                _ => self.newest(stream)?,
            };
            if known.0 != version {
                self.see(stream, known.0, known.1);
                return Ok(Err(known.0));
            }
            let event = uma_event(stream, event)?.metadata_entry(VERSION, (version + 1).to_string());
            let condition = DcbAppendCondition::new(of_stream(stream)).after(Some(known.1));
            match self.submit(vec![event], Some(condition))?.blocking_recv()? {
                Ok(position) => {
                    self.see(stream, version + 1, position);
                    Ok(Ok(version + 1))
                }
                Err(error) if is_integrity_error(&error) => {
                    let (version, position) = self.newest(stream)?;
                    self.see(stream, version, position);
                    Ok(Err(version))
                }
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
                    under_way.pop_front().map(Uma::wait).transpose()?;
                }
                under_way.push_back(self.submit(vec![uma_event(&stream, event)?], None)?);
            }
            under_way.into_iter().try_for_each(|receipt| Uma::wait(receipt).map(drop))
        };
        Some(run())
    }

    fn load(&self, events: &mut Appends) -> Result<&'static str> {
        let mut under_way = VecDeque::with_capacity(LOAD_DEPTH);
        let mut events = events.peekable();
        while events.peek().is_some() {
            let some = events.by_ref().take(LOAD_EVENTS);
            let some = some.map(|(stream, event)| uma_event(&stream, event)).collect::<Result<_>>()?;
            if under_way.len() == LOAD_DEPTH {
                under_way.pop_front().map(Uma::wait).transpose()?;
            }
            under_way.push_back(self.submit(some, None)?);
        }
        under_way.into_iter().try_for_each(|receipt| Uma::wait(receipt).map(drop))?;
        Ok("appends of 1,000 events to many streams, each synced, 4 under way")
    }

    fn replay(&self) -> Result<u64> {
        let (mut count, mut sum, mut next) = (0, 0_u64, None);
        loop {
            let before = count;
            for event in self.db.read(None, next, false, Some(REPLAY_EVENTS))? {
                let event = event?;
                sum = sum.wrapping_add(look_at_all(&event));
                next = Some(event.position + 1);
                count += 1;
            }
            if count == before {
                std::hint::black_box(sum);
                return Ok(count);
            }
        }
    }

    fn read(&self, stream: &str) -> Result<u64> {
        let mut count = 0;
        for event in self.db.read(Some(of_stream(stream)), None, false, None)? {
            std::hint::black_box(look_at_all(&event?));
            count += 1;
        }
        Ok(count)
    }

    fn follow(&self, on_event: &mut dyn FnMut(&[u8]) -> bool) -> Option<Result<()>> {
        let mut run = || -> Result<()> {
            let mut head = self.head.clone();
            let mut last = head.borrow_and_update().unwrap_or(0);
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            loop {
                runtime.block_on(head.changed())?;
                for event in self.db.read(None, Some(last + 1), false, None)? {
                    let event = event?;
                    last = event.position;
                    if !on_event(&event.event.data) {
                        return Ok(());
                    }
                }
            }
        };
        Some(run())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.requests.blocking_send(WriterThreadRequest::Shutdown).map_err(|_| "the writer has ended")?;
        self.writer.join().map_err(|_| "the writer panicked".into())
    }
}
