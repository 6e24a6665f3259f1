//! A request that appends, whatever its route: what all of them refuse, how their body is read, and how it is committed.
//!
//! A client that goes away does not cancel what was handed over.

use std::sync::Arc;
use std::time::Instant;

use annals::{Append, AppendError, IdempotencyKey, Receipt, Traceparent};
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, Uri, header};

use super::access::{Access, Bearer};
use super::app::{App, params_of};
use super::body::{BodyLimit, HeldBody, read_whole};
use super::condition::Condition;
use super::places::Work;
use super::problem::Problem;
use super::token::Hash;
use super::traffic::traceparent_of;
use crate::wire::Params;

/// The header with the client's name for a request.
const HEADER: &str = "idempotency-key";

/// A body that is parsed in less time than it takes to have another thread do it.
const SHORT_BYTES_MAX: usize = 64 << 10;

/// A request that appends. Its body is still on the way, so that what is wrong with its head is told without it.
pub(super) struct Submission {
    app: Arc<App>,
    uri: Uri,
    headers: HeaderMap,
    access: Access,
    /// What its client calls it, so that it is done once.
    key: Option<IdempotencyKey>,
    body: Body,
}

impl FromRequest<Arc<App>> for Submission {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Submission, Problem> {
        let (mut head, body) = request.into_parts();
        let access = Access::from_request_parts(&mut head, app).await?;
        let bearer = head.extensions.get::<Bearer>().map(|bearer| &*bearer.name);
        let key = key_of(&head.headers, head.uri.path(), &access, bearer)?;
        Ok(Submission { app: Arc::clone(app), uri: head.uri, headers: head.headers, access, key, body })
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

    /// Of which trace it is part.
    pub(super) fn traceparent(&self) -> Option<Traceparent> {
        traceparent_of(&self.headers)
    }

    /// Whether its client gave it a key.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
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
    /// Parsing takes long for a large body, and handing over looks for the streams, waits while the store's queue is full, and does
    /// what `work` says beside that. What `make` gives beside the append comes back beside the receipt.
    pub(super) async fn commit<T: Send + 'static>(
        self,
        work: Work,
        make: impl FnOnce(&App, &HeldBody) -> Result<(Append, T), Problem> + Send + 'static,
    ) -> Result<(Receipt, T), Problem> {
        let Submission { app, uri, headers, access: _, key, body } = self;
        let bytes_max = app.store.limits().append_bytes_max;
        let limit = BodyLimit { name: "appendBytesMax", bytes_max };
        let body = read_whole(&app, &headers, body, limit).await?;
        // They lie in the connection's buffer, which is used again once nobody needs it.
        drop((uri, headers));
        let work = if body.bytes().len() > SHORT_BYTES_MAX { Work::Long } else { work };
        let handed_over = app.does(work, move |app| {
            let (mut append, beside) = make(app, &body)?;
            if let Some(key) = key {
                append = append.idempotency_key(key);
            }
            let begun = Instant::now();
            let ticket = app.store.submit(append).map_err(|error: AppendError| Problem::from(error))?;
            // Its events are parts of it.
            drop(body);
            Ok((ticket, begun, beside))
        });
        let (ticket, begun, beside) = handed_over.await?;
        let receipt = ticket.await?;
        app.traffic.appends.add(begun.elapsed());
        Ok((receipt, beside))
    }
}

/// The key under which the store knows a request: that of its client, for its path and for what it may do. Another client
/// that happens to choose the same key means another request. A client is known by the name of its token, so that it can be given
/// a new one between a request and its repetition.
fn key_of(
    headers: &HeaderMap,
    path: &str,
    access: &Access,
    bearer: Option<&str>,
) -> Result<Option<IdempotencyKey>, Problem> {
    let mut given = headers.get_all(HEADER).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let refused = |what: String| Err(Problem::invalid(format!("`Idempotency-Key`: {what}")));
    if given.next().is_some() {
        return refused("the request has more than one".to_owned());
    }
    let Ok(key) = key.to_str() else {
        return refused("it has other characters than visible ones".to_owned());
    };
    // The same rules, whatever is made of it.
    if let Err(error) = IdempotencyKey::parse(key) {
        return refused(error.to_string());
    }
    let mut known = format!("{path}\n{}\n{key}", access.mark());
    if let Some(name) = bearer {
        known.push('\n');
        known.push_str(name);
    }
    let known = String::from(Hash::of(&known));
    Ok(Some(IdempotencyKey::parse(&known).expect("hexadecimal digits are legal")))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn key(given: &str, path: &str) -> Result<Option<IdempotencyKey>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(given.as_bytes()).expect("legal"));
        key_of(&headers, path, &Access::everything(), None)
    }

    #[test]
    fn a_key_is_of_its_path_and_of_nothing_else_that_may_change() {
        let of = |given, path| key(given, path).expect("legal").expect("is there");
        assert_eq!(of("k", "/events/a"), of("k", "/events/a"));
        assert_ne!(of("k", "/events/a"), of("k", "/events/b"));
        assert_ne!(of("k", "/events/a"), of("l", "/events/a"));
        assert!(
            key_of(&HeaderMap::new(), "/events/a", &Access::everything(), None).expect("legal").is_none()
        );
        for illegal in ["", &"x".repeat(256), "\u{fc}"] {
            assert!(key(illegal, "/events/a").is_err(), "{illegal:?}");
        }
    }
}
