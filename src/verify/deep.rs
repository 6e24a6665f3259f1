//! What events say: versions that count in each stream, texts that are texts, and nothing that is said twice and
//! differs.
//!
//! Memory: a hash, a version and two numbers for each stream, and no name.

use std::collections::HashMap;

use bytes::Bytes;

use crate::format::SegmentNumber;
use crate::format::event;
use crate::format::removed::LastVersion;
use crate::index::TermHasher;
use crate::model::{Data, Label, Metadata, RecordedEvent, StreamVersion, Timestamp};

/// Faults of single streams that are listed. A lost segment may hold events of millions.
const STREAM_FAULTS_MAX: u64 = 1000;

/// Where a stream stands: 16 bytes, which with the hash and the table make up to 76.
struct Head {
    version: StreamVersion,
    segment: u32,
    /// The segment before it that holds the stream; 0 when there is none.
    previous: u32,
}

impl Head {
    const NONE: Head = Head { version: StreamVersion::START, segment: 0, previous: 0 };
}

pub(super) struct Deep {
    hasher: TermHasher,
    heads: HashMap<u128, Head>,
    stream_faults: u64,
    /// How many events have been removed that explain no missing version yet.
    removed: u64,
    /// How many of them are those of streams that the segment's REMOVED frames name.
    named: u64,
}

impl Deep {
    pub(super) fn new(term_key: &[u8; 16]) -> Deep {
        Deep {
            hasher: TermHasher::new(term_key),
            heads: HashMap::new(),
            stream_faults: 0,
            removed: 0,
            named: 0,
        }
    }

    pub(super) fn hasher(&self) -> &TermHasher {
        &self.hasher
    }

    pub(super) fn streams(&self) -> u64 {
        self.heads.len() as u64
    }

    /// How many faults of single streams were not told.
    pub(super) fn left_out(&self) -> u64 {
        self.stream_faults.saturating_sub(STREAM_FAULTS_MAX)
    }

    /// The segment before `number` that holds a stream, as far as the events so far tell; 0 when none does.
    pub(super) fn previous(&self, hash: u128, number: SegmentNumber) -> u64 {
        self.heads.get(&hash).map_or(0, |head| match u64::from(head.segment) == number.0 {
            true => head.previous.into(),
            false => head.segment.into(),
        })
    }

    /// A segment begins. The frames of the one before have all been seen, whichever of them named a stream.
    pub(super) fn begin_segment(&mut self) {
        self.removed = self.removed.saturating_sub(std::mem::take(&mut self.named));
    }

    /// Takes note of events that were removed, and of the streams whose newest were among them.
    pub(super) fn removed<'a>(
        &mut self,
        count: u64,
        streams: impl Iterator<Item = LastVersion<'a>>,
        number: SegmentNumber,
    ) {
        self.removed += count;
        let segment = u32::try_from(number.0).unwrap_or(u32::MAX);
        for last in streams {
            let head = self.heads.entry(self.hasher.stream(last.stream)).or_insert(Head::NONE);
            self.named += last.version.since(head.version);
            if head.segment != segment {
                (head.previous, head.segment) = (head.segment, segment);
            }
            head.version = head.version.max(last.version);
        }
    }

    /// Takes the next event of the log; tells what is wrong with it, and its stream.
    pub(super) fn take(
        &mut self,
        record: Bytes,
        time: Timestamp,
        number: SegmentNumber,
    ) -> Option<(String, Option<String>)> {
        let event = match event::decode(record, time) {
            Ok(event) => event,
            Err(fault) => return Some((format!("an event that cannot be read: {fault}"), None)),
        };
        let stream = Some(event.stream().to_owned());
        let segment = u32::try_from(number.0).unwrap_or(u32::MAX);
        let (position, found) = (event.position(), event.stream_version());
        let head = self.heads.entry(self.hasher.stream(event.stream().as_bytes())).or_insert(Head::NONE);
        let mut wanted = head.version.next();
        let missing = found.since(wanted);
        if missing > 0 && missing <= self.removed {
            self.removed -= missing;
            wanted = found;
        }
        if head.segment != segment {
            (head.previous, head.segment) = (head.segment, segment);
        }
        head.version = head.version.max(found);
        if found != wanted {
            self.stream_faults += 1;
            if self.stream_faults > STREAM_FAULTS_MAX {
                return None;
            }
            let (stream_name, missing) = (event.stream(), found.previous());
            let what = match found > wanted {
                true if missing == wanted => {
                    format!(
                        "stream {stream_name} has version {found} at position {position}: version {wanted} is missing"
                    )
                }
                true => format!(
                    "stream {stream_name} has version {found} at position {position}: versions {wanted} to {missing} \
                     are missing"
                ),
                false => format!(
                    "stream {stream_name} has version {found} at position {position} again, wanted {wanted}"
                ),
            };
            return Some((what, stream));
        }
        contradiction(&event).map(|what| (what, stream))
    }
}

/// What an event says that its writer could not have been allowed to say.
fn contradiction(event: &RecordedEvent) -> Option<String> {
    let position = event.position();
    if event.content_type().is_none()
        && let Err(error) = Data::from_json_bytes(event.data_bytes())
    {
        return Some(format!("the data of the event at position {position} should be JSON: {error}"));
    }
    let is_of_it = |label| !matches!(label, Label::IdempotencyKey | Label::Traceparent);
    let of_metadata = || event.labels().filter(move |(label, _)| is_of_it(*label));
    let metadata = event.metadata().map(|json| Metadata::parse(json.to_owned()));
    match metadata {
        Some(Err(error)) => Some(format!("the metadata of the event at position {position}: {error}")),
        Some(Ok(metadata)) if !metadata.labels().iter().eq(of_metadata()) => {
            Some(format!("the labels of the event at position {position} are not what its metadata says"))
        }
        Some(Ok(_)) => None,
        None if of_metadata().next().is_some() => {
            Some(format!("the event at position {position} has labels and no metadata"))
        }
        None => None,
    }
}
