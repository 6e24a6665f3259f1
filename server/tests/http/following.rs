//! Live streams: catching up, waiting, coming back, and ending.

use crate::support::{AS_LINES, Answer, Server};

fn append(server: &Server, n: u64) {
    server.append("a", &format!(r#"{{"type":"t.{n}","data":{{"n":{n}}}}}"#));
}

fn follow(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    let answer = server.open("GET", path, headers, b"");
    assert_eq!(answer.status, 200);
    answer
}

fn block_of(n: u64) -> Vec<String> {
    vec![format!("id: {n}"), format!("event: t.{n}"), format!("data: {{\"n\":{n}}}")]
}

/// The next block that is an event; heartbeats and bare ids are none.
fn event(answer: &mut Answer) -> Vec<String> {
    loop {
        let block = answer.block();
        if block.is_empty() || block.iter().any(|line| line.starts_with("data:")) {
            return block;
        }
    }
}

#[test]
fn a_follower_by_a_criterion_gets_what_satisfies_it_and_nothing_else() {
    let server = Server::start();
    let mut answer = follow(&server, "/events/stream?region=eu", &[]);
    append(&server, 1);
    server.append("a", r#"{"type":"t.2","data":{"n":2},"metadata":{"region":"eu"}}"#);
    append(&server, 3);
    server.append("b", r#"{"type":"t.4","data":{"n":4},"metadata":{"tags":["region:eu"]}}"#);
    assert_eq!(event(&mut answer), block_of(2));
    assert_eq!(event(&mut answer), block_of(4));
}

#[test]
fn a_follower_catches_up_then_waits_then_comes_back_without_missing_or_repeating() {
    let server = Server::start();
    append(&server, 1);
    append(&server, 2);
    let mut first = follow(&server, "/events/stream", &[]);
    assert_eq!(event(&mut first), block_of(1));
    assert_eq!(event(&mut first), block_of(2));
    append(&server, 3);
    assert_eq!(event(&mut first), block_of(3));
    drop(first);
    append(&server, 4);
    append(&server, 5);
    // The header of a browser that reconnects beats the parameter it began with.
    let mut second = follow(&server, "/events/stream?after=0", &[("Last-Event-ID", "3")]);
    assert_eq!(event(&mut second), block_of(4));
    assert_eq!(event(&mut second), block_of(5));
    append(&server, 6);
    assert_eq!(event(&mut second), block_of(6));
}

#[test]
fn events_that_do_not_match_move_the_last_id_without_an_event() {
    let server = Server::start();
    append(&server, 1);
    append(&server, 2);
    let mut answer = follow(&server, "/events/stream?types=t.1", &[]);
    assert_eq!(answer.block(), block_of(1));
    assert_eq!(answer.block(), ["id: 2"]);
}

#[test]
fn an_answer_that_is_not_live_ends_at_the_head() {
    let server = Server::start();
    let mut empty = follow(&server, "/events/stream?live=false", &[]);
    assert_eq!(empty.line(), None);
    append(&server, 1);
    append(&server, 2);
    let mut answer = follow(&server, "/events/stream?live=false", &[]);
    assert_eq!(event(&mut answer), block_of(1));
    assert_eq!(event(&mut answer), block_of(2));
    assert_eq!(event(&mut answer), [""; 0]);
    let mut filtered = follow(&server, "/events/stream?live=false&types=none", &[]);
    assert_eq!(event(&mut filtered), [""; 0]);
}

#[test]
fn an_envelope_holds_the_whole_event() {
    let server = Server::start();
    append(&server, 1);
    let block = event(&mut follow(&server, "/events/stream?envelope=true", &[]));
    let json: serde_json::Value =
        serde_json::from_str(block[2].strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!((json["stream"].as_str(), json["position"].as_u64()), (Some("a"), Some(1)));
}

#[test]
fn a_block_without_the_type_comes_to_whoever_waits_for_any_message() {
    let server = Server::start();
    append(&server, 1);
    let block = event(&mut follow(&server, "/events/stream?named=false", &[]));
    assert_eq!(block, ["id: 1", "data: {\"n\":1}"]);
    server.get("/events/stream?named=maybe").problem(400);
}

#[test]
fn after_head_shows_only_what_comes() {
    let server = Server::start();
    append(&server, 1);
    let mut answer = follow(&server, "/events/stream?after=head", &[]);
    append(&server, 2);
    assert_eq!(event(&mut answer), block_of(2));
}

#[test]
fn a_follower_of_lines_is_told_when_it_has_caught_up() {
    let server = Server::start();
    append(&server, 1);
    let mut answer = follow(&server, "/events/stream", &[AS_LINES]);
    assert!(answer.line().is_some_and(|line| line.contains("\"position\":1")));
    assert_eq!(answer.line().as_deref(), Some("{\"caughtUp\":1}"));
    append(&server, 2);
    assert!(answer.line().is_some_and(|line| line.contains("\"position\":2")));
}

#[test]
fn a_follower_of_lines_that_has_everything_is_told_so_at_once() {
    let server = Server::start();
    append(&server, 1);
    let mut answer = follow(&server, "/events/stream?after=1", &[AS_LINES]);
    assert_eq!(answer.line().as_deref(), Some("{\"caughtUp\":1}"));
}

#[test]
fn a_last_id_that_is_no_position_is_refused() {
    let server = Server::start();
    server.send("GET", "/events/stream", &[("Last-Event-ID", "x")], b"").problem(400);
    server.send("GET", "/events/stream", &[("Accept", "application/json")], b"").problem(406);
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_stop_ends_its_streams_and_itself() {
    let mut server = Server::start();
    append(&server, 1);
    let mut answer = follow(&server, "/events/stream", &[]);
    assert_eq!(event(&mut answer), block_of(1));
    server.terminate();
    assert_eq!(event(&mut answer), [""; 0]);
    assert!(server.child().wait().expect("the server ends").success());
}
