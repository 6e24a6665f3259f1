//! One-shot commands, alone and beside a running server, on its directory and through its address.

use std::process::Command;

use super::command::{Place, Running};
use super::events::{kept, lines};
use crate::support::Server;

#[test]
fn the_health_of_a_server_is_an_exit_code() {
    let server = Server::start();
    let url = format!("http://{}", server.address());
    let health = || Command::new(env!("CARGO_BIN_EXE_annals")).args(["health", "--url", &url]).output();
    let told = health().expect("the binary runs");
    assert_eq!((told.status.code(), told.stdout.as_slice()), (Some(0), &b"ready\n"[..]));
    drop(server);
    assert_ne!(health().expect("the binary runs").status.code(), Some(0));
}

#[test]
fn an_appended_event_can_be_read() {
    let place = Place::new();
    let args =
        ["append", "order-1", "order.created", "{ \"total\": 1.50 }", "--id", "e-1", "--source", "desk"];
    let rest = ["--timestamp", "2024-07-15T14:32:22Z", "--metadata", "{\"correlationId\":\"c-1\"}"];
    assert_eq!(place.run(&[&args[..], &rest].concat()).ok(), "order-1 is at version 1, position 1\n");
    let expected = "{\"stream\":\"order-1\",\"id\":\"e-1\",\"type\":\"order.created\",\
                    \"timestamp\":\"2024-07-15T14:32:22Z\",\"source\":\"desk\",\"data\":{ \"total\": 1.50 },\
                    \"metadata\":{\"correlationId\":\"c-1\"}}";
    assert_eq!(kept(&place.run(&["read", "order-1"]).ok()), kept(expected));
}

#[test]
fn data_comes_from_standard_input_without_its_last_line_end() {
    let place = Place::new();
    place.run_with_input(&["append", "order-1", "order.created", "-"], "{\"a\": 1}\n").ok();
    assert!(place.run(&["export"]).ok().contains("\"data\":{\"a\": 1}"));
}

#[test]
fn a_receipt_is_json_when_asked() {
    let place = Place::new();
    let receipt = place.run(&["append", "order-1", "order.created", "--id", "e-1", "--json"]).ok();
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("is JSON");
    let expected = serde_json::json!({
        "stream": "order-1", "streamVersion": 1, "position": 1, "durability": "sync",
        "events": [{"eventId": "e-1", "streamVersion": 1, "position": 1}],
    });
    assert_eq!(receipt, expected);
}

#[test]
fn a_stream_is_read_between_versions_backward_and_up_to_a_count() {
    let place = Place::new();
    for number in ["1", "2", "3", "4", "5"] {
        place.run(&["append", "order-1", "order.changed", number]).ok();
    }
    let read = |flags: &[&str]| {
        let out = place.run(&[&["read", "order-1"], flags].concat()).ok();
        let events =
            out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("is JSON"));
        events.map(|event| event["data"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!(read(&["--from", "2", "--to", "4"]), [2, 3, 4]);
    assert_eq!(read(&["--backward", "--limit", "2"]), [5, 4]);
    assert!(read(&["--as-of", "2001-01-01T00:00:00Z"]).is_empty());
}

#[test]
fn streams_are_listed_in_the_order_of_their_first_events() {
    let place = Place::new();
    for stream in ["order-2", "order-1", "invoice-1"] {
        place.run(&["append", stream, "made"]).ok();
    }
    assert_eq!(place.run(&["streams"]).ok(), "order-2\norder-1\ninvoice-1\n");
    assert_eq!(place.run(&["streams", "--prefix", "order-"]).ok(), "order-2\norder-1\n");
    let first = place.run(&["streams", "--json"]).ok();
    assert!(first.starts_with("{\"stream\":\"order-2\",\"category\":\"order\",\"version\":1,"), "{first}");
}

#[test]
fn a_tail_tells_what_is_there_and_then_what_comes() {
    let place = Place::new();
    place.run(&["append", "order-1", "order.created"]).ok();
    let mut tail = Running::start(&mut place.command(&["tail"]));
    assert!(tail.line().contains("\"position\":1,"));
    place.run(&["append", "invoice-1", "invoice.sent"]).ok();
    assert!(tail.line().contains("\"position\":2,"));
}

#[test]
fn a_tail_after_a_position_that_is_not_reached_yet_is_refused() {
    let place = Place::new();
    place.run(&["append", "order-1", "order.created"]).ok();
    let message = place.run(&["tail", "--after", "2"]).failed(1);
    assert!(message.contains("beyond the last event, 1"), "{message}");
}

#[test]
fn reading_commands_work_beside_a_running_server() {
    let place = Place::new();
    place.import(50);
    let (_server, url) = place.serve();
    place.run(&["append", "order-1", "order.created", "--url", &url]).ok();
    assert_eq!(place.event_count(), 51);
    assert_eq!(place.run(&["export"]).ok().lines().count(), 51);
    assert_eq!(place.run(&["read", "order-1"]).ok().lines().count(), 1);
    assert_eq!(place.run(&["streams", "--prefix", "order"]).ok(), "order-1\n");
    place.run(&["verify"]).ok();
}

#[test]
fn commands_with_a_url_do_the_same_as_on_the_directory() {
    let place = Place::new();
    let (_server, url) = place.serve();
    let lines = lines(300);
    let with_url = |args: &[&str]| place.run_with_input(&[args, &["--url", &url]].concat(), &lines).ok();
    assert_eq!(with_url(&["import", "-"]), "imported 300 events, 0 were there already\n");
    assert_eq!(with_url(&["import", "-"]), "imported 0 events, 300 were there already\n");
    assert_eq!(with_url(&["append", "order/1", "order.created"]), "order/1 is at version 1, position 301\n");
    assert_eq!(with_url(&["read", "order/1"]), place.run(&["read", "order/1"]).ok());
    assert_eq!(with_url(&["export"]), place.run(&["export"]).ok());
    assert_eq!(with_url(&["streams", "--json"]), place.run(&["streams", "--json"]).ok());
    let narrowed = ["export", "--streams", "thing-1,thing-2", "--after", "30"];
    assert_eq!(with_url(&narrowed), place.run(&narrowed).ok());
}

#[test]
fn failures_of_a_server_have_the_exit_codes_of_a_directory() {
    let place = Place::new();
    let (_server, url) = place.serve();
    place.run(&["append", "order-1", "order.created", "--url", &url]).ok();
    let message = place.run(&["append", "order-1", "x", "--expected", "5", "--url", &url]).failed(1);
    assert!(message.contains("at version 1"), "{message}");
    place.run(&["read", "order-2", "--url", &url]).failed(1);
    let message = place.run_with_input(&["import", "-", "--url", &url], "garbage\n").failed(1);
    assert!(message.contains("line 1: "), "{message}");
}

#[test]
fn a_server_that_refuses_a_line_while_more_is_sent_is_heard() {
    let place = Place::new();
    let (_server, url) = place.serve();
    let all = lines(30_000);
    place.run_with_input(&["import", "-", "--url", &url], &lines(10)).ok();
    // The same id with other data; what follows is more than the connection holds.
    let changed = all.replacen("\"number\" : 5,", "\"number\" : 55,", 1);
    let file = place.file("changed.ndjson", changed);
    let message = place.run(&["import", &file, "--url", &url]).failed(1);
    assert!(message.contains("already has an event with the id event-5,"), "{message}");
    assert!(message.contains("nothing is imported twice"), "{message}");
}

#[test]
fn a_tail_of_a_server_tells_what_is_there_and_then_what_comes() {
    let place = Place::new();
    let (_server, url) = place.serve();
    place.run(&["append", "order-1", "order.created", "--url", &url]).ok();
    let mut tail = Running::start(&mut place.bare(&["tail", "--url", &url]));
    assert!(tail.line().contains("\"position\":1,"));
    place.run(&["append", "invoice-1", "invoice.sent", "--url", &url]).ok();
    assert!(tail.line().contains("\"position\":2,"));
}

#[test]
fn without_a_command_it_serves() {
    let place = Place::new();
    let mut server = Running::start(place.command(&[]).env("ANNALS_LISTEN", "127.0.0.1:0"));
    assert!(server.line().starts_with("annals listening on http://127.0.0.1:"));
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_end_ends_well_and_lets_go_of_the_directory() {
    let place = Place::new();
    let (server, url) = place.serve();
    // A stream that never ends by itself must not keep the server from ending.
    let mut tail = Running::start(&mut place.bare(&["tail", "--url", &url]));
    place.run(&["append", "order-1", "order.created", "--url", &url]).ok();
    tail.line();
    let outcome = server.terminate();
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    place.run(&["append", "order-1", "order.paid"]).ok();
}

#[test]
fn what_is_kept_is_said_to_a_server_as_to_a_directory() {
    let place = Place::new();
    let config = place.file("annals.toml", "[http]\nbackups = \"backups\"\n");
    std::fs::create_dir(place.path("backups")).expect("a directory can be made");
    let args = ["serve", "--listen", "127.0.0.1:0", "--config", &config];
    let mut server = Running::start(&mut place.command(&args));
    let url = server.line().trim().rsplit(' ').next().expect("a URL").to_owned();
    let with_url = |args: &[&str]| place.run(&[args, &["--url", &url]].concat());
    assert_eq!(with_url(&["set", "order/1"]).ok(), "order/1 shows all its events\n");
    with_url(&["set", "order/1", "--max-count", "2"]).ok();
    let set = with_url(&["set", "order/1", "--max-age", "30d", "--json"]).ok();
    assert_eq!(set, "{\"stream\":\"order/1\",\"maxAge\":2592000,\"maxCount\":2,\"truncateBefore\":null}\n");
    assert_eq!(place.run(&["set", "order/1", "--json"]).ok(), set);
    for n in ["1", "2", "3"] {
        with_url(&["append", "order/1", "order.changed", n]).ok();
    }
    assert_eq!(with_url(&["read", "order/1"]).ok().lines().count(), 2);
    assert_eq!(with_url(&["verify", "--json"]).ok(), place.run(&["verify", "--json"]).ok());
    assert!(with_url(&["verify", "--deep"]).ok().contains("0 faults"));
    let won = with_url(&["scavenge", "--dry-run"]).ok();
    assert!(won.starts_with("would rewrite 0 of 0 sealed segments"), "{won}");
    let backup = with_url(&["backup", "--out", "monday"]).ok();
    assert!(backup.starts_with("monday holds everything up to position"), "{backup}");
    assert!(place.path("backups/monday/BACKUP").exists());
    with_url(&["backup", "--out", "../elsewhere"]).failed(1);
    with_url(&["delete", "order/1", "--expected", "7"]).failed(1);
    assert_eq!(with_url(&["delete", "order/1"]).ok(), "order/1 is deleted at version 3\n");
    with_url(&["delete", "order/2"]).failed(1);
    with_url(&["delete", "order/1", "--for-ever"]).ok();
    with_url(&["append", "order/1", "order.changed"]).failed(1);
}
