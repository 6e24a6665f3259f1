//! `fuzz`: every target, for so many executions each or for so many minutes together, on all processors.
//!
//! A target is searched in turns, each with a seed of its own: `--seed` plus the number of the turn. For so many minutes
//! every target gets the same share of the time, however long one execution takes; for so many executions the inputs
//! are the same on every machine. A target that does not come to an end, or floods the memory, ends the run.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use annals::testkit::fuzz::{Finding, Search, TARGETS, Target, seeds, seeds_in};
use clap::Args;

use crate::watchdog::{self, Watched};

/// Executions of one turn, when they are counted.
const TURN_EXECUTIONS: u64 = 10_000;

/// How long one turn takes, when time is.
const TURN_TIME: Duration = Duration::from_millis(500);

/// How long one execution may take, and how much memory all of them at one time: what any target needs is far below.
const TIME_MAX: Duration = Duration::from_secs(60);
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// Give mutations of valid inputs to every decoder, to whole directories and requests, and to the store itself.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// How many executions each target gets.
    #[arg(long, default_value_t = 1_000_000, conflicts_with = "minutes")]
    executions: u64,
    /// How long all targets together get instead.
    #[arg(long)]
    minutes: Option<f64>,
    /// Which mutations are drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these targets.
    #[arg(long)]
    target: Vec<String>,
    /// Where an input is put at which a target panicked.
    #[arg(long, default_value = "target/findings")]
    findings: PathBuf,
}

/// A target and how far the search is.
struct Task {
    name: &'static str,
    function: Target,
    seeds: Vec<Vec<u8>>,
    turns: u64,
    executions: u64,
    /// The time of all its turns, whichever processor they were on.
    spent: Duration,
}

/// One turn of one target.
struct Turn {
    task: usize,
    name: &'static str,
    function: Target,
    seeds: Vec<Vec<u8>>,
    seed: u64,
    /// None when it is time that counts.
    executions: Option<u64>,
}

/// What the threads share.
struct Board {
    tasks: Vec<Task>,
    finding: Option<Finding>,
}

impl Fuzz {
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "the figures of a run are its result")]
    pub(crate) fn run(self) -> ExitCode {
        let tasks = tasks().into_iter();
        let tasks =
            tasks.filter(|task| self.target.is_empty() || self.target.iter().any(|name| name == task.name));
        let board = Mutex::new(Board { tasks: tasks.collect(), finding: None });
        if lock(&board).tasks.is_empty() {
            eprintln!("no target is called so");
            return ExitCode::FAILURE;
        }
        let ends =
            self.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes.max(0.0) * 60.0));
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    let watched = watchdog::watch(TIME_MAX, MEMORY_BYTES_MAX);
                    while self.take_turn(&board, ends, &watched).is_continue() {}
                    watched.rest();
                });
            }
        });
        let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
        for Task { name, executions, spent, .. } in &board.tasks {
            println!("{name}: {executions} executions in {:.1} s", spent.as_secs_f64());
        }
        match board.finding {
            None => ExitCode::SUCCESS,
            Some(finding) => {
                eprintln!("{finding}");
                match save(&self.findings, &finding) {
                    Ok(path) => eprintln!(
                        "it is kept in {}; copy it to tests/fuzz/regressions/{}/, under a name that says what went wrong",
                        path.display(),
                        finding.target
                    ),
                    Err(error) => eprintln!("it could not be kept in {}: {error}", self.findings.display()),
                }
                ExitCode::FAILURE
            }
        }
    }

    /// Takes the next turn there is; breaks when there is none.
    fn take_turn(&self, board: &Mutex<Board>, ends: Option<Instant>, watched: &Watched) -> ControlFlow<()> {
        let turn = match self.next_turn(&mut lock(board), ends) {
            Some(turn) => turn,
            None => return ControlFlow::Break(()),
        };
        let begun = Instant::now();
        let mut search = Search::new(turn.name, &turn.seeds, turn.seed, turn.function);
        let mut found = None;
        let goes_on = |executions| match turn.executions {
            Some(wanted) => executions < wanted,
            None => begun.elapsed() < TURN_TIME,
        };
        while found.is_none() && goes_on(search.executions()) {
            let (target, seed, before) = (turn.name, turn.seed, search.executions());
            watched.begin(format!("target {target}, --seed {seed}, after {before} executions"));
            found = search.step().err();
        }
        let mut board = lock(board);
        let task = &mut board.tasks[turn.task];
        task.executions += search.executions();
        task.spent += begun.elapsed();
        if found.is_some() {
            board.finding = found;
        }
        ControlFlow::Continue(())
    }

    fn next_turn(&self, board: &mut Board, ends: Option<Instant>) -> Option<Turn> {
        if board.finding.is_some() {
            return None;
        }
        let (at, executions) = match ends {
            Some(ends) if Instant::now() < ends => {
                let (at, _) = board.tasks.iter().enumerate().min_by_key(|(_, task)| task.turns)?;
                (at, None)
            }
            Some(_) => return None,
            None => {
                let given = |task: &Task| task.turns * TURN_EXECUTIONS;
                let at = board.tasks.iter().position(|task| given(task) < self.executions)?;
                (at, Some((self.executions - given(&board.tasks[at])).min(TURN_EXECUTIONS)))
            }
        };
        let task = &mut board.tasks[at];
        task.turns += 1;
        let (name, function, seeds) = (task.name, task.function, task.seeds.clone());
        Some(Turn { task: at, name, function, seeds, seed: self.seed + task.turns - 1, executions })
    }
}

/// Every target of the library and of the server, with its seeds.
fn tasks() -> Vec<Task> {
    let golden = seeds_in(&golden_files());
    let of_library = TARGETS.iter().map(|(name, function)| (*name, *function, seeds(name)));
    let of_server = annals_server::fuzz::TARGETS
        .iter()
        .map(|(name, function)| (*name, *function, annals_server::fuzz::seeds(name)));
    let with_golden = |(name, function, mut seeds): (&'static str, Target, Vec<Vec<u8>>)| {
        seeds.extend(golden.get(name).into_iter().flatten().cloned());
        Task { name, function, seeds, turns: 0, executions: 0, spent: Duration::ZERO }
    };
    of_library.chain(of_server).map(with_golden).collect()
}

/// The files of the golden directory; none where the source tree is not there any more.
fn golden_files() -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/v2-scavenged");
    let entries =
        [dir.clone(), dir.join("log")].into_iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file());
    paths.filter_map(|path| Some((path.clone(), fs::read(path).ok()?))).collect()
}

fn save(dir: &Path, finding: &Finding) -> io::Result<PathBuf> {
    let dir = dir.join(&finding.target);
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("seed-{}", finding.seed));
    fs::write(&path, &finding.input)?;
    Ok(path)
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    // What a target panics with is caught; the board is whole at every moment.
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
