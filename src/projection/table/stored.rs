//! What a table is in its database: its keys, its rows, and the checkpoint that can be held against them.

use std::hash::Hasher;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::error::Error;
use crate::meta::{Meta, envelope};
use crate::model::{HistoryId, Position};
use crate::projection::checkpoint::{Checkpoint, Cursor, Parked};

/// The numbers of the structs below in envelopes.
pub(crate) const TABLE_SCHEMA_V1: u16 = 2;
const HEAD_SCHEMA_V1: u16 = 3;
const ROW_SCHEMA_V1: u16 = 4;

/// What comes before a table's name in a key.
const KEYSPACE: &[u8] = b"table\0";

/// The kinds of keys, behind name and generation.
const HEAD: u8 = 0;
const CHECKPOINT: u8 = 1;
const ROW: u8 = 2;

/// The keys of one generation of a table.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    name: String,
    generation: u64,
}

impl Keys {
    pub(super) fn new(name: &str, generation: u64) -> Keys {
        Keys { name: name.to_owned(), generation }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// What all of them begin with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        [&of_name(&self.name)[..], &self.generation.to_be_bytes()].concat()
    }

    fn of_kind(&self, kind: u8) -> Vec<u8> {
        let mut key = self.prefix();
        key.push(kind);
        key
    }

    pub(super) fn head(&self) -> Vec<u8> {
        self.of_kind(HEAD)
    }

    pub(super) fn checkpoint(&self) -> Vec<u8> {
        self.of_kind(CHECKPOINT)
    }

    pub(super) fn row(&self, key: &str) -> Vec<u8> {
        [&self.of_kind(ROW)[..], key.as_bytes()].concat()
    }

    /// The key of the row that has this key in the database.
    pub(super) fn key_of(&self, row: &[u8]) -> Option<String> {
        let key = row.strip_prefix(&self.of_kind(ROW)[..])?;
        String::from_utf8(key.to_owned()).ok()
    }
}

/// What all keys of a table begin with. Names hold no control character, so the zero ends them.
fn of_name(name: &str) -> Vec<u8> {
    [KEYSPACE, name.as_bytes(), b"\0"].concat()
}

/// The generations of a table, in order, each with its head.
pub(super) fn generations(meta: &dyn Meta, name: &str) -> Result<Vec<(u64, Option<Head>)>, Error> {
    let prefix = of_name(name);
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    while let Some(key) = meta.scan_after(&prefix, after.as_deref(), 1)?.pop() {
        let number = key[prefix.len()..].first_chunk().map(|number| u64::from_be_bytes(*number));
        let Some(number) = number else {
            after = Some(key);
            continue;
        };
        let keys = Keys::new(name, number);
        found.push((number, meta.get(&keys.head())?.and_then(|sealed| Head::open(&sealed))));
        // Behind all keys of the generation: no kind is as high.
        after = Some(keys.of_kind(u8::MAX));
    }
    Ok(found)
}

/// Whether a generation is the one that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Live,
    Beside,
}

/// A head as it is stored. Frozen: another shape is another struct with a number of its own.
#[derive(Serialize, Deserialize)]
struct HeadV1 {
    live: bool,
}

impl Head {
    pub(super) fn seal(self) -> Result<Vec<u8>, Error> {
        envelope::seal(HEAD_SCHEMA_V1, &HeadV1 { live: self == Head::Live })
    }

    pub(super) fn open(sealed: &[u8]) -> Option<Head> {
        let head: HeadV1 = envelope::open(HEAD_SCHEMA_V1, sealed)?;
        Some(if head.live { Head::Live } else { Head::Beside })
    }
}

/// The sum of the hashes of rows, in any order. It finds what was lost or changed by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Sum([u8; 16]);

impl Sum {
    pub(super) fn add(&mut self, key: &str, row: &[u8]) {
        self.0 = u128::from_le_bytes(self.0).wrapping_add(hash(key, row)).to_le_bytes();
    }

    pub(super) fn remove(&mut self, key: &str, row: &[u8]) {
        self.0 = u128::from_le_bytes(self.0).wrapping_sub(hash(key, row)).to_le_bytes();
    }
}

fn hash(key: &str, row: &[u8]) -> u128 {
    let mut hasher = SipHasher24::new();
    hasher.write(&(key.len() as u64).to_le_bytes());
    hasher.write(key.as_bytes());
    hasher.write(row);
    hasher.finish128().as_u128()
}

/// A row as it is stored. Frozen.
#[derive(Serialize, Deserialize)]
struct RowV1 {
    json: Bytes,
}

pub(super) fn seal_row(json: &[u8]) -> Result<Vec<u8>, Error> {
    envelope::seal(ROW_SCHEMA_V1, &RowV1 { json: Bytes::copy_from_slice(json) })
}

pub(super) fn open_row(sealed: &[u8]) -> Option<Vec<u8>> {
    envelope::open::<RowV1>(ROW_SCHEMA_V1, sealed).map(|row| row.json.into())
}

/// The state of a table as it is stored. Frozen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct TableV1 {
    /// How many rows there are.
    pub(super) rows: u64,
    pub(super) sum: Sum,
    /// None before the first commit.
    reached: Option<ReachedV1>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ReachedV1 {
    history: [u8; 16],
    position: u64,
    /// The checksum of the event at that position.
    crc: u32,
    /// The version of the projection.
    version: u32,
    /// Positions of events that were set aside, with the reasons.
    parked: Vec<(u64, String)>,
}

impl TableV1 {
    pub(super) fn new(rows: u64, sum: Sum, checkpoint: &Checkpoint) -> TableV1 {
        let cursor = &checkpoint.cursor;
        let parked = checkpoint.parked.iter().map(|parked| (parked.position.get(), parked.reason.clone()));
        let reached = ReachedV1 {
            history: *cursor.history().as_bytes(),
            position: cursor.position().get(),
            crc: cursor.crc(),
            version: checkpoint.version,
            parked: parked.collect(),
        };
        TableV1 { rows, sum, reached: Some(reached) }
    }

    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let reached = self.reached.as_ref()?;
        let history = HistoryId::from_bytes(reached.history);
        let cursor = Cursor::new(history, Position::new(reached.position), reached.crc);
        let parked = reached.parked.iter();
        let parked = parked.map(|(position, reason)| Parked::new(Position::new(*position), reason.clone()));
        Some(Checkpoint::new(cursor, reached.version, parked.collect()))
    }

    pub(super) fn seal(&self) -> Result<Vec<u8>, Error> {
        envelope::seal(TABLE_SCHEMA_V1, self)
    }

    pub(super) fn open(sealed: &[u8]) -> Option<TableV1> {
        envelope::open(TABLE_SCHEMA_V1, sealed)
    }
}
