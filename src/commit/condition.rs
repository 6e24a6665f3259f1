//! Conditions of an append on all events: none behind a position matches a query.
//!
//! The caller's thread looks up to what is visible. The leader looks at what came since: at the few events that were
//! committed meanwhile, which the index in memory holds, and at those that the group has admitted before this append.

use std::sync::Arc;

use bytes::Bytes;

use super::prepared::Prepared;
use crate::error::{AppendError, Error};
use crate::format::event;
use crate::index::{Part, Plan, Selection, TermHasher, Way, catalog};
use crate::lifecycle::{Hidden, Lifecycles};
use crate::model::{Position, RecordedEvent, RefusedBy, Timestamp};

/// One condition, ready to be checked.
#[derive(Debug)]
pub(super) struct Condition {
    refused_by: RefusedBy,
    /// None when every event has to be looked at.
    plan: Option<Plan>,
    /// No event up to here breaks the condition.
    seen: Position,
}

impl Condition {
    pub(super) fn new(refused_by: RefusedBy, hasher: &TermHasher) -> Condition {
        let plan = Plan::of(&refused_by.query, None, hasher);
        Condition { seen: refused_by.after, refused_by, plan }
    }

    /// The position after which no event may match.
    pub(super) fn after(&self) -> Position {
        self.refused_by.after
    }

    /// Forgets what was seen.
    pub(super) fn begin_again(&mut self) {
        self.seen = self.refused_by.after;
    }

    /// Looks at what was committed since it was looked last, up to `visible`; the refusal, if an event matches. `number`
    /// says which of the append's conditions it is.
    pub(super) fn check(
        &mut self,
        number: usize,
        parts: &Arc<Vec<Arc<Part>>>,
        visible: Position,
        lifecycles: &Arc<Lifecycles>,
    ) -> Result<Option<AppendError>, Error> {
        let mut hidden = Hidden::new(lifecycles, parts, visible);
        while self.seen < visible {
            let next = self.seen.next();
            let part = catalog::part_of(parts, next)
                .ok_or_else(|| Error::invalid(format!("position {next} is not held")))?;
            if let Some(event) = self.first_in(part, parts, visible, hidden.as_mut())? {
                return Ok(Some(self.refusal(number, &event)));
            }
            self.seen = part.first.advanced(part.events(visible).into()).previous();
        }
        Ok(None)
    }

    /// The first event of a part, behind what was seen, that matches.
    fn first_in(
        &self,
        part: &Part,
        parts: &[Arc<Part>],
        visible: Position,
        mut hidden: Option<&mut Hidden>,
    ) -> Result<Option<RecordedEvent>, Error> {
        let mut selection = match &self.plan {
            None => None,
            Some(plan) => match Selection::of(plan, part, parts, visible)? {
                None => return Ok(None),
                selection => selection,
            },
        };
        let events = part.events(visible);
        let mut ordinal = self.seen.next().since(part.first) as u32;
        while ordinal < events {
            if let Some(selection) = &mut selection {
                match selection.next(part, parts, ordinal, Way::Up)? {
                    Some(found) if found < events => ordinal = found,
                    _ => return Ok(None),
                }
            }
            let place = part.place(ordinal)?;
            ordinal += 1;
            if place.is_removed() {
                continue;
            }
            let event = part.event(place.offset())?;
            if !self.is_matched_by(&event) {
                continue;
            }
            let is_hidden = match &mut hidden {
                None => false,
                Some(hidden) => {
                    hidden.has(event.stream(), event.stream_version(), || part.commit_time(place))?
                }
            };
            if !is_hidden {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn is_matched_by(&self, event: &RecordedEvent) -> bool {
        !event.is_system() && self.refused_by.query.matches(event)
    }

    /// The refusal, if an event of an append that was admitted before this one matches.
    pub(super) fn check_admitted(&self, number: usize, admitted: &Prepared) -> Option<AppendError> {
        for record in &admitted.records {
            if self.plan.as_ref().is_some_and(|plan| !plan.selects(&record.terms)) {
                continue;
            }
            let bytes = &admitted.frame[record.start..record.start + record.len as usize];
            let event = event::decode(Bytes::copy_from_slice(bytes), Timestamp::default());
            let event = event.expect("a record that was just encoded can be decoded");
            if self.is_matched_by(&event) {
                return Some(self.refusal(number, &event));
            }
        }
        None
    }

    fn refusal(&self, condition: usize, event: &RecordedEvent) -> AppendError {
        AppendError::Matched {
            position: event.position(),
            stream: event.stream().to_owned(),
            event_type: event.event_type().to_owned(),
            after: self.after(),
            condition,
        }
    }
}
