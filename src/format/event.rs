//! The record of one event inside a data frame. It can be checked and read alone.
//!
//! A writer encodes its records on its own thread; position and version, which only the commit knows, are sealed in
//! afterwards, without reading the body again.

use std::ops::Range;

use bytes::Bytes;

use super::NUMBER_MAX;
use super::field::{i64_at, put, u16_at, u32_at, u64_at};
use crate::model::{
    EventId, Label, Lens, NewEvent, Position, RecordedEvent, StreamName, StreamVersion, Timestamp,
};

/// Event record: a header of 48 bytes, then the parts, then zeros up to a multiple of 8.
///
/// | offset | size | field              | meaning                                                       |
/// |-------:|-----:|--------------------|---------------------------------------------------------------|
/// |      0 |    4 | `len`              | of the whole record                                           |
/// |      4 |    4 | `crc`              | of the bytes from 24 to the end, then of those from 8 to 24   |
/// |      8 |    8 | `position`         | place among all events                                        |
/// |     16 |    8 | `version`          | place in the stream                                           |
/// |     24 |    8 | `timestamp`        | when it occurred, nanoseconds since 1970                      |
/// |     32 |    4 | `frame_back`       | how many bytes before the record its frame begins             |
/// |     36 |    4 | `metadata_len`     | 0: no metadata                                                |
/// |     40 |    2 | `labels_len`       |                                                               |
/// |     42 |    1 | `flags`            | bits 0-2: count of padding zeros; bit 3: the id is a UUID;    |
/// |        |      |                    | bits 4-7: digits behind the second's point of `timestamp`     |
/// |     43 |    1 | `stream_len`       |                                                               |
/// |     44 |    1 | `type_len`         |                                                               |
/// |     45 |    1 | `id_len`           |                                                               |
/// |     46 |    1 | `source_len`       | 0: no source                                                  |
/// |     47 |    1 | `content_type_len` | 0: the data is JSON                                           |
/// |     48 |      | parts              | stream, type, id, source, content type, labels, metadata, data|
pub(crate) const HEADER_LEN: usize = 48;

/// The longest record. Options keep events below it; a length above it is damage.
pub(crate) const RECORD_LEN_MAX: usize = 256 << 20;

const PADDING: u8 = 0b0000_0111;
const ID_IS_UUID: u8 = 0b0000_1000;
const DIGITS_SHIFT: u32 = 4;

/// Why bytes are not an event record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventFault {
    #[error("a record length of {len}, which cannot be")]
    Length { len: u32 },
    #[error("event checksum {found:#010x}, wanted {wanted:#010x}")]
    Crc { wanted: u32, found: u32 },
    #[error("the parts of the record do not fit its length")]
    Parts,
    #[error("a stream version of {found}, which cannot be")]
    Version { found: StreamVersion },
    #[error("a record of position {position}, {back} bytes behind its frame, which does not belong here")]
    Place { back: u32, position: Position },
    #[error("a name or the metadata is not UTF-8")]
    Utf8,
    #[error("the id has a control character")]
    Id,
}

/// The checksum over everything but position and version, to be completed by [`seal`].
pub(crate) type BodyCrc = crc32fast::Hasher;

/// What a record gets that its event does not say.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) stream: &'a StreamName,
    pub(crate) id: &'a EventId,
    /// Packed labels behind those of the metadata.
    pub(crate) labels: &'a [u8],
}

/// The parts of a record, in their order.
fn parts<'a>(event: &'a NewEvent, given: Given<'a>) -> [&'a [u8]; 9] {
    let source = event.source.as_ref().map_or("", AsRef::as_ref);
    let content_type = event.data.content_type().map_or("", AsRef::as_ref);
    let (labels, metadata) = event
        .metadata
        .as_ref()
        .map_or((&[][..], &[][..]), |metadata| (metadata.labels().as_bytes(), metadata.bytes().as_ref()));
    [
        given.stream.as_str().as_bytes(),
        event.event_type.as_str().as_bytes(),
        given.id.as_bytes(),
        source.as_bytes(),
        content_type.as_bytes(),
        labels,
        given.labels,
        metadata,
        event.data.bytes(),
    ]
}

/// How many bytes the record of an event takes.
pub(crate) fn encoded_len(event: &NewEvent, given: Given<'_>) -> usize {
    let parts = parts(event, given);
    (HEADER_LEN + parts.iter().map(|part| part.len()).sum::<usize>()).next_multiple_of(8)
}

/// Appends the record of `event` to `out`, which holds its frame from the first byte on. Tells where the record begins
/// and the checksum to seal it with.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    event: &NewEvent,
    given: Given<'_>,
    timestamp: Timestamp,
) -> (usize, BodyCrc) {
    let start = out.len();
    let parts = parts(event, given);
    let (labels_len, metadata) = (parts[5].len() + parts[6].len(), parts[7]);
    let len = HEADER_LEN + parts.iter().map(|part| part.len()).sum::<usize>();
    let padding = len.next_multiple_of(8) - len;
    let uuid = if given.id.as_uuid().is_some() { ID_IS_UUID } else { 0 };

    let mut header = [0; HEADER_LEN];
    put(&mut header, 0, ((len + padding) as u32).to_le_bytes());
    put(&mut header, 24, timestamp.as_nanos().to_le_bytes());
    put(&mut header, 32, (start as u32).to_le_bytes());
    put(&mut header, 36, (metadata.len() as u32).to_le_bytes());
    put(&mut header, 40, (labels_len as u16).to_le_bytes());
    header[42] = padding as u8 | uuid | timestamp.digits() << DIGITS_SHIFT;
    for (at, part) in (43..).zip(&parts[..5]) {
        header[at] = part.len() as u8;
    }

    out.reserve(len + padding);
    out.extend_from_slice(&header);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.resize(start + len + padding, 0);
    let mut crc = BodyCrc::new();
    crc.update(&out[start + 24..]);
    (start, crc)
}

/// Completes the record at the start of `record` with its position and version; tells its checksum.
pub(crate) fn seal(record: &mut [u8], mut crc: BodyCrc, position: Position, version: StreamVersion) -> u32 {
    put(record, 8, position.get().to_le_bytes());
    put(record, 16, version.get().to_le_bytes());
    crc.update(&record[8..24]);
    let crc = crc.finalize();
    put(record, 4, crc.to_le_bytes());
    crc
}

/// Gives a whole record another place: in a frame, among all events, in its stream. Tells its new checksum.
pub(crate) fn move_to(record: &mut [u8], frame_back: u32, position: Position, version: StreamVersion) -> u32 {
    put(record, 32, frame_back.to_le_bytes());
    let mut crc = BodyCrc::new();
    crc.update(&record[24..]);
    seal(record, crc, position, version)
}

/// The record that begins at `at` of `body`, by its length alone.
pub(crate) fn record_at(body: &[u8], at: usize) -> Result<&[u8], EventFault> {
    let Some(header) = body.get(at..at + HEADER_LEN) else { return Err(EventFault::Length { len: 0 }) };
    let len = check_len(u32_at(header, 0))?;
    body.get(at..at + len).ok_or(EventFault::Length { len: len as u32 })
}

/// The length that a record's first bytes name, once it is one that can be.
pub(crate) fn record_len(header: &[u8; HEADER_LEN]) -> Result<usize, EventFault> {
    check_len(u32_at(header, 0))
}

fn check_len(len: u32) -> Result<usize, EventFault> {
    let can_be = len.is_multiple_of(8) && (HEADER_LEN..=RECORD_LEN_MAX).contains(&(len as usize));
    if can_be { Ok(len as usize) } else { Err(EventFault::Length { len }) }
}

/// The checksum that stands in a record.
pub(crate) fn crc(record: &[u8]) -> u32 {
    u32_at(record, 4)
}

/// The position that stands in a record.
pub(crate) fn position(record: &[u8]) -> Position {
    Position::new(u64_at(record, 8))
}

/// The version that stands in a record.
pub(crate) fn version(record: &[u8]) -> StreamVersion {
    StreamVersion::new(u64_at(record, 16))
}

/// How far before the record its frame begins.
pub(crate) fn frame_back(record: &[u8]) -> u32 {
    u32_at(record, 32)
}

/// The parts of a record by which its event is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundBy<'a> {
    pub(crate) stream: &'a [u8],
    pub(crate) event_type: &'a [u8],
    pub(crate) id: &'a [u8],
    /// Packed, as [`unpack`](crate::model::unpack) takes them.
    pub(crate) labels: &'a [u8],
}

/// The parts of a record by which its event is found; none when the record is too short for them.
pub(crate) fn found_by(record: &[u8]) -> Option<FoundBy<'_>> {
    let mut rest = record.get(HEADER_LEN..)?;
    let mut part = |len: usize| {
        let (part, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(part)
    };
    let (stream, event_type, id) =
        (part(record[43].into())?, part(record[44].into())?, part(record[45].into())?);
    part(usize::from(record[46]) + usize::from(record[47]))?;
    Some(FoundBy { stream, event_type, id, labels: part(u16_at(record, 40).into())? })
}

/// What of an event its writer gave, and did not leave to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) id: bool,
    pub(crate) timestamp: bool,
}

/// Whether a new record says what a stored one says, in the same stream. What its writer left to the store is not compared,
/// nor of which trace it was part: whoever repeats a request does so in another.
pub(crate) fn repeats(new: &[u8], stored: &[u8], compared: Compared) -> bool {
    let digits = if compared.timestamp { 0xf << DIGITS_SHIFT } else { 0 };
    let flags = |record: &[u8]| record[42] & (ID_IS_UUID | digits);
    if new[36..40] != stored[36..40]
        || new[43..HEADER_LEN] != stored[43..HEADER_LEN]
        || flags(new) != flags(stored)
    {
        return false;
    }
    let id_at = HEADER_LEN + usize::from(new[43]) + usize::from(new[44]);
    let id_end = id_at + usize::from(new[45]);
    let labels_at = id_end + usize::from(new[46]) + usize::from(new[47]);
    new[HEADER_LEN..id_at] == stored[HEADER_LEN..id_at]
        && (!compared.id || new[id_at..id_end] == stored[id_at..id_end])
        && new[id_end..labels_at] == stored[id_end..labels_at]
        && said(new, labels_at) == said(stored, labels_at)
        && (!compared.timestamp || new[24..32] == stored[24..32])
}

/// What a record says from its labels on: these without the trace, which stands last, and what follows them.
fn said(record: &[u8], labels_at: usize) -> (&[u8], &[u8]) {
    let end = record.len() - usize::from(record[42] & PADDING);
    let (labels, rest) = record[labels_at..end].split_at(u16_at(record, 40).into());
    let mut at = 0;
    while let Some([kind, len]) = labels.get(at..at + 2) {
        if *kind == Label::Traceparent as u8 {
            break;
        }
        at += 2 + usize::from(*len);
    }
    (&labels[..at.min(labels.len())], rest)
}

/// A checksum that tells an event from another at its place, wherever its record stands.
pub(crate) fn identity(event: &RecordedEvent) -> u32 {
    let record = event.record();
    let mut crc = BodyCrc::new();
    crc.update(&record[8..32]);
    crc.update(&record[36..]);
    crc.finalize()
}

/// Checks a whole record against its checksum.
pub(crate) fn check(record: &[u8]) -> Result<(), EventFault> {
    let mut crc = BodyCrc::new();
    crc.update(&record[24..]);
    crc.update(&record[8..24]);
    let (found, wanted) = (crc.finalize(), u32_at(record, 4));
    if found == wanted { Ok(()) } else { Err(EventFault::Crc { wanted, found }) }
}

/// Checks what an index takes from a whole record, so that it can hold every record of a frame.
pub(crate) fn check_terms(record: &[u8]) -> Result<(), EventFault> {
    let found = version(record);
    if !(1..=NUMBER_MAX).contains(&found.get()) {
        return Err(EventFault::Version { found });
    }
    found_by(record).map(drop).ok_or(EventFault::Parts)
}

/// Reads a whole record.
pub(crate) fn decode(record: Bytes, recorded_at: Timestamp) -> Result<RecordedEvent, EventFault> {
    check_parts(&record)?;
    Ok(recorded(record, recorded_at))
}

/// Checks the parts of a whole record.
#[inline(always)]
pub(crate) fn check_parts(record: &[u8]) -> Result<(), EventFault> {
    let lens = lens(record);
    let fits = lens.metadata().end + usize::from(lens.padding) <= record.len();
    let uuid_fits = !lens.id_is_uuid || lens.id == 16;
    let is_named = lens.stream > 0 && lens.event_type > 0 && lens.id > 0;
    if !(fits && uuid_fits && is_named) {
        return Err(EventFault::Parts);
    }
    if is_plain(record, lens) { Ok(()) } else { check_texts(record, lens) }
}

/// The event of a record whose parts have been checked.
#[inline(always)]
pub(crate) fn recorded(record: Bytes, recorded_at: Timestamp) -> RecordedEvent {
    RecordedEvent {
        position: position(&record),
        stream_version: version(&record),
        timestamp: Timestamp::from_nanos(i64_at(&record, 24)).with_digits(record[42] >> DIGITS_SHIFT),
        recorded_at,
        lens: lens(&record),
        record,
    }
}

/// Whether a record is of an event that the store itself wrote.
#[inline]
pub(crate) fn is_system(record: &[u8]) -> bool {
    record[HEADER_LEN] == b'$'
}

#[inline]
fn lens(record: &[u8]) -> Lens {
    Lens {
        header: HEADER_LEN as u8,
        stream: record[43],
        event_type: record[44],
        id: record[45],
        source: record[46],
        content_type: record[47],
        labels: u16_at(record, 40),
        metadata: u32_at(record, 36),
        padding: record[42] & PADDING,
        id_is_uuid: record[42] & ID_IS_UUID != 0,
    }
}

/// Whether all texts are of ASCII, as nearly all are, which is quickly seen; and no control character is in the id.
#[inline]
fn is_plain(record: &[u8], lens: Lens) -> bool {
    let (id, labels) = (lens.id(), lens.labels().start);
    let names = if lens.id_is_uuid {
        record[lens.stream().start..id.start].is_ascii() && record[id.end..labels].is_ascii()
    } else {
        record[lens.stream().start..labels].is_ascii() && !record[id].iter().any(u8::is_ascii_control)
    };
    names && record[lens.metadata()].is_ascii()
}

/// Checks that the texts of a record are texts.
#[cold]
fn check_texts(record: &[u8], lens: Lens) -> Result<(), EventFault> {
    let text = |part: Range<usize>| std::str::from_utf8(&record[part]);
    let (stream, id, labels) = (lens.stream().start, lens.id(), lens.labels().start);
    // An id that is a UUID is not text; the parts on either side of it are checked in one go each.
    let names = if lens.id_is_uuid {
        check_ends(text(stream..id.start), stream, &[lens.stream()])
            && check_ends(text(id.end..labels), id.end, &[lens.source()])
    } else {
        let parts = [lens.stream(), lens.event_type(), lens.id(), lens.source()];
        check_ends(text(stream..labels), stream, &parts)
    };
    if !names || text(lens.metadata()).is_err() {
        return Err(EventFault::Utf8);
    }
    if !lens.id_is_uuid && text(id).is_ok_and(|id| id.chars().any(char::is_control)) {
        return Err(EventFault::Id);
    }
    Ok(())
}

/// Whether `text`, which begins at `start`, is UTF-8 and may be cut where each of these parts ends.
fn check_ends(text: Result<&str, std::str::Utf8Error>, start: usize, parts: &[Range<usize>]) -> bool {
    text.is_ok_and(|text| parts.iter().all(|part| text.is_char_boundary(part.end - start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentType, Data, EventType, Metadata, Source};

    #[test]
    fn an_event_that_is_said_again_in_another_trace_is_the_same_event() {
        let stream = StreamName::parse("order-1").expect("legal");
        let id = EventId::parse("event-1").expect("legal");
        let record = |event: &NewEvent, labels: &[(Label, &str)]| {
            let labels = crate::model::Labels::pack(labels.iter().copied());
            let given = Given { stream: &stream, id: &id, labels: labels.as_bytes() };
            let mut out = Vec::new();
            encode(&mut out, event, given, Timestamp::from_nanos(7));
            out
        };
        let all = Compared { id: true, timestamp: true };
        let (key, trace) = ((Label::IdempotencyKey, "key"), |id| (Label::Traceparent, id));
        let told = record(&event(), &[key, trace("00-1")]);
        for same in [&[key][..], &[key, trace("00-2")], &[key, trace("01-2-longer")]] {
            let again = record(&event(), same);
            assert!(repeats(&again, &told, all) && repeats(&told, &again, all), "{same:?}");
        }
        assert!(!repeats(&record(&event(), &[trace("00-1")]), &told, all), "under no key");
        let other = event().metadata(Metadata::parse("{\"n\":1}").expect("legal"));
        assert!(!repeats(&record(&other, &[key, trace("00-1")]), &told, all), "something else");
    }

    fn event() -> NewEvent {
        let data = Data::from_json_bytes(&b"{\"total\": 99.95}"[..]).expect("is JSON");
        NewEvent::new(EventType::parse("order.created").expect("legal"), data)
            .source(Source::parse("order-service").expect("legal"))
            .metadata(Metadata::parse(r#"{"correlationId":"c-1","tags":["a:b"]}"#).expect("legal"))
    }

    fn sealed(event: &NewEvent, id: &str) -> Vec<u8> {
        let stream = StreamName::parse("order-1").expect("legal");
        let id = EventId::parse(id).expect("legal");
        let mut out = Vec::new();
        let (start, crc) = encode(
            &mut out,
            event,
            Given { stream: &stream, id: &id, labels: &[] },
            Timestamp::from_nanos(5),
        );
        seal(&mut out[start..], crc, Position::new(42), StreamVersion::new(7));
        out
    }

    #[test]
    fn an_event_comes_back_as_it_was() {
        for id in ["evt-1", "ffdf0100-fe83-5375-bf2d-5a90a4819869"] {
            let record = sealed(&event(), id);
            assert_eq!(record.len() % 8, 0);
            check(&record).expect("the checksum fits");
            let read = decode(record.into(), Timestamp::from_nanos(9)).expect("whole");
            assert_eq!((read.position().get(), read.stream_version().get()), (42, 7));
            assert_eq!((read.stream(), read.event_type()), ("order-1", "order.created"));
            assert_eq!(read.id().to_string(), id);
            assert_eq!(read.source(), Some("order-service"));
            assert_eq!(read.metadata(), Some(r#"{"correlationId":"c-1","tags":["a:b"]}"#));
            assert_eq!(read.data(), b"{\"total\": 99.95}");
            assert_eq!(read.content_type(), None);
            assert!(read.tags().eq(["a:b"]));
            assert!(read.says_the_same_as(&event()));
        }
    }

    #[test]
    fn a_record_that_is_moved_says_the_same_at_another_place() {
        let mut record = sealed(&event(), "evt-1");
        let crc = move_to(&mut record, 64, Position::new(3), StreamVersion::new(2));
        check(&record).expect("the checksum fits");
        assert_eq!((crc, frame_back(&record)), (super::crc(&record), 64));
        let read = decode(record.into(), Timestamp::default()).expect("whole");
        assert_eq!((read.position().get(), read.stream_version().get()), (3, 2));
        assert!(read.says_the_same_as(&event()));
    }

    #[test]
    fn data_of_every_length_keeps_its_end() {
        for len in 0..20 {
            let content_type = ContentType::parse("application/octet-stream").expect("legal");
            let data = Data::binary(content_type, vec![0; len]);
            let event = NewEvent::new(EventType::parse("t").expect("legal"), data);
            let read = decode(sealed(&event, "i").into(), Timestamp::default()).expect("whole");
            assert_eq!(read.data().len(), len);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_position_is_noticed() {
        let whole = sealed(&event(), "evt-1");
        for bit in 32..whole.len() * 8 {
            let mut broken = whole.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&broken).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn any_bytes_decode_to_an_error_or_an_event_but_never_panic() {
        let whole = sealed(&event(), "evt-1");
        for bit in 0..whole.len() * 8 {
            let mut broken = whole.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = decode(broken.into(), Timestamp::default()) {
                let _ =
                    (read.stream().len(), read.id(), read.source(), read.labels().count(), read.data().len());
            }
        }
    }
}
