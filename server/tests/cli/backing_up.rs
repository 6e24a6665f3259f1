//! Backups beside a server, and stores that are made of them.

use std::path::Path;

use super::command::{Outcome, Place};
use super::events::{kept, lines};
use super::salvaging::damage;

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

/// Runs a command on another directory of the place.
fn on(place: &Place, dir: &str, args: &[&str]) -> Outcome {
    Outcome::of(place.bare(args).arg("--data").arg(place.path(dir)))
}

#[test]
fn a_backup_beside_a_server_is_restored_with_the_same_events_and_another_history() {
    let place = Place::new();
    place.import(300);
    place.run(&["set", "thing-1", "--max-count", "5"]).ok();
    let (_server, url) = place.serve();
    place.run(&["append", "order-1", "order.created", "--url", &url]).ok();
    let backup = place.path("backup");
    let told = place.run(&["backup", "--out", text(&backup)]).ok();
    assert!(told.contains("holds everything up to position 302: copied 1 of 1 segments"), "{told}");

    let report = json(&on(&place, "restored", &["restore", "--from", text(&backup), "--json"]).ok());
    assert_eq!(report["position"], 302);
    assert_ne!(report["history"], report["oldHistory"]);
    let (held, restored) = (place.run(&["export"]).ok(), on(&place, "restored", &["export"]).ok());
    assert_eq!(kept(&restored), kept(&held));
    on(&place, "restored", &["verify", "--deep"]).ok();
    let appended = on(&place, "restored", &["append", "order-1", "order.paid"]).ok();
    assert_eq!(appended, "order-1 is at version 2, position 303\n");
}

#[test]
fn a_second_backup_takes_what_is_new_and_one_of_another_store_is_refused() {
    let (place, other) = (Place::new(), Place::new());
    let backup = place.path("backup");
    let file = place.file("events.ndjson", lines(2000));
    place.run(&["import", &file, "--segment-bytes", "65536"]).ok();
    let back_up = || json(&place.run(&["backup", "--json", "--out", text(&backup)]).ok());
    let first = back_up();
    assert!(first["segments"].as_u64() > Some(2) && first["copied"] == first["segments"], "{first}");
    place.run(&["append", "order-1", "order.created"]).ok();
    let second = back_up();
    assert_eq!((&second["position"], &second["copied"]), (&2001.into(), &1.into()), "{second}");

    other.import(5);
    other.run(&["backup", "--out", text(&backup)]).failed(1);
    other.run(&["backup", "--out", text(&other.path("data"))]).failed(1);
    assert_eq!(other.run(&["export"]).ok().lines().count(), 5);
}

#[test]
fn a_backup_of_a_damaged_store_says_so_and_takes_nothing_from_a_whole_one() {
    let place = Place::new();
    place.import(50);
    place.file("more.ndjson", lines(100));
    place.run(&["import", "more.ndjson"]).ok();
    let (whole, part) = (place.path("whole"), place.path("part"));
    place.run(&["backup", "--out", text(&whole)]).ok();
    damage(&place, "event-77");

    let outcome = place.run(&["backup", "--out", text(&part)]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(outcome.out.contains("up to position 50:"), "{}", outcome.out);
    assert!(outcome.err.contains("is damaged at offset"), "{}", outcome.err);

    let message = place.run(&["backup", "--out", text(&whole)]).failed(1);
    assert!(message.contains("reaches position 100"), "{message}");
    on(&place, "restored", &["restore", "--from", text(&whole)]).ok();
    assert_eq!(on(&place, "restored", &["export"]).ok().lines().count(), 100);
}

#[test]
fn a_backup_is_read_and_verified_and_not_written_to() {
    let place = Place::new();
    place.import(50);
    place.run(&["backup", "--out", text(&place.path("backup"))]).ok();
    assert_eq!(on(&place, "backup", &["export"]).ok().lines().count(), 50);
    on(&place, "backup", &["verify", "--deep"]).ok();
    let message = on(&place, "backup", &["append", "order-1", "order.created"]).failed(3);
    assert!(message.contains("annals restore"), "{message}");
}

#[test]
fn a_restore_up_to_a_position_takes_back_what_came_later() {
    let place = Place::new();
    place.run(&["append", "order-1", "order.created"]).ok();
    place.run(&["append", "order-1", "order.paid"]).ok();
    place.run(&["delete", "order-1"]).ok();
    let backup = place.path("backup");
    place.run(&["backup", "--out", text(&backup)]).ok();
    let told = on(&place, "restored", &["restore", "--from", text(&backup), "--until", "2"]).ok();
    assert!(told.contains("holds everything up to position 2;"), "{told}");
    assert_eq!(on(&place, "restored", &["read", "order-1"]).ok().lines().count(), 2);
}

#[test]
fn a_restore_touches_no_directory_that_holds_something_and_makes_none_of_what_is_no_backup() {
    let place = Place::new();
    place.import(50);
    let backup = place.path("backup");
    place.run(&["backup", "--out", text(&backup)]).ok();
    let message = place.run(&["restore", "--from", text(&backup)]).failed(1);
    assert!(message.contains("not empty"), "{message}");
    assert_eq!(place.event_count(), 50);

    for no_backup in ["data", "nowhere"] {
        let from = place.path(no_backup);
        let message = on(&place, "restored", &["restore", "--from", text(&from)]).failed(3);
        assert!(message.contains("no backup in"), "{message}");
    }
    assert!(!place.path("restored").exists());
}
