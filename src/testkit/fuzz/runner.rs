//! Gives a target its seeds and then mutations of them, the same ones for the same number.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::mutate::mutated;
use crate::testkit::Rng;

/// A search for an input at which a function panics.
#[derive(Debug)]
pub struct Search<'a, F> {
    target: &'a str,
    seeds: &'a [Vec<u8>],
    seed: u64,
    rng: Rng,
    executions: u64,
    function: F,
}

/// An input at which a target panicked.
pub struct Finding {
    /// The target's name.
    pub target: String,
    /// The number that the mutations were drawn from.
    pub seed: u64,
    /// The input.
    pub input: Vec<u8>,
    panic: Box<dyn Any + Send>,
}

impl<'a, F: Fn(&[u8])> Search<'a, F> {
    /// A search that begins with `seeds` and goes on with the mutations of them that `seed` draws. `target` is the name
    /// under which a finding is told.
    pub fn new(target: &'a str, seeds: &'a [Vec<u8>], seed: u64, function: F) -> Search<'a, F> {
        Search { target, seeds, seed, rng: Rng::new(seed), executions: 0, function }
    }

    /// Executes the function on the next input.
    pub fn step(&mut self) -> Result<(), Finding> {
        let input = match self.seeds.get(self.executions as usize) {
            Some(seed) => seed.clone(),
            None => mutated(self.seeds, &mut self.rng),
        };
        self.executions += 1;
        // A target leaves nothing behind that a panic could spoil, and the search ends with it.
        let result = catch_unwind(AssertUnwindSafe(|| (self.function)(&input)));
        result.map_err(|panic| Finding { target: self.target.to_owned(), seed: self.seed, input, panic })
    }

    /// How many inputs there were.
    pub fn executions(&self) -> u64 {
        self.executions
    }
}

/// Runs a function on `seeds`, then on `executions` mutations of them.
///
/// # Panics
///
/// When the function does. Target, seed and input, as hexadecimal digits, are printed before: the input belongs into
/// `tests/fuzz/regressions/`.
#[expect(clippy::print_stderr, reason = "a test's output is where a failing input is looked for")]
pub fn run_on(target: &str, seeds: &[Vec<u8>], seed: u64, executions: u64, function: impl Fn(&[u8])) {
    let mut search = Search::new(target, seeds, seed, function);
    for _ in 0..seeds.len() as u64 + executions {
        if let Err(finding) = search.step() {
            eprintln!("{finding}");
            resume_unwind(finding.panic);
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "target {}, seed {}, input ", self.target, self.seed)?;
        self.input.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_at_which_a_target_panics_is_found_and_comes_again_with_its_seed() {
        let seeds = vec![b"abc".to_vec(), b"abd".to_vec()];
        let search = |seed| {
            let mut search = Search::new("t", &seeds, seed, |bytes: &[u8]| assert!(bytes.starts_with(b"ab")));
            let finding = (0..1000).find_map(|_| search.step().err()).expect("a mutation changes the start");
            (search.executions(), finding.to_string())
        };
        assert_eq!(search(7), search(7));
        assert!(search(7).1.starts_with("target t, seed 7, input "));
        assert!(search(7).0 > seeds.len() as u64, "the seeds come first");
    }
}
