//! Events and requests as text: what HTTP bodies, query strings and the files of `import` and `export` have in common.
//!
//! Pure: no sockets, files or threads. Every check of something a client wrote is made here, once, and its error
//! names the line and the field.

mod body;
mod cloud;
mod error;
mod event;
#[cfg(feature = "testkit")]
pub(crate) mod fuzz;
mod params;
mod query;
mod text;
mod transaction;
mod verified;
mod write;

pub(crate) use body::{BodyKind, Sent, parse_events};
pub(crate) use cloud::{cloud_attributes, cloud_body, decode_value, encode_value, write_cloud_event};
pub(crate) use error::WireError;
pub(crate) use event::{Purpose, WireEvent, parse_event};
pub(crate) use params::{Params, is_near};
pub(crate) use query::{
    EVENT_PARAMS, LIVE_PARAMS, QUERY_PARAMS, STREAM_PARAMS, parse_after, parse_direction, parse_query,
    parse_read,
};
pub(crate) use transaction::{Condition, Transaction, parse_transaction};
pub(crate) use verified::{FaultLine, NoteLine, Progress, Verified, VerifyLine};
pub(crate) use write::{EventWriter, Form, write_data, write_number, write_snapshot_fields, write_text};
