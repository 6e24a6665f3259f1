//! The guide's code is code that runs: each of its blocks stands in an example, word for word.

use std::fs;
use std::path::Path;

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The lines without what they are indented by together.
fn dedented(lines: &[&str]) -> Vec<String> {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or("").to_owned()).collect()
}

/// Whether `block` stands in `text`, indented by anything.
fn stands_in(block: &[String], text: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(block.len()).any(|window| dedented(window) == block)
}

fn blocks(guide: &str) -> Vec<Vec<String>> {
    let blocks = guide.split("```rust\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("a split has a first part"));
    blocks.map(|block| dedented(&block.lines().collect::<Vec<_>>())).collect()
}

#[test]
fn every_block_of_the_guide_stands_in_an_example() {
    // The documents are not in every package that is tested.
    let Ok(guide) = fs::read_to_string(root("docs/guide.md")) else { return };
    let examples: Vec<String> = fs::read_dir(root("examples"))
        .expect("there are examples")
        .map(|entry| entry.expect("can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).expect("an example is text"))
        .collect();
    let blocks = blocks(&guide);
    assert!(blocks.len() > 10, "the guide has code");
    for block in blocks {
        let found = examples.iter().any(|example| stands_in(&block, example));
        assert!(found, "no example has\n{}", block.join("\n"));
    }
}

#[test]
fn every_file_that_the_guide_names_is_there() {
    let Ok(guide) = fs::read_to_string(root("docs/guide.md")) else { return };
    let links = guide.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let (mut files, mut places) = (0, 0);
    for link in links {
        if let Some(anchor) = link.strip_prefix('#') {
            let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase();
            let slug = |line: &str| heading(line).replace(' ', "-").replace(['\'', ','], "");
            let found = guide.lines().any(|line| line.starts_with('#') && slug(line) == anchor);
            assert!(found, "no heading is called {anchor}");
            places += 1;
        } else {
            assert!(root("docs").join(link).exists(), "{link} is not there");
            files += 1;
        }
    }
    assert!(files > 3 && places > 10);
}

#[test]
fn a_block_that_differs_in_one_word_is_found() {
    let block = dedented(&["    let a = 1;", "", "    f(a);"]);
    assert!(stands_in(&block, "fn main() {\n        let a = 1;\n\n        f(a);\n}"));
    assert!(!stands_in(&block, "fn main() {\n    let a = 1;\n\n    f(b);\n}"));
}
