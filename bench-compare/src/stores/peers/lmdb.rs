//! LMDB by heed: a mapped B-tree whose pages are copied when they are written.

use std::collections::HashMap;
use std::ops::Bound;
use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions, PutFlags};

use super::grouped::{Engine, Grouped, Put};
use super::keys::{position_key, position_of, stream_key, stream_keys, value_of, version_of};
use crate::store::{Contender, Result};

pub const CONTENDER: Contender = Contender {
    name: "lmdb",
    about: "LMDB by heed 0.22: the default, which syncs each commit; group commit added; nothing is checked when it is \
            read",
    open: |dir, _| Ok(Box::new(Grouped::new(Lmdb::open(dir)?)?)),
};

/// The most that a store can grow to; only addresses are taken for it.
const MAP_BYTES: usize = 64 << 30;

struct Lmdb {
    env: Env,
    events: Database<Bytes, Bytes>,
    streams: Database<Bytes, Bytes>,
}

impl Lmdb {
    fn open(dir: &Path) -> Result<Lmdb> {
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_dbs(2);
        // SAFETY: the directory is this process's own: nobody else changes the file that is mapped.
        let env = unsafe { options.open(dir) }?;
        let mut transaction = env.write_txn()?;
        let events = env.create_database(&mut transaction, Some("events"))?;
        let streams = env.create_database(&mut transaction, Some("streams"))?;
        transaction.commit()?;
        Ok(Lmdb { env, events, streams })
    }
}

impl Engine for Lmdb {
    fn last_position(&self) -> Result<u64> {
        let transaction = self.env.read_txn()?;
        self.events.last(&transaction)?.map_or(Ok(0), |(key, _)| position_of(key))
    }

    fn versions<'a>(&self, streams: &[&'a str]) -> Result<HashMap<&'a str, u64>> {
        let transaction = self.env.read_txn()?;
        let version = |stream: &&'a str| {
            let (first, last) = stream_keys(stream);
            let newest = self.streams.get_lower_than_or_equal_to(&transaction, &last)?;
            let version = match newest {
                Some((key, _)) if key >= &first[..] => version_of(key)?,
                _ => 0,
            };
            Ok((*stream, version))
        };
        streams.iter().map(version).collect()
    }

    fn write(&self, puts: &[Put]) -> Result<()> {
        let mut transaction = self.env.write_txn()?;
        for put in puts {
            let position = position_key(put.position);
            self.events.put_with_flags(&mut transaction, PutFlags::APPEND, &position, &value_of(put))?;
            self.streams.put(&mut transaction, &stream_key(put.stream, put.version), &position)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn replay(&self, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let transaction = self.env.read_txn()?;
        let mut count = 0;
        for entry in self.events.iter(&transaction)? {
            on_bytes(entry?.1);
            count += 1;
        }
        Ok(count)
    }

    fn read(&self, stream: &str, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let transaction = self.env.read_txn()?;
        let (first, last) = stream_keys(stream);
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let mut count = 0;
        for entry in self.streams.range(&transaction, &range)? {
            on_bytes(self.events.get(&transaction, entry?.1)?.ok_or("an event is missing")?);
            count += 1;
        }
        Ok(count)
    }

    fn close(self) -> Result<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}
