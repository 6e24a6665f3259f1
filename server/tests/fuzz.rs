//! Every decoder of the server and its client, and whole requests, on inputs that nobody meant: mutations, and what
//! once went wrong.

use std::fs;
use std::path::Path;

use annals::testkit::fuzz::run_on;
use annals_server::fuzz::{TARGETS, seeds};

/// Comes to a few seconds for all targets together. `ANNALS_FUZZ_EXECUTIONS` says another number for each.
const EXECUTIONS: u64 = 10_000;

/// A request is answered by a store that is opened for it.
const EXECUTIONS_OF_REQUESTS: u64 = 1_000;

fn runs(target: &str) {
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).expect("the target is listed");
    let usual = if target == "http_request" { EXECUTIONS_OF_REQUESTS } else { EXECUTIONS };
    let setting = |name, usual| std::env::var(name).map_or(usual, |number| number.parse().expect(name));
    let (seed, executions) = (setting("ANNALS_FUZZ_SEED", 1), setting("ANNALS_FUZZ_EXECUTIONS", usual));
    run_on(target, &seeds(target), seed, executions, function);
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
            assert!(TARGETS.iter().map(|(name, _)| name).eq(&run));
            assert!(run.iter().all(|target| !seeds(target).is_empty()));
        }
    };
}

targets! {
    any_event_that_can_be_read_says_the_same_when_it_is_written_out_and_read_again "wire_event";
    any_cloud_event_that_can_be_read_says_the_same_in_either_mode "wire_cloud_event";
    any_body_of_events_is_read_or_refused "wire_events";
    any_transaction_is_read_or_refused "wire_transaction";
    any_query_string_is_read_or_refused_and_says_the_same_when_it_is_written_again "wire_params";
    any_headers_are_understood_or_refused "http_headers";
    the_lines_of_an_import_are_the_same_wherever_its_pieces_are_cut "import_lines";
    any_answer_is_read_line_by_line "client_lines";
    any_request_gets_an_answer_that_says_what_it_is "http_request";
}

#[test]
fn what_once_went_wrong_does_not_again() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/regressions");
    for (name, target) in TARGETS {
        let Ok(entries) = fs::read_dir(dir.join(name)) else { continue };
        for entry in entries {
            let path = entry.expect("a directory of inputs can be listed").path();
            target(&fs::read(path).expect("an input can be read"));
        }
    }
}
