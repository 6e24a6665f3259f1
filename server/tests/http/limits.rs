//! The rates of clients: each may ask for its own, and is told when to come back.

use std::process::Command;

use crate::support::{Reply, Server, eventually};

const EVENT: &str = r#"{"type":"t","data":1}"#;

#[test]
fn an_address_that_asks_for_more_than_its_rate_is_told_when_to_come_back() {
    let server = Server::configured("[http]\nrate = { requests_per_second_max = 3 }");
    let replies: Vec<Reply> = (0..20).map(|_| server.get("/limits")).collect();
    let refused = replies.into_iter().find(|reply| reply.status != 200).expect("twenty are more than three");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let problem = refused.problem(429);
    assert_eq!((&problem["limit"], &problem["max"]), (&"requestsPerSecondMax".into(), &3.into()));
    for _ in 0..20 {
        assert_eq!(server.get("/health/ready").status, 200, "whoever asks how it is has to be told");
    }
    eventually("it may come back", || server.get("/limits").status == 200);
    eventually("refusals are counted", || {
        let metrics = server.get("/metrics");
        metrics.status == 200 && !metrics.text().contains("annals_http_rate_limited_total 0")
    });
}

#[test]
fn bytes_that_came_are_waited_for() {
    let server = Server::configured("[http]\nrate = { bytes_per_second_max = 100000 }");
    assert_eq!(server.get("/limits").json()["bytesPerSecondMax"], 100_000);
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(300_000));
    assert_eq!(server.append("a", &event).status, 201, "it may come as a whole");
    let refused = server.post("/events/a", EVENT);
    assert_eq!(refused.header("retry-after"), Some("2"));
    assert_eq!(refused.problem(429)["limit"], "bytesPerSecondMax");
    eventually("it has been waited for", || server.post("/events/a", EVENT).status == 201);
}

#[test]
fn a_token_has_a_rate_of_its_own_and_who_guesses_has_that_of_everybody() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("tokens.toml");
    let token = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        let made = command.args(["token", name, "--scope", "read", "--file"]).arg(&file).output();
        String::from_utf8(made.expect("the binary starts").stdout).expect("is text").trim().to_owned()
    };
    let (slow, fast) = (token("slow"), token("fast"));
    let entries = std::fs::read_to_string(&file).expect("the file is there");
    let own = "rate = { requests_per_second_max = 1 }";
    let entries = entries.replacen(
        "\n[[tokens]]\nname = \"fast\"",
        &format!("{own}\n\n[[tokens]]\nname = \"fast\""),
        1,
    );
    std::fs::write(&file, entries).expect("the file is written");
    let config = dir.path().join("annals.toml");
    std::fs::write(&config, "[http]\nrate = { requests_per_second_max = 500 }").expect("the file is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
    command.arg("--config").arg(&config);
    let file = file.to_str().expect("a temporary path is text");
    let server = Server::start_with(&dir.path().join("data"), command, &["--tokens", file]);
    let statuses = |token: &str, count: usize| -> Vec<u16> {
        let bearer = format!("Bearer {token}");
        (0..count).map(|_| server.send("GET", "/limits", &[("Authorization", &bearer)], b"").status).collect()
    };
    assert!(statuses(&slow, 20).contains(&429));
    assert_eq!(statuses(&fast, 20), [200; 20], "another token asks for itself");
    let guesses = statuses("guess", 5000);
    assert!(guesses.contains(&401) && guesses.contains(&429), "guessing is held back");
}

#[test]
fn a_rate_of_nothing_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("annals.toml");
    std::fs::write(&config, "[http]\nrate = { requests_per_second_max = 0 }").expect("the file is written");
    let ended = Command::new(env!("CARGO_BIN_EXE_annals")).arg("--config").arg(&config).arg("serve").output();
    let ended = ended.expect("the binary starts");
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("requests_per_second_max"));
}
