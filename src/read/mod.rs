//! Reading: requests, the cursor that answers them, events by their id, and what is known of a stream.

mod by_id;
mod cursor;
mod events;
mod reader;
mod request;
mod selected;
mod stream_info;

pub use by_id::EventsWithId;
pub use events::Events;
pub(crate) use events::{Aside, Step};
pub(crate) use reader::Reader;
pub use request::{Direction, Read};
pub use stream_info::{StreamInfo, Streams};
