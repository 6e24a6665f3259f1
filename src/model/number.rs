//! The two counters of the store: positions over all events, versions within a stream.
//!
//! Both count from 1, so that 0 means "before the first" and every bound is inclusive.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an event stands among all events of the store: 1, 2, 3 … without holes; 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

/// Where an event stands in its stream: 1, 2, 3 …; as a stream's version, the count of events ever appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamVersion(u64);

macro_rules! counter {
    ($name:ident, $start:literal) => {
        impl $name {
            #[doc = $start]
            pub const START: $name = $name(0);

            /// The counter that stands at `number`.
            pub const fn new(number: u64) -> $name {
                $name(number)
            }

            /// The plain number.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this; the largest number stays, so that a bound given by a caller never overflows.
            #[must_use]
            pub const fn next(self) -> $name {
                $name(self.0.saturating_add(1))
            }

            /// The one before this; `START` stays `START`.
            #[must_use]
            pub const fn previous(self) -> $name {
                $name(self.0.saturating_sub(1))
            }

            /// The one `count` after this; stays at the largest number instead of overflowing.
            #[must_use]
            pub const fn advanced(self, count: u64) -> $name {
                $name(self.0.saturating_add(count))
            }

            /// How many steps lead from `earlier` to this; 0 when `earlier` is not before this.
            pub const fn since(self, earlier: $name) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> $name {
                $name(number)
            }
        }
    };
}

counter!(Position, "Before the first event of the store.");
counter!(StreamVersion, "The version of a stream that never existed.");
