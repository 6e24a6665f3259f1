//! `mutants`: a test of the tests. The engine is broken on purpose, one promise at a time, and tests must fail.
//!
//! What is broken, and which tests have to notice, stands in `tests/mutants/list.rs`. The tree is copied once and built
//! in a place of its own, so that nothing here is touched. A mutant that does not compile proves nothing and is an
//! error; so is a named test that passes, and one that fails on the engine as it is.

#[path = "../../mutants/list.rs"]
mod list;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use list::{Mutant, mutants};
use tree::{Tests, Tree};

/// Break the engine on purpose, in each way that the tests have to notice, and see whether they do.
#[derive(Debug, Args)]
pub(crate) struct Mutants {
    /// Only mutants whose description has this text.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the tree is copied to and built.
    #[arg(long, default_value = "target/mutants")]
    dir: PathBuf,
    /// The longest that one test may run.
    #[arg(long, default_value_t = 600)]
    test_seconds_max: u64,
}

impl Mutants {
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "the verdicts are the result")]
    pub(crate) fn run(self) -> ExitCode {
        let wanted: Vec<_> = mutants().filter(|mutant| mutant.does.contains(&self.only)).collect();
        let begun = Instant::now();
        let verdicts = match self.judge_all(&wanted) {
            Ok(verdicts) => verdicts,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let bad = verdicts.iter().filter(|verdict| verdict.is_some()).count();
        println!("{} mutants in {} s, {bad} of them not caught", wanted.len(), begun.elapsed().as_secs());
        if bad == 0 && !wanted.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Runs the named tests on the engine as it is, then on each mutant. Tells of each what is wrong with its tests.
    #[expect(clippy::print_stdout, reason = "the verdicts are the result")]
    fn judge_all(&self, mutants: &[&Mutant]) -> Result<Vec<Option<String>>, String> {
        let tree = Tree::copy(&self.dir, Duration::from_secs(self.test_seconds_max))?;
        let tests = tree.build()?;
        let named: BTreeSet<&str> = mutants.iter().flat_map(|mutant| mutant.caught_by).copied().collect();
        for test in named {
            if !tests.passes(test)? {
                return Err(format!("{test} fails on the engine as it is"));
            }
        }
        println!("the engine as it is passes\n");
        let mut verdicts = Vec::new();
        for mutant in mutants {
            let begun = Instant::now();
            let verdict = judge(&tree, mutant)?;
            let what = verdict.as_deref().unwrap_or("caught");
            println!("{:4} s  {what:8}  {}", begun.elapsed().as_secs(), mutant.does);
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }
}

/// Breaks the engine, runs the tests that have to fail, and mends it again.
fn judge(tree: &Tree, mutant: &Mutant) -> Result<Option<String>, String> {
    let whole = tree.replace(mutant.file, mutant.text, mutant.by)?;
    let verdict = match tree.build() {
        Ok(tests) => uncaught(&tests, mutant),
        Err(error) => Some(format!("does not compile: {error}")),
    };
    tree.write(mutant.file, &whole)?;
    Ok(verdict)
}

/// The tests that should have failed and did not.
fn uncaught(tests: &Tests, mutant: &Mutant) -> Option<String> {
    let verdict = |test: &&str| match tests.passes(test) {
        Ok(false) => None,
        Ok(true) => Some(format!("NOT CAUGHT by {test}")),
        Err(error) => Some(error),
    };
    let wrong: Vec<String> = mutant.caught_by.iter().filter_map(verdict).collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}
