//! Reading: requests, the cursor that answers them, and what is known of a stream.

mod cursor;
mod events;
mod reader;
mod request;
mod selected;
mod stream_info;

pub use events::Events;
pub(crate) use events::Step;
pub(crate) use reader::Reader;
pub use request::{Direction, Read};
pub use stream_info::{StreamInfo, Streams};
