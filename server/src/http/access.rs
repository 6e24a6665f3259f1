//! What a request may do: some kinds of things, on some streams. Every check of it is made here.

use std::sync::Arc;

use annals::{Query, QueryItem, StreamName};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;

use super::problem::{self, Problem};
use super::rate::Rate;
use super::token::Hash;

/// A kind of things to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    /// Read and follow events, streams and snapshots.
    Read,
    /// Append, publish and import events, and save snapshots.
    Append,
    /// See the streams of the store itself, set and delete streams, scavenge and back up.
    Admin,
}

impl Scope {
    /// Its name, in files and in problems.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Append => "append",
            Scope::Admin => "admin",
        }
    }
}

/// Whose token a request came with.
#[derive(Debug, Clone)]
pub(crate) struct Bearer {
    /// What the file calls it.
    pub(crate) name: Arc<str>,
    /// How much it may ask, where the file says so.
    pub(crate) rate: Rate,
}

/// Kinds of things to do, a bit each: every request has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scopes(u8);

impl Scopes {
    fn of(scopes: &[Scope]) -> Scopes {
        Scopes(scopes.iter().fold(0, |bits, scope| bits | 1 << *scope as u8))
    }

    fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    scopes: Scopes,
    /// The beginnings of the names of its streams; none is every stream.
    prefixes: Option<Arc<[String]>>,
}

impl Access {
    /// Everything: where nobody is asked for a token.
    pub(crate) fn everything() -> Access {
        Access { scopes: Scopes::of(&[Scope::Read, Scope::Append, Scope::Admin]), prefixes: None }
    }

    pub(crate) fn of(scopes: &[Scope], prefixes: &[String]) -> Access {
        Access { scopes: Scopes::of(scopes), prefixes: (!prefixes.is_empty()).then(|| prefixes.into()) }
    }

    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// Refuses a kind of things that it may not do.
    pub(crate) fn check(&self, scope: Scope) -> Result<(), Problem> {
        match self.may(scope) {
            true => Ok(()),
            false => Err(Problem::new(
                problem::SCOPE,
                format!(
                    "the token is not good for this: it lacks the scope {}; use one that has it",
                    scope.name()
                ),
            )
            .with("scope", scope.name())),
        }
    }

    /// Whether a stream is one of its streams.
    pub(crate) fn sees(&self, stream: &str) -> bool {
        let Some(prefixes) = &self.prefixes else { return true };
        prefixes.iter().any(|prefix| stream.starts_with(prefix.as_str()))
    }

    /// Refuses a stream that is not one of its streams.
    pub(crate) fn check_stream(&self, stream: &StreamName) -> Result<(), Problem> {
        match self.sees(stream.as_str()) {
            true => Ok(()),
            false => Err(Problem::new(
                problem::SCOPE,
                format!(
                    "the token is not good for the stream {stream}: its name begins otherwise; use one that is good for it"
                ),
            )
            .with("stream", stream.as_str())),
        }
    }

    /// Refuses streams that it may not write to, those that only the store writes to among them.
    pub(crate) fn check_writable(&self, stream: &StreamName) -> Result<(), Problem> {
        if stream.is_system() {
            return Err(Problem::invalid(format!(
                "{stream} is a stream of the store itself; choose a name that does not start with $"
            ))
            .with("field", "stream"));
        }
        self.check_stream(stream)
    }

    /// The query for those of its events that lie in its streams.
    pub(crate) fn narrowed(&self, query: Query) -> Query {
        let Some(prefixes) = &self.prefixes else { return query };
        let items = if query.items.is_empty() { vec![QueryItem::default()] } else { query.items };
        let both = |item: &QueryItem, prefix: &String| -> Option<QueryItem> {
            let wanted = item.prefix.as_deref().unwrap_or_default();
            let longer = match (wanted.starts_with(prefix.as_str()), prefix.starts_with(wanted)) {
                (true, _) => wanted.to_owned(),
                (false, true) => prefix.clone(),
                (false, false) => return None,
            };
            Some(QueryItem { prefix: Some(longer), ..item.clone() })
        };
        let mut narrowed: Vec<QueryItem> = items
            .iter()
            .flat_map(|item| prefixes.iter().filter_map(move |prefix| both(item, prefix)))
            .collect();
        if narrowed.is_empty() {
            // A query without items would match everything; no stream is called like this.
            narrowed.push(QueryItem { streams: vec![String::new()], ..QueryItem::default() });
        }
        Query { items: narrowed }
    }

    /// What tells answers to it from answers to others to the same request.
    pub(crate) fn mark(&self) -> String {
        let Some(prefixes) = &self.prefixes else { return String::new() };
        let joined: Vec<String> =
            prefixes.iter().map(|prefix| format!("{}:{prefix}", prefix.len())).collect();
        let hash = String::from(Hash::of(&joined.concat()));
        format!("-{}", &hash[..16])
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Access, Problem> {
        // Without it nothing may be done: a route that was not guarded stays shut.
        let missing = || Problem::new(problem::INTERNAL, "nobody has said what the request may do");
        parts.extensions.get::<Access>().cloned().ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes_of(query: &Query) -> Vec<&str> {
        query.items.iter().filter_map(|item| item.prefix.as_deref()).collect()
    }

    fn with_prefix(prefix: &str) -> QueryItem {
        QueryItem { prefix: Some(prefix.to_owned()), ..QueryItem::default() }
    }

    #[test]
    fn every_part_of_a_query_is_narrowed_to_the_streams_of_the_token() {
        let access = Access::of(&[Scope::Read], &["order-".to_owned(), "cart-".to_owned()]);
        assert_eq!(prefixes_of(&access.narrowed(Query::all())), ["order-", "cart-"]);
        assert_eq!(prefixes_of(&access.narrowed(with_prefix("order-1").into())), ["order-1"]);
        assert_eq!(prefixes_of(&access.narrowed(with_prefix("or").into())), ["order-"]);
        let items = vec![with_prefix("order-7"), QueryItem { types: vec!["t".into()], ..with_prefix("c") }];
        let narrowed = access.narrowed(Query { items });
        assert_eq!(prefixes_of(&narrowed), ["order-7", "cart-"]);
        assert_eq!(narrowed.items[1].types, ["t"]);
    }

    #[test]
    fn a_query_for_streams_that_are_not_those_of_the_token_matches_nothing() {
        let access = Access::of(&[Scope::Read], &["order-".to_owned()]);
        let narrowed = access.narrowed(with_prefix("cart-").into());
        assert!(!narrowed.matches_all());
        assert_eq!(narrowed.items[0].streams, [""]);
    }

    #[test]
    fn a_token_without_prefixes_is_good_for_every_stream() {
        let access = Access::of(&[Scope::Read], &[]);
        assert!(access.sees("anything") && access.mark().is_empty());
        assert_eq!(access.narrowed(Query::all()), Query::all());
        assert!(access.check(Scope::Append).is_err());
    }
}
