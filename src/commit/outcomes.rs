//! What has become of a batch: told once leadership has been handed on, so that the next group is not kept waiting by the
//! waking of those who wait for this one.
//!
//! Promise: what is acknowledged here is durable and visible, and what is refused rests on what is durable.

use super::committer::Pending;
use super::group::Admitted;
use crate::error::{AppendError, Error};

/// The outcomes of the appends of a batch.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) acknowledged: Vec<Admitted>,
    pub(super) refused: Vec<(Pending, AppendError)>,
    failed: Vec<(Pending, Error)>,
}

impl Outcomes {
    /// Notes that the log failed before these were durable. Those refused are told the same: what they rest on may be lost.
    pub(super) fn fail(&mut self, appends: impl Iterator<Item = Pending>, failure: Error) {
        let refused = self.refused.drain(..).map(|(pending, _)| pending);
        self.failed.extend(appends.chain(refused).map(|pending| (pending, failure.clone())));
    }

    /// Tells each append what has become of it.
    pub(super) fn tell(self) {
        // The refused first: of writers that contend for a stream, the one that has just succeeded should not also be the
        // first to try again.
        self.refused.into_iter().for_each(|(pending, refusal)| pending.refuse(refusal));
        self.acknowledged.into_iter().for_each(Admitted::acknowledge);
        self.failed.into_iter().for_each(|(pending, failure)| pending.fail(failure));
    }
}
