//! Verify: it names every fault with its place and its positions, goes on behind each, and takes nothing for a fault
//! that a crash leaves or a writer does.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use annals::testkit::{Rng, SimDisk};
use annals::{Fault, Position, Salvage, VerifyReport};

use crate::damaged::*;
use crate::support::*;

fn verify(disk: &SimDisk) -> VerifyReport {
    VerifyReport::of(&on(disk)).expect("readable")
}

fn deep(disk: &SimDisk) -> VerifyReport {
    VerifyReport::deep(&on(disk)).expect("readable")
}

fn names(fault: &Fault, position: u64) -> bool {
    fault.positions.as_ref().is_some_and(|range| range.contains(&Position::new(position)))
}

#[test]
fn each_of_many_damaged_events_is_named_by_its_place_and_its_position() {
    let whole = Whole::new(1);
    let disk = whole.copy();
    let hit: Vec<u64> = (5..whole.last() - 5).step_by(11).collect();
    for position in &hit {
        let place = &whole.places[position];
        disk.flip_bit(&place.path, (place.record.end - 30) * 8).expect("is there");
    }
    let report = verify(&disk);
    let found: Vec<_> = report
        .faults
        .iter()
        .map(|fault| (fault.path.clone(), fault.offset, fault.positions.clone()))
        .collect();
    let wanted = hit.iter().map(|position| {
        let place = &whole.places[position];
        (place.path.clone(), place.record.start, Some(Position::new(*position)..=Position::new(*position)))
    });
    assert_eq!(found, wanted.collect::<Vec<_>>());
    assert_eq!(report.events, whole.last() - hit.len() as u64);
}

#[test]
fn who_watches_a_verification_is_told_after_each_segment_and_may_end_it() {
    let whole = Whole::new(1);
    let count = segments(&whole.disk).len() as u64;
    let mut told = Vec::new();
    let report = VerifyReport::watched(&options(&whole.disk), true, |progress| {
        assert_eq!(progress.segments, count);
        told.push((progress.report.segments, progress.report.events));
        ControlFlow::Continue(())
    });
    assert_eq!(report.expect("can be read"), Some(deep(&whole.disk)));
    assert!(told.iter().map(|(segments, _)| *segments).eq(1..=count));
    assert!(told.is_sorted() && told.last().is_some_and(|(_, events)| *events == whole.last()));
    let mut looks = 0;
    let ended = VerifyReport::watched(&options(&whole.disk), false, |_| {
        looks += 1;
        ControlFlow::Break(())
    });
    assert_eq!((ended.expect("can be read"), looks), (None, 1));
}

#[test]
fn a_frame_without_a_header_is_named_with_all_its_positions_and_what_is_left_of_it() {
    let whole = Whole::new(2);
    let place = &whole.places[&20];
    let disk = whole.copy();
    disk.flip_bit(&place.path, (place.frame + 50) * 8).expect("is there");
    let report = verify(&disk);
    let [fault] = &report.faults[..] else { panic!("{:?}", report.faults) };
    assert_eq!((&fault.path, fault.offset), (&place.path, place.frame));
    let of_frame: Vec<u64> = whole
        .places
        .iter()
        .filter(|(_, other)| other.path == place.path && other.frame == place.frame)
        .map(|(position, _)| *position)
        .collect();
    assert!(of_frame.iter().all(|position| names(fault, *position)));
    assert!(fault.what.contains(&format!("{0} of {0} events are whole", of_frame.len())), "{}", fault.what);
}

#[test]
fn every_kind_of_file_that_is_damaged_is_named_in_one_report() {
    let whole = Whole::new(3);
    let disk = whole.copy();
    build_indexes(&disk);
    let paths = segments(&disk);
    disk.flip_bit(&paths[0], 30 * 8).expect("is there");
    let place = &whole.places[&3];
    disk.flip_bit(&place.path, (place.record.start + 70) * 8).expect("is there");
    let index = paths[1].with_extension("idx");
    disk.flip_bit(&index, 5000 * 8).expect("is there");
    let last = &whole.places[&whole.last()];
    disk.flip_bit(&last.path, (last.record.start + 70) * 8).expect("is there");
    let report = verify(&disk);
    let named: BTreeSet<PathBuf> = report.faults.iter().map(|fault| fault.path.clone()).collect();
    assert_eq!(named, BTreeSet::from([paths[0].clone(), index, last.path.clone()]));
    assert_eq!(report.faults.len(), 4, "{:?}", report.faults);
}

#[test]
fn a_missing_segment_is_named_with_the_positions_that_were_in_it() {
    let whole = Whole::new(4);
    let disk = whole.copy();
    let gone = segments(&disk)[1].clone();
    disk.remove_file(&gone).expect("is there");
    let report = verify(&disk);
    let fault = report.faults.iter().find(|fault| fault.path == gone).expect("is named");
    for (position, place) in &whole.places {
        assert_eq!(names(fault, *position), place.path == gone, "position {position}");
    }
    let of_streams: Vec<_> = deep(&disk).faults.into_iter().filter_map(|fault| fault.stream).collect();
    assert!(!of_streams.is_empty(), "streams that go on behind it are named");
}

#[test]
fn a_segment_whose_end_is_gone_is_named_and_the_one_behind_it_is_not() {
    let whole = Whole::new(3);
    let disk = whole.copy();
    let (lost, path, end) = zero_the_end_of_the_first_segment(&whole, &disk);
    let report = verify(&disk);
    let [fault] = &report.faults[..] else { panic!("{:?}", report.faults) };
    assert_eq!((&fault.path, fault.offset), (&path, end));
    assert!(lost.iter().all(|position| names(fault, *position)), "{fault:?}");
}

#[test]
fn what_salvage_cannot_keep_verify_has_named() {
    let whole = Whole::new(5);
    let seeds: Vec<u64> = (1000..1000 + setting("ANNALS_VERIFY_SEEDS", 60)).collect();
    on_all_processors(&seeds, |seed| {
        let mut rng = Rng::new(*seed);
        let disk = whole.copy();
        let mut damage = Damage::default();
        for _ in 0..1 + rng.below(4) {
            damage.strike(&disk, &mut rng);
        }
        let operations = disk.operations();
        let (report, deep) = (verify(&disk), deep(&disk));
        assert_eq!(disk.operations(), operations, "seed {seed}: verifying changes nothing");
        assert!(!report.faults.is_empty(), "seed {seed}: {damage:?}");
        assert!(
            report.faults.iter().all(|fault| deep.faults.contains(fault)),
            "seed {seed}: deep finds no less"
        );
        if read_until_error(options(&disk).read_only(true)).is_err() {
            assert!(!report.is_clean(), "seed {seed}");
        }
        let lost = Salvage::of(&on(&disk)).copy_to("new").expect("saved").losses;
        for position in lost.iter().flat_map(|loss| loss.positions.start().get()..=loss.positions.end().get())
        {
            let named = report.faults.iter().any(|fault| names(fault, position));
            assert!(named, "seed {seed}: position {position}; {damage:?}; {:?}", report.faults);
        }
    });
}

#[test]
fn an_index_that_fits_its_checksums_and_not_the_log_is_found_by_deep_alone() {
    let whole = Whole::new(6);
    let disk = whole.copy();
    build_indexes(&disk);
    let index = segments(&disk)[0].with_extension("idx");
    let mut bytes = disk.read(&index).expect("is there");
    // Two offsets change places; then every checksum above them is made anew, by docs/format.md.
    let offsets = 4096;
    for byte in 0..4 {
        bytes.swap(offsets + byte, offsets + 4 + byte);
    }
    // Behind the header come blocks of 4096 bytes, and behind them 4 bytes for each.
    let blocks = (bytes.len() - 4096) / 4100;
    let checksums_at = 4096 + blocks * 4096;
    let block = offsets / 4096;
    let crc = crc32fast::hash(&bytes[block * 4096..block * 4096 + 4096]);
    bytes[checksums_at + (block - 1) * 4..][..4].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[checksums_at..]);
    bytes[104..108].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..108]);
    bytes[108..112].copy_from_slice(&crc.to_le_bytes());
    disk.write(&index, &bytes);
    assert_eq!(verify(&disk).faults, []);
    let report = deep(&disk);
    let [fault] = &report.faults[..] else { panic!("{:?}", report.faults) };
    assert_eq!((&fault.path, fault.offset / 4096), (&index, block as u64));
    assert!(fault.what.contains("the offsets"), "{}", fault.what);
}

#[test]
fn indexes_that_were_built_in_any_order_agree_with_the_log() {
    let whole = Whole::new(7);
    let disk = whole.copy();
    // Built when asked, by a store that has them all missing.
    let store = open(options(&disk));
    check_all_streams(&store);
    store.close().expect("closed");
    let indexes = disk.paths().into_iter().filter(|path| path.extension().is_some_and(|name| name == "idx"));
    assert!(indexes.count() >= 2);
    let report = deep(&disk);
    assert_eq!((report.faults, report.notes), (vec![], vec![]));
    let names: BTreeSet<&str> = whole.events.iter().map(|event| event.stream()).collect();
    assert_eq!(report.streams, names.len() as u64);
}

fn check_all_streams(store: &annals::EventStore) {
    for info in store.streams(Position::START).expect("readable") {
        let name = info.expect("readable").name;
        read(store, annals::Read::stream(name).backward());
    }
}

#[test]
fn what_a_crash_leaves_is_a_note_and_no_fault() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    store.close().expect("closed");
    let log = segments(&disk)[0].clone();
    let mut bytes = disk.read(&log).expect("is there");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("is used") + 1;
    bytes[end..end + 100].fill(7);
    disk.write(&log, &bytes);
    disk.write(Path::new("store/log/tail-0000000001-9000.bin"), b"old");
    disk.write(Path::new("store/log/0000000002.seg.tmp"), b"half");
    let report = deep(&disk);
    assert_eq!(report.faults, []);
    let noted: BTreeSet<&Path> = report.notes.iter().map(|note| note.path.as_path()).collect();
    let wanted =
        ["store/log/0000000001.seg", "store/log/0000000002.seg.tmp", "store/log/tail-0000000001-9000.bin"];
    assert_eq!(noted, wanted.map(Path::new).into_iter().collect());
    assert_eq!(everything(&open(on(&disk))).len(), 1, "the store opens by itself");
}
