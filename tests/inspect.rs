//! Inspect: a file is described to its last byte, wherever it lies and whatever is wrong with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals::testkit::SimDisk;
use annals::{EventStore, Finding, Inspect};

use crate::damaged::*;
use crate::support::*;

fn inspect(disk: &SimDisk, path: &Path) -> Inspect {
    Inspect::file(path).disk(Arc::new(disk.clone()))
}

fn findings(inspect: Inspect) -> Vec<Finding> {
    inspect.read().expect("a file of annals").collect::<Result<_, _>>().expect("readable")
}

fn field<'a>(finding: &'a Finding, name: &str) -> &'a str {
    let found = finding.fields.iter().find(|(field, _)| *field == name);
    &found.unwrap_or_else(|| panic!("{finding:?} has no {name}")).1
}

#[test]
fn the_frames_of_a_segment_lie_one_behind_the_other_from_open_to_seal() {
    let whole = Whole::new(1);
    let found = findings(inspect(&whole.disk, &segments(&whole.disk)[0]));
    assert!(found.iter().all(|finding| finding.fault.is_none()));
    let frames: Vec<&Finding> = found.iter().filter(|finding| finding.what.ends_with("frame")).collect();
    assert_eq!((frames[0].what, frames[frames.len() - 1].what), ("OPEN frame", "SEAL frame"));
    for pair in frames.windows(2) {
        let len: u64 = field(pair[0], "len").parse().expect("a length");
        assert_eq!(pair[0].offset + len, pair[1].offset);
        assert_eq!(field(pair[1], "chain"), field(pair[0], "crc"));
    }
}

#[test]
fn a_damaged_file_that_lies_alone_is_described_behind_the_damage_too() {
    let whole = Whole::new(2);
    let place = &whole.places[&9];
    let alone = SimDisk::new(1);
    let mut bytes = whole.disk.read(&place.path).expect("is there");
    bytes[place.record.start as usize + 60] ^= 1;
    bytes[..8192].fill(0);
    alone.write(Path::new("copied/odd.seg"), &bytes);
    let found = findings(inspect(&alone, Path::new("copied/odd.seg")).parts(true));
    let damaged: Vec<_> = found.iter().filter(|finding| finding.what == "damaged event").collect();
    let [damaged] = &damaged[..] else { panic!("{damaged:?}") };
    assert_eq!((damaged.offset, field(damaged, "positions")), (place.record.start, "9-9"));
    assert!(found.iter().any(|finding| finding.fault.as_ref().is_some_and(|fault| fault.contains("header"))));
    assert!(found.iter().any(|finding| finding.what == "SEAL frame"), "the walk goes on to the end");
    let events = found.iter().filter(|finding| finding.what == "event").count();
    let here = whole.places.values().filter(|other| other.path == place.path).count();
    assert_eq!(events, here - 1);
}

#[test]
fn a_walk_from_an_offset_begins_with_the_next_frame() {
    let whole = Whole::new(3);
    let place = &whole.places[&12];
    let found = findings(inspect(&whole.disk, &place.path).from(place.frame - 8));
    let first = found
        .iter()
        .find(|finding| finding.what.ends_with("frame") && finding.fault.is_none())
        .expect("goes on");
    assert_eq!(first.offset, place.frame);
}

#[test]
fn the_other_files_say_what_is_in_them() {
    let whole = Whole::new(4);
    let disk = whole.copy();
    build_indexes(&disk);
    let state = findings(inspect(&disk, Path::new("store/STATE")));
    assert!(
        state.iter().any(|slot| slot.fault.is_none() && field(slot, "durable") == whole.last().to_string())
    );
    let lock = findings(inspect(&disk, Path::new("store/LOCK")));
    assert!(field(&lock[0], "text").starts_with("process "));
    let index = segments(&disk)[0].with_extension("idx");
    let found = findings(inspect(&disk, &index).parts(true));
    let streams: usize = field(&found[0], "streams").parse().expect("a count");
    assert_eq!(found.iter().filter(|finding| finding.what == "stream").count(), streams);
    disk.flip_bit(&index, 4097 * 8).expect("is there");
    let found = findings(inspect(&disk, &index));
    assert!(found.iter().any(|finding| finding.offset == 4096 && finding.fault.is_some()));
    disk.write(Path::new("store/notes.txt"), b"something else");
    assert!(inspect(&disk, Path::new("store/notes.txt")).read().is_err());
}

#[test]
fn a_tail_file_shows_the_frames_that_a_crash_left() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    append(&store, "s", [event(2)]);
    append(&store, "s", [event(3)]);
    drop(store);
    let log = segments(&disk)[0].clone();
    let second =
        findings(inspect(&disk, &log)).into_iter().filter(|finding| finding.what == "DATA frame").nth(1);
    let second = second.expect("there are three").offset;
    disk.flip_bit(&log, (second + 70) * 8).expect("is there");
    disk.remove_file(Path::new("store/STATE")).expect("is there");
    let bytes = disk.read(&log).expect("is there");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("is used") + 1;
    let tail = format!("store/log/tail-0000000001-{second}.bin");
    disk.write(Path::new(&tail), &bytes[second as usize..end]);
    for beside in [true, false] {
        if !beside {
            disk.remove_file(&log).expect("is there");
        }
        let found = findings(inspect(&disk, Path::new(&tail)).parts(true));
        assert_eq!(found[0].offset, second);
        assert!(found.iter().any(|finding| finding.what == "damaged event" && finding.offset == second + 64));
        assert!(
            found.iter().any(|finding| finding.what == "event" && field(finding, "position") == "3"),
            "{found:?}"
        );
    }
    drop(EventStore::open(on(&disk).create(false)).expect_err("the segment is gone"));

    let again = PathBuf::from(tail.replace(".bin", "-2.bin"));
    disk.write(&again, &disk.read(Path::new(&tail)).expect("is there"));
    let found = findings(inspect(&disk, &again));
    assert_eq!(found[0].offset, second, "the second tail of a place is one, too");
}
