//! Each rule of `tidy`, seen to fail on a file that breaks it and to pass on one that does not.

use super::*;

fn faults(rule: fn(&Source<'_>) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&Source::new(path, text))
}

#[test]
fn a_file_without_a_header_is_found() {
    assert_eq!(faults(header, "src/a.rs", "use b;\n//! late").len(), 1);
    assert!(faults(header, "src/a.rs", "//! What it is.\n").is_empty());
}

#[test]
fn reaching_up_is_found_with_file_line_and_both_layers() {
    let found = faults(layers, "src/log/segment.rs", "//! a\n\nuse crate::commit::Ticket;\n");
    let wanted = "src/log/segment.rs:3: `log` is in layer 4 and reaches `commit` in layer 7";
    assert_eq!(found, [wanted]);
}

#[test]
fn reaching_aside_up_and_into_testkit_is_found_however_it_is_written() {
    for text in [
        "use crate::meta::Meta;",
        "fn f() { crate::meta::open() }",
        "use crate::{error::Error, meta::{Meta, MetaError}};",
        "use crate::{\n    error::Error,\n    index,\n};",
        "pub(in crate::index) fn f() {}",
        "fn f() -> super::super::index::Index {}",
        "use super::super::{vfs, index};",
        "use crate::testkit::SimDisk;",
        "use crate::Nameless;",
        "#[cfg(not(test))] use crate::store::EventStore;",
        "#[cfg(test)] mod tests { use super::*; } use crate::store::EventStore;",
    ] {
        assert_eq!(faults(layers, "src/log/segment.rs", text).len(), 1, "{text}");
    }
    assert_eq!(faults(layers, "src/log/mod.rs", "use super::index::Index;").len(), 1);
    assert_eq!(faults(layers, "src/error.rs", "use super::clock::Clock;").len(), 1);
    assert_eq!(faults(layers, "src/novel/mod.rs", "").len(), 1);
}

#[test]
fn reaching_down_and_into_the_own_module_is_allowed() {
    for text in [
        "use crate::vfs::{Disk, DiskFile};",
        "use crate::{error::Error, model::{self, Position}};",
        "use crate::log::Segment;",
        "use super::frame::Frame;",
        "use other::crate_like::meta;",
        "pub(crate) fn f() {}",
        "// use crate::store::EventStore;",
        "/* use /* crate::store */ crate::store; */",
        "fn f() { \"crate::store::X\"; r#\"crate::store \" crate::index\"#; b\"\\\" crate::store::X\"; }",
        "fn f() { '\"'; crate::vfs::open(); '\"' }",
        "fn f<'a>(x: &'a str) { '\\''; b'\\''; crate::vfs::x(\"crate::store\") }",
        "#[cfg(test)]\nmod tests {\n    use crate::store::EventStore;\n}\n",
        "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;",
    ] {
        let found = faults(layers, "src/log/segment.rs", text);
        assert!(found.is_empty(), "{text}: {found:?}");
    }
    for path in ["src/lib.rs", "src/testkit/model.rs", "src/log/segment/tests.rs", "tests/main.rs"] {
        assert!(faults(layers, path, "use crate::store::EventStore;").is_empty(), "{path}");
    }
}

#[test]
fn a_layer_that_the_architecture_does_not_show_is_found() {
    let shown = LAYERS.replace("9  group import", "| 9 | `group`, `import` | durable consumers |");
    assert!(layers_not_shown(&shown).is_empty());
    assert_eq!(layers_not_shown(&shown.replace("log meta", "log")), ["4  log meta"]);
}

#[test]
fn a_file_of_more_than_400_lines_of_code_is_found() {
    let code = "fn f() {}\n".repeat(FILE_LINES_MAX);
    let around = "//! header\n\n// comment\n";
    let tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n";
    assert!(faults(length, "src/a.rs", &format!("{around}{code}{tests}")).is_empty());
    assert_eq!(faults(length, "src/a.rs", &format!("{around}{code}fn g() {{}}\n{tests}")).len(), 1);
    assert!(faults(length, "src/a/tests.rs", &code.repeat(2)).is_empty());
}

#[test]
fn a_function_of_more_than_70_lines_is_found_by_its_name() {
    let function = |lines: usize| {
        let body = "    call([1; 2], {});\n\n    // why\n".repeat(lines - 2);
        format!("trait T {{ fn declared(x: [u8; 2]); }}\n\nfn long(f: fn(u8)) -> [u8; 2] {{\n{body}}}\n")
    };
    assert!(faults(length, "src/a.rs", &function(FUNCTION_LINES_MAX)).is_empty());
    let found = faults(length, "src/a.rs", &function(FUNCTION_LINES_MAX + 1));
    assert_eq!(found, ["src/a.rs:3: `long` has 71 lines of code; at most 70"]);
}

#[test]
fn lines_inside_a_string_count_as_code() {
    let text = format!("const TEXT: &str = \"{}\";", "\n".repeat(FILE_LINES_MAX));
    assert_eq!(faults(length, "src/a.rs", &text).len(), 1);
}

#[test]
fn unsafe_outside_vfs_is_found() {
    assert_eq!(faults(unsafe_code, "src/log/a.rs", "fn f() { unsafe { g() } }").len(), 1);
    assert!(faults(unsafe_code, "src/vfs/real.rs", "fn f() { unsafe { g() } }").is_empty());
    assert!(faults(unsafe_code, "src/log/a.rs", "#![deny(unsafe_code)] // unsafe").is_empty());
}

#[test]
fn naming_std_fs_outside_vfs_is_found() {
    for text in ["use std::fs::File;", "use std::{io, fs};", "fn f() { std::fs::remove_file(p) }"] {
        assert_eq!(faults(std_fs, "src/log/a.rs", text).len(), 1, "{text}");
        assert!(faults(std_fs, "src/vfs/real.rs", text).is_empty());
        assert!(faults(std_fs, "server/src/main.rs", text).is_empty());
    }
    assert!(faults(std_fs, "src/log/a.rs", "use std::io; // std::fs").is_empty());
}

#[test]
fn an_unwrap_outside_tests_is_found() {
    assert_eq!(faults(unwraps, "server/src/a.rs", "fn f() { x.unwrap(); }").len(), 1);
    assert!(faults(unwraps, "src/a.rs", "fn f() { x.unwrap_or(1); }").is_empty());
    assert!(faults(unwraps, "src/a.rs", "#[cfg(test)] mod tests { fn f() { x.unwrap(); } }").is_empty());
    assert!(faults(unwraps, "tests/a.rs", "fn f() { x.unwrap(); }").is_empty());
}

#[test]
fn a_crate_in_a_place_that_is_not_its_own_is_found() {
    for text in ["use sled::Db;", "use sled;", "extern crate sled;", "fn f(db: &sled::Db) {}"] {
        assert_eq!(faults(crates, "src/meta/mod.rs", text).len(), 1, "{text}");
        assert_eq!(faults(crates, "server/src/main.rs", text).len(), 1, "{text}");
        assert!(faults(crates, "src/meta/sled.rs", text).is_empty(), "{text}");
    }
    let own = "mod sled; use self::sled::SledMeta; use crate::meta::sled::X; fn f(sled: u8) {}";
    assert!(faults(crates, "src/meta/mod.rs", own).is_empty());
}
