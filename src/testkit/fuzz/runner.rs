//! Runs a target on its seeds and on mutations of them, the same ones for the same number.

use super::mutate::mutated;
use super::{TARGETS, seeds};
use crate::testkit::Rng;

/// Runs a target of [`TARGETS`] on its seeds, then on `executions` mutations of them.
///
/// # Panics
///
/// When the target does. Target, seed and input, as hexadecimal digits, are printed before: the input belongs into
/// `tests/fuzz/regressions/`.
pub fn run(target: &str, seed: u64, executions: u64) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, function) = found.unwrap_or_else(|| panic!("no target is called {target}"));
    run_on(target, &seeds(target), seed, executions, function);
}

/// Runs any function on `seeds`, then on `executions` mutations of them.
///
/// # Panics
///
/// As [`run`].
pub fn run_on(target: &str, seeds: &[Vec<u8>], seed: u64, executions: u64, function: impl Fn(&[u8])) {
    let mut rng = Rng::new(seed);
    let mut execute = |input: Vec<u8>| {
        let told = ToldOnPanic { target, seed, input };
        function(&told.input);
    };
    seeds.iter().cloned().for_each(&mut execute);
    (0..executions).map(|_| mutated(seeds, &mut rng)).for_each(execute);
}

/// Prints what is needed to see a panic again.
struct ToldOnPanic<'a> {
    target: &'a str,
    seed: u64,
    input: Vec<u8>,
}

impl Drop for ToldOnPanic<'_> {
    #[expect(clippy::print_stderr, reason = "a test's output is where a failing input is looked for")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("target {}, seed {}, input {hex}", self.target, self.seed);
        }
    }
}
