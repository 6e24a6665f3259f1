//! Tokens: what each one is good for, on which streams, and how they come and go while the server runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{AS_PAGE, JSON, Reply, Server, eventually};

const EVENT: &str = r#"{"type":"t","data":1,"id":"same"}"#;

/// A directory with a file of tokens.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        Desk(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("tokens.toml")
    }

    /// Makes a token that is good for these scopes, and for streams with these prefixes.
    fn token(&self, scopes: &str, prefixes: &[&str]) -> String {
        self.token_of("somebody", scopes, prefixes)
    }

    fn token_of(&self, name: &str, scopes: &str, prefixes: &[&str]) -> String {
        let mut args = vec!["token", name, "--scope", scopes];
        prefixes.iter().for_each(|prefix| args.extend(["--prefix", prefix]));
        let made = annals(&args, &[("--file", &self.file())]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("is text").trim().to_owned()
    }

    /// A server that asks for the tokens.
    fn server(&self) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        let config = self.0.path().join("annals.toml");
        std::fs::write(&config, "[http]\ntokens = \"tokens.toml\"\n").expect("the configuration is written");
        command.arg("--config").arg(config);
        Server::start_on(&self.0.path().join("data"), command)
    }
}

fn annals(args: &[&str], paths: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.args(args);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    command.output().expect("the binary runs")
}

fn send(server: &Server, token: &str, method: &str, path: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {token}");
    let json: &[(&str, &str)] = if body.is_empty() { &[] } else { &[JSON] };
    server.send(method, path, &[&[("Authorization", bearer.as_str())], json].concat(), body.as_bytes())
}

fn streams_of(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let name = |event: &serde_json::Value| event["stream"].as_str().expect("a stream").to_owned();
    reply.lines().iter().map(name).collect()
}

/// A store with the streams `order-1`, `cart-1` and `user-1`, each with an event of one id.
fn filled(server: &Server, writer: &str) {
    for stream in ["order-1", "cart-1", "user-1"] {
        assert_eq!(send(server, writer, "POST", &format!("/events/{stream}"), EVENT).status, 201);
    }
}

#[test]
fn a_key_is_of_the_client_that_chose_it_and_outlives_its_token() {
    let desk = Desk::new();
    let [first, other, second] = ["shop", "till", "shop"].map(|name| desk.token_of(name, "read,append", &[]));
    let server = desk.server();
    let pay = |token: &str| {
        let headers = [JSON, ("Authorization", &*format!("Bearer {token}")), ("Idempotency-Key", "1")];
        let reply = server.send("POST", "/events/payments", &headers, br#"{"type":"paid","data":5}"#);
        let version = reply.json()["streamVersion"].as_u64();
        (reply.status, version, reply.header("idempotency-replayed").is_some())
    };
    assert_eq!(pay(&first), (201, Some(1), false));
    assert_eq!(pay(&other), (201, Some(2), false), "another client means another request");
    assert_eq!(pay(&second), (201, Some(1), true), "its token was replaced in between");
}

#[test]
fn without_a_token_that_is_known_nothing_is_answered_but_health() {
    let desk = Desk::new();
    let token = desk.token("read", &[]);
    let server = desk.server();
    for path in
        ["/events", "/events/a", "/streams", "/limits", "/version", "/metrics", "/events/stream", "/x"]
    {
        let refused = server.get(path);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{path}");
        refused.problem(401);
    }
    send(&server, "annals_wrong", "GET", "/events", "").problem(401);
    let basic = format!("Basic {token}");
    server.send("GET", "/events", &[("Authorization", &basic)], b"").problem(401);
    server.post("/events/a", EVENT).problem(401);
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.get("/health/ready").status, 200);
    assert_eq!(send(&server, &token, "GET", "/events", "").status, 200);
    let text = std::fs::read_to_string(desk.file()).expect("the file is there");
    assert!(!text.contains(&token), "the token itself is kept nowhere");
}

#[test]
fn a_token_is_good_for_its_scopes_alone() {
    let desk = Desk::new();
    let (read, append, all) =
        (desk.token("read", &[]), desk.token("append", &[]), desk.token("read,append,admin", &[]));
    let server = desk.server();
    let scope_lacked = |token: &str, method: &str, path: &str, body: &str| {
        send(&server, token, method, path, body).problem(403)["scope"].clone()
    };
    assert_eq!(scope_lacked(&read, "POST", "/events/a", EVENT), "append");
    assert_eq!(scope_lacked(&read, "PUT", "/events/a/snapshot?version=1", "{}"), "append");
    assert_eq!(scope_lacked(&append, "GET", "/events", ""), "read");
    assert_eq!(scope_lacked(&append, "GET", "/events/stream", ""), "read");
    assert_eq!(scope_lacked(&read, "GET", "/events?system=true", ""), "admin");
    assert_eq!(scope_lacked(&read, "GET", "/events/stream?system=true", ""), "admin");
    assert_eq!(scope_lacked(&read, "GET", "/events/$settings", ""), "admin");
    assert_eq!(send(&server, &append, "POST", "/events/a", EVENT).status, 201);
    assert_eq!(send(&server, &append, "GET", "/limits", "").status, 200);
    assert_eq!(streams_of(&send(&server, &read, "GET", "/events", "")), ["a"]);
    assert_eq!(send(&server, &all, "GET", "/events?system=true", "").status, 200);
}

#[test]
fn a_token_for_some_streams_sees_nothing_of_the_others() {
    let desk = Desk::new();
    let (all, some) = (desk.token("read,append", &[]), desk.token("read,append", &["order-", "cart-"]));
    let server = desk.server();
    filled(&server, &all);
    let seen = |path: &str| streams_of(&send(&server, &some, "GET", path, ""));
    assert_eq!(seen("/events"), ["order-1", "cart-1"]);
    assert_eq!(seen("/events?types=t&direction=backward"), ["cart-1", "order-1"]);
    assert_eq!(seen("/events?prefix=order-1"), ["order-1"]);
    assert_eq!(seen("/events?prefix=user-"), [""; 0]);
    assert_eq!(seen("/events?streams=user-1"), [""; 0]);
    assert_eq!(seen("/events/by-id/same"), ["order-1", "cart-1"]);
    for path in ["/events/user-1", "/events/user-1/replay", "/events/user-1/snapshot", "/streams/user-1"] {
        assert_eq!(send(&server, &some, "GET", path, "").problem(403)["stream"], "user-1", "{path}");
    }
    let listed = send(&server, &some, "GET", "/streams", "").json();
    let names: Vec<_> =
        listed["streams"].as_array().expect("a list").iter().map(|one| &one["stream"]).collect();
    assert_eq!(names, ["order-1", "cart-1"]);
    let followed = send(&server, &some, "GET", "/events/stream?live=false", "").text();
    assert_eq!(followed.matches("event: t").count(), 2, "{followed}");

    let tag = |token: &str| {
        let reply = send(&server, token, "GET", "/events?before=4", "");
        reply.header("etag").expect("the range is over").to_owned()
    };
    assert_ne!(tag(&all), tag(&some), "they are answered differently");
}

#[test]
fn a_token_for_some_streams_writes_to_no_other_and_its_conditions_know_no_other() {
    let desk = Desk::new();
    let (all, some) = (desk.token("read,append", &[]), desk.token("append", &["order-"]));
    let server = desk.server();
    filled(&server, &all);
    let named = r#"{"type":"order-x.made","data":1,"stream":"user-1"}"#;
    let transaction = |stream: &str, condition: &str| {
        format!(
            r#"{{"writes":[{{"stream":"{stream}","events":[{{"type":"t","data":1}}]}}],"conditions":[{condition}]}}"#
        )
    };
    for (path, body) in [
        ("/events/user-1", EVENT.to_owned()),
        ("/events", named.to_owned()),
        ("/transactions", transaction("user-1", "")),
        ("/transactions", transaction("order-2", r#"{"stream":"user-1","expectedVersion":1}"#)),
    ] {
        assert_eq!(send(&server, &some, "POST", path, &body).problem(403)["stream"], "user-1", "{path}");
    }
    let bearer = format!("Bearer {some}");
    let headers = [("Authorization", bearer.as_str()), crate::support::NDJSON];
    let imported = server.send("POST", "/import", &headers, named.as_bytes());
    assert_eq!(imported.lines()[0]["error"]["status"], 403, "{}", imported.text());

    // An event of another's stream breaks no condition, so nothing is learnt of it.
    let unless_any = r#"{"failIfEventsMatch":{"items":[{"streams":["user-1"]}]}}"#;
    assert_eq!(
        send(&server, &some, "POST", "/transactions", &transaction("order-2", unless_any)).status,
        201
    );
    let broken =
        send(&server, &some, "POST", "/transactions", &transaction("order-3", r#"{"failIfEventsMatch":{}}"#));
    assert_eq!(broken.problem(409)["stream"], "order-1");
    assert_eq!(streams_of(&send(&server, &all, "GET", "/events?prefix=user-", "")), ["user-1"]);
}

#[test]
fn tokens_come_and_go_while_the_server_runs() {
    let desk = Desk::new();
    let old = desk.token("read", &[]);
    let server = desk.server();
    let status = |token: &str| send(&server, token, "GET", "/events", "").status;
    assert_eq!(status(&old), 200);
    let new = desk.token("read", &[]);
    eventually("the new token is known", || status(&new) == 200);
    assert_eq!(status(&old), 200);
    let text = std::fs::read_to_string(desk.file()).expect("the file is there");
    let (_, kept) = text.trim_start().rsplit_once("[[tokens]]").expect("there are two");
    std::fs::write(desk.file(), format!("[[tokens]]{kept}")).expect("the file is written");
    eventually("the old token is forgotten", || status(&old) == 401);
    eventually("the new token is still known", || status(&new) == 200);
    std::fs::write(desk.file(), "no tokens at all").expect("the file is written");
    eventually("what cannot be read changes nothing", || status(&new) == 200 && status(&old) == 401);
}

#[test]
fn a_server_that_others_can_reach_needs_tokens_or_a_flag() {
    let desk = Desk::new();
    let data = desk.0.path().join("data");
    let refused = annals(&["serve", "--listen", "0.0.0.0:0"], &[("--data", &data)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--tokens"));
    desk.token("read", &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.env("ANNALS_TOKENS", desk.file());
    let server = Server::start_on_address("0.0.0.0:0", &data, command);
    drop(server);
    let missing =
        annals(&["serve", "--listen", "127.0.0.1:0", "--tokens", "nowhere.toml"], &[("--data", &data)]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn the_command_line_sends_the_token_of_its_environment() {
    let desk = Desk::new();
    let token = desk.token("read,append", &[]);
    let server = desk.server();
    let url = format!("http://{}", server.address());
    let run = |token: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.args(["append", "a", "t", "1", "--url", &url]).env_remove("ANNALS_TOKEN");
        token.map(|token| command.env("ANNALS_TOKEN", token));
        command.output().expect("the binary runs")
    };
    assert_eq!(run(None).status.code(), Some(1));
    assert!(run(Some(&token)).status.success());
    let bearer = format!("Bearer {token}");
    let page = server.send("GET", "/events", &[AS_PAGE, ("Authorization", &bearer)], b"").json();
    assert_eq!(page["events"][0]["stream"], "a");
}
