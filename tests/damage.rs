//! Damage: bits flip, files are cut, lost, swapped, taken from an older day or another store. The store answers the
//! unchanged data or an error that names a file; never other data, never less of it, never a panic.
//!
//! The store is small: about 200 events in three segments, cleanly closed, so that a CLOSE frame and STATE tell where it
//! ends; each kind of damage is also done without STATE and without indexes. Every bit of every header is flipped, and a
//! sample of the others: `ANNALS_DAMAGE_BITS` says how many (default 1000), `ANNALS_DAMAGE_SEED` which, and
//! `ANNALS_DAMAGE_ALL=1` flips each bit that is in use.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use annals::testkit::{Model, Numbered, Placed, Rng, SimDisk};
use annals::{EventStore, ExpectedVersion, Options, Read, VerifyReport};

use crate::support::*;

const EVENTS: u64 = 200;
const STREAMS: u64 = 6;

/// The bytes of a CLOSE frame, by `docs/format.md`.
const CLOSE_BYTES: u64 = 72;

const WITHOUT_STATE: &str = "without STATE, ";

/// A whole store.
struct Whole {
    disk: SimDisk,
    events: Vec<Placed>,
    /// Each file as it was when half of the events were there.
    half: BTreeMap<PathBuf, Vec<u8>>,
}

fn files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let bytes = |path: PathBuf| (disk.read(&path).expect("the file is there"), path);
    disk.paths().into_iter().map(bytes).map(|(bytes, path)| (path, bytes)).collect()
}

fn whole_store(seed: u64) -> Whole {
    let disk = SimDisk::new(seed);
    let store = open(on(&disk));
    let mut half = BTreeMap::new();
    let mut rng = Rng::new(seed);
    let mut number = 0;
    while number < EVENTS {
        let name = format!("s-{}", rng.below(STREAMS));
        let count = 1 + rng.below(3);
        let events =
            (0..count).map(|n| Numbered { number: number + n, bytes: 200 + rng.below(900) as usize });
        append(&store, &name, events.map(Numbered::to_event).collect::<Vec<_>>());
        number += count;
        if half.is_empty() && number >= EVENTS / 2 {
            half = files(&disk);
        }
    }
    assert_eq!(store.stats().expect("readable").segments, 3);
    let events = placed(&store).expect("whole");
    // The indexes are built when they are asked.
    check_reads(&store, &events).expect("whole");
    store.close().expect("closed");
    Whole { disk, events, half }
}

/// What a damaged store answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Unchanged,
    Refused,
}

fn named(error: &str, damage: &str) -> Answer {
    let names_a_file = [".seg", ".idx", "STATE", "LOCK", ".bin"].iter().any(|name| error.contains(name));
    assert!(names_a_file, "{damage}: the error names no file: {error}");
    Answer::Refused
}

/// Reads, and checks that the answer is `wanted`, or a beginning of it and then an error.
fn read_through(store: &EventStore, read: Read, wanted: &[&Placed], damage: &str) -> Answer {
    let events = match store.read(read) {
        Ok(events) => events,
        Err(error) => return named(&error.to_string(), damage),
    };
    let mut found = 0;
    for event in events {
        match event {
            Ok(event) => assert_eq!(Placed::of(&event).as_ref(), wanted.get(found).copied(), "{damage}"),
            Err(error) => return named(&error.to_string(), damage),
        }
        found += 1;
    }
    assert_eq!(found, wanted.len(), "{damage}: events are missing and nobody says so");
    Answer::Unchanged
}

/// Opens, and reads everything in every way.
fn answer(options: Options, events: &[Placed], damage: &str) -> Answer {
    let store = match EventStore::open(options) {
        Ok(store) => store,
        Err(error) => return named(&error.to_string(), damage),
    };
    let all: Vec<&Placed> = events.iter().collect();
    let mut answers = vec![read_through(&store, Read::all(), &all, damage)];
    let reverse: Vec<&Placed> = events.iter().rev().collect();
    answers.push(read_through(&store, Read::all().backward(), &reverse, damage));
    let model = Model::holding(events.to_vec());
    for (name, at) in model.versions() {
        let of_stream: Vec<&Placed> = events.iter().filter(|placed| placed.stream == name).collect();
        answers.push(read_through(&store, Read::stream(stream(name)), &of_stream, damage));
        let next = [Numbered { number: 1_000_000, bytes: 1 }.to_event()];
        match store.append_to(&stream(name), ExpectedVersion::Exactly(at), next) {
            Ok(receipt) => assert_eq!(receipt.streams[0].version, at.next(), "{damage}"),
            Err(annals::AppendError::Store(annals::Error::ReadOnly)) => {}
            Err(error) => drop(named(&error.to_string(), damage)),
        }
    }
    if answers.iter().all(|answer| *answer == Answer::Unchanged) {
        Answer::Unchanged
    } else {
        Answer::Refused
    }
}

/// As [`judge`], of damage to one file: only segments can be missed.
fn judge_file(disk: &SimDisk, path: &Path, events: &[Placed], damage: &str) {
    let answer = judge(disk, events, damage);
    let is_segment = path.to_string_lossy().ends_with(".seg");
    assert!(is_segment || answer == Answer::Unchanged, "{damage}: a file that can be made again was missed");
}

/// Opens a damaged store for reading, verifies it, and opens it for writing.
fn judge(disk: &SimDisk, events: &[Placed], damage: &str) -> Answer {
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let before = disk.operations();
        let reader = answer(on(disk).read_only(true), events, damage);
        let clean = match VerifyReport::of(&on(disk)) {
            Ok(report) => report.faults.is_empty(),
            Err(error) => named(&error.to_string(), damage) == Answer::Unchanged,
        };
        assert_eq!(disk.operations(), before, "{damage}: reading and verifying change nothing");
        let writer = answer(on(disk), events, damage);
        let refused = reader == Answer::Refused || writer == Answer::Refused;
        assert!(!(clean && refused), "{damage}: refused ({reader:?}, {writer:?}), but verify finds nothing");
        if refused { Answer::Refused } else { Answer::Unchanged }
    }));
    judged.unwrap_or_else(|_| panic!("{damage}"))
}

/// The store without some of what could be made again.
fn variants(whole: &Whole) -> Vec<(&'static str, SimDisk)> {
    let without = |unwanted: &str| {
        let disk = whole.disk.crash_keeping_all();
        for path in disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(unwanted)) {
            disk.remove_file(path).expect("the file is there");
        }
        disk
    };
    vec![("", whole.disk.clone()), (WITHOUT_STATE, without("STATE")), ("without indexes, ", without(".idx"))]
}

/// Where the bytes in use of a file end.
fn used(bytes: &[u8]) -> u64 {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// The bits of all headers.
fn header_bits(whole: &Whole) -> Vec<(PathBuf, u64)> {
    let mut bits = Vec::new();
    for path in whole.disk.paths() {
        let ranges: &[std::ops::Range<u64>] = match path.extension().and_then(|name| name.to_str()) {
            // Both headers, and OPEN.
            Some("seg") => &[0..128, 4096..4224, 8192..8288],
            Some("idx") => &[0..128, 128..136],
            _ if path.ends_with("STATE") => &[0..96, 4096..4192],
            _ => &[],
        };
        for byte in ranges.iter().cloned().flatten() {
            bits.extend((byte * 8..byte * 8 + 8).map(|bit| (path.clone(), bit)));
        }
    }
    bits
}

/// Bits anywhere in what is used of a file; or all of them.
fn other_bits(whole: &Whole) -> Vec<(PathBuf, u64)> {
    let files: Vec<_> = files(&whole.disk).into_iter().map(|(path, bytes)| (path, used(&bytes))).collect();
    if setting("ANNALS_DAMAGE_ALL", 0) > 0 {
        return files
            .into_iter()
            .flat_map(|(path, len)| (0..len * 8).map(move |bit| (path.clone(), bit)))
            .collect();
    }
    let mut rng = Rng::new(setting("ANNALS_DAMAGE_SEED", 1));
    let mut bits = Vec::new();
    for (path, len) in files.iter().filter(|(_, len)| *len > 0) {
        let is_segment = path.to_string_lossy().ends_with(".seg");
        let count = setting("ANNALS_DAMAGE_BITS", 1000) / if is_segment { 4 } else { 20 };
        bits.extend((0..count).map(|_| (path.clone(), rng.below(len * 8))));
        // The last frame of a segment: SEAL or CLOSE, and the end of the data before it.
        let tail = if is_segment { len.saturating_sub(120) * 8 } else { len * 8 };
        bits.extend((tail..len * 8).map(|bit| (path.clone(), bit)));
    }
    bits
}

/// Whether damage in `len` bytes at `at` is the known residue: without STATE it is CLOSE alone that tells where the log
/// ends, and a reader takes what lies beyond the durable position of the last frame for a write in progress.
fn is_residue(variant: &str, whole: &Whole, path: &Path, at: u64, len: u64) -> bool {
    if variant != WITHOUT_STATE || !path.ends_with("0000000003.seg") {
        return false;
    }
    let end = used(&whole.disk.read(path).expect("the file is there")).next_multiple_of(8);
    at < end && at + len > end - CLOSE_BYTES
}

fn flip_each(whole: &Whole, bits: &[(PathBuf, u64)], variants: &[(&str, SimDisk)]) {
    for (variant, base) in variants {
        on_all_processors(bits, |(path, bit)| {
            let disk = base.crash_keeping_all();
            if !is_residue(variant, whole, path, bit / 8, 1) && disk.flip_bit(path, *bit).is_ok() {
                let damage = format!("{variant}bit {} of byte {} of {}", bit % 8, bit / 8, path.display());
                judge_file(&disk, path, &whole.events, &damage);
            }
        });
    }
    say(&format!("{} bits flipped, each in {} variants of the store", bits.len(), variants.len()));
}

#[test]
fn every_flipped_bit_of_a_header_is_harmless_or_told() {
    let whole = whole_store(1);
    let bits = header_bits(&whole);
    flip_each(&whole, &bits, &variants(&whole)[..1]);
    let is_open = |(path, bit): &&(PathBuf, u64)| {
        path.to_string_lossy().ends_with(".seg") && (8192 * 8..8288 * 8).contains(bit)
    };
    let open_bits: Vec<_> = bits.iter().filter(is_open).cloned().collect();
    flip_each(&whole, &open_bits, &variants(&whole)[1..]);
}

#[test]
fn a_flipped_bit_anywhere_is_harmless_or_told() {
    let whole = whole_store(2);
    let (bits, variants) = (other_bits(&whole), variants(&whole));
    flip_each(&whole, &bits, &variants);
    println!("{} bits flipped, each in {} variants of the store", bits.len(), variants.len());
}

#[test]
fn a_zeroed_sector_or_block_is_harmless_or_told() {
    let whole = whole_store(3);
    let mut places = Vec::new();
    for (path, bytes) in files(&whole.disk) {
        for at in (0..used(&bytes)).step_by(1024) {
            places.push((path.clone(), at));
        }
    }
    for (variant, base) in variants(&whole) {
        on_all_processors(&places, |(path, at)| {
            for len in [512, 4096] {
                let disk = base.crash_keeping_all();
                let Ok(mut bytes) = disk.read(path) else { continue };
                if is_residue(variant, &whole, path, *at, len as u64) {
                    continue;
                }
                let end = bytes.len().min(*at as usize + len);
                bytes[*at as usize..end].fill(0);
                disk.write(path, &bytes);
                judge_file(
                    &disk,
                    path,
                    &whole.events,
                    &format!("{variant}{len} zeros at {at} of {}", path.display()),
                );
            }
        });
    }
}

#[test]
fn a_file_that_is_cut_is_harmless_or_told() {
    let whole = whole_store(4);
    for (variant, base) in variants(&whole) {
        on_all_processors(&base.paths(), |path| {
            let bytes = base.read(path).expect("the file is there");
            let lengths = [0, 1, 100, 127, 128, 4096, 4200, 4224, 8192, 8200, 8288, 9000, 20_000, 40_000];
            let (used, all) = (used(&bytes), bytes.len() as u64);
            let near_end = [used.saturating_sub(1), used, used + 1, all.saturating_sub(1)];
            for len in lengths.into_iter().chain(near_end).filter(|len| *len < all) {
                let disk = base.crash_keeping_all();
                disk.truncate(path, len).expect("the file is there");
                judge_file(
                    &disk,
                    path,
                    &whole.events,
                    &format!("{variant}{} cut to {len} bytes", path.display()),
                );
            }
        });
    }
}

#[test]
fn a_file_that_is_gone_is_harmless_or_told() {
    let whole = whole_store(5);
    for path in whole.disk.paths() {
        let disk = whole.disk.crash_keeping_all();
        disk.remove_file(&path).expect("the file is there");
        let found = judge(&disk, &whole.events, &format!("{} removed", path.display()));
        let is_segment = path.to_string_lossy().ends_with(".seg");
        assert_eq!(found == Answer::Refused, is_segment, "only segments are needed: {}", path.display());
    }
}

#[test]
fn the_only_segment_being_gone_is_told() {
    let disk = SimDisk::new(1);
    append(&open(on(&disk)), "s", [event(1)]);
    disk.remove_file(Path::new("store/log/0000000001.seg")).expect("the file is there");
    for read_only in [true, false] {
        let refused = EventStore::open(on(&disk).read_only(read_only)).expect_err("an event is missing");
        assert!(refused.to_string().contains("0000000001.seg"), "{refused}");
    }
}

#[test]
fn swapped_files_are_harmless_or_told() {
    let whole = whole_store(6);
    let files: Vec<_> = files(&whole.disk).into_iter().collect();
    for (one, bytes_one) in &files {
        for (other, bytes_other) in files.iter().filter(|(other, _)| other > one) {
            let disk = whole.disk.crash_keeping_all();
            disk.write(one, bytes_other);
            disk.write(other, bytes_one);
            judge(&disk, &whole.events, &format!("{} and {} swapped", one.display(), other.display()));
        }
    }
}

#[test]
fn an_older_copy_of_a_file_is_harmless_or_told() {
    let whole = whole_store(7);
    for (path, bytes) in &whole.half {
        let disk = whole.disk.crash_keeping_all();
        disk.write(path, bytes);
        judge_file(&disk, path, &whole.events, &format!("{} as it was earlier", path.display()));
    }
    let last = Path::new("store/log/0000000003.seg");
    let disk = whole.disk.crash_keeping_all();
    let before_last = open(on(&disk));
    append(&before_last, "s-0", [event(1)]);
    before_last.close().expect("closed");
    disk.write(last, &whole.disk.read(last).expect("the file is there"));
    assert_eq!(
        judge(&disk, &placed_before(&whole), "the last segment as it was an append earlier"),
        Answer::Refused
    );
}

/// The events of a store that an older copy of its last segment would show, if it were believed.
fn placed_before(whole: &Whole) -> Vec<Placed> {
    let mut events = whole.events.clone();
    events.push(Placed { event: Numbered { number: 0, bytes: 0 }, ..events[0].clone() });
    events
}

#[test]
fn files_of_another_store_are_harmless_or_told() {
    let (whole, other) = (whole_store(8), whole_store(8));
    for (path, bytes) in files(&other.disk) {
        for (variant, base) in variants(&whole) {
            let disk = base.crash_keeping_all();
            disk.write(&path, &bytes);
            let damage = format!("{variant}{} of another store", path.display());
            let found = judge(&disk, &whole.events, &damage);
            let is_segment = path.to_string_lossy().ends_with(".seg");
            assert_eq!(found == Answer::Refused, is_segment, "{damage}");
        }
    }
}
