//! Other people's stores.

mod fjall;
mod grouped;
mod keys;
mod lmdb;
mod redb;
mod sierradb;
mod sled;
mod sqlite;
mod umadb;

use crate::store::Contender;

pub const ALL: &[Contender] = &[
    sqlite::CONTENDER,
    lmdb::CONTENDER,
    sled::CONTENDER,
    redb::CONTENDER,
    fjall::CONTENDER,
    umadb::CONTENDER,
    sierradb::LONE,
    sierradb::MANY,
];

/// What a store that has a cache may keep in it: the memory budget of annals.
const CACHE_BYTES: usize = 256 << 20;
