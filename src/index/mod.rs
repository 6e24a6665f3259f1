//! Where events lie: by position, by term (a stream and its versions, a category, a type, a tag, …), by id, by time. The
//! active segment's index is in memory, a sealed segment's in a mapped file beside it; all of it can be built again from
//! the log.

mod backlog;
mod build;
pub(crate) mod catalog;
mod check;
mod file;
mod kept;
mod memory;
mod part;
mod place;
mod plan;
mod refill;
mod selection;
mod term;
mod walk;

pub(crate) use backlog::Backlog;
pub(crate) use catalog::{Catalog, Head};
pub(crate) use check::{IndexCheck, SECTION_NAMES, check_blocks};
pub(crate) use memory::{MemoryIndex, NewEntry, Previous};
pub(crate) use part::{Indexing, Part, Sealed, StreamHere};
pub(crate) use place::Place;
pub(crate) use plan::Plan;
pub(crate) use refill::Refill;
pub(crate) use selection::{Selection, Way};
pub(crate) use term::{ByTerm, RecentTerm, RecordTerms, Term, TermHasher};
