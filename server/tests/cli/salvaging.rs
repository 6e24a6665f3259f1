//! The bad day: `verify`, `inspect`, `salvage` and a server that only reads, on a store that was damaged on purpose.

use std::path::{Path, PathBuf};

use super::command::{Outcome, Place, Running};
use super::events::kept;

/// Flips a bit of the event with this id, in its data, and tells in which file.
pub(super) fn damage(place: &Place, id: &str) -> PathBuf {
    let at = |bytes: &[u8]| bytes.windows(id.len()).position(|window| window == id.as_bytes());
    let holding = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("can be read");
        at(&bytes).map(|at| (path, at, bytes))
    };
    let found = place.segments().into_iter().find_map(holding);
    let (segment, at, mut bytes) = found.expect("ids are stored as they are");
    bytes[at + id.len() + 2] ^= 1;
    std::fs::write(&segment, bytes).expect("can be written");
    segment
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

#[test]
fn verify_names_the_position_of_each_damaged_event_also_as_json() {
    let place = Place::new();
    place.import(200);
    damage(&place, "event-77");
    damage(&place, "event-150");
    let outcome = place.run(&["verify", "--deep"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(
        outcome.out.contains("(position 77)") && outcome.out.contains("(position 150)"),
        "{}",
        outcome.out
    );
    let report = json(&place.run(&["verify", "--json"]).out);
    let positions: Vec<_> =
        report["faults"].as_array().expect("a list").iter().map(|fault| &fault["positions"]).collect();
    assert_eq!(positions, [&serde_json::json!([77, 77]), &serde_json::json!([150, 150])]);
}

#[test]
fn a_damaged_store_is_read_up_to_the_damage_and_salvaged_around_it() {
    let place = Place::new();
    let lines = place.import(200);
    damage(&place, "event-77");
    let refused = place.run(&["append", "order-1", "order.created"]).failed(3);
    assert!(refused.contains("annals verify") && refused.contains("annals salvage"), "{refused}");

    let export = place.run(&["export"]);
    assert_eq!(export.code, Some(1), "{}", export.err);
    assert!(lines.lines().count() > export.out.lines().count());
    for args in [&["streams"][..], &["stats"], &["read", "thing-1"]] {
        let outcome = place.run(args);
        assert_eq!(outcome.code, Some(1), "{args:?}");
        assert!(outcome.err.contains("is damaged at offset"), "{args:?}: {}", outcome.err);
    }

    let out = place.path("saved");
    let outcome = place.run(&["salvage", "--out", text(&out)]);
    assert_eq!(outcome.code, Some(1), "a loss is no success: {}", outcome.err);
    assert!(
        outcome.out.contains("lost position 77: ") && outcome.out.contains("kept 199 events, lost 1"),
        "{}",
        outcome.out
    );
    let exported = Outcome::of(place.bare(&["export"]).arg("--data").arg(&out)).ok();
    let wanted: String =
        lines.lines().filter(|line| !line.contains("event-77\"")).map(|line| format!("{line}\n")).collect();
    assert_eq!(kept(&exported), kept(&wanted));
    Outcome::of(place.bare(&["append", "order-1", "order.created"]).arg("--data").arg(&out)).ok();

    let again = place.run(&["salvage", "--out", text(&out)]).failed(1);
    assert!(again.contains("not empty"), "{again}");
}

#[test]
fn a_healthy_store_is_salvaged_whole_and_tells_so_as_json() {
    let place = Place::new();
    place.import(50);
    let out = place.path("saved");
    let report = json(&place.run(&["salvage", "--json", "--out", text(&out)]).ok());
    assert_eq!((&report["events"], &report["lost"]), (&50.into(), &0.into()));
    let file = std::fs::read_to_string(out.join("salvage-report.ndjson")).expect("a report is there");
    assert!(file.lines().last().is_some_and(|line| line.contains("\"kind\":\"end\"")), "{file}");
}

#[test]
fn a_salvage_beside_a_server_is_refused_and_told_who_has_the_store() {
    let place = Place::new();
    let (server, _) = place.serve();
    let message = place.run(&["salvage", "--out", text(&place.path("saved"))]).failed(3);
    assert!(message.contains(&server.pid().to_string()), "{message}");
    assert!(!place.path("saved").exists());
}

#[test]
fn a_server_that_only_reads_serves_a_damaged_store_and_refuses_appends() {
    let place = Place::new();
    place.import(50);
    place.file("more.ndjson", super::events::lines(100));
    place.run(&["import", "more.ndjson"]).ok();
    damage(&place, "event-77");
    let mut server = Running::start(&mut place.command(&["serve", "--read-only", "--listen", "127.0.0.1:0"]));
    let line = server.line();
    let url = line.trim_end().strip_prefix("annals listening on ").expect("names the address");
    let export = Outcome::of(&mut place.bare(&["export", "--url", url]));
    assert_ne!(export.code, Some(0), "it ends where the damage is, and says so");
    assert_eq!(export.out.lines().count(), 50, "{}", export.err);
    let message =
        Outcome::of(&mut place.bare(&["append", "order-1", "order.created", "--url", url])).failed(3);
    assert!(message.contains("reading only"), "{message}");
}

#[test]
fn inspect_shows_frames_and_events_with_their_places_and_what_is_wrong() {
    let place = Place::new();
    place.import(20);
    let segment = damage(&place, "event-7");
    let found = Outcome::of(&mut place.bare(&["inspect", text(&segment), "--events"])).ok();
    assert!(found.contains("OPEN frame") && found.contains("DATA frame"), "{found}");
    assert!(found.contains("damaged event positions=7-7 ! event checksum"), "{found}");
    let few = Outcome::of(&mut place.bare(&["inspect", text(&segment), "--limit", "2", "--json"])).ok();
    assert_eq!(few.lines().map(|line| json(line)["offset"].clone()).collect::<Vec<_>>(), [0, 8192]);
    let other = place.file("notes.txt", "nothing of annals");
    let message = Outcome::of(&mut place.bare(&["inspect", &other])).failed(1);
    assert!(message.contains("no segment"), "{message}");
    Outcome::of(&mut place.bare(&["inspect", "missing.seg"])).failed(3);
}
