//! A JSON text as it was written, without a copy unless it has escapes.

use std::borrow::Cow;

use serde::Deserialize;

/// A text, or the name of a member.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);
