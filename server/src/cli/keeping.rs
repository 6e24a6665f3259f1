//! The settings that say how long a store keeps what: flags before environment before `annals.toml`.

use std::time::Duration;

use annals::{Options, Retention};

use super::duration::parse_duration;

/// The heading of the flags.
const KEPT: &str = "How long events are kept, for commands that write";

/// The flags, with their part of the environment.
#[derive(Debug, clap::Args)]
pub(crate) struct KeepingArgs {
    /// Drop the oldest segments once they are older than this before the newest event, such as 90d [default: never]
    #[arg(
        long,
        global = true,
        help_heading = KEPT,
        value_name = "DURATION",
        env = "ANNALS_RETENTION_AGE",
        value_parser = parse_duration
    )]
    retention_age: Option<Duration>,
    /// Drop the oldest segments while the log has more bytes than this [default: never]
    #[arg(long, global = true, help_heading = KEPT, value_name = "BYTES", env = "ANNALS_RETENTION_BYTES")]
    retention_bytes: Option<u64>,
    /// How long the key of an append is known again [default: 24h]
    #[arg(
        long,
        global = true,
        help_heading = KEPT,
        value_name = "DURATION",
        env = "ANNALS_IDEMPOTENCY_WINDOW",
        value_parser = parse_duration
    )]
    idempotency_window: Option<Duration>,
}

/// What holds for one run, or what `annals.toml` says of it; what nobody gave is the library's default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Keeping {
    pub(crate) retention: Retention,
    pub(crate) idempotency_window: Option<Duration>,
}

impl KeepingArgs {
    /// What holds with these flags, where `file` holds without.
    pub(crate) fn or(self, file: Keeping) -> Keeping {
        let retention = Retention {
            max_age: self.retention_age.or(file.retention.max_age),
            max_bytes: self.retention_bytes.or(file.retention.max_bytes),
        };
        Keeping { retention, idempotency_window: self.idempotency_window.or(file.idempotency_window) }
    }
}

impl Keeping {
    /// The options with these settings.
    pub(crate) fn apply(self, options: Options) -> Options {
        let options = options.retention(self.retention);
        match self.idempotency_window {
            Some(window) => options.idempotency_window(window),
            None => options,
        }
    }
}
