//! What a server tells of what happens in it: lines on standard error, as text or as JSON, chosen by level and place.
//!
//! No line has a token, the value of a header, or data of an event in it.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::failure::Failure;

/// Everything that matters. A line for each request costs an append more than what is told by it is worth, and
/// [`/metrics`](crate::http) counts them: only those that the server failed are told.
pub(crate) const FILTER: &str = "info,annals::requests=error";

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

impl LogFormat {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// Begins to write lines. `filter` is a level, or levels by place: `warn,annals::requests=info`.
pub(crate) fn begin(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        let hint = "give a level (error, warn, info, debug, trace, off), or levels by place, such as \
                    warn,annals::requests=info";
        Failure::Usage(format!("`{filter}` is no choice of what is logged: {error}; {hint}"))
    };
    let chosen = EnvFilter::try_new(filter).map_err(|error| wrong(&error))?;
    let lines = tracing_subscriber::fmt().with_env_filter(chosen).with_writer(std::io::stderr);
    let begun = match format {
        LogFormat::Text => lines.with_ansi(false).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    begun.map_err(|error| wrong(&error))
}
