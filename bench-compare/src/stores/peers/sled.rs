//! sled 0.34: a log-structured B-tree. One tree holds both kinds of keys, because a batch is of one tree.
//!
//! On Linux its `flush` asks the system to write, with `sync_file_range`, and does not sync: what it wrote need not outlive a loss
//! of power. So its file is synced here after each flush. Its watchers are told of events before that, so nobody follows it.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use sled::{Batch, Db};

use super::CACHE_BYTES;
use super::grouped::{Engine, Grouped, Put};
use super::keys::{position_key, position_of, stream_key, stream_keys, value_of, version_of};
use crate::store::{Contender, Result};

pub const CONTENDER: Contender = Contender {
    name: "sled",
    about: "sled 0.34.7: a batch, a flush and an fdatasync of its file a group, since its flush does not sync on Linux; \
            cache 256 MiB; group commit added; CRC when read from the file",
    open: |dir, _| Ok(Box::new(Grouped::new(Sled::open(dir)?)?)),
};

const EVENT: &[u8] = b"e";
const STREAM: &[u8] = b"s";

struct Sled {
    db: Db,
    file: File,
}

fn key(kind: &[u8], rest: &[u8]) -> Vec<u8> {
    [kind, rest].concat()
}

impl Sled {
    fn open(dir: &Path) -> Result<Sled> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES as u64).flush_every_ms(None);
        let db = config.open()?;
        Ok(Sled { db, file: File::open(dir.join("db"))? })
    }
}

impl Engine for Sled {
    fn last_position(&self) -> Result<u64> {
        let last = self.db.scan_prefix(EVENT).next_back().transpose()?;
        last.map_or(Ok(0), |(key, _)| position_of(&key[EVENT.len()..]))
    }

    fn versions<'a>(&self, streams: &[&'a str]) -> Result<HashMap<&'a str, u64>> {
        let version = |stream: &&'a str| {
            let (first, last) = stream_keys(stream);
            let newest = self.db.range(key(STREAM, &first)..=key(STREAM, &last)).next_back().transpose()?;
            Ok((*stream, newest.map_or(Ok(0), |(key, _)| version_of(&key))?))
        };
        streams.iter().map(version).collect()
    }

    fn write(&self, puts: &[Put]) -> Result<()> {
        let mut batch = Batch::default();
        for put in puts {
            let position = position_key(put.position);
            batch.insert(key(EVENT, &position), value_of(put));
            batch.insert(key(STREAM, &stream_key(put.stream, put.version)), &position);
        }
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        self.file.sync_data()?;
        Ok(())
    }

    fn replay(&self, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let mut count = 0;
        for entry in self.db.scan_prefix(EVENT) {
            on_bytes(&entry?.1);
            count += 1;
        }
        Ok(count)
    }

    fn read(&self, stream: &str, on_bytes: &mut dyn FnMut(&[u8])) -> Result<u64> {
        let (first, last) = stream_keys(stream);
        let mut count = 0;
        for entry in self.db.range(key(STREAM, &first)..=key(STREAM, &last)) {
            on_bytes(&self.db.get(key(EVENT, &entry?.1))?.ok_or("an event is missing")?);
            count += 1;
        }
        Ok(count)
    }
}
