//! The configuration file, and the part of the environment that stands for its table `[http]`.
//!
//! A key that the file should not have is refused by name: a misspelt setting never passes for a default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use annals::Retention;
use serde::Deserialize;
use toml::{Table, Value};

use super::duration::Written;
use super::failure::Failure;
use super::keeping::Keeping;
use super::log::LogFormat;
use crate::http::HttpConfig;
use crate::wire::is_near;

/// What begins the names of variables that stand for keys of `[http]`: `ANNALS_HTTP_HEARTBEAT_MS`.
const VARIABLE: &str = "ANNALS_HTTP_";

/// The keys of the file, but for those of its tables.
const KEYS: [&str; 10] = [
    "data",
    "listen",
    "log",
    "log_format",
    "segment_bytes",
    "memory_bytes",
    "retention_age",
    "retention_bytes",
    "idempotency_window",
    "http",
];

/// What `annals.toml` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) data: Option<PathBuf>,
    pub(super) listen: Option<String>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) segment_bytes: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) retention_age: Option<Written>,
    pub(super) retention_bytes: Option<u64>,
    pub(super) idempotency_window: Option<Written>,
    #[serde(default)]
    pub(super) http: HttpConfig,
}

impl File {
    /// How long things are kept.
    pub(super) fn keeping(&self) -> Keeping {
        let length = |written: Option<Written>| written.map(|Written(duration)| duration);
        let retention = Retention { max_age: length(self.retention_age), max_bytes: self.retention_bytes };
        Keeping { retention, idempotency_window: length(self.idempotency_window) }
    }
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    File(PathBuf),
}

/// What was read, and where each key of it stood: `listen`, or `http.heartbeat_ms`.
#[derive(Debug, Default)]
pub(super) struct Configured {
    pub(super) file: File,
    pub(super) origins: BTreeMap<String, Origin>,
}

impl Configured {
    /// Reads a file, which may be missing unless it was asked for, and what `environment` has to say of `[http]`.
    pub(super) fn read(
        path: &Path,
        must_exist: bool,
        environment: impl Iterator<Item = (String, OsString)>,
    ) -> Result<Configured, Failure> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => String::new(),
            Err(error) => return Err(Failure::Usage(format!("cannot read {}: {error}", path.display()))),
        };
        let wrong = |what: &str| Failure::Usage(format!("{}: {}", path.display(), what.trim_end()));
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| wrong(&error.to_string()))?;
        check(&table).map_err(|what| wrong(&what))?;
        // The text itself, so that what is wrong is shown with its line.
        let mut file: File = toml::from_str(&text).map_err(|error| wrong(&error.to_string()))?;

        let http = table.get("http").and_then(Value::as_table);
        let of_http = http.into_iter().flat_map(Table::keys).map(|key| format!("http.{key}"));
        let keys = table.keys().filter(|key| *key != "http").cloned().chain(of_http);
        let mut origins: BTreeMap<_, _> = keys.map(|key| (key, Origin::File(path.to_owned()))).collect();
        let given: BTreeMap<String, OsString> =
            environment.filter(|(name, _)| name.starts_with(VARIABLE)).collect();
        for (name, text) in given {
            let text = text.into_string().map_err(|_| Failure::Usage(format!("{name}: is not UTF-8")))?;
            let key = name[VARIABLE.len()..].to_ascii_lowercase();
            let wrong = |what: &str| Failure::Usage(format!("{name}: {}", what.trim_end()));
            check_name(&key, &HttpConfig::KEYS).map_err(|what| wrong(&what))?;
            let http = table.entry("http").or_insert_with(|| Value::Table(Table::new()));
            if let Some(http) = http.as_table_mut() {
                http.insert(key.clone(), value_of(&text));
            }
            file.http =
                HttpConfig::deserialize(table["http"].clone()).map_err(|error| wrong(&error.to_string()))?;
            origins.insert(format!("http.{key}"), Origin::Environment(name));
        }
        Ok(Configured { file, origins })
    }
}

/// A value as TOML has it, or a text without its quotes.
fn value_of(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| text.into())
}

/// Refuses keys that nobody knows.
fn check(table: &Table) -> Result<(), String> {
    table.keys().try_for_each(|key| check_name(key, &KEYS))?;
    let http = table.get("http").and_then(Value::as_table);
    http.into_iter()
        .flat_map(Table::keys)
        .try_for_each(|key| check_name(key, &HttpConfig::KEYS).map_err(|what| format!("in `[http]`, {what}")))
}

fn check_name(name: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&name) {
        return Ok(());
    }
    Err(match known.iter().find(|known| is_near(name, known)) {
        Some(meant) => format!("`{name}` is no setting; `{meant}` is"),
        None => format!("`{name}` is no setting; these are: {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &[(&str, &str)]) -> Result<Configured, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("annals.toml");
        std::fs::write(&path, text).expect("a file is written");
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
        Configured::read(&path, true, environment).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_key_that_nobody_knows_is_refused_with_the_one_that_is_meant() {
        let refused = |text: &str| read(text, &[]).expect_err(text);
        assert!(refused("lisen = \"127.0.0.1:1\"").contains("`lisen` is no setting; `listen` is"));
        assert!(
            refused("[http]\nheartbeatms = 1")
                .contains("in `[http]`, `heartbeatms` is no setting; `heartbeat_ms` is")
        );
        assert!(refused("colour = 1").contains("these are: data, listen,"));
        let misspelt = read("", &[("ANNALS_HTTP_HARTBEAT_MS", "1")]).expect_err("is misspelt");
        assert!(misspelt.contains("ANNALS_HTTP_HARTBEAT_MS: `hartbeat_ms` is no setting; `heartbeat_ms` is"));
    }

    #[test]
    fn a_length_of_time_without_a_unit_is_refused_with_its_key() {
        let error = toml::from_str::<File>("retention_age = \"30\"").expect_err("has no unit");
        assert!(error.to_string().contains("retention_age") && error.to_string().contains("30d"), "{error}");
        let file: File =
            toml::from_str("retention_age = \"30d\"\nidempotency_window = \"2h\"").expect("legal");
        let keeping = file.keeping();
        assert_eq!(keeping.retention.max_age.map(|age| age.as_secs()), Some(30 * 86_400));
        assert_eq!(keeping.idempotency_window.map(|window| window.as_secs()), Some(7200));
    }

    #[test]
    fn every_key_of_the_file_is_optional() {
        let file: File = toml::from_str("segment_bytes = 65536\nmemory_bytes = 16777216").expect("legal");
        assert_eq!((file.data, file.listen), (None, None));
        assert_eq!((file.segment_bytes, file.memory_bytes), (Some(65536), Some(16 << 20)));
    }

    #[test]
    fn the_environment_comes_before_the_file_and_each_key_knows_where_it_stood() {
        let environment = [
            ("ANNALS_HTTP_HEARTBEAT_MS", "7"),
            ("ANNALS_HTTP_HOSTS", "[\"a.test\"]"),
            ("ANNALS_HTTP_BACKUPS", "where they are"),
            ("ANNALS_DATA", "is clap's"),
        ];
        let Configured { file, origins } =
            read("log = \"warn\"\n[http]\nheartbeat_ms = 5\nconnections_max = 9", &environment)
                .expect("legal");
        assert_eq!(file.http.heartbeat, std::time::Duration::from_millis(7));
        assert_eq!((file.http.connections_max, file.http.hosts), (9, vec!["a.test".to_owned()]));
        assert_eq!(file.http.backups, Some("where they are".into()));
        assert!(
            matches!(origins["log"], Origin::File(_))
                && matches!(origins["http.connections_max"], Origin::File(_))
        );
        let variable = Origin::Environment("ANNALS_HTTP_HEARTBEAT_MS".to_owned());
        assert_eq!(origins["http.heartbeat_ms"], variable);
        assert_eq!(origins.len(), 5);
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_name() {
        let refused = read("", &[("ANNALS_HTTP_CONNECTIONS_MAX", "many")]).expect_err("is no number");
        assert!(refused.starts_with("ANNALS_HTTP_CONNECTIONS_MAX: "), "{refused}");
        assert!(
            read("[http]\nheartbeat_ms = \"long\"", &[]).expect_err("is no number").contains("heartbeat_ms")
        );
    }
}
