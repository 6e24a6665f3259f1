//! `annals serve --print-config`: every setting that holds, and where it comes from, as a file that says the same.
//!
//! There is no secret among them: tokens stand in a file of their own, as hashes, and of a key only the file is named.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::file::Origin;

/// The flags that stand for keys of the file: clap's name of each, the key, and the variable.
const FLAGS: [(&str, &str, &str); 11] = [
    ("dir", "data", "ANNALS_DATA"),
    ("listen", "listen", "ANNALS_LISTEN"),
    ("log", "log", "ANNALS_LOG"),
    ("log_format", "log_format", "ANNALS_LOG_FORMAT"),
    ("segment_bytes", "segment_bytes", "ANNALS_SEGMENT_BYTES"),
    ("memory_bytes", "memory_bytes", "ANNALS_MEMORY_BYTES"),
    ("retention_age", "retention_age", "ANNALS_RETENTION_AGE"),
    ("retention_bytes", "retention_bytes", "ANNALS_RETENTION_BYTES"),
    ("idempotency_window", "idempotency_window", "ANNALS_IDEMPOTENCY_WINDOW"),
    ("tokens", "http.tokens", "ANNALS_TOKENS"),
    ("tls_certificate", "http.tls", "ANNALS_TLS_CERTIFICATE"),
];

/// Where the settings stood that flags or the environment gave; `matches` are those of `serve`.
pub(crate) fn given(matches: &ArgMatches) -> BTreeMap<String, Origin> {
    let mut given = BTreeMap::new();
    for (id, key, variable) in FLAGS {
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment(variable.to_owned()),
            _ => continue,
        };
        given.insert(key.to_owned(), origin);
    }
    given
}

/// Settings, in the order in which they are printed: those of `[http]` last.
#[derive(Debug, Default)]
pub(crate) struct Effective(Vec<(String, Option<String>)>);

impl Effective {
    /// One more setting, as TOML; none when the default is that there is none.
    pub(crate) fn add(&mut self, key: impl Into<String>, value: Option<String>) {
        self.0.push((key.into(), value));
    }

    /// All of them as a file.
    pub(crate) fn to_toml(&self, origins: &BTreeMap<String, Origin>) -> String {
        let (mut out, mut in_http) = (String::new(), false);
        for (key, value) in &self.0 {
            let name = match key.strip_prefix("http.") {
                Some(name) => {
                    if !in_http {
                        out.push_str("\n[http]\n");
                        in_http = true;
                    }
                    name
                }
                None => key,
            };
            let setting = match value {
                Some(value) => format!("{name} = {value}"),
                None => format!("# {name}"),
            };
            let origin = match origins.get(key) {
                Some(Origin::Flag) => "flag".to_owned(),
                Some(Origin::Environment(variable)) => variable.clone(),
                Some(Origin::File(path)) => path.display().to_string(),
                None => "default".to_owned(),
            };
            writeln!(out, "{setting:48} # {origin}").expect("writing to memory does not fail");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_a_file_that_says_where_each_setting_comes_from() {
        let mut effective = Effective::default();
        effective.add("listen", Some("\"127.0.0.1:1\"".to_owned()));
        effective.add("retention_bytes", None);
        effective.add("http.heartbeat_ms", Some("7".to_owned()));
        let origins = [
            ("listen".to_owned(), Origin::Flag),
            ("http.heartbeat_ms".to_owned(), Origin::Environment("ANNALS_HTTP_HEARTBEAT_MS".to_owned())),
        ];
        let text = effective.to_toml(&origins.into());
        let table: toml::Table = text.parse().expect("is TOML");
        assert_eq!(
            (table["listen"].as_str(), table["http"]["heartbeat_ms"].as_integer()),
            (Some("127.0.0.1:1"), Some(7))
        );
        let ends =
            |line: &str, end: &str| text.lines().any(|found| found.starts_with(line) && found.ends_with(end));
        assert!(ends("listen = ", "# flag") && ends("# retention_bytes", "# default"), "{text}");
        assert!(ends("heartbeat_ms = 7", "# ANNALS_HTTP_HEARTBEAT_MS"), "{text}");
    }
}
