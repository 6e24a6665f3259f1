//! The stores, each used as its documentation says a careful engineer would: every append on stable storage.

pub mod annals;
pub mod bare;
#[cfg(feature = "peers")]
pub mod fjall;
#[cfg(feature = "peers")]
mod grouped;
#[cfg(feature = "peers")]
mod keys;
#[cfg(feature = "peers")]
pub mod lmdb;
#[cfg(feature = "peers")]
pub mod redb;
#[cfg(feature = "peers")]
pub mod sierradb;
#[cfg(feature = "peers")]
pub mod sled;
#[cfg(feature = "peers")]
pub mod sqlite;
#[cfg(feature = "peers")]
pub mod umadb;

/// What a store that has a cache may keep in it: the memory budget of annals.
#[cfg(feature = "peers")]
const CACHE_BYTES: usize = 256 << 20;
