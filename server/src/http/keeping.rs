//! What is kept and for how long: settings and deletion of a stream, scavenges, backups.
//!
//! All of it asks for the scope admin: what is deleted is gone.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annals::{NAME_BYTES_MAX, Scavenge, StreamName, StreamSettings, StreamVersion};
use axum::Router;
use axum::extract::{FromRequest, FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{post, put};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing::info;

use super::access::{Access, Scope};
use super::answer::{self, etag};
use super::app::{App, StreamPath, params_of};
use super::body::{BodyLimit, read_whole, require_json};
use super::condition::Condition;
use super::paths;
use super::problem::Problem;
use super::read::stream_info;

/// The longest body of these requests: a handful of numbers and names.
const BODY_BYTES_MAX: u64 = 64 << 10;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route(paths::STREAM_METADATA, put(set).get(show))
        .route(paths::SCAVENGE, post(scavenge))
        .route(paths::BACKUP, post(back_up))
}

/// The settings of a stream. What is not said is no limit.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Settings {
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    truncate_before: Option<u64>,
}

impl From<StreamSettings> for Settings {
    fn from(settings: StreamSettings) -> Settings {
        Settings {
            max_age: settings.max_age.map(|age| age.as_secs()),
            max_count: settings.max_count,
            truncate_before: settings.truncate_before.map(StreamVersion::get),
        }
    }
}

impl From<Settings> for StreamSettings {
    fn from(settings: Settings) -> StreamSettings {
        StreamSettings {
            max_age: settings.max_age.map(Duration::from_secs),
            max_count: settings.max_count,
            truncate_before: settings.truncate_before.map(StreamVersion::new),
        }
    }
}

/// What whoever runs the store asks for: a JSON object of this shape, and no parameters.
struct Wanted<T>(T);

impl<T: for<'de> Deserialize<'de>> FromRequest<Arc<App>> for Wanted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Wanted<T>, Problem> {
        let (mut head, body) = request.into_parts();
        Access::from_request_parts(&mut head, app).await?.check(Scope::Admin)?;
        params_of(&head.uri, &[])?;
        require_json(&head.headers)?;
        let limit = BodyLimit { name: "adminBytesMax", bytes_max: BODY_BYTES_MAX };
        let body = read_whole(app, &head.headers, body, limit).await?;
        let told = |error: serde_json::Error| Problem::invalid(format!("the body: {error}"));
        // A list would do for a struct, too, and mean its fields in their order.
        let object: Map<String, Value> = serde_json::from_slice(body.bytes()).map_err(told)?;
        Ok(Wanted(T::deserialize(Value::Object(object)).map_err(told)?))
    }
}

async fn set(
    State(app): State<Arc<App>>,
    stream: StreamPath,
    Wanted(settings): Wanted<Settings>,
) -> Result<Response, Problem> {
    let stream = stream.writable()?;
    let name = stream.clone();
    let settings = StreamSettings::from(settings);
    app.blocking(move |app| Ok(app.store.set_stream(&name, settings)?)).await?;
    Ok(answer::json(StatusCode::OK, &told(&stream, settings)))
}

async fn show(
    State(app): State<Arc<App>>,
    StreamPath(stream): StreamPath,
    uri: Uri,
) -> Result<Response, Problem> {
    app.asked(&uri, &[])?;
    let settings = app.blocking(move |app| {
        let settings = app.store.stream_settings(&stream)?;
        // A stream may have settings before it has an event.
        if settings == StreamSettings::default() {
            stream_info(app, &stream)?;
        }
        Ok(told(&stream, settings))
    });
    Ok(answer::json(StatusCode::OK, &settings.await?))
}

/// The settings of a stream, with its name.
fn told(stream: &StreamName, settings: StreamSettings) -> Value {
    let mut answer = json!(Settings::from(settings));
    answer["stream"] = stream.as_str().into();
    answer
}

/// Deletes a stream: the next append makes it again, unless it is for ever.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    stream: StreamPath,
    access: Access,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    access.check(Scope::Admin)?;
    let stream = stream.writable()?;
    let params = params_of(&uri, &[&["hard", "expectedVersion"]])?;
    let is_hard = params.flag("hard")?;
    let condition = Condition::parse(&headers, params.one("expectedVersion")?)?;
    let (asked, name) = (condition.clone(), stream.clone());
    let deleted = app.blocking(move |app| {
        stream_info(app, &name)?;
        let expected = asked.resolve(&app.store, &name, false)?;
        Ok(match is_hard {
            true => app.store.delete_stream_for_ever(&name, expected)?,
            false => app.store.delete_stream(&name, expected)?,
        })
    });
    let version = deleted.await.map_err(|problem| condition.refusal(problem))?;
    let deleted = if is_hard { "hard" } else { "soft" };
    let answer = json!({"stream": stream.as_str(), "version": version, "deleted": deleted});
    let mut response = answer::json(StatusCode::OK, &answer);
    response.headers_mut().insert(axum::http::header::ETAG, etag(version));
    Ok(response)
}

/// What a scavenge is to do.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScavengeRequest {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    everything: bool,
}

async fn scavenge(
    State(app): State<Arc<App>>,
    Wanted(wanted): Wanted<ScavengeRequest>,
) -> Result<Response, Problem> {
    let scavenge = Scavenge::new().dry_run(wanted.dry_run).everything(wanted.everything);
    let report = app.blocking(move |app| Ok(app.store.scavenge(&scavenge)?)).await?;
    let (rewritten, removed) = (report.rewritten, report.removed);
    info!(dry_run = wanted.dry_run, rewritten, removed, "a scavenge has ended");
    let damaged: Vec<String> =
        report.damaged.iter().map(|error| Problem::from(error.clone()).detail().to_owned()).collect();
    let answer = json!({
        "dryRun": wanted.dry_run,
        "segments": report.segments,
        "rewritten": report.rewritten,
        "removed": report.removed,
        "bytesBefore": report.bytes_before,
        "bytesAfter": report.bytes_after,
        "damaged": damaged,
        "finished": report.is_finished,
    });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// Where a backup goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    /// A directory below the one that is configured.
    name: String,
}

async fn back_up(
    State(app): State<Arc<App>>,
    Wanted(wanted): Wanted<BackupRequest>,
) -> Result<Response, Problem> {
    let Some(dir) = &app.config.backups else {
        return Err(Problem::invalid(
            "this server has no directory for backups; set `backups` in `[http]` of annals.toml, or run `annals backup`",
        ));
    };
    let out = below(dir, &wanted.name)?;
    let report = app.blocking(move |app| Ok(app.store.back_up(&out)?)).await?;
    let answer = json!({
        "name": wanted.name,
        "position": report.position,
        "segments": report.segments,
        "copied": report.copied,
        "bytes": report.bytes,
    });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// The directory of this name below another one, and nowhere else.
fn below(dir: &Path, name: &str) -> Result<PathBuf, Problem> {
    let mut parts = Path::new(name).components();
    let is_short = name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) if part == name && is_short => Ok(dir.join(name)),
        _ => Err(Problem::invalid(
            "`name` is the name of one directory: 1 to 255 bytes without `/` and control characters, and not `..`",
        )
            .with("field", "name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_goes_below_its_directory_and_nowhere_else() {
        let dir = Path::new("backups");
        assert_eq!(below(dir, "monday").expect("a name"), Path::new("backups/monday"));
        for name in ["", ".", "..", "/etc", "../up", "a/b", "a/", "./a", "a\0b", "a\n", &"x".repeat(256)] {
            assert!(below(dir, name).is_err(), "{name:?}");
        }
    }
}
