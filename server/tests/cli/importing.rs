//! Import and export: nothing is lost, nothing is repeated, and a bad line is named.

use super::command::{Place, example};
use super::events::{kept, lines, lines_without_ids};

#[test]
fn an_export_holds_what_was_imported_in_the_same_order() {
    let place = Place::new();
    let lines = place.import(500);
    assert_eq!(kept(&place.run(&["export"]).ok()), kept(&lines));
}

#[test]
fn the_example_data_comes_back_as_it_was() {
    let Some(path) = example("permits.ndjson") else { return };
    let place = Place::new();
    let lines = std::fs::read_to_string(&path).expect("the example is text");
    place.run(&["import", path.to_str().expect("a path is text")]).ok();
    assert_eq!(kept(&place.run(&["export"]).ok()), kept(&lines));
}

#[test]
fn an_export_can_be_imported_elsewhere_and_is_the_same_there() {
    let (here, there) = (Place::new(), Place::new());
    here.import(100);
    let exported = here.run(&["export"]).ok();
    assert_eq!(
        there.run_with_input(&["import", "-"], &exported).ok(),
        "imported 100 events, 0 were there already\n"
    );
    assert_eq!(kept(&there.run(&["export"]).ok()), kept(&exported));
}

#[test]
fn a_second_import_adds_nothing_and_says_so() {
    let place = Place::new();
    place.import(100);
    let file = place.file("events.ndjson", lines(100));
    assert_eq!(place.run(&["import", &file]).ok(), "imported 0 events, 100 were there already\n");
    assert_eq!(place.event_count(), 100);
}

#[test]
fn a_second_import_of_lines_without_ids_adds_nothing_either() {
    let place = Place::new();
    let file = place.file("events.ndjson", lines_without_ids());
    assert_eq!(place.run(&["import", &file]).ok(), "imported 100 events, 0 were there already\n");
    assert_eq!(place.run(&["import", &file]).ok(), "imported 0 events, 100 were there already\n");
    assert_eq!(place.event_count(), 100);
}

#[test]
fn the_report_of_an_import_is_json_when_asked() {
    let place = Place::new();
    let report = place.run_with_input(&["import", "-", "--json"], &lines(3)).ok();
    let report: serde_json::Value = serde_json::from_str(&report).expect("is JSON");
    assert_eq!(report, serde_json::json!({"lines": 3, "appended": 3, "repeated": 0, "position": 3}));
}

#[test]
fn a_line_that_is_no_event_is_named_and_only_whole_batches_before_it_are_committed() {
    let place = Place::new();
    let lines = lines(3_000);
    let (before, after) = lines.split_at(lines.match_indices('\n').nth(1_999).expect("many lines").0 + 1);
    let file = place.file("events.ndjson", format!("{before}garbage\n{after}"));
    let message = place.run(&["import", &file]).failed(1);
    assert!(message.contains("line 2001: "), "{message}");
    assert!(message.contains("nothing is imported twice"), "{message}");

    let exported = place.run(&["export"]).ok();
    let committed = kept(&exported);
    assert!(committed.len() <= 2_000);
    assert_eq!(committed, kept(&lines)[..committed.len()]);

    place.run_with_input(&["import", "-"], &lines).ok();
    assert_eq!(kept(&place.run(&["export"]).ok()), kept(&lines));
}

#[test]
fn a_line_without_a_stream_is_named() {
    let place = Place::new();
    let message = place.run_with_input(&["import", "-"], "\n{\"type\":\"a\",\"data\":1}\n").failed(1);
    assert!(message.contains("line 2: `stream`"), "{message}");
}

#[test]
fn a_line_that_is_longer_than_any_event_is_refused_by_number() {
    let place = Place::new();
    let file = place.file("events.ndjson", [&b"\n"[..], &vec![b' '; 9 << 20]].concat());
    let message = place.run(&["import", &file]).failed(1);
    assert!(message.contains("line 2 is longer"), "{message}");
}

#[test]
fn an_id_that_says_something_else_ends_the_import_and_is_named() {
    let place = Place::new();
    let event = |data: u32| format!("{{\"stream\":\"a-1\",\"id\":\"e\",\"type\":\"t\",\"data\":{data}}}\n");
    place.run_with_input(&["import", "-"], &event(1)).ok();
    let message = place.run_with_input(&["import", "-"], &event(2)).failed(1);
    assert!(message.contains("a-1") && message.contains("already has an event with the id e"), "{message}");
}

#[test]
fn an_export_can_be_narrowed_and_continued() {
    let place = Place::new();
    let lines = place.import(70);
    let of_stream = place.run(&["export", "--streams", "thing-3", "--after", "10"]).ok();
    let expected: String = lines
        .lines()
        .skip(10)
        .filter(|line| line.contains("\"thing-3\""))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(kept(&of_stream), kept(&expected));
    assert_eq!(place.run(&["export", "--types", "other"]).ok(), "");
}

#[test]
fn a_reader_who_leaves_ends_an_export_quietly() {
    let place = Place::new();
    // More than a pipe and the buffers on both sides of it hold.
    place.import(20_000);
    let mut export = super::command::Running::start(&mut place.command(&["export"]));
    assert!(export.line().starts_with('{'));
    let outcome = export.leave();
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
}
