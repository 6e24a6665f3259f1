//! annals beside other stores and beside a bare log: `cargo run --release -- [--help]`.
//!
//! Each workload runs on each store in turn, round by round, every time in a process and a directory of its own, so that a
//! disk that changes its mind changes it for all. What is printed are medians over the rounds.

mod event;
mod figures;
#[cfg(feature = "http")]
mod http;
mod store;
mod stores;
mod table;
mod workload;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use figures::{Figures, medians};
use store::{Contender, Result, Store};
use stores::{CONTENDERS, LIMIT};
use workload::{Run, Sample, WAITS, WORKLOADS, Workload, figures_of};

const HELP: &str = "\
annals beside other stores and beside a bare log

usage: annals-bench-compare [--rounds N] [--seconds N] [--stores A,B] [--workloads A,B] [--dir DIR]
       annals-bench-compare http [--help]    the server beside a floor

  --rounds N      how often each workload runs on each store (default 3)
  --seconds N     how long a store may take for a workload before it is cut short, which the table says (default 60)
  --stores A,B    only these (default all); the bare log is always among them
  --workloads A,B only those whose names begin so (default all)
  --dir DIR       where the stores are made (default: the system's directory for temporary files)
";

struct Arguments {
    rounds: usize,
    most: Duration,
    stores: Vec<&'static Contender>,
    workloads: Vec<String>,
    dir: PathBuf,
}

fn main() -> ExitCode {
    #[cfg(feature = "http")]
    if http::is_annals() {
        return http::serve_annals();
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    #[cfg(feature = "http")]
    match &arguments[..] {
        [command, arguments @ ..] if command == "http" => return http::run(arguments),
        [command, dir] if command == "floor" => return http::serve_floor(Path::new(dir)),
        _ => {}
    }
    if let [command, workload, dir, seconds, stores @ ..] = &arguments[..]
        && command == "run"
    {
        let workload = WORKLOADS.iter().find(|known| known.name == workload).ok_or("no such workload")?;
        let stores = stores.iter().map(|name| contender(name)).collect::<Result<Vec<_>>>()?;
        return run_here(workload, Path::new(dir), Duration::from_secs(seconds.parse()?), &stores);
    }
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let arguments = Arguments::parse(&arguments)?;
    let base = arguments.dir.join(format!("annals-bench-compare-{}", std::process::id()));
    let measured = measure(&arguments, &base);
    let _ = std::fs::remove_dir_all(&base);
    let measured = measured?;
    print!("{}", table::describe(&arguments.stores, arguments.most));
    for workload in WORKLOADS {
        let rows: Vec<_> = arguments
            .stores
            .iter()
            .filter_map(|store| Some((store.name, medians(measured.get(&(workload.name, store.name))?))))
            .collect();
        print!("{}", table::of(workload, &rows));
    }
    Ok(())
}

impl Arguments {
    fn parse(from: &[String]) -> Result<Arguments> {
        let mut arguments = Arguments {
            rounds: 3,
            most: Duration::from_secs(60),
            stores: contenders().collect(),
            workloads: vec![String::new()],
            dir: std::env::temp_dir(),
        };
        let list = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut from = from.iter();
        while let Some(flag) = from.next() {
            let value = from.next().ok_or_else(|| format!("{flag} needs a value; see --help"))?;
            match flag.as_str() {
                "--rounds" => arguments.rounds = value.parse()?,
                "--seconds" => arguments.most = Duration::from_secs(value.parse()?),
                "--stores" => {
                    let named = list(value).iter().map(|name| contender(name)).collect::<Result<Vec<_>>>()?;
                    let others = named.into_iter().filter(|store| store.name != LIMIT.name);
                    arguments.stores = std::iter::once(&LIMIT).chain(others).collect();
                }
                "--workloads" => arguments.workloads = list(value),
                "--dir" => arguments.dir = value.into(),
                _ => return Err(format!("there is no flag {flag}; see --help").into()),
            }
        }
        Ok(arguments)
    }

    /// The workloads that are asked for, and those before them whose leavings they read.
    fn runs(&self, number: usize) -> bool {
        let is_wanted =
            |workload: &Workload| self.workloads.iter().any(|name| workload.name.starts_with(name));
        let (workload, mut followers) =
            (&WORKLOADS[number], WORKLOADS[number + 1..].iter().take_while(|next| next.goes_on()));
        is_wanted(workload) || (workload.prepares() && followers.any(is_wanted))
    }
}

fn contenders() -> impl Iterator<Item = &'static Contender> {
    CONTENDERS.into_iter().flatten()
}

fn contender(name: &str) -> Result<&'static Contender> {
    let names = || contenders().map(|store| store.name).collect::<Vec<_>>().join(", ");
    let found = contenders().find(|store| store.name == name);
    found.ok_or_else(|| format!("there is no store {name}; there are {}", names()).into())
}

type Measured = BTreeMap<(&'static str, &'static str), Vec<Figures>>;

fn measure(arguments: &Arguments, base: &Path) -> Result<Measured> {
    let mut measured = Measured::new();
    let all: Vec<&str> = arguments.stores.iter().map(|store| store.name).collect();
    for round in 0..arguments.rounds {
        for (_, workload) in WORKLOADS.iter().enumerate().filter(|(number, _)| arguments.runs(*number)) {
            let together = matches!(workload.run, Run::Slices { .. });
            for stores in all.chunks(if together { all.len() } else { 1 }) {
                eprintln!("round {}: {} on {}", round + 1, workload.name, stores.join(", "));
                if !workload.goes_on() {
                    stores.iter().for_each(|store| drop(std::fs::remove_dir_all(dir_of(base, store))));
                }
                let text = run_apart(workload, base, arguments.most, stores)?;
                for store in stores {
                    let figures = Figures::parse(&text, store)?;
                    measured.entry((workload.name, *store)).or_default().push(figures);
                }
                if together {
                    std::fs::remove_dir_all(base)?;
                }
            }
        }
    }
    Ok(measured)
}

fn dir_of(base: &Path, store: &str) -> PathBuf {
    base.join(store.replace(' ', "-"))
}

/// Runs a workload in another process; tells what it prints.
fn run_apart(workload: &Workload, base: &Path, most: Duration, stores: &[&'static str]) -> Result<String> {
    std::fs::create_dir_all(base)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["run", workload.name])
        .arg(base)
        .arg(most.as_secs().to_string())
        .args(stores)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut text = String::new();
    if matches!(workload.run, Run::Killed(_)) {
        // Some stores print, too.
        while !text.ends_with(WAITS) && out.read_line(&mut text)? > 0 {}
        child.kill()?;
        child.wait()?;
        return match text.ends_with(WAITS) {
            true => Ok(String::new()),
            false => Err(format!("{} failed with {}", workload.name, stores.join(", ")).into()),
        };
    }
    out.read_to_string(&mut text)?;
    match child.wait()?.success() {
        true => Ok(text),
        false => Err(format!("{} failed with {}", workload.name, stores.join(", ")).into()),
    }
}

/// Runs a workload in this process and prints what it measures.
fn run_here(workload: &Workload, base: &Path, most: Duration, stores: &[&Contender]) -> Result<()> {
    let (count, setup, slice) = match workload.run {
        Run::Alone(run) | Run::After(run) | Run::Killed(run) => {
            for store in stores {
                let dir = dir_of(base, store.name);
                std::fs::create_dir_all(&dir)?;
                run(store, &dir, most)?.print(store.name);
            }
            return Ok(());
        }
        Run::Slices { count, setup, slice } => (count, setup, slice),
    };
    let open = |store: &&Contender| -> Result<Turns> {
        let dir = dir_of(base, store.name);
        std::fs::create_dir_all(&dir)?;
        Ok(Turns { store: (store.open)(&dir, setup)?, samples: Vec::new(), done: 0, took: Duration::ZERO })
    };
    let mut opened = stores.iter().map(open).collect::<Result<Vec<_>>>()?;
    for number in 0..count {
        for turns in opened.iter_mut().filter(|turns| turns.took < most) {
            let start = Instant::now();
            turns.samples.extend(slice(turns.store.as_ref(), number)?);
            turns.took += start.elapsed();
            turns.done += 1;
        }
    }
    for (store, turns) in stores.iter().zip(opened) {
        turns.store.close()?;
        if !turns.samples.is_empty() {
            let mut figures = figures_of(turns.samples);
            figures.set_done(turns.done, count);
            figures.print(store.name);
        }
    }
    Ok(())
}

/// What a store has done when others have their turn.
struct Turns {
    store: Box<dyn Store>,
    samples: Vec<Sample>,
    done: u64,
    took: Duration,
}
