//! The broken engines of `cargo hunt mutants` still fit the engine: each has its place, and tests that are there.

mod list;

use std::fs;
use std::path::Path;

use list::mutants;

#[test]
fn each_mutant_changes_one_place_and_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for mutant in mutants() {
        let does = mutant.does;
        let text = fs::read_to_string(root.join(mutant.file)).expect("a mutant names a source file");
        assert_eq!(
            text.matches(mutant.text).count(),
            1,
            "{does}: its text stands not once in {}",
            mutant.file
        );
        assert_ne!(mutant.text, mutant.by, "{does}: it changes nothing");
        assert!(!mutant.caught_by.is_empty(), "{does}: no test is named");
        for test in mutant.caught_by {
            let (module, function) = test.split_once("::").expect("a test is named by module and function");
            let tests =
                fs::read_to_string(root.join(format!("tests/{module}.rs"))).expect("a module of tests");
            assert!(tests.contains(function), "{does}: {module} has no {function}");
        }
    }
}

#[test]
fn no_two_mutants_are_called_the_same() {
    let mut names: Vec<&str> = mutants().map(|mutant| mutant.does).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), mutants().count());
}
