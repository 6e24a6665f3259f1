//! What somebody who means harm may send: each of it is refused or taken for what it is, and the server goes on.
//!
//! `docs/http.md` has a table of all that was tried. What holds places and memory is in `bounding`.

mod framing;
mod injection;
mod json;
mod names;

use crate::support::Server;

const EVENT: &str = r#"{"type":"t","data":1}"#;

/// Checks that the server still does what it is for.
fn goes_on(server: &Server) {
    assert_eq!(server.get("/health/ready").status, 200);
    server.append("still-there", EVENT);
}
