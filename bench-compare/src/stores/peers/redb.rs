//! redb: a B-tree whose pages are copied when they are written, in Rust alone.

use std::collections::HashMap;
use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::CACHE_BYTES;
use super::grouped::{Engine, Grouped, Put};
use super::keys::{stream_key, stream_keys, value_of, version_of};
use crate::store::{Contender, Result};

pub const CONTENDER: Contender = Contender {
    name: "redb",
    about: "redb 4.5: Durability::Immediate, cache 256 MiB; group commit added; checks its pages only after a crash",
    open: |dir, _| Ok(Box::new(Grouped::new(Redb::open(dir)?)?)),
};

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const STREAMS: TableDefinition<&[u8], u64> = TableDefinition::new("streams");

struct Redb(Database);

impl Redb {
    fn open(dir: &Path) -> Result<Redb> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(dir.join("events.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(STREAMS)?;
        transaction.commit()?;
        Ok(Redb(database))
    }
}

impl Engine for Redb {
    fn last_position(&self) -> Result<u64> {
        let events = self.0.begin_read()?.open_table(EVENTS)?;
        Ok(events.last()?.map_or(0, |(position, _)| position.value()))
    }

    fn versions<'a>(&self, streams: &[&'a str]) -> Result<HashMap<&'a str, u64>> {
        let table = self.0.begin_read()?.open_table(STREAMS)?;
        let version = |stream: &&'a str| {
            let (first, last) = stream_keys(stream);
            let newest = table.range(&first[..]..=&last[..])?.next_back().transpose()?;
            Ok((*stream, newest.map_or(Ok(0), |(key, _)| version_of(key.value()))?))
        };
        streams.iter().map(version).collect()
    }

    fn write(&self, puts: &[Put]) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut events = transaction.open_table(EVENTS)?;
            let mut streams = transaction.open_table(STREAMS)?;
            for put in puts {
                events.insert(put.position, &value_of(put)[..])?;
                streams.insert(&stream_key(put.stream, put.version)[..], put.position)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn replay(&self, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let events = self.0.begin_read()?.open_table(EVENTS)?;
        let mut count = 0;
        for entry in events.iter()? {
            on_bytes(entry?.1.value());
            count += 1;
        }
        Ok(count)
    }

    fn read(&self, stream: &str, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let transaction = self.0.begin_read()?;
        let (events, streams) = (transaction.open_table(EVENTS)?, transaction.open_table(STREAMS)?);
        let (first, last) = stream_keys(stream);
        let mut count = 0;
        for entry in streams.range(&first[..]..=&last[..])? {
            on_bytes(events.get(entry?.1.value())?.ok_or("an event is missing")?.value());
            count += 1;
        }
        Ok(count)
    }
}
