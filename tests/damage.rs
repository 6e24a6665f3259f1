//! Damage: bits flip, files are cut, lost, swapped, taken from an older day or another store. The store answers the
//! unchanged data or an error that names file and offset; never other data, never less of it, never a panic.
//!
//! The store is small: about 200 events in three segments, cleanly closed, so that a CLOSE frame and STATE tell where it
//! ends; each kind of damage is also done without STATE and without indexes. Every bit of every header is flipped, and a
//! sample of the others: `ANNALS_DAMAGE_BITS` says how many (default 1000), `ANNALS_DAMAGE_SEED` which. `cargo hunt damage`
//! flips each bit, and cuts each file at each length.
//!
//! The files of snapshots are sled's, on the system's disk; `ANNALS_DAMAGE_SNAPSHOTS` says how many directories are damaged
//! (default 48), and `cargo hunt meta` damages thousands.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use annals::testkit::damage::{Kept, Snapshotted, Spot, Variant, Verdict, Whole, used};
use annals::testkit::{Numbered, Rng, SimDisk};
use annals::{Error, EventStore, Read};

use crate::support::*;

const VARIANTS: [(&str, Variant); 3] = [
    ("", Variant::Complete),
    ("without STATE, ", Variant::WithoutState),
    ("without indexes, ", Variant::WithoutIndexes),
];

fn whole_store(seed: u64) -> Whole {
    let whole = Whole::new(seed).expect("nothing is damaged yet");
    assert!(whole.events.len() >= 200);
    assert_eq!(whole.disk.paths().iter().filter(|path| path.to_string_lossy().ends_with(".seg")).count(), 3);
    whole
}

/// The verdict on a damaged store; `damage` says what was done to it.
fn judge(whole: &Whole, disk: &SimDisk, damage: &str) -> Verdict {
    whole.judge(disk).unwrap_or_else(|fault| panic!("{damage}: {fault}"))
}

fn judge_file(whole: &Whole, disk: &SimDisk, spot: &Spot, damage: &str) {
    whole.judge_file(disk, spot).unwrap_or_else(|fault| panic!("{damage}: {fault}"));
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
    let files: Vec<_> = whole.files().into_iter().map(|(path, bytes)| (path, used(&bytes))).collect();
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

fn flip_each(whole: &Whole, bits: &[(PathBuf, u64)], variants: &[(&str, Variant)]) {
    for (name, variant) in variants {
        let base = whole.copy(*variant);
        on_all_processors(bits, |(path, bit)| {
            let (byte, disk) = (bit / 8, base.crash_keeping_all());
            let spot = Spot { path: path.clone(), from: byte, to: byte + 1 };
            if !whole.is_residue(*variant, &spot) && disk.flip_bit(path, *bit).is_ok() {
                let damage = format!("{name}bit {} of byte {byte} of {}", bit % 8, path.display());
                judge_file(whole, &disk, &spot, &damage);
            }
        });
    }
    say(&format!("{} bits flipped, each in {} variants of the store", bits.len(), variants.len()));
}

#[test]
fn every_flipped_bit_of_a_header_is_harmless_or_told() {
    let whole = whole_store(1);
    let bits = header_bits(&whole);
    flip_each(&whole, &bits, &VARIANTS[..1]);
    let is_open = |(path, bit): &&(PathBuf, u64)| {
        path.to_string_lossy().ends_with(".seg") && (8192 * 8..8288 * 8).contains(bit)
    };
    let open_bits: Vec<_> = bits.iter().filter(is_open).cloned().collect();
    flip_each(&whole, &open_bits, &VARIANTS[1..]);
}

#[test]
fn a_flipped_bit_anywhere_is_harmless_or_told() {
    let whole = whole_store(2);
    flip_each(&whole, &other_bits(&whole), &VARIANTS);
}

#[test]
fn a_zeroed_sector_or_block_is_harmless_or_told() {
    let whole = whole_store(3);
    let mut places = Vec::new();
    for (path, bytes) in whole.files() {
        for at in (0..used(&bytes)).step_by(1024) {
            places.push((path.clone(), at));
        }
    }
    for (name, variant) in VARIANTS {
        let base = whole.copy(variant);
        on_all_processors(&places, |(path, at)| {
            for len in [512, 4096] {
                let disk = base.crash_keeping_all();
                let Ok(mut bytes) = disk.read(path) else { continue };
                let end = bytes.len().min(*at as usize + len);
                let spot = Spot { path: path.clone(), from: *at, to: end as u64 };
                if whole.is_residue(variant, &spot) {
                    continue;
                }
                bytes[*at as usize..end].fill(0);
                disk.write(path, &bytes);
                let damage = format!("{name}{len} zeros at {at} of {}", path.display());
                judge_file(&whole, &disk, &spot, &damage);
            }
        });
    }
}

#[test]
fn a_file_that_is_cut_is_harmless_or_told() {
    let whole = whole_store(4);
    for (name, variant) in VARIANTS {
        let base = whole.copy(variant);
        on_all_processors(&base.paths(), |path| {
            let bytes = base.read(path).expect("the file is there");
            let lengths = [0, 1, 100, 127, 128, 4096, 4200, 4224, 8192, 8200, 8288, 9000, 20_000, 40_000];
            let (used, all) = (used(&bytes), bytes.len() as u64);
            let near_end = [used.saturating_sub(1), used, used + 1, all.saturating_sub(1)];
            for len in lengths.into_iter().chain(near_end).filter(|len| *len < all) {
                let disk = base.crash_keeping_all();
                disk.truncate(path, len).expect("the file is there");
                let spot = Spot { path: path.clone(), from: len, to: u64::MAX };
                judge_file(&whole, &disk, &spot, &format!("{name}{} cut to {len} bytes", path.display()));
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
        let found = judge(&whole, &disk, &format!("{} removed", path.display()));
        let is_segment = path.to_string_lossy().ends_with(".seg");
        assert_eq!(found == Verdict::Told, is_segment, "only segments are needed: {}", path.display());
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
    let files: Vec<_> = whole.files().into_iter().collect();
    for (one, bytes_one) in &files {
        for (other, bytes_other) in files.iter().filter(|(other, _)| other > one) {
            let disk = whole.disk.crash_keeping_all();
            disk.write(one, bytes_other);
            disk.write(other, bytes_one);
            judge(&whole, &disk, &format!("{} and {} swapped", one.display(), other.display()));
        }
    }
}

#[test]
fn an_older_copy_of_a_file_is_harmless_or_told() {
    let whole = whole_store(7);
    for (path, bytes) in &whole.half {
        let disk = whole.disk.crash_keeping_all();
        disk.write(path, bytes);
        let spot = Spot { path: path.clone(), from: 0, to: bytes.len() as u64 };
        judge_file(&whole, &disk, &spot, &format!("{} as it was earlier", path.display()));
    }
    let last = Path::new("store/log/0000000003.seg");
    let mut later = whole.clone();
    later.disk = whole.copy(Variant::Complete);
    let store = open(on(&later.disk));
    append(&store, "s-0", [Numbered { number: 900_000, bytes: 1 }.to_event()]);
    later.events = placed(&store).expect("whole");
    store.close().expect("closed");
    let disk = later.copy(Variant::Complete);
    disk.write(last, &whole.disk.read(last).expect("the file is there"));
    assert_eq!(judge(&later, &disk, "the last segment as it was an append earlier"), Verdict::Told);
}

#[test]
fn a_segment_under_another_number_is_harmless_or_told() {
    let whole = whole_store(9);
    let segment = |number| PathBuf::from(format!("store/log/{number:010}.seg"));
    for from in 1..=3 {
        for to in (1..=4).filter(|to| *to != from) {
            for (name, variant) in VARIANTS {
                let disk = whole.copy(variant);
                disk.write(&segment(to), &disk.read(&segment(from)).expect("the file is there"));
                let damage = format!("{name}segment {from} also as segment {to}");
                let verdict = judge(&whole, &disk, &damage);
                assert_eq!(verdict, Verdict::Told, "{damage}");
            }
        }
    }
}

#[test]
fn files_of_another_store_are_harmless_or_told() {
    let (whole, other) = (whole_store(8), whole_store(8));
    for (path, bytes) in other.files() {
        for (name, variant) in VARIANTS {
            let disk = whole.copy(variant);
            disk.write(&path, &bytes);
            let damage = format!("{name}{} of another store", path.display());
            let found = judge(&whole, &disk, &damage);
            let is_segment = path.to_string_lossy().ends_with(".seg");
            assert_eq!(found == Verdict::Told, is_segment, "{damage}");
        }
    }
}

#[test]
fn whatever_happens_to_the_files_of_snapshots_each_is_as_it_was_or_absent_and_new_ones_are_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = Snapshotted::new(&dir.path().join("whole")).expect("nothing is damaged yet");
    let seed = setting("ANNALS_DAMAGE_SEED", 1);
    let seeds: Vec<u64> = (seed..seed + setting("ANNALS_DAMAGE_SNAPSHOTS", 48)).collect();
    let sum = Mutex::new(Kept::default());
    on_all_processors(&seeds, |seed| {
        let sample = dir.path().join(seed.to_string());
        let kept = whole.sample(*seed, &sample).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        *sum.lock().expect("nobody panics with it") += kept;
    });
    let kept = sum.into_inner().expect("nobody panics with it");
    assert!(kept.newest > 0 && kept.none > 0 && kept.aside > 0, "the damage is all or nothing: {kept}");
    let tables = 1..seeds.len() as u64;
    assert!(tables.contains(&kept.tables), "every table is kept, or none: {kept}");
    say(&format!("{} damaged directories; {kept}", seeds.len()));
}

#[test]
fn a_length_that_leads_beyond_the_file_is_damage_at_its_record() {
    let whole = whole_store(10);
    let path = Path::new("store/log/0000000001.seg");
    // Behind both headers, OPEN, and the header of the first frame of events.
    let record = 8192 + 104 + 64;
    let disk = whole.copy(Variant::Complete);
    disk.flip_bit(path, (record + 3) * 8).expect("the file is there");
    let told = open(on(&disk)).read(Read::all()).expect("a legal read").next();
    let Some(Err(Error::Damaged { path: named, offset, .. })) = told else { panic!("{told:?}") };
    assert_eq!((named.as_path(), offset), (path, record));
}
