//! Messages and exit codes: 1 the request failed, 2 wrong usage, 3 the store or the server cannot be used.

use super::command::{Outcome, Place};

#[test]
fn a_conflict_tells_the_version_that_the_stream_stands_at() {
    let place = Place::new();
    place.run(&["append", "order-1", "order.created", "{}", "--expected", "none"]).ok();
    let message = place.run(&["append", "order-1", "order.created", "{}", "--expected", "none"]).failed(1);
    assert!(message.contains("order-1 is at version 1, expected none"), "{message}");
    place.run(&["append", "order-1", "order.paid", "--expected", "1"]).ok();
    let message = place.run(&["append", "order-1", "order.paid", "--expected", "7"]).failed(1);
    assert!(message.contains("is at version 2, expected 7"), "{message}");
}

#[test]
fn a_stream_that_is_not_there_is_a_failed_request() {
    let place = Place::new();
    place.run(&["append", "order-1", "order.created"]).ok();
    let message = place.run(&["read", "order-2"]).failed(1);
    assert!(message.contains("no stream order-2"), "{message}");
}

#[test]
fn a_directory_without_a_store_is_not_made_by_reading_it() {
    let place = Place::new();
    for command in ["export", "tail", "streams", "stats", "verify"] {
        let message = place.run(&[command]).failed(3);
        assert!(message.contains("no store in"), "{command}: {message}");
    }
    place.run(&["read", "order-1"]).failed(3);
    assert!(!place.path("data").exists());
}

#[test]
fn a_second_writer_is_told_who_holds_the_store_and_how_to_go_on() {
    let place = Place::new();
    let (server, _) = place.serve();
    for args in [&["append", "order-1", "order.created"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let message = place.run(args).failed(3);
        assert!(message.contains(&server.pid().to_string()), "{message}");
        assert!(message.contains("--url"), "{message}");
    }
}

#[test]
fn a_port_in_use_is_told_and_the_directory_is_left_alone() {
    let (place, other) = (Place::new(), Place::new());
    let (_server, url) = place.serve();
    let address = url.strip_prefix("http://").expect("a URL");
    let message = other.run(&["serve", "--listen", address]).failed(3);
    assert!(message.contains("is in use") && message.contains("--listen"), "{message}");
    assert!(!other.path("data").exists());
}

#[test]
fn a_server_that_is_not_there_is_told_with_the_next_step() {
    let place = Place::new();
    // Bound and let go again, so that nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("has an address"));
    drop(listener);
    let message = place.run(&["export", "--url", &url]).failed(3);
    assert!(message.contains(&url) && message.contains("annals serve"), "{message}");
}

#[test]
fn wrong_usage_ends_with_2_and_makes_no_store() {
    let place = Place::new();
    let wrong: [&[&str]; 13] = [
        &["bogus"],
        &["append"],
        &["append", "order-1", "order.created", "{not json"],
        &["append", "order-1", "order.created", "{}", "--expected", "first"],
        &["append", "order-1", "order.created", "{}", "--metadata", "[]"],
        &["append", "order-1", "order.created", "{}", "--timestamp", "yesterday"],
        &["append", "stream", "order.created", "{}"],
        &["import", "missing.ndjson"],
        &["tail", "--after", "tomorrow"],
        &["stats", "--url", "http://127.0.0.1:2662"],
        &["restore", "--from", "backup", "--url", "http://127.0.0.1:2662"],
        &["backup"],
        &["serve", "--listen", "0.0.0.0:0"],
    ];
    for args in wrong {
        let message = place.run(args).failed(2);
        assert!(!message.is_empty(), "{args:?}");
    }
    assert!(!place.path("data").exists());
}

#[test]
fn a_misspelt_setting_is_refused_by_name() {
    let place = Place::new();
    place.file("annals.toml", "segmentbytes = 65536\n");
    let message = place.run(&["stats"]).failed(2);
    assert!(message.contains("annals.toml") && message.contains("segmentbytes"), "{message}");
}

#[test]
fn flags_come_before_the_environment_and_the_environment_before_the_file() {
    let place = Place::new();
    place.file("annals.toml", "data = \"of-file\"\n");
    let append = ["append", "order-1", "order.created"];
    Outcome::of(&mut place.bare(&append)).ok();
    assert!(place.path("of-file").exists());
    Outcome::of(place.bare(&append).env("ANNALS_DATA", "of-environment")).ok();
    assert!(place.path("of-environment").exists());
    Outcome::of(place.bare(&append).env("ANNALS_DATA", "of-nothing").args(["--data", "of-flag"])).ok();
    assert!(place.path("of-flag").exists());
    assert!(!place.path("of-nothing").exists());
}

#[test]
fn the_configuration_that_holds_is_printed_with_where_it_comes_from_and_can_be_used_as_a_file() {
    let place = Place::new();
    place.file("annals.toml", "log = \"warn\"\n[http]\nheartbeat_ms = 5000\nconnections_max = 9\n");
    let print = ["serve", "--print-config", "--listen", "127.0.0.1:77"];
    let mut command = place.bare(&print);
    command.env("ANNALS_HTTP_CONNECTIONS_MAX", "11").env("ANNALS_TOKENS", "tokens.toml");
    let printed = Outcome::of(&mut command).ok();
    let has = |line: &str, origin: &str| {
        let found = printed.lines().find(|found| found.starts_with(line)).expect(line);
        assert!(found.ends_with(&format!(" # {origin}")), "{found}");
    };
    has("listen = \"127.0.0.1:77\"", "flag");
    has("log = \"warn\"", "annals.toml");
    has("data = \"./annals-data\"", "default");
    has("tokens = \"tokens.toml\"", "ANNALS_TOKENS");
    has("connections_max = 11", "ANNALS_HTTP_CONNECTIONS_MAX");
    has("heartbeat_ms = 5000", "annals.toml");
    has("write_wait_ms_max = 60000", "default");
    assert!(!place.path("annals-data").exists(), "it does not serve");
    let file = place.file("printed.toml", &printed);
    let again = Outcome::of(&mut place.bare(&["serve", "--print-config", "--config", &file])).ok();
    let settings = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned()).collect()
    };
    // The file lies beside what it names.
    let beside = |path: &str| format!("{}", place.path("").join(path).display());
    let beside_file = again
        .replace(&beside("tokens.toml"), "tokens.toml")
        .replace(&beside("./annals-data"), "./annals-data");
    assert_eq!(settings(&beside_file), settings(&printed));
}

#[test]
fn a_healthy_store_is_verified_and_a_flipped_byte_is_found() {
    let place = Place::new();
    place.import(200);
    let report = place.run(&["verify"]).ok();
    assert!(report.contains("200 events, 0 faults"), "{report}");

    let segment = place.segments().into_iter().next().expect("a store has a segment");
    let mut bytes = std::fs::read(&segment).expect("can be read");
    let at = bytes.windows(8).position(|window| window == b"event-77").expect("ids are stored as they are");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("can be written");

    let outcome = place.run(&["verify"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    let name = segment.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(outcome.out.contains(name), "{}", outcome.out);
    assert!(outcome.err.contains("found"), "{}", outcome.err);
}
