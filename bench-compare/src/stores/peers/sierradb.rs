//! SierraDB: an event store in partitions. One partition holds everything, since only within one have events an order.
//!
//! Its writer syncs when enough events or bytes wait, or when enough time has passed, and not when nobody else is about to come:
//! what suits one writer does not suit many, so it takes part twice. Its core tells nobody of events: nobody follows it. A refusal
//! may rest on events that are not synced yet.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sierradb::bucket::segment::CommittedEvents;
use sierradb::database::{CurrentVersion, Database, DatabaseBuilder, ExpectedVersion, NewEvent, Transaction};
use sierradb::error::WriteError;
use sierradb::id::{uuid_to_partition_hash, uuid_v7_with_partition_hash};
use sierradb::{IterDirection, StreamId};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::CACHE_BYTES;
use crate::event::{Event, TYPE};
use crate::store::{Appends, Contender, Outcome, Result, Setup, Store, look_at};

pub const LONE: Contender = Contender {
    name: "sierradb",
    about: "sierradb 0.3.1: one partition in one bucket; its writer syncs what waits as soon as 100 us have passed since the \
            last sync, which suits a lone writer; an append returns after the sync; cache 256 MiB, no compression; CRC \
            when read",
    open: |dir, setup| Ok(Box::new(Sierra::open(dir, setup, Duration::from_micros(100))?)),
};

pub const MANY: Contender = Contender {
    name: "sierradb-1ms",
    about: "the same with 1 ms, which suits many writers",
    open: |dir, setup| Ok(Box::new(Sierra::open(dir, setup, Duration::from_millis(1))?)),
};

const PARTITION: u16 = 0;
const LOAD_EVENTS: usize = 1000;
const LOAD_DEPTH: usize = 4;
const BATCH_COMMITS: usize = 1000;

struct Sierra {
    database: Arc<Database>,
    /// What the futures of blocking callers wait in.
    runtime: Runtime,
}

fn transaction(
    events: impl Iterator<Item = (String, Event)>,
    expected: ExpectedVersion,
) -> Result<Transaction> {
    let key = Uuid::from_u128(0);
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let event = |(stream, event): (String, Event)| -> Result<NewEvent> {
        Ok(NewEvent {
            event_id: uuid_v7_with_partition_hash(uuid_to_partition_hash(key)),
            stream_id: StreamId::new(stream)?,
            stream_version: expected,
            event_name: TYPE.to_owned(),
            timestamp,
            metadata: event.metadata,
            payload: event.data,
        })
    };
    Ok(Transaction::new(key, PARTITION, events.map(event).collect::<Result<_>>()?)?)
}

/// Looks at the events of some commits; tells how many there are.
fn look_at_commits(commits: Vec<CommittedEvents>) -> u64 {
    let (mut count, mut sum) = (0, 0_u64);
    for event in commits.into_iter().flatten() {
        sum = sum.wrapping_add(look_at(&event.payload)).wrapping_add(look_at(&event.metadata));
        count += 1;
    }
    std::hint::black_box(sum);
    count
}

fn done(append: Option<std::result::Result<Result<()>, JoinError>>) -> Result<()> {
    append.map_or(Ok(()), |append| append?)
}

impl Sierra {
    fn open(dir: &Path, setup: Setup, sync_interval: Duration) -> Result<Sierra> {
        let mut builder = DatabaseBuilder::new();
        builder
            .segment_size_bytes(setup.file_bytes as usize)
            .total_buckets(1)
            .bucket_ids_from_range(0..1)
            .writer_threads(1)
            .reader_threads(2)
            .cache_capacity_bytes(CACHE_BYTES)
            .sync_interval(sync_interval)
            .sync_idle_interval(sync_interval)
            // A context of zstd for each event costs more than all else, and such events do not get smaller.
            .compression(false)
            // Only the interval decides: by count and by size a group would end while others wait.
            .max_batch_size(usize::MAX)
            .min_sync_bytes(usize::MAX);
        let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
        Ok(Sierra { database: Arc::new(builder.open(dir)?), runtime })
    }

    /// Appends what `next` gives, `depth` transactions under way at a time, all futures on this thread.
    fn append_all(&self, next: &mut dyn FnMut() -> Option<Result<Transaction>>, depth: usize) -> Result<()> {
        let here = Builder::new_current_thread().build()?;
        here.block_on(async {
            let mut under_way = JoinSet::new();
            while let Some(transaction) = next() {
                if under_way.len() == depth {
                    done(under_way.join_next().await)?;
                }
                let (database, transaction) = (self.database.clone(), transaction?);
                under_way.spawn(async move {
                    database.append_events(transaction).await?;
                    Ok(())
                });
            }
            while let Some(append) = under_way.join_next().await {
                done(Some(append))?;
            }
            Ok(())
        })
    }
}

impl Store for Sierra {
    fn append(&self, stream: &str, events: Vec<Event>) -> Result<()> {
        let events = events.into_iter().map(|event| (stream.to_owned(), event));
        let transaction = transaction(events, ExpectedVersion::Any)?;
        self.runtime.block_on(self.database.append_events(transaction))?;
        Ok(())
    }

    fn append_at(&self, stream: &str, version: u64, event: Event) -> Option<Result<Outcome>> {
        let append = || {
            // Its versions begin at 0.
            let expected = version.checked_sub(1).map_or(ExpectedVersion::Empty, ExpectedVersion::Exact);
            let transaction = transaction(std::iter::once((stream.to_owned(), event)), expected)?;
            match self.runtime.block_on(self.database.append_events(transaction)) {
                Ok(_) => Ok(Ok(version + 1)),
                Err(WriteError::WrongExpectedVersion { current, .. }) => Ok(Err(match current {
                    CurrentVersion::Current(newest) => newest + 1,
                    CurrentVersion::Empty => 0,
                })),
                Err(error) => Err(error.into()),
            }
        };
        Some(append())
    }

    fn append_in_flight(&self, appends: &mut Appends, depth: usize) -> Option<Result<()>> {
        let mut next = || Some(transaction(std::iter::once(appends.next()?), ExpectedVersion::Any));
        Some(self.append_all(&mut next, depth))
    }

    fn load(&self, events: &mut Appends) -> Result<&'static str> {
        let mut events = events.peekable();
        let mut next = || {
            events.peek()?;
            Some(transaction(events.by_ref().take(LOAD_EVENTS), ExpectedVersion::Any))
        };
        self.append_all(&mut next, LOAD_DEPTH)?;
        Ok("transactions of 1,000 events to many streams, each synced, 4 under way")
    }

    fn replay(&self) -> Result<u64> {
        self.runtime.block_on(async {
            let mut events = self.database.read_partition(PARTITION, 0, IterDirection::Forward).await?;
            let mut count = 0;
            while let Some(commits) = events.next_batch(BATCH_COMMITS).await? {
                count += look_at_commits(commits);
            }
            Ok(count)
        })
    }

    fn read(&self, stream: &str) -> Result<u64> {
        let stream = StreamId::new(stream)?;
        self.runtime.block_on(async {
            let mut events = self.database.read_stream(PARTITION, stream, 0, IterDirection::Forward).await?;
            let mut count = 0;
            while let Some(commits) = events.next_batch(BATCH_COMMITS).await? {
                count += look_at_commits(commits);
            }
            Ok(count)
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.runtime.block_on(self.database.shutdown());
        Ok(())
    }
}
