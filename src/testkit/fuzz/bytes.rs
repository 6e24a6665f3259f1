//! Targets for the decoders of files: `format`, the envelope of `meta`, packed labels.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::format::control::{self, Open, Seal};
use crate::format::event::{self as record, Given};
use crate::format::frame::{self, FrameHeader, FrameKind};
use crate::format::index::{self, IndexHeader, postings, row::StreamRow, row::TermRow};
use crate::format::removed::{self, LastVersion};
use crate::format::segment::{self, Rewritten, SegmentHeader};
use crate::format::state::State;
use crate::format::{SegmentNumber, StoreId};
use crate::meta::envelope as sealed;
use crate::model::{
    ContentType, Data, EventId, EventType, HistoryId, Label, Labels, Metadata, NewEvent, Position,
    RecordedEvent, Source, StreamName, StreamVersion, Timestamp, unpack,
};
use crate::projection::{TABLE_SCHEMA_V1, TableV1};
use crate::snapshot::{SCHEMA_V1, SnapshotV1};

/// Where the frames of these targets stand, and in which segment.
const OFFSET: u64 = segment::FRAMES_AT;
const SALT: u64 = 0x0123_4567_89ab_cdef;

/// Bytes as the header of a segment, as they are and with the checksum mended.
pub fn segment_header(bytes: &[u8]) {
    for header in with_mended_end(bytes) {
        if let Ok(decoded) = SegmentHeader::decode(&header) {
            assert_eq!(SegmentHeader::decode(&decoded.encode()), Ok(decoded));
        }
    }
}

pub(super) fn segment_header_seeds() -> Vec<Vec<u8>> {
    let header = SegmentHeader {
        store: StoreId([7; 16]),
        number: SegmentNumber(3),
        salt: SALT,
        capacity: 1 << 16,
        term_key: [9; 16],
        rewritten: Rewritten { generation: 2, old_seal_crc: 77, old_seal_at: 60_000, seal_at: 9000 },
    };
    vec![header.encode().to_vec()]
}

/// Bytes as a slot of STATE, as they are and with the checksum mended.
pub fn state(bytes: &[u8]) {
    for slot in with_mended_end(bytes) {
        if let Some(decoded) = State::decode(&slot) {
            assert_eq!(State::decode(&decoded.encode()), Some(decoded));
        }
    }
}

pub(super) fn state_seeds() -> Vec<Vec<u8>> {
    let state = State {
        store: StoreId([1; 16]),
        history: HistoryId::from_bytes([2; 16]),
        sequence: 3,
        segment: SegmentNumber(4),
        durable: Position::new(5),
    };
    vec![state.encode().to_vec()]
}

/// Bytes as the header of an index file, as they are and with the checksum mended.
pub fn index_header(bytes: &[u8]) {
    for header in with_mended_end(bytes) {
        if let Ok(decoded) = IndexHeader::decode(&header) {
            let layout = decoded.layout();
            assert!(layout.is_sorted(), "{layout:?}");
            assert_eq!(decoded.file_len(), layout[index::SECTIONS] + decoded.blocks() as u64 * 4);
            assert_eq!(IndexHeader::decode(&decoded.encode()), Ok(decoded));
        }
    }
}

pub(super) fn index_header_seeds() -> Vec<Vec<u8>> {
    let header = IndexHeader {
        store: StoreId([1; 16]),
        number: SegmentNumber(2),
        salt: SALT,
        generation: 0,
        seal_crc: 4,
        first: Position::new(5),
        events: 3000,
        terms: 120,
        streams: 100,
        begun: 90,
        term_bits: index::directory_bits(120),
        id_bits: index::directory_bits(3000),
        filter_blocks: 6,
        rows_len: 2600,
        removed: 0,
        postings_len: 9000,
        blocks_crc: 6,
    };
    vec![header.encode().to_vec()]
}

/// Bytes as an entry of each table of an index, and as postings. The first byte says how many events there are, and how
/// many bytes of a hash are known.
pub fn index_entry(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    let known = usize::from(first % 8);
    let mut left = rest;
    if let Some(row) = TermRow::decode(&mut left, known, u128::MAX) {
        let mut out = Vec::new();
        row.encode(known, &mut out);
        // A number may be written longer than it needs to be, and is then written shorter again.
        assert!(out.len() <= rest.len() - left.len());
        assert_eq!(TermRow::decode(&mut &out[..], known, u128::MAX), Some(row));
    }
    let mut ordinals = Vec::new();
    let count = u32::from(first / 8) + 1;
    if postings::decode_run(rest, None, count, &mut ordinals).is_some() {
        assert_eq!(ordinals.len(), count as usize);
        assert!(ordinals.is_sorted_by(|one, next| one < next));
        let mut out = Vec::new();
        postings::encode(&ordinals, &mut out);
        let mut again = Vec::new();
        postings::decode_run(&out, None, count, &mut again).expect("what was encoded can be decoded");
        assert_eq!(ordinals, again);
    }
    let id: [u8; index::ID_LEN] = array(bytes);
    let (hash, ordinal) = index::decode_id(&id);
    assert_eq!(index::encode_id(hash, ordinal), id);
}

pub(super) fn index_entry_seeds() -> Vec<Vec<u8>> {
    let stream = StreamRow { first: StreamVersion::new(300), bytes: 4096, back: 2 };
    let row = TermRow { hash: u128::MAX / 3, count: 200, postings: 70_000, stream: Some(stream) };
    let mut term = vec![1];
    row.encode(1, &mut term);
    let mut run = vec![8 * 19];
    postings::encode(&(0..20).map(|n| n * n).collect::<Vec<_>>()[..], &mut run);
    vec![term, run]
}

/// Bytes as a frame, as they are and with every checksum mended.
pub fn frame(bytes: &[u8]) {
    read_frame(bytes);
    if let Some(mended) = with_mended_frame(bytes) {
        read_frame(&mended);
    }
}

fn read_frame(bytes: &[u8]) {
    let Some(start) = bytes.first_chunk() else { return };
    let Ok((header, header_crc)) = FrameHeader::decode(start, SALT, OFFSET) else { return };
    let again = FrameHeader::decode(&header.encode(SALT, OFFSET).0, SALT, OFFSET);
    assert_eq!(again.map(|(header, _)| header), Ok(header));
    let Some(whole) = bytes.get(..header.len as usize) else { return };
    if frame::check_frame(whole, &header, header_crc).is_err() {
        return;
    }
    assert!(header.next_position() >= header.first);
    let body = &whole[frame::HEADER_LEN..whole.len() - frame::TRAILER_LEN];
    match header.kind {
        FrameKind::Open => {
            // The body of version 1 is shorter.
            control::decode_open(body).inspect(|open| assert!(control::open_body(open).starts_with(body)));
        }
        FrameKind::Seal => {
            control::decode_seal(body).inspect(|seal| assert_eq!(control::seal_body(seal), body));
        }
        FrameKind::Close => {}
        FrameKind::Removed => {
            let names: usize = removed::streams(body).map(|last| last.stream.len()).sum();
            assert!(names <= body.len(), "streams are slices of the body");
        }
        FrameKind::Data => {
            let mut at = 0;
            for _ in 0..header.count {
                let found = record::record_at(body, at).expect("a checked frame has all its records");
                read_record(found);
                at += found.len();
            }
        }
    }
}

/// The bytes as one frame whose length and checksums are right, if they are long enough for one.
fn with_mended_frame(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = bytes.first_chunk::<{ frame::HEADER_LEN }>()?;
    let body_len = (bytes.len() / 8 * 8).checked_sub(frame::HEADER_LEN + frame::TRAILER_LEN)?;
    let mut body = bytes[frame::HEADER_LEN..][..body_len].to_vec();
    let mut fields = super::input::Input::new(&header[8..]);
    let kind = match fields.u32() % 6 {
        1 => FrameKind::Open,
        2 => FrameKind::Data,
        3 => FrameKind::Seal,
        5 => FrameKind::Removed,
        _ => FrameKind::Close,
    };
    let count = fields.u32();
    let header = FrameHeader {
        kind,
        count,
        len: (body_len + frame::HEADER_LEN + frame::TRAILER_LEN) as u32,
        first: Position::new(fields.u64()),
        durable: Position::new(fields.u64()),
        commit_time: Timestamp::from_nanos(fields.u64() as i64),
        epoch: fields.u64(),
        chain: fields.u32(),
        body_crc: match kind {
            FrameKind::Data => mend_records(&mut body, count),
            FrameKind::Open | FrameKind::Seal | FrameKind::Close | FrameKind::Removed => {
                crc32fast::hash(&body)
            }
        },
    };
    let (header_bytes, crc) = header.encode(SALT, OFFSET);
    Some([&header_bytes[..], &body, &frame::encode_trailer(header.len, crc)].concat())
}

/// A whole frame of a segment, moved to where these targets have theirs.
pub(super) fn moved_frame(whole: &[u8], header: FrameHeader) -> Vec<u8> {
    let (start, crc) = header.encode(SALT, OFFSET);
    let body = &whole[frame::HEADER_LEN..whole.len() - frame::TRAILER_LEN];
    [&start[..], body, &frame::encode_trailer(header.len, crc)].concat()
}

/// Gives each record its right checksum, and tells that of them all.
pub(super) fn mend_records(body: &mut [u8], count: u32) -> u32 {
    let mut all = crc32fast::Hasher::new();
    let mut at = 0;
    for _ in 0..count {
        let Ok(len) = record::record_at(body, at).map(<[u8]>::len) else { break };
        all.update(&mend_record(&mut body[at..at + len]).to_le_bytes());
        at += len;
    }
    all.finalize()
}

fn mend_record(bytes: &mut [u8]) -> u32 {
    let mut crc = record::BodyCrc::new();
    crc.update(&bytes[24..]);
    let (position, version) = (record::position(bytes), record::version(bytes));
    record::seal(bytes, crc, position, version)
}

pub(super) fn frame_seeds() -> Vec<Vec<u8>> {
    let header = |kind, count| FrameHeader {
        kind,
        len: 0,
        count,
        first: Position::new(42),
        durable: Position::new(41),
        commit_time: Timestamp::from_nanos(1_700_000_000_000_000_001),
        epoch: 3,
        chain: 0xdead_beef,
        body_crc: 0,
    };
    let open = control::open_body(&Open {
        history: HistoryId::from_bytes([5; 16]),
        seal_at: 60_000,
        settings: Position::new(7),
    });
    let seal = control::seal_body(&Seal { events: 41, frames: 7, ..Seal::default() });
    let mut gone = Vec::new();
    removed::push(&mut gone, LastVersion { stream: b"order-1", version: StreamVersion::new(5) });
    removed::finish(&mut gone);
    let bodies = [
        (FrameKind::Open, &open[..]),
        (FrameKind::Seal, &seal[..]),
        (FrameKind::Close, &[]),
        (FrameKind::Removed, &gone),
    ];
    let mut seeds: Vec<Vec<u8>> = bodies
        .map(|(kind, body)| {
            let mut out = Vec::new();
            control::encode(&mut out, header(kind, 0), body, SALT, OFFSET);
            out
        })
        .to_vec();
    seeds.push(data_frame(header(FrameKind::Data, 0), SALT, OFFSET, &samples()).0);
    seeds
}

/// A data frame of events of the stream `order-1`, and its checksum. `header` needs neither length nor count.
pub(super) fn data_frame(header: FrameHeader, salt: u64, offset: u64, events: &[NewEvent]) -> (Vec<u8>, u32) {
    let mut out = vec![0; frame::HEADER_LEN];
    let mut all = crc32fast::Hasher::new();
    for (event, number) in events.iter().zip(0..) {
        let (start, crc) = encode(&mut out, event);
        let position = header.first.advanced(number);
        all.update(&record::seal(&mut out[start..], crc, position, position.get().into()).to_le_bytes());
    }
    let header = FrameHeader {
        len: (out.len() + frame::TRAILER_LEN) as u32,
        count: events.len() as u32,
        body_crc: all.finalize(),
        ..header
    };
    let (bytes, crc) = header.encode(salt, offset);
    out[..bytes.len()].copy_from_slice(&bytes);
    out.extend_from_slice(&frame::encode_trailer(header.len, crc));
    (out, crc)
}

/// Bytes as the record of an event, as they are and with length and checksum mended.
pub fn event(bytes: &[u8]) {
    if let Ok(found) = record::record_at(bytes, 0) {
        read_record(found);
    }
    let mut mended = bytes[..bytes.len() / 8 * 8].to_vec();
    if mended.len() >= record::HEADER_LEN {
        let len = mended.len() as u32;
        mended[..4].copy_from_slice(&len.to_le_bytes());
        mend_record(&mut mended);
        assert_eq!(record::check(&mended), Ok(()));
        read_record(&mended);
    }
}

/// Reads all of a record, and writes it again if it is one that a writer could have written.
fn read_record(bytes: &[u8]) {
    if let Some(parts) = record::found_by(bytes) {
        assert!(parts.stream.len() + parts.id.len() + parts.labels.len() <= bytes.len());
    }
    let Ok(read) = record::decode(Bytes::copy_from_slice(bytes), Timestamp::default()) else { return };
    assert_eq!((read.position(), read.stream_version()), (record::position(bytes), record::version(bytes)));
    assert!(read.labels().count() <= bytes.len() && !format!("{read:?}").is_empty());
    let Some((stream, event)) = as_written(&read) else { return };
    assert!(read.says_the_same_as(&event));
    let mut out = Vec::new();
    let (id, timestamp) = (read.id(), read.timestamp());
    let (_, crc) =
        record::encode(&mut out, &event, Given { stream: &stream, id: &id, labels: &[] }, timestamp);
    record::seal(&mut out, crc, read.position(), read.stream_version());
    assert_eq!(record::check(&out), Ok(()));
    let again = record::decode(out.into(), Timestamp::default()).expect("what was encoded can be decoded");
    assert!(again.says_the_same_as(&event));
    assert_eq!((again.stream(), again.id(), again.position()), (read.stream(), id, read.position()));
    assert_eq!(again.timestamp().to_string(), timestamp.to_string());
}

/// What the writer of an event gave; none when no writer could have.
fn as_written(read: &RecordedEvent) -> Option<(StreamName, NewEvent)> {
    let data = match read.content_type() {
        Some(content_type) => Data::binary(ContentType::parse(content_type).ok()?, read.data_bytes()),
        None => Data::from_json_bytes(read.data_bytes()).ok()?,
    };
    let mut event = NewEvent::new(EventType::parse(read.event_type()).ok()?, data)
        .id(read.id())
        .timestamp(read.timestamp());
    if let Some(source) = read.source() {
        event = event.source(Source::parse(source).ok()?);
    }
    if let Some(metadata) = read.metadata() {
        event = event.metadata(Metadata::parse(metadata.to_owned()).ok()?);
    }
    Some((StreamName::parse(read.stream()).ok()?, event))
}

fn encode(out: &mut Vec<u8>, event: &NewEvent) -> (usize, record::BodyCrc) {
    let stream = StreamName::parse("order-1").expect("is legal");
    let id = event.id.clone().expect("samples have ids");
    let given = Given { stream: &stream, id: &id, labels: &[] };
    record::encode(out, event, given, Timestamp::from_nanos(1_700_000_000_123_000_000))
}

/// Events that have every part between them.
pub(super) fn samples() -> Vec<NewEvent> {
    let event_type = || EventType::parse("order.created").expect("is legal");
    let id = |text| EventId::parse(text).expect("is legal");
    let json = Data::from_json_bytes(&b"{\"total\": 99.95}"[..]).expect("is JSON");
    let metadata = Metadata::parse(r#"{"correlationId":"c-1","tags":["a:b"]}"#).expect("is legal");
    let binary = Data::binary(ContentType::parse("image/png").expect("is legal"), &[0, 1, 2][..]);
    vec![
        NewEvent::new(event_type(), json.clone()).id(id("evt-1")),
        NewEvent::new(event_type(), json)
            .id(id("ffdf0100-fe83-5375-bf2d-5a90a4819869"))
            .source(Source::parse("shop").expect("is legal"))
            .metadata(metadata),
        NewEvent::new(event_type(), binary).id(id("größe")),
    ]
}

pub(super) fn event_seeds() -> Vec<Vec<u8>> {
    let sealed = |event: &NewEvent| {
        let mut out = Vec::new();
        let (_, crc) = encode(&mut out, event);
        record::seal(&mut out, crc, Position::new(42), StreamVersion::new(7));
        out
    };
    samples().iter().map(sealed).collect()
}

/// Bytes as a snapshot and as the state of a table in an envelope, as they are and with the envelope mended.
pub fn envelope(bytes: &[u8]) {
    read_envelope::<SnapshotV1>(SCHEMA_V1, bytes);
    read_envelope::<TableV1>(TABLE_SCHEMA_V1, bytes);
    if bytes.len() >= sealed::HEADER_BYTES {
        read_envelope::<SnapshotV1>(SCHEMA_V1, &sealed::with_header(SCHEMA_V1, bytes.to_vec()));
        read_envelope::<TableV1>(TABLE_SCHEMA_V1, &sealed::with_header(TABLE_SCHEMA_V1, bytes.to_vec()));
    }
}

fn read_envelope<T: Serialize + DeserializeOwned>(schema: u16, bytes: &[u8]) {
    if let Some(value) = sealed::open::<T>(schema, bytes) {
        let again = sealed::seal(schema, &value).expect("what was decoded is not too large");
        assert_eq!(again, bytes, "a value has one encoding");
    }
}

pub(super) fn envelope_seeds() -> Vec<Vec<u8>> {
    let state = |len: u8| Bytes::from((0..len).collect::<Vec<u8>>());
    let snapshot =
        |len| SnapshotV1 { history: [3; 16], version: 9, event_crc: 8, saved_at: -7, state: state(len) };
    let mut seeds = [0, 40].map(|len| sealed::seal(SCHEMA_V1, &snapshot(len)).expect("is small")).to_vec();
    seeds.push(sealed::seal(TABLE_SCHEMA_V1, &TableV1::default()).expect("is small"));
    seeds
}

/// Bytes as packed labels.
pub fn labels(bytes: &[u8]) {
    let read: Vec<(Label, &str)> = unpack(bytes).collect();
    let packed = Labels::pack(read.iter().copied());
    assert!(packed.as_bytes().len() <= bytes.len());
    assert!(unpack(packed.as_bytes()).eq(read));
}

pub(super) fn label_seeds() -> Vec<Vec<u8>> {
    let long = "l".repeat(255);
    let labels = [(Label::Tag, "customer:1"), (Label::CorrelationId, "größe"), (Label::RoutingKey, &long)];
    vec![Labels::pack(labels).as_bytes().to_vec()]
}

/// The bytes, cut or filled up to a fixed length, as they are and with their last four the checksum of those before.
fn with_mended_end<const N: usize>(bytes: &[u8]) -> [[u8; N]; 2] {
    let given: [u8; N] = array(bytes);
    let mut mended = given;
    let (checked, crc) = mended.split_at_mut(N - 4);
    crc.copy_from_slice(&crc32fast::hash(checked).to_le_bytes());
    [given, mended]
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let len = bytes.len().min(N);
    array[..len].copy_from_slice(&bytes[..len]);
    array
}
