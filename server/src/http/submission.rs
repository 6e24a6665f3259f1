//! A request that appends, whatever its route: what all of them refuse, how their body is read, and how it is committed.
//!
//! A client that goes away does not cancel what was handed over.

use std::sync::Arc;
use std::time::Instant;

use annals::{Append, AppendError, Receipt};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, Uri, header};

use super::access::Access;
use super::app::{App, params_of};
use super::body::{BodyLimit, HeldBody, read_whole};
use super::condition::Condition;
use super::problem::Problem;
use crate::wire::Params;

/// A request that appends. Its body is still on the way, so that what is wrong with its head is told without it.
pub(super) struct Submission {
    app: Arc<App>,
    uri: Uri,
    headers: HeaderMap,
    access: Access,
    body: Body,
}

impl FromRequest<Arc<App>> for Submission {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Submission, Problem> {
        let (mut head, body) = request.into_parts();
        let access = Access::from_request_parts(&mut head, app).await?;
        refuse_idempotency_key(&head.headers)?;
        Ok(Submission { app: Arc::clone(app), uri: head.uri, headers: head.headers, access, body })
    }
}

impl Submission {
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What it may do.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Its parameters, each one of `known`.
    pub(super) fn params(&self, known: &[&str]) -> Result<Params, Problem> {
        params_of(&self.uri, &[known])
    }

    /// What it expects of its stream, by a header or by a parameter.
    pub(super) fn condition(&self) -> Result<Condition, Problem> {
        let params = self.params(&["expectedVersion"])?;
        Condition::parse(&self.headers, params.one("expectedVersion")?)
    }

    /// Refuses parameters, and the headers that would set a condition: `why` says what does instead.
    pub(super) fn without_condition(&self, why: &str) -> Result<(), Problem> {
        self.params(&[])?;
        match self.headers.contains_key(header::IF_MATCH) || self.headers.contains_key(header::IF_NONE_MATCH)
        {
            // To ignore it would be to append what must not be appended.
            true => {
                Err(Problem::invalid(format!("`If-Match` and `If-None-Match` have no meaning here: {why}")))
            }
            false => Ok(()),
        }
    }

    /// Reads the body whole, makes an append of it, hands that over and awaits its outcome.
    ///
    /// `make` runs on a thread that may block: parsing takes long for a large body, and handing over waits while the
    /// store's queue is full. What it gives beside the append comes back beside the receipt.
    pub(super) async fn commit<T: Send + 'static>(
        self,
        make: impl FnOnce(&App, &HeldBody) -> Result<(Append, T), Problem> + Send + 'static,
    ) -> Result<(Receipt, T), Problem> {
        let bytes_max = self.app.store.limits().append_bytes_max;
        let limit = BodyLimit { name: "appendBytesMax", bytes_max };
        let body = read_whole(&self.app, &self.headers, self.body, limit).await?;
        let handed_over = self.app.blocking(move |app| {
            let (append, beside) = make(app, &body)?;
            drop(body);
            let begun = Instant::now();
            let ticket = app.store.submit(append).map_err(|error: AppendError| Problem::from(error))?;
            Ok((ticket, begun, beside))
        });
        let (ticket, begun, beside) = handed_over.await?;
        let receipt = ticket.await?;
        self.app.traffic.appends.add(begun.elapsed());
        Ok((receipt, beside))
    }
}

/// A client that sends a key relies on it: to ignore it would be to append twice.
fn refuse_idempotency_key(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.contains_key("idempotency-key") {
        true => Err(Problem::invalid(
            "`Idempotency-Key` is not supported by this version; give each event an `id`: a request that is sent again with \
             the same ids gets the first answer",
        )),
        false => Ok(()),
    }
}
