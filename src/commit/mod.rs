//! The write path: an append is prepared by its caller, queued, admitted, written with its neighbours, synced once,
//! indexed, made visible, and only then acknowledged.

mod admission;
mod ahead;
mod background;
mod committer;
mod condition;
mod counters;
mod end;
mod group;
#[cfg(all(test, loom))]
mod models;
mod outcomes;
mod prepared;
mod queue;
mod repeat;
mod sleeper;
mod ticket;
mod visible;
mod waiters;

pub(crate) use committer::{Committer, OnSeal, Parts as CommitterParts};
pub use counters::{CommitMetrics, Histogram};
pub(crate) use prepared::check_event;
pub use ticket::Ticket;
pub(crate) use visible::Visible;
pub(crate) use waiters::{Interest, Waiter};
