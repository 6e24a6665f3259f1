//! The cursor over the events that a plan selects, part by part; nothing between them is looked at.

use std::sync::Arc;

use super::reader::PartList;
use super::request::Direction;
use crate::error::Error;
use crate::index::{Part, Place, Plan, Selection, Way, catalog};
use crate::model::Position;

/// Where a selective read stands.
pub(super) struct Selected {
    plan: Plan,
    way: Way,
    visible: Position,
    /// The next position that may be selected, and the last one on the way.
    next: Position,
    last: Position,
    /// What is selected of the part that holds `next`, once that is known.
    at: Option<(Arc<Part>, Option<Selection>)>,
}

impl Selected {
    /// Over the positions `first` to `last`.
    pub(super) fn new(
        plan: Plan,
        direction: Direction,
        visible: Position,
        first: Position,
        last: Position,
    ) -> Selected {
        let (way, next, last) = match direction {
            Direction::Forward => (Way::Up, first, last),
            Direction::Backward => (Way::Down, last, first),
        };
        Selected { plan, way, visible, next, last, at: None }
    }

    fn is_over(&self) -> bool {
        match self.way {
            Way::Up => self.next > self.last,
            Way::Down => self.next < self.last || self.next == Position::START,
        }
    }

    /// Puts the next places into `out`, in order, and tells in which part they are; none at the end.
    pub(super) fn refill(
        &mut self,
        all: &PartList,
        handful: u64,
        out: &mut Vec<Place>,
    ) -> Result<Option<Arc<Part>>, Error> {
        while !self.is_over() {
            let (part, mut selection) = match self.at.take() {
                Some(at) => at,
                None => self.part_of_next(all)?,
            };
            let ends = self.take_from(&part, selection.as_mut(), all, handful, out)?;
            if !ends {
                self.at = Some((part.clone(), selection));
            }
            if !out.is_empty() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    fn part_of_next(&self, all: &PartList) -> Result<(Arc<Part>, Option<Selection>), Error> {
        let part = catalog::part_of(all, self.next);
        let part = part.ok_or_else(|| Error::invalid(format!("position {} is not held", self.next)))?;
        let selection = Selection::of(&self.plan, part, all, self.visible)?;
        Ok((part.clone(), selection))
    }

    /// Takes a handful of places from a part; tells whether the part has no more.
    fn take_from(
        &mut self,
        part: &Part,
        selection: Option<&mut Selection>,
        all: &PartList,
        handful: u64,
        out: &mut Vec<Place>,
    ) -> Result<bool, Error> {
        let mut ordinals = Vec::new();
        let ends = match selection {
            Some(selection) => self.ordinals_from(part, selection, all, handful, &mut ordinals)?,
            None => true,
        };
        for ordinal in ordinals {
            let offset = part.offset(ordinal)?;
            part.segment.will_read_record(offset.into());
            out.push(Place::record(offset));
        }
        if ends {
            self.next = match self.way {
                Way::Up => part.first.advanced(part.events(self.visible).into()),
                Way::Down => part.first.previous(),
            };
        }
        Ok(ends)
    }

    fn ordinals_from(
        &mut self,
        part: &Part,
        selection: &mut Selection,
        all: &PartList,
        handful: u64,
        out: &mut Vec<u32>,
    ) -> Result<bool, Error> {
        while (out.len() as u64) < handful {
            let Some(found) = selection.next(part, all, self.next.since(part.first) as u32, self.way)? else {
                return Ok(true);
            };
            let position = part.first.advanced(found.into());
            self.next = match self.way {
                Way::Up => position.next(),
                Way::Down => position.previous(),
            };
            let beyond = match self.way {
                Way::Up => position > self.last,
                Way::Down => position < self.last,
            };
            if beyond {
                return Ok(true);
            }
            out.push(found);
            // The lowest ordinal has none below it.
            if self.way == Way::Down && found == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
