//! Every path of the server, in one place.

pub(crate) const EVENTS: &str = "/events";
/// A stream without a name; it has a route so that the answer can say so.
pub(crate) const EVENTS_EMPTY: &str = "/events/";
pub(crate) const EVENTS_STREAM: &str = "/events/{stream}";
pub(crate) const EVENTS_BY_ID: &str = "/events/by-id/{id}";
pub(crate) const EVENTS_REPLAY: &str = "/events/{stream}/replay";
pub(crate) const EVENTS_SNAPSHOT: &str = "/events/{stream}/snapshot";
pub(crate) const EVENTS_LIVE: &str = "/events/stream";
pub(crate) const TRANSACTIONS: &str = "/transactions";
pub(crate) const IMPORT: &str = "/import";
pub(crate) const STREAMS: &str = "/streams";
pub(crate) const STREAM: &str = "/streams/{stream}";
pub(crate) const STREAM_METADATA: &str = "/streams/{stream}/metadata";
/// What begins the paths of those who run the store.
pub(crate) const ADMIN: &str = "/admin/";
pub(crate) const SCAVENGE: &str = "/admin/scavenge";
pub(crate) const BACKUP: &str = "/admin/backup";
pub(crate) const VERIFY: &str = "/admin/verify";
pub(crate) const HEALTH_LIVE: &str = "/health/live";
pub(crate) const HEALTH_READY: &str = "/health/ready";
pub(crate) const LIMITS: &str = "/limits";
pub(crate) const METRICS: &str = "/metrics";
pub(crate) const VERSION: &str = "/version";
pub(crate) const OPENAPI: &str = "/openapi.json";
pub(crate) const DOCS: &str = "/docs";

/// All of them.
pub(crate) const ALL: [&str; 22] = [
    EVENTS,
    EVENTS_EMPTY,
    EVENTS_STREAM,
    EVENTS_BY_ID,
    EVENTS_REPLAY,
    EVENTS_SNAPSHOT,
    EVENTS_LIVE,
    TRANSACTIONS,
    IMPORT,
    STREAMS,
    STREAM,
    STREAM_METADATA,
    SCAVENGE,
    BACKUP,
    VERIFY,
    HEALTH_LIVE,
    HEALTH_READY,
    LIMITS,
    METRICS,
    VERSION,
    OPENAPI,
    DOCS,
];

/// Those that answer without a token.
pub(crate) const FOR_ALL: [&str; 2] = [HEALTH_LIVE, HEALTH_READY];

/// Those that answer whoever has a token, whatever it is good for.
pub(crate) const FOR_BEARERS: [&str; 4] = [LIMITS, VERSION, OPENAPI, DOCS];
