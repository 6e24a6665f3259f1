//! annals: a persistent event store.
//!
//! The architecture, layer by layer, is in `ARCHITECTURE.md`; every byte on disk in `docs/format.md`.

mod clock;
mod commit;
mod error;
mod format;
mod index;
mod log;
mod meta;
mod model;
mod options;
mod read;
#[cfg(feature = "testkit")]
pub mod testkit;
mod verify;
mod vfs;

