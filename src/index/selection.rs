//! A selection: the events of one part that a plan selects, found by going along postings.

use std::sync::Arc;

use super::part::{Part, Postings};
use super::plan::Plan;
use crate::error::Error;
use crate::model::Position;

/// Ordinals that are looked up at once.
const HANDFUL: u32 = 128;

/// The events of a part that a plan selects.
pub(crate) struct Selection {
    /// Alternatives, each the groups that an event must have a term of.
    items: Vec<Vec<AnyOf>>,
}

/// The events that have any of some terms.
struct AnyOf(Vec<Walk>);

/// A walk along the postings of one term.
struct Walk {
    postings: Postings,
    /// Some of its ordinals, and how many come before them.
    ordinals: Vec<u32>,
    from: u32,
}

/// Which way a selection is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To higher ordinals.
    Up,
    /// To lower ones.
    Down,
}

impl Way {
    /// Whichever comes first on this way.
    fn first_of(self, one: Option<u32>, other: Option<u32>) -> Option<u32> {
        match (one, other, self) {
            (Some(one), Some(other), Way::Up) => Some(one.min(other)),
            (Some(one), Some(other), Way::Down) => Some(one.max(other)),
            (one, other, _) => one.or(other),
        }
    }
}

impl Selection {
    /// What `plan` selects of the events of `part` that readers may see; none when that is nothing.
    pub(crate) fn of(
        plan: &Plan,
        part: &Part,
        parts: &[Arc<Part>],
        visible: Position,
    ) -> Result<Option<Selection>, Error> {
        let mut items = Vec::new();
        for wanted in &plan.items {
            let mut groups = Vec::with_capacity(wanted.len());
            for hashes in wanted {
                let mut walks = Vec::new();
                for hash in hashes {
                    walks.extend(part.postings(parts, *hash, visible)?.map(Walk::new));
                }
                if walks.is_empty() {
                    break;
                }
                groups.push(AnyOf(walks));
            }
            if groups.len() == wanted.len() {
                // The rarest leads, so that the others skip most of what they have.
                groups.sort_by_key(AnyOf::count);
                items.push(groups);
            }
        }
        Ok((!items.is_empty()).then_some(Selection { items }))
    }

    /// The first selected ordinal on the way from `at`, itself included.
    pub(crate) fn next(
        &mut self,
        part: &Part,
        parts: &[Arc<Part>],
        at: u32,
        way: Way,
    ) -> Result<Option<u32>, Error> {
        let mut found = None;
        for groups in &mut self.items {
            found = way.first_of(found, next_of_all(groups, part, parts, at, way)?);
        }
        Ok(found)
    }
}

/// The first ordinal on the way from `at` that every group has.
fn next_of_all(
    groups: &mut [AnyOf],
    part: &Part,
    parts: &[Arc<Part>],
    mut at: u32,
    way: Way,
) -> Result<Option<u32>, Error> {
    loop {
        let begun = at;
        for group in groups.iter_mut() {
            match group.next(part, parts, at, way)? {
                Some(found) => at = found,
                None => return Ok(None),
            }
        }
        if at == begun {
            return Ok(Some(at));
        }
    }
}

impl AnyOf {
    fn count(&self) -> u64 {
        self.0.iter().map(|walk| u64::from(walk.postings.count)).sum()
    }

    fn next(&mut self, part: &Part, parts: &[Arc<Part>], at: u32, way: Way) -> Result<Option<u32>, Error> {
        let mut found = None;
        for walk in &mut self.0 {
            found = way.first_of(found, walk.next(part, parts, at, way)?);
        }
        Ok(found)
    }
}

impl Walk {
    fn new(postings: Postings) -> Walk {
        Walk { postings, ordinals: Vec::new(), from: 0 }
    }

    fn next(&mut self, part: &Part, parts: &[Arc<Part>], at: u32, way: Way) -> Result<Option<u32>, Error> {
        if let Some(found) = self.held(at, way) {
            return Ok(Some(found));
        }
        let (from, to) = match way {
            Way::Up => {
                let from = part.rank(parts, &self.postings, at)?;
                (from, (from + HANDFUL).min(self.postings.count))
            }
            Way::Down => {
                let to = part.rank(parts, &self.postings, at.saturating_add(1))?;
                (to.saturating_sub(HANDFUL), to)
            }
        };
        self.ordinals.clear();
        self.from = from;
        part.ordinals(parts, &self.postings, from, to, &mut self.ordinals)?;
        Ok(match way {
            Way::Up => self.ordinals.first().copied(),
            Way::Down => self.ordinals.last().copied(),
        })
    }

    /// The first ordinal on the way from `at`, if the ordinals that are held show that none comes before it.
    fn held(&self, at: u32, way: Way) -> Option<u32> {
        let (first, last) = (*self.ordinals.first()?, *self.ordinals.last()?);
        match way {
            Way::Up => {
                let known = at >= first || self.from == 0;
                let found = self.ordinals.partition_point(|ordinal| *ordinal < at);
                self.ordinals.get(found).copied().filter(|_| known)
            }
            Way::Down => {
                let known = at <= last || self.from + self.ordinals.len() as u32 == self.postings.count;
                let found = self.ordinals.partition_point(|ordinal| *ordinal <= at);
                found.checked_sub(1).map(|found| self.ordinals[found]).filter(|_| known)
            }
        }
    }
}
