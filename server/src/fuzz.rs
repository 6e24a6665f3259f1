//! What clients and servers may send each other, any bytes of it: one plain function for each decoder, and one for a
//! whole request. They are as those of `annals::testkit::fuzz`, and are run by the same commands.

pub use crate::cli::fuzz::client_lines;
pub use crate::http::fuzz::{http_headers, import_lines};
pub use crate::http::fuzz_request::http_request;
pub use crate::wire::fuzz::{wire_cloud_event, wire_event, wire_events, wire_params, wire_transaction};

/// What may be given any bytes.
pub type Target = fn(&[u8]);

/// Every target and its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("wire_event", wire_event),
    ("wire_cloud_event", wire_cloud_event),
    ("wire_events", wire_events),
    ("wire_transaction", wire_transaction),
    ("wire_params", wire_params),
    ("http_headers", http_headers),
    ("import_lines", import_lines),
    ("client_lines", client_lines),
    ("http_request", http_request),
];

/// Inputs that a target can do something with, for mutations to begin from.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let texts = match target {
        "wire_event" => crate::wire::fuzz::event_seeds(),
        "wire_cloud_event" => crate::wire::fuzz::cloud_seeds(),
        "wire_events" => crate::wire::fuzz::events_seeds(),
        "wire_transaction" => crate::wire::fuzz::transaction_seeds(),
        "wire_params" => crate::wire::fuzz::params_seeds(),
        "http_headers" => crate::http::fuzz::header_seeds(),
        "import_lines" => crate::http::fuzz::line_seeds(),
        "client_lines" => crate::cli::fuzz::line_seeds(),
        "http_request" => crate::http::fuzz_request::seeds(),
        _ => Vec::new(),
    };
    texts.into_iter().map(String::into_bytes).collect()
}
