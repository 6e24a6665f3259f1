//! `docs/format.md` against the code: the bytes of its example, its tables, its golden hash.

use super::control::{self, Open, open_body};
use super::event::{self, Given};
use super::frame::{HEADER_LEN, TRAILER_LEN, check_frame, encode_trailer};
use super::segment::FRAMES_AT;
use super::{FrameHeader, FrameKind};
use crate::index::TermHasher;
use crate::model::{
    Data, EventId, EventType, HistoryId, Metadata, NewEvent, Position, StreamName, StreamVersion, Timestamp,
};

const DOCUMENT: &str = include_str!("../../docs/format.md");

const SALT: u64 = 0x1122_3344_5566_7788;

/// The files whose tables the document repeats.
const SOURCES: [(&str, &str); 9] = [
    ("control.rs", include_str!("control.rs")),
    ("event.rs", include_str!("event.rs")),
    ("frame.rs", include_str!("frame.rs")),
    ("index.rs", include_str!("index.rs")),
    ("segment.rs", include_str!("segment.rs")),
    ("removed.rs", include_str!("removed.rs")),
    ("state.rs", include_str!("state.rs")),
    ("envelope.rs", include_str!("../meta/envelope.rs")),
    ("sled.rs", include_str!("../meta/sled.rs")),
];

/// The bytes of the `hex` blocks, in order. Each line says its offset, up to eight bytes, and what they are.
fn bytes_of_the_example() -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in DOCUMENT.split("```hex\n").skip(1) {
        let (block, _) = block.split_once("```").expect("a block ends");
        for line in block.lines() {
            let (place, _) = line.split_once('|').expect("a line says what its bytes are");
            let mut words = place.split_whitespace();
            let offset: usize = words.next().and_then(|word| word.parse().ok()).expect("an offset");
            assert_eq!(offset, FRAMES_AT as usize + bytes.len(), "{line}");
            bytes.extend(words.map(|word| u8::from_str_radix(word, 16).expect("two hexadecimal digits")));
        }
    }
    bytes
}

/// The same frames, made by the code.
fn frames_of_the_example() -> Vec<u8> {
    let mut header = FrameHeader {
        kind: FrameKind::Open,
        len: 0,
        count: 0,
        first: Position::new(1),
        durable: Position::START,
        commit_time: Timestamp::from_nanos(i64::MIN),
        epoch: 1,
        chain: 0,
        body_crc: 0,
    };
    let history = HistoryId::from_bytes(std::array::from_fn(|at| 0xa0 + at as u8));
    let mut out = Vec::new();
    let body = open_body(&Open { history, seal_at: 0, settings: Position::START });
    header.chain = control::encode(&mut out, header, &body, SALT, FRAMES_AT);

    let data = Data::from_json_bytes(&br#"{"total":5}"#[..]).expect("is JSON");
    let new = NewEvent::new(EventType::parse("order.created").expect("legal"), data)
        .metadata(Metadata::parse(r#"{"tags":["a:b"]}"#).expect("legal"));
    let (stream, id) =
        (StreamName::parse("order-1").expect("legal"), EventId::parse("evt-1").expect("legal"));
    let occurred = Timestamp::parse("2024-07-15T14:32:22Z").expect("a time");
    let mut frame = vec![0; HEADER_LEN];
    let (start, crc) =
        event::encode(&mut frame, &new, Given { stream: &stream, id: &id, labels: &[] }, occurred);
    let crc = event::seal(&mut frame[start..], crc, Position::new(1), StreamVersion::new(1));

    header.kind = FrameKind::Data;
    header.len = (frame.len() + TRAILER_LEN) as u32;
    header.count = 1;
    header.commit_time = Timestamp::parse("2024-07-15T14:32:23Z").expect("a time");
    header.body_crc = crc32fast::hash(&crc.to_le_bytes());
    let (bytes, crc) = header.encode(SALT, FRAMES_AT + out.len() as u64);
    frame[..HEADER_LEN].copy_from_slice(&bytes);
    frame.extend_from_slice(&encode_trailer(header.len, crc));
    out.extend_from_slice(&frame);
    out
}

#[test]
fn the_example_of_the_document_has_the_bytes_that_the_code_writes() {
    let (shown, made) = (bytes_of_the_example(), frames_of_the_example());
    for (at, (shown, made)) in shown.chunks(8).zip(made.chunks(8)).enumerate() {
        assert_eq!(shown, made, "at offset {}", FRAMES_AT as usize + at * 8);
    }
    assert_eq!(shown.len(), made.len());
}

#[test]
fn the_example_of_the_document_reads_as_it_says() {
    let bytes = bytes::Bytes::from(bytes_of_the_example());
    let mut at = 0;
    let mut kinds = Vec::new();
    while at < bytes.len() {
        let head: &[u8; HEADER_LEN] = bytes[at..at + HEADER_LEN].try_into().expect("a whole header");
        let (header, crc) = FrameHeader::decode(head, SALT, FRAMES_AT + at as u64).expect("a frame");
        let end = at + header.len as usize;
        check_frame(&bytes[at..end], &header, crc).expect("a whole frame");
        if header.kind == FrameKind::Data {
            let record = bytes.slice(at + HEADER_LEN..end - TRAILER_LEN);
            let read = event::decode(record, header.commit_time).expect("a whole record");
            assert_eq!(
                (read.stream(), read.event_type(), read.data()),
                ("order-1", "order.created", &br#"{"total":5}"#[..])
            );
            assert!(read.tags().eq(["a:b"]));
        }
        kinds.push(header.kind);
        at = end;
    }
    assert_eq!(kinds, [FrameKind::Open, FrameKind::Data]);
}

/// The tables of fields in a text: offset, size and name of each row.
fn tables(text: &str) -> Vec<Vec<[String; 3]>> {
    let mut tables = Vec::new();
    let mut rows = Vec::new();
    for line in text.lines().chain([""]) {
        let line = line.trim_start().trim_start_matches("/// ");
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        match columns[..] {
            ["", offset, size, name, ..] if offset.parse::<u32>().is_ok() => {
                rows.push([offset, size, name].map(str::to_owned));
            }
            // The line under a table's names, and a row that continues the one above.
            ["", line, ..] if line.starts_with('-') => {}
            ["", "", "", "", _, ..] => {}
            _ if !rows.is_empty() => tables.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    tables
}

#[test]
fn every_table_of_bytes_is_in_the_document_as_it_is_in_the_code() {
    let shown = tables(DOCUMENT);
    for (name, source) in SOURCES {
        let (code, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
        let stated = tables(code);
        assert!(!stated.is_empty(), "{name} has a table");
        for table in stated {
            assert!(shown.contains(&table), "{name}: the document lacks {table:#?}");
        }
    }
}

#[test]
fn the_golden_hash_of_the_document_is_the_one_that_the_code_computes() {
    let hash = TermHasher::new(&[7; 16]).stream(b"order-1");
    assert!(DOCUMENT.contains(&format!("\n{hash:032x}\n")));
}
