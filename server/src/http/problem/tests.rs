//! What problems say, and that the documents know all of them.

use super::*;
use annals::{StreamName, StreamVersion};

fn json_of(problem: &Problem) -> Value {
    serde_json::from_slice(&problem.to_json()).expect("a problem is JSON")
}

#[test]
fn a_conflict_names_stream_expected_and_actual_version() {
    let conflict = AppendError::Conflict {
        stream: StreamName::parse("s").expect("legal"),
        expected: StreamVersion::new(4).into(),
        actual: StreamVersion::new(5),
    };
    let problem = Problem::from(conflict);
    assert_eq!(problem.status(), StatusCode::CONFLICT);
    let json = json_of(&problem);
    assert_eq!(json["expectedVersion"], 4);
    assert_eq!(json["actualVersion"], 5);
    assert_eq!(json["stream"], "s");
    assert_eq!(json_of(&problem.into_precondition())["status"], 412);
}

#[test]
fn the_table_for_people_has_each_kind_with_its_status_and_no_other() {
    let Some(guide) = document("http.md") else { return };
    let table = guide.split("| `type`, behind `urn:annals:problem:` |").nth(1).expect("there is a table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| [`"));
    let told: Vec<String> =
        rows.map(|row| row.split(" | ").take(2).collect::<Vec<_>>().join(" | ")).collect();
    let row = |Kind { name, status, .. }: &Kind| format!("| [`{name}`](problems.md#{name}) | {status}");
    let known: Vec<String> = KINDS.iter().map(|kind| row(kind)).collect();
    assert_eq!(told, known);
}

#[test]
fn only_a_conflict_becomes_a_failed_precondition() {
    assert_eq!(Problem::invalid("x").into_precondition().status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_bad_line_keeps_its_line_and_field() {
    let json = json_of(&WireError::field("type", "is missing").at_line(7).into());
    assert_eq!((&json["line"], &json["field"], &json["status"]), (&json!(7), &json!("type"), &json!(400)));
}

#[test]
fn a_passed_limit_is_too_large_and_names_the_limit() {
    let json = json_of(&WireError::too_many("x", "appendEventsMax", 3).into());
    assert_eq!(
        (&json["status"], &json["limit"], &json["max"]),
        (&json!(413), &json!("appendEventsMax"), &json!(3))
    );
}

#[test]
fn the_directory_of_a_damaged_file_is_not_told() {
    let error = Error::Damaged { path: "secret/place/0000000001.seg".into(), offset: 9, what: "x".into() };
    let json = json_of(&error.into());
    assert_eq!(json["file"], "0000000001.seg");
    assert!(!json.to_string().contains("secret"), "{json}");
}

/// A document of the project; none in a package that is tested without them.
pub(super) fn document(name: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).ok()
}

#[test]
fn each_kind_has_a_section_with_a_command_that_brings_it_about_or_with_the_test_that_does() {
    let Some(page) = document("problems.md") else { return };
    let sections: Vec<(&str, &str)> =
        page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let titles: Vec<&str> = sections.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>());
    for (title, text) in sections {
        assert!(text.contains(&format!("\"type\":\"urn:annals:problem:{title}\"")), "{title} is shown");
        match rare::TESTS.iter().find(|(kind, _)| kind.name == title) {
            None => assert!(text.contains("```console\n$ "), "{title} has a command"),
            Some((_, test)) => {
                assert!(text.contains(&format!("`{test}`")), "{title} names {test}");
                assert!(
                    include_str!("rare.rs").contains(&format!("#[test]\nfn {test}()")),
                    "{test} is a test"
                );
            }
        }
    }
}
