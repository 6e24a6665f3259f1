//! How to serve: every bound of the server, with its default, as the table `[http]` of `annals.toml` may set it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use annals::{Options, Source};
use serde::de::{Deserialize, Deserializer, Error as _, Unexpected};

use super::rate::Rate;
#[cfg(feature = "otlp")]
use super::spans::Spans;
use super::tls::{Tls, TlsFiles};
use super::token::Tokens;

/// The unit of the body budget: shares of it are counted in 32 bits, so bytes would end at 4 GiB.
pub(crate) const BUDGET_UNIT_BYTES: usize = 1024;

/// How to serve.
pub(crate) struct ServeConfig {
    /// The address it listens on. On a loopback address, requests for hosts of other names are refused.
    pub(crate) listen: SocketAddr,
    /// Where requests are told as spans, if anywhere.
    #[cfg(feature = "otlp")]
    pub(crate) spans: Option<Spans>,
    /// How the directory of the store is read beside it.
    pub(crate) to_read: Options,
    /// Everything else.
    pub(crate) http: HttpConfig,
    /// Who may do what. Without, nobody is asked, and everybody may do everything.
    pub(crate) tokens: Option<Tokens>,
    /// What it proves its name with. Without, it speaks no TLS.
    pub(crate) tls: Option<Tls>,
}

/// What the configuration file may say of the server. A time is in milliseconds there, and none is zero.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpConfig {
    /// Further names that clients on the same machine may call it by. Default: none but the loopback ones.
    pub(crate) hosts: Vec<String>,
    /// The file of tokens. Default: none, and nobody is asked for one.
    pub(crate) tokens: Option<PathBuf>,
    /// The files of the certificate. Default: none, and connections are in the clear.
    pub(crate) tls: Option<TlsFiles>,
    /// The directory below which `POST /admin/backup` makes backups. Default: none, and it is refused.
    pub(crate) backups: Option<PathBuf>,
    /// The origins whose web pages may read and write, such as `https://app.example`; `*` is every origin. Default: none.
    pub(crate) cors_origins: Vec<String>,
    /// The connections open at one time; further ones wait to be accepted. Default: 4096.
    #[serde(deserialize_with = "count")]
    pub(crate) connections_max: usize,
    /// The live streams among them; further ones are refused. Default: 2048.
    #[serde(deserialize_with = "count")]
    pub(crate) subscribers_max: usize,
    /// How much each client may ask in a second: each token, or each address without one. Default: as much as it likes.
    pub(crate) rate: Rate,
    /// How long a client may take to agree on TLS. Default: 10 s.
    #[serde(rename = "handshake_wait_ms_max", deserialize_with = "milliseconds")]
    pub(crate) handshake_wait_max: Duration,
    /// How long a client may take to send the head of a request, and be silent between two. Default: 30 s.
    #[serde(rename = "head_wait_ms_max", deserialize_with = "milliseconds")]
    pub(crate) head_wait_max: Duration,
    /// How long a body may pause before its request is given up. Default: 30 s.
    #[serde(rename = "body_wait_ms_max", deserialize_with = "milliseconds")]
    pub(crate) body_wait_max: Duration,
    /// The bytes a second that a body which is kept in memory has to come with, once it has taken as long as it may pause.
    /// Default: 64 KiB.
    #[serde(deserialize_with = "count")]
    pub(crate) body_bytes_per_second_min: usize,
    /// The bytes of request bodies held at one time; further requests wait. Default: 256 MiB.
    #[serde(deserialize_with = "count")]
    pub(crate) body_budget_bytes: usize,
    /// How long a client may take nothing of an answer before its connection is closed. Default: 60 s.
    #[serde(rename = "write_wait_ms_max", deserialize_with = "milliseconds")]
    pub(crate) write_wait_max: Duration,
    /// The silence after which a live stream says that it is alive. Default: 15 s.
    #[serde(rename = "heartbeat_ms", deserialize_with = "milliseconds")]
    pub(crate) heartbeat: Duration,
    /// The source of an event without one when it is written as a CloudEvent, which always has one. Default:
    /// `urn:annals:no-source`.
    #[serde(deserialize_with = "source")]
    pub(crate) cloud_events_source: Source,
    /// How long requests under way may take to end when the server stops. Default: 10 s.
    #[serde(rename = "stop_wait_ms_max", deserialize_with = "milliseconds")]
    pub(crate) stop_wait_max: Duration,
}

impl HttpConfig {
    /// The names of all of them, in the order in which they are shown.
    pub(crate) const KEYS: [&str; 17] = [
        "hosts",
        "tokens",
        "tls",
        "backups",
        "cors_origins",
        "connections_max",
        "subscribers_max",
        "rate",
        "handshake_wait_ms_max",
        "head_wait_ms_max",
        "body_wait_ms_max",
        "body_bytes_per_second_min",
        "body_budget_bytes",
        "write_wait_ms_max",
        "heartbeat_ms",
        "cloud_events_source",
        "stop_wait_ms_max",
    ];

    /// What holds, as TOML, in the order of [`HttpConfig::KEYS`]; none where nothing is set.
    pub(crate) fn shown(&self) -> [Option<String>; 17] {
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| quoted(path.display()));
        let list =
            |texts: &[String]| format!("[{}]", texts.iter().map(quoted).collect::<Vec<_>>().join(", "));
        let milliseconds = |time: Duration| Some(time.as_millis().to_string());
        let tls = |tls: &TlsFiles| {
            let (certificate, key) = (quoted(tls.certificate.display()), quoted(tls.key.display()));
            format!("{{ certificate = {certificate}, key = {key} }}")
        };
        [
            Some(list(&self.hosts)),
            file(&self.tokens),
            self.tls.as_ref().map(tls),
            file(&self.backups),
            Some(list(&self.cors_origins)),
            Some(self.connections_max.to_string()),
            Some(self.subscribers_max.to_string()),
            self.rate.shown(),
            milliseconds(self.handshake_wait_max),
            milliseconds(self.head_wait_max),
            milliseconds(self.body_wait_max),
            Some(self.body_bytes_per_second_min.to_string()),
            Some(self.body_budget_bytes.to_string()),
            milliseconds(self.write_wait_max),
            milliseconds(self.heartbeat),
            Some(quoted(self.cloud_events_source.as_str())),
            milliseconds(self.stop_wait_max),
        ]
    }

    /// The budget for bodies in units of [`BUDGET_UNIT_BYTES`], of which there is at least one.
    pub(crate) fn body_budget_units(&self) -> usize {
        self.body_budget_bytes.div_ceil(BUDGET_UNIT_BYTES)
    }
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            hosts: Vec::new(),
            tokens: None,
            tls: None,
            backups: None,
            cors_origins: Vec::new(),
            connections_max: 4096,
            subscribers_max: 2048,
            rate: Rate::default(),
            handshake_wait_max: Duration::from_secs(10),
            head_wait_max: Duration::from_secs(30),
            body_wait_max: Duration::from_secs(30),
            body_bytes_per_second_min: 64 << 10,
            body_budget_bytes: 256 << 20,
            write_wait_max: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            cloud_events_source: Source::parse("urn:annals:no-source").expect("is a legal name"),
            stop_wait_max: Duration::from_secs(10),
        }
    }
}

/// A text in TOML.
pub(crate) fn quoted(text: impl std::fmt::Display) -> String {
    serde_json::json!(text.to_string()).to_string()
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(D::Error::invalid_value(Unexpected::Unsigned(0), &"at least 1")),
        count => Ok(count),
    }
}

fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
    Source::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(D::Error::invalid_value(Unexpected::Unsigned(0), &"at least one millisecond")),
        milliseconds => Ok(Duration::from_millis(milliseconds.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same_and_nothing_is_missing() {
        let given = r#"
            hosts = ["a.test"]
            tokens = "t \"1\".toml"
            tls = { certificate = "c.pem", key = "k.pem" }
            rate = { requests_per_second_max = 7 }
            heartbeat_ms = 5
        "#;
        let config: HttpConfig = toml::from_str(given).expect("legal");
        let lines = HttpConfig::KEYS.iter().zip(config.shown());
        let shown: String = lines.filter_map(|(key, value)| Some(format!("{key} = {}\n", value?))).collect();
        let again: HttpConfig = toml::from_str(&shown).expect("legal");
        assert_eq!(format!("{config:?}"), format!("{again:?}"));
        let refused = toml::from_str::<HttpConfig>("none = 1").expect_err("is no key").to_string();
        assert!(HttpConfig::KEYS.iter().all(|key| refused.contains(&format!("`{key}`"))), "{refused}");
        assert_eq!(refused.matches("`").count(), 2 * (HttpConfig::KEYS.len() + 1), "{refused}");
    }

    #[test]
    fn what_is_not_given_is_as_always_and_zero_is_refused() {
        let config: HttpConfig = toml::from_str("heartbeat_ms = 5").expect("legal");
        assert_eq!(config.heartbeat, Duration::from_millis(5));
        assert_eq!(config.connections_max, 4096);
        for text in ["connections_max = 0", "heartbeat_ms = 0", "heartbeat_ms = -1", "heartbeat = 5"] {
            assert!(toml::from_str::<HttpConfig>(text).is_err(), "{text}");
        }
    }
}
