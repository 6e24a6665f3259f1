//! The table of operations: what each route takes, gives and refuses. What parameters and headers mean lies in `parameters`.

use super::super::paths;
use super::super::problem::{self as no, Kind};
use super::parameters::{IF_MATCH, IF_NONE_MATCH, IF_NONE_MATCH_APPEND, KEY, LAST_EVENT_ID, Parameter};
use crate::wire::{EVENT_PARAMS, LIVE_PARAMS, QUERY_PARAMS, STREAM_PARAMS};

/// One method of one route.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) does: &'static str,
    /// Its parameters, beside those of the path.
    pub(super) asks: &'static [&'static [&'static str]],
    /// The headers that mean something to it, and what.
    pub(super) heeds: &'static [Parameter],
    pub(super) takes: Takes,
    pub(super) gives: &'static [(u16, Gives)],
    /// Problems beside those that every route may have.
    pub(super) refuses: &'static [&'static Kind],
}

/// What is sent.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    /// Events in any form.
    Events,
    /// Events of any number.
    Lines,
    Transaction,
    /// A state, as any JSON.
    State,
    /// JSON of a schema.
    Schema(&'static str),
}

/// What is answered.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    Nothing,
    /// What the client has still holds.
    Unchanged,
    /// JSON of a schema.
    Schema(&'static str),
    /// Events in any form.
    Events,
    Replay,
    Live,
    Progress,
    Verified,
    Numbers,
    Page,
}

const HISTORY: &[&str] = &["history"];
/// What an append can be refused for.
const OF_APPENDS: &[&Kind] = &[
    no::GONE,
    no::KEY_REUSED,
    no::DIFFERS,
    no::TOO_LARGE,
    no::TOO_SLOW,
    no::MEDIA_TYPE,
    no::NO_SPACE,
    no::FAILED,
    no::READ_ONLY,
];

const BASE: Operation = Operation {
    method: "get",
    path: "",
    name: "",
    does: "",
    asks: &[],
    heeds: &[],
    takes: Takes::Nothing,
    gives: &[],
    refuses: &[],
};

/// All of them, in the order of the paths.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        path: paths::EVENTS,
        name: "readAll",
        does: "Read all events in the order of their positions. Any other parameter is a criterion for tags and metadata",
        asks: &[QUERY_PARAMS, EVENT_PARAMS],
        heeds: &[IF_NONE_MATCH],
        gives: &[(200, Gives::Events), (304, Gives::Unchanged)],
        refuses: &[no::HISTORY, no::NOT_ACCEPTABLE, no::EVENT_NOT_FOUND, no::DAMAGED],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::EVENTS,
        name: "publish",
        does: "Publish events, each to the stream that it names or its type begins with",
        heeds: &[KEY],
        takes: Takes::Events,
        gives: &[(202, Gives::Schema("Published"))],
        refuses: OF_APPENDS,
        ..BASE
    },
    Operation {
        path: paths::EVENTS_STREAM,
        name: "readStream",
        does: "Read a stream",
        asks: &[QUERY_PARAMS, STREAM_PARAMS, EVENT_PARAMS],
        heeds: &[IF_NONE_MATCH],
        gives: &[(200, Gives::Events), (304, Gives::Unchanged)],
        refuses: &[no::STREAM_NOT_FOUND, no::GONE, no::HISTORY, no::NOT_ACCEPTABLE, no::EVENT_NOT_FOUND],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::EVENTS_STREAM,
        name: "append",
        does: "Append events to a stream, all or none",
        asks: &[&["expectedVersion"]],
        heeds: &[IF_MATCH, IF_NONE_MATCH_APPEND, KEY],
        takes: Takes::Events,
        gives: &[(201, Gives::Schema("Appended"))],
        refuses: &[
            no::CONFLICT,
            no::PRECONDITION,
            no::GONE,
            no::KEY_REUSED,
            no::DIFFERS,
            no::TOO_LARGE,
            no::TOO_SLOW,
            no::MEDIA_TYPE,
            no::NO_SPACE,
            no::FAILED,
            no::READ_ONLY,
        ],
    },
    Operation {
        path: paths::EVENTS_REPLAY,
        name: "replay",
        does: "Replay a stream from its first event or its newest snapshot",
        asks: &[STREAM_PARAMS, &["asOf", "snapshot"], HISTORY],
        gives: &[(200, Gives::Replay)],
        refuses: &[no::STREAM_NOT_FOUND, no::GONE, no::HISTORY, no::NOT_ACCEPTABLE],
        ..BASE
    },
    Operation {
        path: paths::EVENTS_SNAPSHOT,
        name: "newestSnapshot",
        does: "The newest usable snapshot of a stream",
        asks: &[HISTORY],
        gives: &[(200, Gives::Schema("Snapshot"))],
        refuses: &[no::SNAPSHOT_NOT_FOUND, no::HISTORY],
        ..BASE
    },
    Operation {
        method: "put",
        path: paths::EVENTS_SNAPSHOT,
        name: "saveSnapshot",
        does: "Save the state of a stream at a version",
        asks: &[&["version"]],
        takes: Takes::State,
        gives: &[(200, Gives::Schema("SavedSnapshot"))],
        refuses: &[no::CONFLICT, no::TOO_LARGE, no::TOO_SLOW, no::MEDIA_TYPE],
        ..BASE
    },
    Operation {
        method: "delete",
        path: paths::EVENTS_SNAPSHOT,
        name: "dropSnapshots",
        does: "Drop the snapshots of a stream",
        gives: &[(204, Gives::Nothing)],
        ..BASE
    },
    Operation {
        path: paths::EVENTS_BY_ID,
        name: "readById",
        does: "The events with an id; several streams may each have one",
        asks: &[&["after", "limit", "cloudEvents"], HISTORY],
        gives: &[(200, Gives::Events)],
        refuses: &[no::EVENT_NOT_FOUND, no::HISTORY, no::NOT_ACCEPTABLE],
        ..BASE
    },
    Operation {
        path: paths::EVENTS_LIVE,
        name: "follow",
        does: "Follow events: what is there, then what comes. Any other parameter is a criterion for tags and metadata",
        asks: &[QUERY_PARAMS, LIVE_PARAMS],
        heeds: &[LAST_EVENT_ID],
        gives: &[(200, Gives::Live)],
        refuses: &[no::HISTORY, no::NOT_ACCEPTABLE, no::BUSY],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::TRANSACTIONS,
        name: "transact",
        does: "Append to several streams, all or none",
        heeds: &[KEY],
        takes: Takes::Transaction,
        gives: &[(201, Gives::Schema("TransactionReceipt"))],
        refuses: &[
            no::CONFLICT,
            no::MATCHED,
            no::GONE,
            no::KEY_REUSED,
            no::DIFFERS,
            no::TOO_LARGE,
            no::TOO_SLOW,
            no::MEDIA_TYPE,
            no::NO_SPACE,
            no::FAILED,
            no::READ_ONLY,
        ],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::IMPORT,
        name: "importEvents",
        does: "Import events of any number, in batches; what is there already is not written again",
        takes: Takes::Lines,
        gives: &[(200, Gives::Progress)],
        refuses: &[no::MEDIA_TYPE],
        ..BASE
    },
    Operation {
        path: paths::STREAMS,
        name: "listStreams",
        does: "The streams, in the order of their first events",
        asks: &[&["prefix", "category", "after", "limit"], HISTORY],
        gives: &[(200, Gives::Schema("Streams"))],
        refuses: &[no::HISTORY],
        ..BASE
    },
    Operation {
        path: paths::STREAM,
        name: "showStream",
        does: "What is known of a stream",
        asks: &[HISTORY],
        gives: &[(200, Gives::Schema("Stream"))],
        refuses: &[no::STREAM_NOT_FOUND, no::HISTORY],
        ..BASE
    },
    Operation {
        method: "delete",
        path: paths::STREAM,
        name: "deleteStream",
        does: "Delete a stream; the next append makes it again, unless `hard` is true. For the scope admin",
        asks: &[&["hard", "expectedVersion"]],
        heeds: &[IF_MATCH],
        gives: &[(200, Gives::Schema("Deleted"))],
        refuses: &[
            no::STREAM_NOT_FOUND,
            no::CONFLICT,
            no::GONE,
            no::PRECONDITION,
            no::NO_SPACE,
            no::FAILED,
            no::READ_ONLY,
        ],
        ..BASE
    },
    Operation {
        path: paths::STREAM_METADATA,
        name: "showSettings",
        does: "Which events of a stream are shown",
        asks: &[HISTORY],
        gives: &[(200, Gives::Schema("SettingsOfStream"))],
        refuses: &[no::STREAM_NOT_FOUND, no::HISTORY],
        ..BASE
    },
    Operation {
        method: "put",
        path: paths::STREAM_METADATA,
        name: "setStream",
        does: "Set which events of a stream are shown, in place of what was set before. For the scope admin",
        takes: Takes::Schema("Settings"),
        gives: &[(200, Gives::Schema("SettingsOfStream"))],
        refuses: &[
            no::GONE,
            no::TOO_LARGE,
            no::TOO_SLOW,
            no::MEDIA_TYPE,
            no::NO_SPACE,
            no::FAILED,
            no::READ_ONLY,
        ],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::SCAVENGE,
        name: "scavenge",
        does: "Give the space back of events that are no longer shown. Answers when it is done. For the scope admin",
        takes: Takes::Schema("Scavenge"),
        gives: &[(200, Gives::Schema("Scavenged"))],
        refuses: &[no::TOO_LARGE, no::TOO_SLOW, no::MEDIA_TYPE, no::NO_SPACE, no::READ_ONLY],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::BACKUP,
        name: "backUp",
        does: "Make a backup below the configured directory, or bring one up to date. For the scope admin",
        takes: Takes::Schema("Backup"),
        gives: &[(200, Gives::Schema("BackedUp"))],
        refuses: &[no::TOO_LARGE, no::TOO_SLOW, no::MEDIA_TYPE, no::DAMAGED, no::NO_SPACE],
        ..BASE
    },
    Operation {
        method: "post",
        path: paths::VERIFY,
        name: "verify",
        does: "Read every byte of the store and tell what is wrong, as JSON when it is done, or as lines that tell how far it is. \
               For the scope admin",
        asks: &[&["deep"]],
        gives: &[(200, Gives::Verified)],
        refuses: &[no::BUSY, no::NOT_ACCEPTABLE],
        ..BASE
    },
    Operation {
        path: paths::HEALTH_LIVE,
        name: "isLive",
        does: "Whether the process answers; needs no token",
        gives: &[(200, Gives::Schema("Health"))],
        ..BASE
    },
    Operation {
        path: paths::HEALTH_READY,
        name: "isReady",
        does: "Whether appends are taken; needs no token",
        gives: &[(200, Gives::Schema("Health")), (503, Gives::Schema("Health"))],
        ..BASE
    },
    Operation {
        path: paths::LIMITS,
        name: "showLimits",
        does: "Every limit",
        gives: &[(200, Gives::Schema("Limits"))],
        ..BASE
    },
    Operation {
        path: paths::METRICS,
        name: "showMetrics",
        does: "Numbers for Prometheus",
        gives: &[(200, Gives::Numbers)],
        ..BASE
    },
    Operation {
        path: paths::VERSION,
        name: "showVersion",
        does: "The version of the server and the history of its store",
        gives: &[(200, Gives::Schema("Version"))],
        ..BASE
    },
    Operation {
        path: paths::OPENAPI,
        name: "showDocument",
        does: "This document",
        gives: &[(200, Gives::Schema("Document"))],
        refuses: &[no::NOT_FOUND, no::METHOD],
        ..BASE
    },
    Operation {
        path: paths::DOCS,
        name: "showPage",
        does: "This document for people",
        gives: &[(200, Gives::Page)],
        ..BASE
    },
];
