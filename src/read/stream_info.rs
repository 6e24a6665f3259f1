//! What is known of a stream without reading it, and the list of all streams.

use super::cursor::offsets_of;
use super::reader::{LastFrame, PartList, Reader};
use crate::error::Error;
use crate::model::{Position, StreamName, StreamVersion, Timestamp};

/// What is known of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// Its version: the count of events ever appended to it.
    pub version: StreamVersion,
    /// The first version that is still held.
    pub first_version: StreamVersion,
    /// The position of its first event.
    pub first_position: Position,
    /// The position of its last event.
    pub last_position: Position,
    /// When its first event was committed.
    pub first_recorded_at: Timestamp,
    /// When its last event was committed.
    pub last_recorded_at: Timestamp,
    /// The bytes of its records in the log.
    pub bytes: u64,
}

impl Reader {
    /// What is known of a stream, as far as it can be read; none when it never existed. Where events are lost, nobody
    /// can say that.
    pub(crate) fn stream_info(&self, name: &StreamName) -> Result<Option<StreamInfo>, Error> {
        let (visible, parts) = self.snapshot();
        let hash = self.stream_hash(name.as_str());
        let held = self.parts_of_stream(&parts, visible, hash, |_, _| false)?;
        let (Some((newest, last_here)), Some((oldest, first_here))) = (held.first(), held.last()) else {
            return self.nothing_more();
        };
        let mut offsets = Vec::with_capacity(2);
        offsets_of(&parts, oldest, first_here, 0, 1, &mut offsets)?;
        offsets_of(&parts, newest, last_here, last_here.count() - 1, last_here.count(), &mut offsets)?;
        let first = self.decode(oldest, offsets[0], &mut LastFrame::default())?;
        let last = self.decode(newest, offsets[1], &mut LastFrame::default())?;
        Ok(Some(StreamInfo {
            name: name.clone(),
            version: last.stream_version(),
            first_version: first.stream_version(),
            first_position: first.position(),
            last_position: last.position(),
            first_recorded_at: first.recorded_at(),
            last_recorded_at: last.recorded_at(),
            bytes: held.iter().map(|(_, here)| here.bytes).sum(),
        }))
    }
}

impl Reader {
    /// The end of what is held, or why it is not the end.
    fn nothing_more<T>(&self) -> Result<Option<T>, Error> {
        self.lost().map_or(Ok(None), |lost| Err(lost.clone()))
    }
}

/// What a store takes on disk.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) streams: u64,
    pub(crate) log_bytes: u64,
    pub(crate) index_bytes: u64,
}

impl Reader {
    /// The visible position, the count of segments, and their sizes.
    pub(crate) fn sizes(&self) -> Result<(Position, u64, Sizes), Error> {
        let (visible, parts) = self.snapshot();
        let mut sizes = Sizes::default();
        for part in parts.iter() {
            sizes.streams += part.begun(&parts, visible)?;
            sizes.index_bytes += part.index_bytes();
            sizes.log_bytes += match (part.seal_place(), part.events(visible)) {
                (Some(sealed), _) => sealed.at,
                (None, 0) => 0,
                (None, events) => {
                    let offset = part.offset(events - 1)?;
                    let last = self.decode(part, offset, &mut LastFrame::default())?;
                    u64::from(offset) + last.record_bytes()
                }
            };
        }
        Ok((visible, parts.len() as u64, sizes))
    }
}

/// The streams of a store, in the order of their first events. After an error it ends.
#[derive(Debug)]
pub struct Streams {
    reader: Reader,
    parts: PartList,
    visible: Position,
    after: Position,
    /// The next part to look into.
    next_part: usize,
    /// Where streams begin in the part before it, last first.
    beginnings: Vec<u32>,
    ended: bool,
}

impl Streams {
    /// The streams whose first events lie after a position.
    pub(crate) fn new(reader: &Reader, after: Position) -> Streams {
        let (visible, parts) = reader.snapshot();
        let next_part = parts.partition_point(|part| part.first <= after.next()).saturating_sub(1);
        Streams {
            reader: reader.clone(),
            parts,
            visible,
            after,
            next_part,
            beginnings: Vec::new(),
            ended: false,
        }
    }

    fn step(&mut self) -> Result<Option<StreamInfo>, Error> {
        loop {
            let Some(ordinal) = self.beginnings.pop() else {
                let Some(part) = self.parts.get(self.next_part) else { return self.reader.nothing_more() };
                self.beginnings = part.beginnings(&self.parts, self.visible)?;
                self.beginnings.reverse();
                self.next_part += 1;
                continue;
            };
            let part = &self.parts[self.next_part - 1];
            let offset = part.offset(ordinal)?;
            let event = self.reader.decode(part, offset, &mut LastFrame::default())?;
            if event.position() <= self.after || event.is_system() {
                continue;
            }
            let name = StreamName::parse(event.stream());
            let name = name.map_err(|error| part.segment.damaged(offset.into(), error))?;
            return self.reader.stream_info(&name);
        }
    }
}

impl Iterator for Streams {
    type Item = Result<StreamInfo, Error>;

    fn next(&mut self) -> Option<Result<StreamInfo, Error>> {
        if self.ended {
            return None;
        }
        let next = self.step();
        self.ended = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}
