//! Where an event lies in its segment, or the frame that stands for one that retention has removed.

/// A place in a segment, by its offset. Records and frames begin at multiples of 8, so the lowest bit is free to tell which
/// of them it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

const REMOVED: u32 = 1;

impl Place {
    /// Where a record begins.
    pub(crate) fn record(offset: u32) -> Place {
        Place(offset)
    }

    /// Where a REMOVED frame begins.
    pub(crate) fn removed(offset: u32) -> Place {
        Place(offset | REMOVED)
    }

    /// As an index holds it.
    pub(super) fn from_number(number: u32) -> Place {
        Place(number)
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// Whether a REMOVED frame begins here.
    pub(crate) fn is_removed(self) -> bool {
        self.0 & REMOVED != 0
    }

    /// The offset of what begins here.
    pub(crate) fn offset(self) -> u32 {
        self.0 & !REMOVED
    }
}
