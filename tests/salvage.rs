//! Salvage: whatever happens to the files, each event is kept as it was or named as lost, and nobody takes half a
//! salvage for a store.
//!
//! `ANNALS_SALVAGE_SEEDS` says how many damaged stores are drawn (default 60).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annals::testkit::{Fault, Rng, SimDisk};
use annals::{
    EventStore, ExpectedVersion, OpenError, Options, Position, Read, Salvage, SalvageReport, VerifyReport,
};

use crate::damaged::*;
use crate::support::*;

const NEW: &str = "new";

fn salvage(disk: &SimDisk) -> SalvageReport {
    Salvage::of(&on(disk)).copy_to(NEW).expect("the rest can be saved")
}

/// How to open the new store.
fn new_options(disk: &SimDisk) -> Options {
    let options = Options::new(NEW).disk(Arc::new(disk.clone())).segment_bytes(SMALL);
    options.background(false).create(false).allow_clock_jump(true)
}

fn opened(disk: &SimDisk) -> EventStore {
    open(new_options(disk))
}

fn lost(report: &SalvageReport) -> BTreeSet<u64> {
    report.losses.iter().flat_map(|loss| loss.positions.start().get()..=loss.positions.end().get()).collect()
}

/// Which position each event of the new store had, by its id.
fn old_positions(whole: &Whole, store: &EventStore) -> Vec<u64> {
    let by_id: BTreeMap<_, _> = whole.events.iter().map(|event| (event.id().to_string(), event)).collect();
    let found = read(store, Read::all());
    let mut old = Vec::new();
    for event in &found {
        let was = by_id.get(&event.id().to_string()).expect("nobody invents an event");
        let (mut now, mut then) = (said(event), said(was));
        // A time of commit that is lost with its frame's header is the one of the frame before.
        assert!(now.6 <= then.6, "an event is not older than it was");
        (now.6, then.6) = Default::default();
        assert_eq!(now, then);
        old.push(was.position().get());
    }
    old
}

#[test]
fn a_store_without_damage_is_the_same_event_for_event_with_another_history() {
    let whole = Whole::new(1);
    let disk = whole.copy();
    let report = salvage(&disk);
    assert_eq!((report.events, report.lost, report.faults), (whole.last(), 0, 0));
    assert_eq!((report.losses.len(), report.incomplete_appends, report.streams_changed), (0, 0, 0));
    let new = opened(&disk);
    let found = read(&new, Read::all());
    assert!(found.iter().map(said).eq(whole.events.iter().map(said)));
    let place = |event: &annals::RecordedEvent| (event.position(), event.stream_version());
    assert!(found.iter().map(place).eq(whole.events.iter().map(place)));
    assert_eq!(report.history, new.history());
    assert_eq!(report.old_history, Some(open(on(&disk).read_only(true)).history()));
    assert_ne!(report.old_history, Some(new.history()));
    new.close().expect("closed");
    let verified = VerifyReport::deep(&new_options(&disk)).expect("readable");
    assert_eq!((verified.faults, verified.notes), (vec![], vec![]));
}

#[test]
fn whatever_is_damaged_each_event_is_kept_as_it_was_or_named_as_lost() {
    let seeds: Vec<u64> = (0..setting("ANNALS_SALVAGE_SEEDS", 60)).collect();
    let whole = Whole::new(7);
    on_all_processors(&seeds, |seed| {
        let mut rng = Rng::new(*seed);
        let disk = whole.copy();
        let mut damage = Damage::default();
        for _ in 0..1 + rng.below(4) {
            damage.strike(&disk, &mut rng);
        }
        let before =
            segments(&disk).iter().map(|path| disk.read(path).expect("is there")).collect::<Vec<_>>();
        let report = salvage(&disk);
        let new = opened(&disk);
        let kept = old_positions(&whole, &new);
        assert!(kept.is_sorted_by(|one, other| one < other), "seed {seed}: the order is kept");
        let kept: BTreeSet<u64> = kept.into_iter().collect();
        let lost = lost(&report);
        assert!(kept.is_disjoint(&lost), "seed {seed}");
        let all: BTreeSet<u64> = kept.union(&lost).copied().collect();
        assert_eq!(all, (1..=whole.last()).collect(), "seed {seed}: each position has its fate; {damage:?}");
        for position in &lost {
            let place = &whole.places[position];
            assert!(
                !damage.spares(place),
                "seed {seed}: position {position} at {place:?} is whole; {damage:?}"
            );
        }
        assert!(report.losses.iter().all(|loss| loss.acknowledged), "seed {seed}: STATE tells");
        assert_eq!(report.lost, lost.len() as u64);
        let after = segments(&disk).into_iter().filter(|path| !path.starts_with(NEW));
        let after: Vec<_> = after.map(|path| disk.read(&path).expect("is there")).collect();
        assert_eq!(before, after, "seed {seed}: the damaged store is as it was");
        new.close().expect("closed");
        let verified = VerifyReport::deep(&new_options(&disk)).expect("readable");
        assert_eq!(verified.faults, [], "seed {seed}");
    });
    say(&format!("{} damaged stores, each of {} events", seeds.len(), whole.last()));
}

#[test]
fn without_state_only_events_at_the_end_can_be_lost_in_silence() {
    let whole = Whole::new(3);
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let disk = whole.copy();
        disk.remove_file(Path::new("store/STATE")).expect("is there");
        let mut damage = Damage::default();
        damage.strike(&disk, &mut rng);
        let report = salvage(&disk);
        let kept = old_positions(&whole, &opened(&disk));
        let named: BTreeSet<u64> = kept.into_iter().chain(lost(&report)).collect();
        assert!(
            named.iter().copied().eq(1..=named.len() as u64),
            "seed {seed}: there is no hole in what is told"
        );
    }
}

/// The first append of at least three events, by their positions.
fn large_append(whole: &Whole) -> Vec<u64> {
    let mut frames: BTreeMap<(PathBuf, u64), Vec<u64>> = BTreeMap::new();
    for (position, place) in &whole.places {
        frames.entry((place.path.clone(), place.frame)).or_default().push(*position);
    }
    // Not the first, so that there is one before it.
    frames.into_values().skip(3).find(|positions| positions.len() >= 3).expect("there is a large append")
}

#[test]
fn of_an_append_that_lost_an_event_the_others_are_kept_or_left_out_and_named_both_ways() {
    let whole = Whole::new(5);
    let positions = large_append(&whole);
    let hit = &whole.places[&positions[1]];
    for (whole_appends, wanted) in [(false, vec![positions[1]]), (true, positions.clone())] {
        let disk = whole.copy();
        disk.flip_bit(&hit.path, (hit.record.end - 20) * 8).expect("is there");
        let report = Salvage::of(&on(&disk)).whole_appends(whole_appends).copy_to(NEW).expect("saved");
        assert!(lost(&report).into_iter().eq(wanted.iter().copied()));
        assert_eq!((report.lost, report.incomplete_appends), (wanted.len() as u64, 1));
        assert_eq!(report.losses[0].path, hit.path);
        let line =
            report_lines(&disk).into_iter().find(|line| line["kind"] == "incomplete").expect("is told");
        assert_eq!(line["positions"][0], positions[0]);
        assert_eq!(
            (line["whole"].as_u64(), line["kept"].as_bool()),
            (Some(positions.len() as u64 - 1), Some(!whole_appends))
        );
    }
}

#[test]
fn events_of_a_frame_whose_header_is_damaged_are_kept_with_the_time_of_the_frame_before() {
    let whole = Whole::new(6);
    let positions = large_append(&whole);
    let place = &whole.places[&positions[0]];
    let disk = whole.copy();
    disk.flip_bit(&place.path, (place.frame + 20) * 8).expect("is there");
    let report = salvage(&disk);
    assert_eq!((report.lost, report.faults), (0, 1));
    let new = read(&opened(&disk), Read::all());
    let time_before = whole.events[positions[0] as usize - 2].recorded_at();
    for position in &positions {
        assert_eq!(new[*position as usize - 1].recorded_at(), time_before);
    }
    let notes = report_lines(&disk).into_iter().filter(|line| line["kind"] == "note").count();
    assert_eq!(notes, positions.len(), "each time that is not proved is told");
}

fn report_lines(disk: &SimDisk) -> Vec<serde_json::Value> {
    let bytes = disk.read(Path::new("new/salvage-report.ndjson")).expect("is there");
    let text = String::from_utf8(bytes).expect("is text");
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

#[test]
fn the_report_says_which_positions_became_which_and_which_versions_are_gone() {
    let whole = Whole::new(8);
    let disk = whole.copy();
    let gone = &segments(&disk)[1];
    disk.remove_file(gone).expect("is there");
    let report = salvage(&disk);
    let new = read(&opened(&disk), Read::all());
    let lines = report_lines(&disk);
    assert_eq!(lines.first().map(|line| line["kind"].clone()), Some("salvage".into()));
    let end = lines.last().expect("there are lines");
    assert_eq!((end["kind"].as_str(), end["lost"].as_u64()), (Some("end"), Some(report.lost)));
    let mut mapped = 0;
    for line in lines.iter().filter(|line| line["kind"] == "kept") {
        let number = |name: &str, at: usize| line[name][at].as_u64().expect("a position");
        for (old, now) in (number("positions", 0)..=number("positions", 1)).zip(number("now", 0)..) {
            assert_eq!(said(&whole.events[old as usize - 1]), said(&new[now as usize - 1]));
            mapped += 1;
        }
    }
    assert_eq!(mapped, new.len());
    // Versions behind the hole: what they were, less what is gone, is what they are.
    let changed = lines.iter().filter(|line| line["kind"] == "stream");
    for line in changed {
        let number = |value: &serde_json::Value| value.as_u64().expect("a version");
        let name = line["stream"].as_str().expect("a name");
        let missing = number(&line["lostVersions"][1]) + 1 - number(&line["lostVersions"][0]);
        assert_eq!(number(&line["nextVersion"]), number(&line["lostVersions"][1]) + 1);
        assert_eq!(number(&line["nowVersion"]), number(&line["nextVersion"]) - missing, "{name}");
        let in_gone = |event: &&annals::RecordedEvent| {
            event.stream() == name && whole.places[&event.position().get()].path == *gone
        };
        assert_eq!(missing, whole.events.iter().filter(in_gone).count() as u64, "{name}");
    }
    assert!(report.streams_changed > 0);
    assert_eq!(report.losses.len(), 1);
    assert!(report.losses[0].what.contains("missing"), "{:?}", report.losses);
}

#[test]
fn an_append_that_was_torn_and_never_acknowledged_is_not_called_a_loss_of_acknowledged_events() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    append(&store, "s", [event(2), event(3)]);
    drop(store);
    let log = &segments(&disk)[0];
    let at = 8192 + 96 + 200;
    let mut bytes = disk.read(log).expect("is there");
    // The last frame loses its end, CLOSE included, and nothing else tells of it.
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("is used");
    bytes[end - 72 - 100..].fill(0);
    assert!(at < end - 172);
    disk.write(log, &bytes);
    disk.remove_file(Path::new("store/STATE")).expect("is there");
    let report = salvage(&disk);
    assert_eq!((report.lost_acknowledged, report.events + report.lost), (0, 3));
    assert!(report.losses.iter().all(|loss| !loss.acknowledged));
}

#[test]
fn events_that_were_at_the_end_of_a_segment_are_told_as_lost_there_and_not_in_the_one_behind_it() {
    let whole = Whole::new(3);
    let disk = whole.copy();
    let (positions, path, end) = zero_the_end_of_the_first_segment(&whole, &disk);
    let report = salvage(&disk);
    assert_eq!(lost(&report), positions.into_iter().collect());
    let [loss] = &report.losses[..] else { panic!("{:?}", report.losses) };
    assert_eq!((&loss.path, loss.offset, report.faults), (&path, end, 1));
}

#[test]
fn a_salvage_that_is_interrupted_anywhere_leaves_no_store_that_opens() {
    let whole = Whole::new(9);
    let complete = |disk: &SimDisk| disk.crash_keeping_all();
    let base = complete(&whole.disk);
    base.record();
    salvage(&base);
    let moments = base.moments();
    let (mut unfinished, mut whole_ones) = (0, 0);
    for (number, moment) in moments.iter().enumerate() {
        for seed in 0..3 {
            let disk = moment.crash(seed);
            match EventStore::open(new_options(&disk).read_only(seed == 0)) {
                Err(OpenError::Unfinished { .. }) => {
                    unfinished += 1;
                    let report = VerifyReport::of(&new_options(&disk));
                    assert!(report.is_err() || report.is_ok_and(|report| !report.faults.is_empty()));
                    let again = Salvage::of(&on(&disk)).copy_to(NEW);
                    assert!(matches!(again, Err(OpenError::Unfinished { .. })), "{again:?}");
                }
                Err(OpenError::NotFound { .. }) => {}
                Ok(store) => {
                    whole_ones += 1;
                    assert_eq!(read(&store, Read::all()).len(), whole.events.len(), "moment {number}");
                }
                Err(error) => panic!("moment {number}: {error}"),
            }
        }
    }
    assert!(unfinished > 10 && whole_ones > 0, "{unfinished} were unfinished, {whole_ones} whole");
}

#[test]
fn an_error_of_the_disk_ends_a_salvage_and_is_told() {
    let whole = Whole::new(9);
    let disk = whole.copy();
    salvage(&disk);
    for operation in 1..=disk.operations() {
        let disk = whole.copy();
        disk.fail_operation(operation, Fault::NoSpace);
        let told = Salvage::of(&on(&disk)).copy_to(NEW).expect_err("nothing is passed over");
        assert!(!told.to_string().is_empty());
    }
}

#[test]
fn a_damaged_event_is_told_with_what_is_left_of_its_names() {
    let whole = Whole::new(13);
    let (hit, event) = (&whole.places[&30], &whole.events[29]);
    let disk = whole.copy();
    disk.flip_bit(&hit.path, (hit.record.end - 30) * 8).expect("is there");
    let report = salvage(&disk);
    let what = &report.losses[0].what;
    let names =
        format!("unproved, says stream {}, type {}, id {}", event.stream(), event.event_type(), event.id());
    assert!(what.contains(&names), "{what}");
}

#[test]
fn a_store_that_lost_its_end_does_not_say_that_a_stream_never_was() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "before", [event(1)]);
    append(&store, "behind", [event(2)]);
    store.close().expect("closed");
    let log = &segments(&disk)[0];
    let bytes = disk.read(log).expect("is there");
    let at = bytes.windows(6).position(|window| window == b"behind").expect("names are stored as they are");
    disk.flip_bit(log, at as u64 * 8).expect("is there");
    let store = open(on(&disk).read_only(true));
    assert!(store.stream(&stream("before")).expect("can be read").is_some());
    assert!(store.stream(&stream("behind")).is_err());
    let listed: Vec<_> = store.streams(Position::START).expect("begins").map(|info| info.is_ok()).collect();
    assert_eq!(listed, [true, false], "the list ends with the error");
}

#[test]
fn a_salvage_keeps_away_from_writers_and_from_directories_that_hold_something() {
    let disk = SimDisk::new(1);
    let store = open(on(&disk));
    append(&store, "s", [event(1)]);
    let refused = Salvage::of(&on(&disk)).copy_to(NEW).expect_err("a writer is at work");
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    store.close().expect("closed");
    for out in ["store", "store/new"] {
        let refused = Salvage::of(&on(&disk)).copy_to(out).expect_err("lies inside");
        assert!(refused.to_string().contains("inside"), "{refused}");
    }
    disk.write(Path::new("new/notes.txt"), b"mine");
    let refused = Salvage::of(&on(&disk)).copy_to(NEW).expect_err("is not empty");
    assert!(refused.to_string().contains("not empty"), "{refused}");
    assert!(matches!(Salvage::of(&on(&SimDisk::new(1))).copy_to(NEW), Err(OpenError::NotFound { .. })));
}

#[test]
fn what_is_salvaged_can_be_appended_to_where_its_streams_stand() {
    let whole = Whole::new(11);
    let disk = whole.copy();
    let hit = &whole.places[&4];
    disk.flip_bit(&hit.path, (hit.record.start + 60) * 8).expect("is there");
    assert_eq!(salvage(&disk).lost, 1);
    let new = opened(&disk);
    for info in new.streams(Position::START).expect("readable") {
        let info = info.expect("readable");
        new.append_to(&info.name, ExpectedVersion::Exactly(info.version), [event(1)]).expect("stands there");
    }
}
