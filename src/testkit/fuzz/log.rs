//! A log of frames that are whole, chained and in their places, and say what no writer would.
//!
//! Damage does not make such a log: checksums fit. Whoever can write the files can, and must get an error, not a crash
//! of the program that opens them.

use std::path::Path;
use std::sync::Arc;

use super::bytes::{data_frame, mend_records, samples};
use super::input::Input;
use crate::clock::ManualClock;
use crate::format::control::{self, Open, Seal};
use crate::format::frame::{self, FrameHeader, FrameKind};
use crate::format::segment::{FRAMES_AT, HEADER_COPY_AT, Rewritten, SegmentHeader};
use crate::format::{SegmentNumber, StoreId};
use crate::model::{HistoryId, Position, Timestamp};
use crate::options::Options;
use crate::read::Read;
use crate::store::EventStore;
use crate::testkit::SimDisk;

const SALT: u64 = 99;
const CAPACITY: u64 = 64 << 10;

/// Frames in one log.
const FRAMES_MAX: usize = 12;

/// Bytes as a list of frames in the first segment of a store, which is then opened and read.
pub fn crafted_log(bytes: &[u8]) {
    let disk = SimDisk::new(0);
    disk.write(Path::new("store/log/0000000001.seg"), &segment(bytes));
    let clock = ManualClock::new(Timestamp::from_nanos(0));
    let options =
        Options::new("store").disk(Arc::new(disk)).clock(Arc::new(clock)).background(false).prewrite(false);
    for read_only in [true, false] {
        let Ok(store) = EventStore::open(options.clone().read_only(read_only)) else { continue };
        for read in [Read::all().system(true), Read::all().backward()] {
            // Positions of a crafted log may span more than a test can wait for.
            let events = store.read(read).into_iter().flatten().take(100);
            let whole = events.flatten().filter(|event| !format!("{event:?}").is_empty()).count();
            assert!(whole <= 100);
        }
        assert!(store.streams(Position::START).into_iter().flatten().take(100).count() <= 100);
        drop(store.stats());
        drop(store.append_to(&"order-1".parse().expect("is legal"), crate::ExpectedVersion::Any, samples()));
        drop(store.close());
    }
}

/// The segment file that the bytes mean.
fn segment(bytes: &[u8]) -> Vec<u8> {
    let header = SegmentHeader {
        store: StoreId([1; 16]),
        number: SegmentNumber::FIRST,
        salt: SALT,
        capacity: CAPACITY,
        term_key: [2; 16],
        rewritten: Rewritten::default(),
    };
    let mut file = vec![0; CAPACITY as usize];
    for at in [0, HEADER_COPY_AT as usize] {
        file[at..at + header.encode().len()].copy_from_slice(&header.encode());
    }
    let mut input = Input::new(bytes);
    let mut log = Log { frames: Vec::new(), next: Position::new(1), chain: 0, seal: Seal::default() };
    for _ in 0..FRAMES_MAX {
        log.add(&mut input);
    }
    let len = log.frames.len().min(file.len() - FRAMES_AT as usize);
    file[FRAMES_AT as usize..][..len].copy_from_slice(&log.frames[..len]);
    file
}

/// The frames so far, and what the next one must say to continue them.
struct Log {
    frames: Vec<u8>,
    next: Position,
    chain: u32,
    seal: Seal,
}

impl Log {
    /// Adds a frame that fits behind the others; what it says beside that is the input's.
    fn add(&mut self, input: &mut Input<'_>) {
        let number = if self.frames.is_empty() { 0 } else { input.byte() };
        let offset = FRAMES_AT + self.frames.len() as u64;
        let mut header = FrameHeader {
            kind: FrameKind::Open,
            len: 0,
            count: 0,
            first: self.next,
            durable: if input.byte() & 1 == 1 { Position::new(input.u64()) } else { self.next.previous() },
            commit_time: Timestamp::from_nanos(input.u32().into()),
            epoch: if input.byte() & 1 == 1 { input.u64() } else { 1 },
            chain: self.chain,
            body_crc: 0,
        };
        match number % 8 {
            // Only an OPEN may choose where the log begins.
            0 => {
                header.first = if input.byte() & 1 == 1 { Position::new(input.u64()) } else { self.next };
                let (history, settings) = (HistoryId::from_bytes([4; 16]), Position::START);
                let open = Open { history, seal_at: input.u64(), settings };
                self.control(header, &control::open_body(&open), offset);
            }
            1 => {
                header.kind = FrameKind::Close;
                self.control(header, &[], offset);
            }
            2 => {
                header.kind = FrameKind::Seal;
                self.control(header, &control::seal_body(&self.seal), offset);
            }
            3 if input.byte() & 1 == 1 => {
                header.kind = FrameKind::Removed;
                header.count = input.below(4) as u32;
                self.control(header, &[], offset);
            }
            3 => self.raw_data(header, input, offset),
            _ => self.data(header, input.below(4) as usize, offset),
        }
    }

    fn control(&mut self, header: FrameHeader, body: &[u8], offset: u64) {
        self.chain = control::encode(&mut self.frames, header, body, SALT, offset);
        self.next = header.next_position();
    }

    fn data(&mut self, header: FrameHeader, count: usize, offset: u64) {
        let header = FrameHeader { kind: FrameKind::Data, ..header };
        let (bytes, crc) = data_frame(header, SALT, offset, &samples()[..count]);
        self.push(&bytes, crc, header, count as u64);
    }

    /// A data frame whose one record is the input's, but for its lengths and checksums.
    fn raw_data(&mut self, header: FrameHeader, input: &mut Input<'_>, offset: u64) {
        let mut body = vec![0; 48 + usize::from(input.byte()) / 8 * 8];
        let given = input.take(body.len());
        body[..given.len()].copy_from_slice(given);
        let len = body.len() as u32;
        body[..4].copy_from_slice(&len.to_le_bytes());
        body[8..16].copy_from_slice(&header.first.get().to_le_bytes());
        let body_crc = mend_records(&mut body, 1);
        let len = len + (frame::HEADER_LEN + frame::TRAILER_LEN) as u32;
        let header = FrameHeader { kind: FrameKind::Data, len, count: 1, body_crc, ..header };
        let (start, crc) = header.encode(SALT, offset);
        let bytes = [&start[..], &body, &frame::encode_trailer(len, crc)].concat();
        self.push(&bytes, crc, header, 1);
    }

    fn push(&mut self, bytes: &[u8], crc: u32, header: FrameHeader, count: u64) {
        self.frames.extend_from_slice(bytes);
        self.chain = crc;
        self.next = header.first.advanced(count);
        self.seal.events += count;
        self.seal.frames += 1;
        self.seal.last_time = header.commit_time;
        if self.seal.frames == 1 {
            self.seal.first_time = header.commit_time;
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let plain = |kind: u8, more: &[u8]| [&[kind, 0, 5, 0, 0, 0, 0][..], more].concat();
    let open = [&[0, 1, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
    // The first frame needs no kind: it is an OPEN. Positions near the last number there can be.
    let high = [&[0, 1, 0, 0, 0, 0, 1][..], &(u64::MAX - 2).to_le_bytes(), &[0; 8]].concat();
    let record = [&[16][..], super::bytes::event_seeds()[0].as_slice()].concat();
    vec![
        [open.clone(), plain(4, &[3]), plain(1, &[]), plain(5, &[2]), plain(2, &[])].concat(),
        [high, plain(4, &[1]), plain(4, &[2]), plain(4, &[3])].concat(),
        [open, plain(3, &record), plain(4, &[1])].concat(),
    ]
}
