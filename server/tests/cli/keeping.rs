//! What a store keeps: settings and deletions of streams, scavenges, and the settings that say for how long.

use super::command::{Outcome, Place, Running};
use super::salvaging::damage;
use crate::support::eventually;

/// Small segments, so that a few events fill some.
const SMALL: [&str; 2] = ["--segment-bytes", "65536"];

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A store with `count` events of one kind in seven streams, in several segments.
fn filled(place: &Place, count: u64) {
    let file = place.file("events.ndjson", super::events::lines(count));
    place.run(&[&["import", &file][..], &SMALL].concat()).ok();
}

fn versions(place: &Place, stream: &str) -> Vec<u64> {
    let out = place.run(&["read", stream]).ok();
    out.lines().map(|line| json(line)["streamVersion"].as_u64().expect("a number")).collect()
}

#[test]
fn a_setting_is_kept_beside_those_before_it_until_none_forgets_them() {
    let place = Place::new();
    place.import(70);
    let set = |flags: &[&str]| place.run(&[&["set", "thing-1"], flags].concat()).ok();
    assert_eq!(set(&[]), "thing-1 shows all its events\n");
    assert_eq!(set(&["--max-count", "3"]), "thing-1 shows only events among the newest 3\n");
    let both = "thing-1 shows only events of the last 30d, among the newest 3\n";
    assert_eq!(set(&["--max-age", "720h"]), both);
    assert_eq!(set(&[]), both);
    assert_eq!(versions(&place, "thing-1"), [8, 9, 10]);
    let from_nine = "thing-1 shows only events from version 9 on\n";
    assert_eq!(set(&["--none", "--truncate-before", "9"]), from_nine);
    assert_eq!(versions(&place, "thing-1"), [9, 10]);
    assert_eq!(set(&["--none"]), "thing-1 shows all its events\n");
    assert_eq!(versions(&place, "thing-1").len(), 10);
}

#[test]
fn settings_of_a_stream_without_events_are_shown_as_json() {
    let place = Place::new();
    place.run(&["set", "sensor-1", "--max-age", "2h", "--max-count", "5"]).ok();
    let held = json(&place.run(&["set", "sensor-1", "--json"]).ok());
    let expected = serde_json::json!(
        {"stream": "sensor-1", "maxAge": 7200, "maxCount": 5, "truncateBefore": null}
    );
    assert_eq!(held, expected);
}

#[test]
fn a_setting_that_cannot_be_meant_is_refused() {
    let place = Place::new();
    place.import(7);
    for flags in [["--max-age", "30"], ["--max-age", "0s"], ["--max-count", "0"], ["--max-count", "x"]] {
        place.run(&[&["set", "thing-1"][..], &flags].concat()).failed(2);
    }
    let message = place.run(&["set", "thing-1", "--truncate-before", "9"]).failed(1);
    assert!(message.contains("it is at version 1"), "{message}");
    let message = place.run(&["set", "$settings-thing-1", "--max-count", "9"]).failed(1);
    assert!(message.contains("belongs to the store"), "{message}");
}

#[test]
fn a_deleted_stream_is_gone_until_an_append_makes_it_again() {
    let place = Place::new();
    place.import(70);
    let message = place.run(&["delete", "thing-1", "--expected", "3"]).failed(1);
    assert!(message.contains("is at version 10, expected 3"), "{message}");
    assert_eq!(place.run(&["delete", "thing-1"]).ok(), "thing-1 is deleted at version 10\n");
    let message = place.run(&["read", "thing-1"]).failed(1);
    assert!(message.contains("thing-1 was deleted at version 10"), "{message}");
    let streams = place.run(&["streams"]).ok();
    assert!(!streams.contains("thing-1") && streams.contains("thing-2"), "{streams}");

    let again = place.run(&["append", "thing-1", "thing.made", "--expected", "none"]).ok();
    assert!(again.starts_with("thing-1 is at version 11"), "{again}");
    assert_eq!(versions(&place, "thing-1"), [11]);
    let line = place.run(&["streams", "--prefix", "thing-1", "--json"]).ok();
    let line = json(&line);
    assert_eq!((&line["version"], &line["firstVersion"]), (&11.into(), &11.into()));
    assert_eq!(line["firstPosition"], line["lastPosition"]);
}

#[test]
fn a_stream_that_is_deleted_for_ever_takes_nothing_again() {
    let place = Place::new();
    place.import(7);
    let deleted = json(&place.run(&["delete", "thing-1", "--for-ever", "--json"]).ok());
    assert_eq!(deleted, serde_json::json!({"stream": "thing-1", "version": 1, "forEver": true}));
    for args in [
        &["append", "thing-1", "thing.made"][..],
        &["delete", "thing-1"],
        &["set", "thing-1", "--max-count", "1"],
    ] {
        let message = place.run(args).failed(1);
        assert!(message.contains("deleted for ever at version 1"), "{args:?}: {message}");
    }
    place.run(&["read", "thing-1"]).failed(1);
}

#[test]
fn a_stream_that_never_was_is_not_deleted_and_no_store_is_made_for_it() {
    let place = Place::new();
    place.run(&["delete", "thing-1"]).failed(3);
    place.run(&["scavenge"]).failed(3);
    assert!(!place.path("data").exists());
    place.import(7);
    place.run(&["delete", "thing-9"]).failed(1);
}

#[test]
fn a_scavenge_gives_back_what_a_dry_run_said_and_removes_nothing_that_is_shown() {
    let place = Place::new();
    filled(&place, 2000);
    for stream in ["thing-1", "thing-2", "thing-3"] {
        place.run(&["set", stream, "--max-count", "10"]).ok();
    }
    let shown = place.run(&["export"]).ok();
    let dry = json(&place.run(&["scavenge", "--dry-run", "--json"]).ok());
    let removed = dry["removed"].as_u64().expect("a count");
    assert!(removed > 300 && dry["bytesAfter"].as_u64() < dry["bytesBefore"].as_u64(), "{dry}");
    assert!(place.run(&["verify"]).ok().contains("2003 events, 0 faults"), "a dry run changes nothing");

    let told = place.run(&["scavenge"]).ok();
    assert!(told.starts_with("rewrote ") && told.contains(&format!("without {removed} events")), "{told}");
    assert_eq!(place.run(&["export"]).ok(), shown);
    let report = place.run(&["verify", "--deep"]).ok();
    assert!(report.contains(&format!(", {removed} removed, 0 faults")), "{report}");
    assert_eq!(json(&place.run(&["verify", "--json"]).ok())["removed"], removed);
}

#[test]
fn a_scavenge_names_the_damaged_segment_that_it_leaves() {
    let place = Place::new();
    filled(&place, 2000);
    place.run(&["delete", "thing-1"]).ok();
    let damaged = damage(&place, "event-78");
    let outcome = place.run(&["scavenge", "--everything"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(outcome.out.starts_with("rewrote "), "the others are done: {}", outcome.out);
    let name = damaged.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(outcome.err.contains(name) && outcome.err.contains("annals verify"), "{}", outcome.err);
}

#[test]
fn a_scavenge_beside_a_server_is_told_who_has_the_store() {
    let place = Place::new();
    let (server, _) = place.serve();
    for args in [&["scavenge"][..], &["set", "a-1", "--none"], &["delete", "a-1"]] {
        let message = place.run(args).failed(3);
        assert!(message.contains(&server.pid().to_string()), "{message}");
    }
    assert_eq!(place.run(&["set", "a-1"]).ok(), "a-1 shows all its events\n");
}

#[test]
fn what_is_not_shown_is_a_line_of_a_tail_and_a_message_of_an_export() {
    let place = Place::new();
    for stream in ["order-1", "order-2", "order-1"] {
        place.run(&["append", stream, "order.changed"]).ok();
    }
    place.run(&["set", "order-2", "--max-count", "1"]).ok();
    place.run(&["append", "order-2", "order.changed"]).ok();
    let mut tail = Running::start(&mut place.command(&["tail"]));
    let lines = [tail.line(), tail.line(), tail.line(), tail.line()];
    assert!(lines[0].contains("\"position\":1,") && lines[2].contains("\"position\":3,"), "{lines:?}");
    assert_eq!(lines[1], "{\"skipped\":{\"from\":2,\"to\":2,\"reason\":\"retention\"}}\n");
    assert!(lines[3].contains("\"stream\":\"order-2\""), "{lines:?}");

    let export = place.run(&["export"]);
    assert_eq!((export.code, export.out.lines().count()), (Some(0), 3));
    assert!(export.err.contains("between positions 2 and 2 are not shown"), "{}", export.err);
    assert_eq!(place.run(&["export", "--after", "2"]).err, "");
    assert_eq!(place.run(&["export", "--after", "99"]).ok(), "");
}

#[test]
fn a_scavenge_drops_what_the_retention_of_the_store_does_not_keep() {
    let place = Place::new();
    filled(&place, 2000);
    let kept = json(&place.run(&["scavenge", "--json"]).ok());
    assert_eq!(kept["removed"], 0, "without a setting everything is kept");
    let dry = ["scavenge", "--dry-run", "--json"];
    let of_flag = json(&place.run(&[&dry[..], &["--retention-bytes", "131072"]].concat()).ok());
    let removed = of_flag["removed"].as_u64().expect("a count");
    assert!(removed > 500, "{of_flag}");
    let of_environment = json(&Outcome::of(place.command(&dry).env("ANNALS_RETENTION_BYTES", "131072")).ok());
    assert_eq!(of_environment, of_flag);
    place.file("annals.toml", "retention_bytes = 131072\n");
    assert_eq!(json(&place.run(&dry).ok()), of_flag);

    place.run(&["scavenge"]).ok();
    assert_eq!(place.event_count(), 2000, "positions stay");
    let export = place.run(&["export"]);
    assert_eq!(export.out.lines().count() as u64, 2000 - removed);
    assert!(export.err.contains("between positions 1 and "), "{}", export.err);
}

#[test]
fn a_length_of_time_without_a_unit_is_wrong_usage_wherever_it_stands() {
    let place = Place::new();
    place.run(&["scavenge", "--retention-age", "30"]).failed(2);
    let message = Outcome::of(place.command(&["stats"]).env("ANNALS_IDEMPOTENCY_WINDOW", "1 day")).failed(2);
    assert!(message.contains("ANNALS_IDEMPOTENCY_WINDOW") || message.contains("1 day"), "{message}");
    place.file("annals.toml", "retention_age = \"30\"\n");
    let message = place.run(&["stats"]).failed(2);
    assert!(message.contains("annals.toml") && message.contains("retention_age"), "{message}");
}

#[test]
fn an_append_under_a_key_is_made_once_and_another_under_it_is_refused() {
    let place = Place::new();
    let append = |data: &str| {
        place.run(&["append", "order-1", "order.paid", data, "--idempotency-key", "payment-17", "--json"])
    };
    let first = append("17").ok();
    assert_eq!(append("17").ok(), first);
    assert_eq!(place.event_count(), 1);
    let message = append("18").failed(1);
    assert!(message.contains("payment-17"), "{message}");
}

#[test]
fn a_key_is_known_for_the_window_and_not_for_longer() {
    let place = Place::new();
    let append = ["append", "order-1", "order.paid", "--idempotency-key", "payment-17"];
    let first = place.run(&append).ok();
    let short = [&append[..], &["--idempotency-window", "1s"]].concat();
    eventually("a key is forgotten", || place.run(&short).ok() != first);
    assert_eq!(place.event_count(), 2);
}

#[test]
fn a_server_drops_what_its_retention_does_not_keep() {
    let place = Place::new();
    filled(&place, 2000);
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut server = Running::start(command.env("ANNALS_RETENTION_BYTES", "131072"));
    assert!(server.line().starts_with("annals listening on"));
    eventually("the oldest events go", || place.run(&["export"]).out.lines().count() < 2000);
    assert_eq!(place.event_count(), 2000, "positions stay");
}
