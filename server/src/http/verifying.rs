//! `POST /admin/verify`: reads every byte of the store, beside everything else that the server does.
//!
//! One at a time: each reads the whole log, and takes what the disk has from others.

use std::sync::Arc;

use annals::{Error, OpenError, VerifyReport};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;

use super::access::{Access, Scope};
use super::answer;
use super::app::{App, params_of};
use super::paths;
use super::problem::{self, Problem, file_name};
use crate::wire::Verified;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new().route(paths::VERIFY, post(verify))
}

async fn verify(State(app): State<Arc<App>>, access: Access, uri: Uri) -> Result<Response, Problem> {
    access.check(Scope::Admin)?;
    let deep = params_of(&uri, &[&["deep"]])?.flag("deep")?;
    let Ok(turn) = Arc::clone(&app.verifying).try_acquire_owned() else {
        return Err(Problem::new(problem::BUSY, "the store is being verified; wait for that to end"));
    };
    let verified = app.blocking(move |app| {
        // It ends with the work, also when its client does not wait for it.
        let _turn = turn;
        let options = &app.to_read;
        let report = if deep { VerifyReport::deep(options) } else { VerifyReport::of(options) };
        Ok(Verified::new(&report.map_err(refused)?, deep, file_name))
    });
    Ok(answer::json(StatusCode::OK, &verified.await?))
}

fn refused(error: OpenError) -> Problem {
    match error {
        OpenError::Store(error) => Problem::from(error),
        other => Problem::from(Error::Invalid { what: other.to_string() }),
    }
}
