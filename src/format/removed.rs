//! The body of a REMOVED frame: what has to be known for ever of events that retention has removed.
//!
//! The frame's header says which positions they had. A stream whose newest event was among them is named here with its
//! version, so that versions never begin again.

use super::NUMBER_MAX;
use super::field::{put, u64_at};
use crate::model::StreamVersion;

/// One stream in the body of a REMOVED frame: 9 bytes and its name. They stand one after the other; zeros up to a
/// multiple of 8 end the body.
///
/// | offset | size | field        | meaning                                      |
/// |-------:|-----:|--------------|----------------------------------------------|
/// |      0 |    8 | `version`    | of the stream's newest event                 |
/// |      8 |    1 | `stream_len` | at least 1                                   |
/// |      9 |      | `stream`     | its name                                     |
const ROW_LEN: usize = 9;

/// A stream of which every event up to this version has been removed, in this segment and before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastVersion<'a> {
    pub(crate) stream: &'a [u8],
    pub(crate) version: StreamVersion,
}

/// Appends a stream to a body.
pub(crate) fn push(body: &mut Vec<u8>, last: LastVersion<'_>) {
    let mut row = [0; ROW_LEN];
    put(&mut row, 0, last.version.get().to_le_bytes());
    row[8] = last.stream.len() as u8;
    body.extend_from_slice(&row);
    body.extend_from_slice(last.stream);
}

/// Ends a body.
pub(crate) fn finish(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(8), 0);
}

/// The streams in a body. Ends early where the body is not as it should be; its checksum says that it is.
pub(crate) fn streams(body: &[u8]) -> impl Iterator<Item = LastVersion<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (row, after) = rest.split_at_checked(ROW_LEN)?;
        let (stream, after) = after.split_at_checked(row[8].into())?;
        rest = after;
        let version = u64_at(row, 0);
        let is_one = !stream.is_empty() && (1..=NUMBER_MAX).contains(&version);
        is_one.then_some(LastVersion { stream, version: StreamVersion::new(version) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_back_as_they_were_pushed() {
        let rows = [("order-1", 5), ("größe", 1), ("x", NUMBER_MAX)];
        let rows = rows.map(|(stream, version)| LastVersion {
            stream: stream.as_bytes(),
            version: StreamVersion::new(version),
        });
        for count in 0..=rows.len() {
            let mut body = Vec::new();
            rows[..count].iter().for_each(|row| push(&mut body, *row));
            finish(&mut body);
            assert!(body.len().is_multiple_of(8));
            assert_eq!(streams(&body).collect::<Vec<_>>(), rows[..count]);
        }
    }

    #[test]
    fn a_body_that_is_cut_off_gives_only_whole_streams() {
        let mut body = Vec::new();
        push(&mut body, LastVersion { stream: b"order-1", version: StreamVersion::new(5) });
        assert!((0..body.len()).all(|len| streams(&body[..len]).next().is_none()));
    }
}
