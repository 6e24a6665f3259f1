//! Every decoder, a directory and the store itself on inputs that nobody meant: mutations, and what once went wrong.

use std::fs;
use std::path::{Path, PathBuf};

use annals::testkit::fuzz::{TARGETS, run_on, seeds, seeds_in};

/// Comes to a few seconds for all targets together. `ANNALS_FUZZ_EXECUTIONS` says another number for each.
const EXECUTIONS: u64 = 20_000;

/// Opening directories takes a thousand times as long as reading a header.
const EXECUTIONS_OF_STORES: u64 = 1_000;

/// The same inputs in every run. `ANNALS_FUZZ_SEED` draws others.
const SEED: u64 = 1;

fn runs(target: &str) {
    let usual = match target {
        "crafted_log" | "open_directory" | "verify_directory" | "salvage_directory" | "inspect_file"
        | "operations" => EXECUTIONS_OF_STORES,
        _ => EXECUTIONS,
    };
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).expect("the target is listed");
    let (seed, executions) = (setting("ANNALS_FUZZ_SEED", SEED), setting("ANNALS_FUZZ_EXECUTIONS", usual));
    let golden = seeds_in(&golden_files());
    let seeds = [seeds(target), golden.get(target).cloned().unwrap_or_default()].concat();
    run_on(target, &seeds, seed, executions, function);
}

/// The files of the golden directory that seeds are cut out of.
fn golden_files() -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v2-scavenged");
    let listed =
        [dir.clone(), dir.join("log")].into_iter().flat_map(|dir| fs::read_dir(dir).expect("is there"));
    let paths = listed.map(|entry| entry.expect("a directory can be listed").path());
    let files = paths.filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).expect("a file can be read"))).collect()
}

#[test]
fn the_golden_directory_gives_seeds_to_every_decoder_of_files() {
    let golden = seeds_in(&golden_files());
    let of_files = [
        "segment_header",
        "frame",
        "event",
        "state",
        "index_header",
        "index_entry",
        "labels",
        "metadata",
        "data",
    ];
    for target in of_files {
        assert!(golden.get(target).is_some_and(|seeds| !seeds.is_empty()), "{target}");
    }
    assert!(golden.keys().all(|name| TARGETS.iter().any(|(target, _)| target == name)));
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |number| number.parse().expect(name))
}

macro_rules! targets {
    ($($test:ident $target:literal;)*) => {
        $(#[test]
        fn $test() {
            runs($target);
        })*

        #[test]
        fn every_target_is_run_and_has_inputs_to_begin_from() {
            let run = [$($target),*];
            for (name, _) in TARGETS {
                assert!(run.contains(name), "no test runs {name}");
                assert!(!seeds(name).is_empty(), "{name} has no seeds");
            }
            assert_eq!(run.len(), TARGETS.len());
        }
    };
}

targets! {
    any_bytes_are_a_segment_header_or_none "segment_header";
    any_bytes_are_a_frame_or_none "frame";
    any_bytes_are_an_event_or_none "event";
    any_bytes_are_a_slot_of_state_or_none "state";
    any_bytes_are_an_index_header_or_none "index_header";
    any_bytes_are_index_entries "index_entry";
    any_bytes_are_a_snapshot_or_none "envelope";
    any_bytes_are_labels_up_to_the_first_broken_one "labels";
    any_bytes_are_metadata_or_none "metadata";
    any_bytes_are_data_or_none "data";
    any_text_is_a_name_or_none "names";
    any_text_is_a_time_or_none "timestamp";
    a_log_that_no_writer_made_is_opened_or_refused "crafted_log";
    a_damaged_directory_gives_an_error_or_what_was_there "open_directory";
    a_damaged_directory_is_verified_to_its_end "verify_directory";
    of_a_damaged_directory_events_are_saved_as_they_were "salvage_directory";
    any_file_is_shown_to_its_end "inspect_file";
    a_store_says_what_a_list_in_memory_says "operations";
}

#[test]
fn what_once_went_wrong_does_not_again() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/regressions");
    for (name, target) in TARGETS {
        let Ok(entries) = fs::read_dir(dir.join(name)) else { continue };
        for entry in entries {
            let path = entry.expect("a directory of inputs can be listed").path();
            target(&fs::read(path).expect("an input can be read"));
        }
    }
}
