//! fjall: a log-structured merge tree with a journal.

use std::collections::HashMap;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::CACHE_BYTES;
use super::grouped::{Engine, Grouped, Put};
use super::keys::{position_key, position_of, stream_key, stream_keys, value_of, version_of};
use crate::store::{Contender, Result};

pub const CONTENDER: Contender = Contender {
    name: "fjall",
    about: "fjall 3.1: a batch with PersistMode::SyncAll a group, cache 256 MiB, LZ4 as by default; group commit added; \
            checksums when read from a file",
    open: |dir, _| Ok(Box::new(Grouped::new(Fjall::open(dir)?)?)),
};

struct Fjall {
    database: Database,
    events: Keyspace,
    streams: Keyspace,
}

impl Fjall {
    fn open(dir: &Path) -> Result<Fjall> {
        let database = Database::builder(dir).cache_size(CACHE_BYTES as u64).open()?;
        let events = database.keyspace("events", KeyspaceCreateOptions::default)?;
        let streams = database.keyspace("streams", KeyspaceCreateOptions::default)?;
        Ok(Fjall { database, events, streams })
    }
}

impl Engine for Fjall {
    fn last_position(&self) -> Result<u64> {
        self.events.last_key_value().map_or(Ok(0), |last| position_of(&last.key()?))
    }

    fn versions<'a>(&self, streams: &[&'a str]) -> Result<HashMap<&'a str, u64>> {
        let version = |stream: &&'a str| {
            let (first, last) = stream_keys(stream);
            let newest = self.streams.range(first..=last).next_back();
            Ok((*stream, newest.map_or(Ok(0), |newest| version_of(&newest.key()?))?))
        };
        streams.iter().map(version).collect()
    }

    fn write(&self, puts: &[Put]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for put in puts {
            let position = position_key(put.position);
            batch.insert(&self.events, position, value_of(put));
            batch.insert(&self.streams, stream_key(put.stream, put.version), position);
        }
        batch.commit()?;
        Ok(())
    }

    fn replay(&self, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let mut count = 0;
        for entry in self.events.iter() {
            on_bytes(&entry.value()?);
            count += 1;
        }
        Ok(count)
    }

    fn read(&self, stream: &str, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let (first, last) = stream_keys(stream);
        let mut count = 0;
        for entry in self.streams.range(first..=last) {
            on_bytes(&self.events.get(entry.value()?)?.ok_or("an event is missing")?);
            count += 1;
        }
        Ok(count)
    }
}
