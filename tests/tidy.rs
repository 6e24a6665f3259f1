//! The rules of the source tree that a reader relies on, checked on every run.
//!
//! Each rule is a function from a file to what is wrong in it, and each has a test in `tidy/tests.rs` with a file
//! that breaks it. What a rule excepts stands in a table beside it, with the reason.

mod source;
mod tests;

use std::fs;
use std::path::Path;

use source::{LITERAL, Source, Token, end_of_group, heads};

/// The layers of the library. A module imports only from lower numbers; modules of one number are strangers.
/// `lib.rs` names what is public; `testkit` sees every module and is seen by none.
///
/// `ARCHITECTURE.md` has the same lines, each with what its modules are for behind it.
const LAYERS: &str = "
     0  model
     1  error
     2  budget clock format schema sync vfs
     3  options
     4  log meta
     5  index
     6  lifecycle
     7  commit
     8  read verify backup salvage inspect
     9  subscription snapshot scavenge
    10  group import
    11  store
    12  aggregate projection
";

/// Crates that one place alone may know: the crate, the place, why.
const CRATES_WITH_ONE_USER: [(&str, &str, &str); 5] = [
    ("sled", "src/meta/sled.rs", "it is frozen upstream and may have to be replaced"),
    (
        "bincode",
        "src/meta/envelope.rs",
        "it decodes damaged bytes into valid values unless they are checked first",
    ),
    ("memmap2", "src/vfs/", "maps are unsafe"),
    ("rustix", "src/vfs/", "files are reached through `vfs` only"),
    ("jiff", "src/model/timestamp.rs", "one module knows a calendar; elsewhere a time is an integer"),
];

/// Who in the library may name `std::fs`: the place, why.
const USERS_OF_STD_FS: [(&str, &str); 2] = [
    ("src/vfs/", "it is the door to files"),
    ("src/meta/sled.rs", "it moves sled's directory, which no simulated disk has, out of the way"),
];

/// Lines that hold code, in one file and in one function.
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Where Rust is kept.
const DIRS: [&str; 6] = ["src", "server/src", "tests", "benches", "examples", "fuzz"];

#[test]
fn every_file_says_first_what_it_is() {
    holds(header);
}

#[test]
fn modules_import_from_lower_layers_only() {
    holds(layers);
}

#[test]
fn files_and_functions_are_short_enough_to_be_read() {
    holds(length);
}

#[test]
fn unsafe_code_is_in_vfs_only() {
    holds(unsafe_code);
}

#[test]
fn files_are_reached_through_vfs_only() {
    holds(std_fs);
}

#[test]
fn no_code_but_tests_unwraps() {
    holds(unwraps);
}

#[test]
fn crates_with_one_user_have_no_other() {
    holds(crates);
}

#[test]
fn the_architecture_shows_the_layers_that_are_checked() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    if let Ok(text) = fs::read_to_string(path) {
        assert_eq!(layers_not_shown(&text), [""; 0], "these layers are not in ARCHITECTURE.md");
    }
}

/// Checks a rule on every file, and fails with all that is wrong.
fn holds(rule: fn(&Source<'_>) -> Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in DIRS {
        collect(root, dir, &mut files);
    }
    assert!(files.len() > 10, "the source tree is somewhere else");
    let faults: Vec<String> = files.iter().flat_map(|(path, text)| rule(&Source::new(path, text))).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The path and the text of each Rust file below `dir`. A directory that is not there has none.
fn collect(root: &Path, dir: &str, files: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(root.join(dir)) else {
        return;
    };
    for entry in entries {
        let entry = entry.expect("a directory of sources can be listed");
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() && !path.ends_with("/target") {
            collect(root, &path, files);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("a source file is text");
            files.push((path, text));
        }
    }
}

fn header(source: &Source<'_>) -> Vec<String> {
    let missing = !source.text.starts_with("//! ");
    missing.then(|| format!("{}:1: does not begin with a `//!` header", source.path)).into_iter().collect()
}

fn layers(source: &Source<'_>) -> Vec<String> {
    let Some(module) = top_module(source.path) else {
        return Vec::new();
    };
    if module == "testkit" {
        return Vec::new();
    }
    let Some(layer) = layer_of(module) else {
        return vec![format!("{}:1: `{module}` is in no layer: give it one in tests/tidy.rs", source.path)];
    };
    let mut faults = Vec::new();
    for (name, line) in imports(source) {
        let what = match layer_of(name) {
            _ if name == module => continue,
            Some(other) if other < layer => continue,
            Some(other) => format!("`{module}` is in layer {layer} and reaches `{name}` in layer {other}"),
            None if name == "testkit" => format!("`{module}` reaches `testkit`, which only tests see"),
            None => format!("`crate::{name}` is in no layer: import it from the module that has it"),
        };
        faults.push(format!("{}:{line}: {what}", source.path));
    }
    faults
}

/// The modules of `lib.rs` that a file reaches, by `crate::` or by as many `super::` as lead there.
fn imports<'a>(source: &Source<'a>) -> Vec<(&'a str, usize)> {
    let mut found = source.names_below("crate");
    let to_root = vec!["super"; depth(source.path)].join(" :: ");
    let to_root: Vec<&str> = to_root.split(' ').chain(["::"]).collect();
    for at in 0..source.tokens.len() {
        if source.follows(at, &to_root) {
            found.extend(heads(&source.tokens[at + to_root.len()..]));
        }
    }
    found
}

/// The module of `lib.rs` that a file is in; none outside the library and for `lib.rs` itself.
fn top_module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|module| *module != "lib")
}

/// How many modules lie around what a file holds: 1 for `src/a.rs` and `src/a/mod.rs`, 2 for `src/a/b.rs`.
fn depth(path: &str) -> usize {
    path.trim_start_matches("src/").trim_end_matches("/mod.rs").split('/').count()
}

/// The layers of [`LAYERS`], each with its modules.
fn table() -> impl Iterator<Item = (usize, Vec<&'static str>)> {
    LAYERS.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let mut words = line.split_whitespace();
        let number = words.next().and_then(|word| word.parse().ok());
        (number.expect("a line of the table begins with its number"), words.collect())
    })
}

fn layer_of(module: &str) -> Option<usize> {
    table().find(|(_, modules)| modules.contains(&module)).map(|(number, _)| number)
}

/// The lines of [`LAYERS`] that `text` does not have. It may write them as a table, and with more behind them.
fn layers_not_shown(text: &str) -> Vec<&'static str> {
    fn words(line: &str) -> Vec<&str> {
        line.split(|c: char| c.is_whitespace() || matches!(c, '|' | '`' | ','))
            .filter(|word| !word.is_empty())
            .collect()
    }
    let is_shown = |line: &str| text.lines().any(|shown| words(shown).starts_with(&words(line)));
    LAYERS.lines().map(str::trim).filter(|line| !is_shown(line)).collect()
}

fn length(source: &Source<'_>) -> Vec<String> {
    let lines = Source::code_lines(&source.tokens);
    let mut faults = Vec::new();
    if lines > FILE_LINES_MAX {
        faults.push(format!(
            "{}:1: {lines} lines of code; look for the second idea past {FILE_LINES_MAX}",
            source.path
        ));
    }
    for (name, tokens) in functions(source) {
        let lines = Source::code_lines(tokens);
        if lines > FUNCTION_LINES_MAX {
            faults.push(format!(
                "{}:{}: `{name}` has {lines} lines of code; at most {FUNCTION_LINES_MAX}",
                source.path, tokens[0].first_line
            ));
        }
    }
    faults
}

/// Each function that has a body: its name, and its tokens from `fn` to the last brace.
fn functions<'s, 'a>(source: &'s Source<'a>) -> Vec<(&'a str, &'s [Token<'a>])> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        // The type `fn(…)` has no name.
        if tokens[at].text != "fn" || tokens[at + 1].text == "(" {
            continue;
        }
        let mut open = at + 1;
        while open < tokens.len() && !matches!(tokens[open].text, "{" | ";") {
            let is_group = matches!(tokens[open].text, "(" | "[");
            open = if is_group { end_of_group(tokens, open) } else { open + 1 };
        }
        if tokens.get(open).is_some_and(|token| token.text == "{") {
            found.push((tokens[at + 1].text, &tokens[at..end_of_group(tokens, open)]));
        }
    }
    found
}

fn unsafe_code(source: &Source<'_>) -> Vec<String> {
    if source.path.starts_with("src/vfs/") {
        return Vec::new();
    }
    let found = source.tokens.iter().filter(|token| token.text == "unsafe");
    found.map(|token| format!("{}:{}: `unsafe` outside `vfs`", source.path, token.first_line)).collect()
}

fn std_fs(source: &Source<'_>) -> Vec<String> {
    let may = USERS_OF_STD_FS.iter().any(|(place, _)| source.path.starts_with(place));
    if may || !source.path.starts_with("src/") {
        return Vec::new();
    }
    let found = source.names_below("std").into_iter().filter(|(name, _)| *name == "fs");
    found.map(|(_, line)| format!("{}:{line}: `std::fs` outside `vfs`", source.path)).collect()
}

fn unwraps(source: &Source<'_>) -> Vec<String> {
    if source.path.starts_with("tests/") {
        return Vec::new();
    }
    let found = (0..source.tokens.len()).filter(|at| source.follows(*at, &[".", "unwrap", "(", ")"]));
    let line = |at: usize| source.tokens[at].first_line;
    found.map(|at| format!("{}:{}: `unwrap` outside tests", source.path, line(at))).collect()
}

fn crates(source: &Source<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.path.starts_with("src/") && !source.path.starts_with("server/src/") {
        return faults;
    }
    for (name, place, reason) in CRATES_WITH_ONE_USER {
        if source.path.starts_with(place) {
            continue;
        }
        for (at, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.text == name) {
            let before = at.checked_sub(1).map_or(LITERAL, |before| source.tokens[before].text);
            // `meta::sled` and `self::sled` are modules of ours.
            let is_path = source.follows(at + 1, &["::"]) && before != "::";
            if is_path || matches!(before, "use" | "crate") {
                let line = token.first_line;
                faults.push(format!("{}:{line}: `{name}` belongs to {place}: {reason}", source.path));
            }
        }
    }
    faults
}
