//! What lies in `deploy/`: it names what there is, and the tools that read it find nothing to complain about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Server;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).expect(name)
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_in_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_in_name(c)).filter(|word| word.starts_with("annals_")).collect()
}

#[test]
fn dashboard_and_alerts_name_only_metrics_that_there_are() {
    let server = Server::start();
    server.append("a", r#"{"type":"t","data":1}"#);
    let exposed = server.get("/metrics").text();
    let exposed = metrics_in(&exposed);
    for name in ["grafana/annals.json", "prometheus/alerts.yml", "prometheus/alerts.test.yml"] {
        let named = text(name);
        let named = metrics_in(&named);
        assert!(!named.is_empty(), "{name}");
        let missing: Vec<_> = named.difference(&exposed).collect();
        assert!(missing.is_empty(), "{name} names {missing:?}");
    }
}

#[test]
fn the_dashboard_is_json_with_a_query_on_every_panel() {
    let dashboard: serde_json::Value = serde_json::from_str(&text("grafana/annals.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{panel} has the id of another one");
        let has_query = panel["targets"][0]["expr"].as_str().is_some_and(|query| query.contains("annals_"));
        assert!(has_query || panel["type"] == "row", "{panel}");
    }
}

#[test]
fn promtool_finds_nothing_wrong_with_the_alerts_and_their_tests() {
    for args in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let mut promtool = Command::new("promtool");
        promtool.args(args).current_dir(file("prometheus"));
        is_content(&mut promtool);
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let dir = tempfile::tempdir().expect("a directory for the unit");
    let unit = dir.path().join("annals.service");
    // The binary is where it will be, which is not here.
    let here = text("annals.service").replace("/usr/local/bin/annals", env!("CARGO_BIN_EXE_annals"));
    std::fs::write(&unit, here).expect("the unit is written");
    is_content(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit));
}

/// Runs a program that complains about what it reads, where there is one.
fn is_content(command: &mut Command) {
    let Ok(ran) = command.stdin(Stdio::null()).output() else {
        say(&format!("skipped: there is no {}", command.get_program().display()));
        return;
    };
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn the_configuration_is_one_that_a_server_takes() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("annals.toml");
    std::fs::write(&config, text("annals.toml")).expect("is written");
    let annals = || Command::new(env!("CARGO_BIN_EXE_annals"));
    let tokens = dir.path().join("tokens.toml");
    let made = annals().args(["token", "shop", "--scope", "read", "--file"]).arg(tokens).output();
    assert!(made.expect("the binary runs").status.success());
    let mut command = annals();
    command.arg("--config").arg(config);
    let server = Server::start_on(&dir.path().join("data"), command);
    server.get("/events").problem(401);
    assert_eq!(server.get("/health/ready").status, 200);
}

/// The arguments that unit and image give are ones that the binary has.
#[test]
fn unit_and_image_run_commands_that_there_are() {
    for (name, begin) in
        [("annals.service", "ExecStart=/usr/local/bin/annals "), ("Dockerfile", "CMD [\"serve\"")]
    {
        let all = text(name);
        let line = all.lines().find(|line| line.starts_with(begin)).expect(name);
        let flags = line
            .split(|c: char| c.is_whitespace() || matches!(c, '"' | ','))
            .filter(|word| word.starts_with("--"));
        let help = Command::new(env!("CARGO_BIN_EXE_annals")).args(["serve", "--help"]).output();
        let help = String::from_utf8(help.expect("the binary runs").stdout).expect("text");
        for flag in flags {
            assert!(help.contains(flag), "{name}: {flag}");
        }
    }
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests should know what was tried")]
fn say(what: &str) {
    println!("{what}");
}
