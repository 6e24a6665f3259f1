//! What is known of a stream without reading it, and the list of all streams.

use std::sync::Arc;

use super::events::Events;
use super::reader::{LastFrame, PartList, Reader, removed_frame};
use super::request::Read;
use crate::error::Error;
use crate::index::{Part, StreamHere};
use crate::model::{Deletion, Position, StreamName, StreamSettings, StreamVersion, Timestamp};

/// What is known of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its name.
    pub name: StreamName,
    /// Its version: the count of events ever appended to it.
    pub version: StreamVersion,
    /// The first version that is shown; the one after [`version`](Self::version) when none is.
    pub first_version: StreamVersion,
    /// The position of the first event that is shown; 0 when none is.
    pub first_position: Position,
    /// The position of its last event; 0 when none is shown.
    pub last_position: Position,
    /// When the first event that is shown was committed; the beginning of 1970 when none is.
    pub first_recorded_at: Timestamp,
    /// When its last event was committed; the beginning of 1970 when none is shown.
    pub last_recorded_at: Timestamp,
    /// The position of the first event that is stored, shown or not; 0 when none is. Lists of streams are in this order.
    pub begins_at: Position,
    /// The bytes of its records in the log, of those too that are no longer shown.
    pub bytes: u64,
    /// Which of its events are shown.
    pub settings: StreamSettings,
    /// Whether it was deleted, and has no event since.
    pub deletion: Option<Deletion>,
}

impl Reader {
    /// What is known of a stream, as far as it can be read; none when it never existed. Where events are lost, nobody
    /// can say that.
    pub(crate) fn stream_info(&self, name: &StreamName) -> Result<Option<StreamInfo>, Error> {
        let (visible, parts) = self.snapshot();
        let hash = self.stream_hash(name.as_str());
        let held = self.parts_of_stream(&parts, visible, hash, |_, _| false)?;
        let Some(version) = held.first().map(|(_, here)| here.last()) else { return self.nothing_more() };
        let lifecycle = self.lifecycle(name.as_str())?;
        let mut info = StreamInfo {
            name: name.clone(),
            version,
            first_version: version.next(),
            first_position: Position::START,
            last_position: Position::START,
            first_recorded_at: Timestamp::default(),
            last_recorded_at: Timestamp::default(),
            begins_at: begin_of(&parts, &held)?,
            bytes: held.iter().map(|(_, here)| here.bytes).sum(),
            settings: lifecycle.settings,
            deletion: lifecycle.deletion(version),
        };
        let shown = Read::stream(name.clone()).to(version).following();
        let Some(first) =
            Events::at(self, (visible, parts.clone()), shown.clone().limit(1))?.next().transpose()?
        else {
            return Ok(Some(info));
        };
        info.first_version = first.stream_version();
        info.first_position = first.position();
        info.first_recorded_at = first.recorded_at();
        if let Some(last) =
            Events::at(self, (visible, parts.clone()), shown.backward().limit(1))?.next().transpose()?
        {
            info.last_position = last.position();
            info.last_recorded_at = last.recorded_at();
        }
        Ok(Some(info))
    }
}

/// The position of a stream's first event in the parts that hold it, which are given newest first.
fn begin_of(parts: &PartList, held: &[(Arc<Part>, StreamHere)]) -> Result<Position, Error> {
    let Some((part, here)) = held.iter().rev().find(|(_, here)| here.count() > 0) else {
        return Ok(Position::START);
    };
    let mut ordinal = Vec::with_capacity(1);
    part.ordinals(parts, &here.postings, 0, 1, &mut ordinal)?;
    Ok(part.first.advanced(ordinal[0].into()))
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
                    let place = part.place(events - 1)?;
                    let bytes = match place.is_removed() {
                        true => removed_frame(part, place)?.len.into(),
                        false => self.decode(part, place.offset(), &mut LastFrame::default())?.record_bytes(),
                    };
                    u64::from(place.offset()) + bytes
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
            let info = self.reader.stream_info(&name)?;
            // One that shows nothing is passed over, whether its events are still there or not.
            if let Some(info) = info.filter(|info| info.first_version <= info.version) {
                return Ok(Some(info));
            }
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
