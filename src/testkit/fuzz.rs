//! What may be given any bytes at all: one plain function for each decoder, for a whole directory and the tools that look
//! into one, and for the store.
//!
//! A target reads the bytes as what it stands for. It must not panic, must not allocate what a length in them wants
//! without looking, and what it could read must say the same when it is written and read again. A checksum stops
//! nearly every mutation, so decoders are also given the bytes with their checksums mended.
//!
//! [`Search`] mutates valid inputs on a stable compiler; the crate in `fuzz/` gives the same functions to libFuzzer.

mod bytes;
mod directory;
mod golden;
mod input;
mod log;
mod mutate;
mod operations;
mod runner;
mod text;
mod tools;

pub use bytes::{envelope, event, frame, index_entry, index_header, labels, segment_header, state};
pub use directory::open_directory;
pub use golden::seeds_in;
pub use log::crafted_log;
pub use operations::operations;
pub use runner::{Finding, Search, run_on};
pub use text::{data, metadata, names, timestamp};
pub use tools::{inspect_file, salvage_directory, verify_directory};

/// What may be given any bytes.
pub type Target = fn(&[u8]);

/// Every target and its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("segment_header", segment_header),
    ("frame", frame),
    ("event", event),
    ("state", state),
    ("index_header", index_header),
    ("index_entry", index_entry),
    ("envelope", envelope),
    ("labels", labels),
    ("metadata", metadata),
    ("data", data),
    ("names", names),
    ("timestamp", timestamp),
    ("crafted_log", crafted_log),
    ("open_directory", open_directory),
    ("verify_directory", verify_directory),
    ("salvage_directory", salvage_directory),
    ("inspect_file", inspect_file),
    ("operations", operations),
];

/// Inputs that a target can do something with, for mutations to begin from.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "segment_header" => bytes::segment_header_seeds(),
        "frame" => bytes::frame_seeds(),
        "event" => bytes::event_seeds(),
        "state" => bytes::state_seeds(),
        "index_header" => bytes::index_header_seeds(),
        "index_entry" => bytes::index_entry_seeds(),
        "envelope" => bytes::envelope_seeds(),
        "labels" => bytes::label_seeds(),
        "metadata" => text::metadata_seeds(),
        "data" => text::data_seeds(),
        "names" => text::name_seeds(),
        "timestamp" => text::timestamp_seeds(),
        "crafted_log" => log::seeds(),
        "open_directory" => directory::seeds(),
        "verify_directory" => tools::verify_seeds(),
        "salvage_directory" => tools::salvage_seeds(),
        "inspect_file" => tools::inspect_seeds(),
        "operations" => operations::seeds(),
        _ => Vec::new(),
    }
}
