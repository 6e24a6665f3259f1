//! The server of annals beside a floor, over HTTP: `cargo run --release -- http [--help]`.
//!
//! Both run as processes of their own on the same disk, and take turns by slices of each workload; what is printed are medians over
//! the rounds. The client is this process, one thread, and shares the processors with them.

mod answer;
mod client;
mod floor;
mod frame;
mod json;
mod server;
mod summary;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::figures::{Figures, medians};
use crate::store::Result;
use crate::workload::{Sample, figures_of};
pub use floor::serve as serve_floor;
use server::{ANNALS, KINDS, Server};
use workload::{READING, Scale, WRITING, Workload};

const HELP: &str = "\
the server of annals beside a floor, over HTTP

usage: annals-bench-compare http [--rounds N] [--slices N] [--events N] [--workloads A,B] [--dir DIR]

  --rounds N      how often everything is done (default 3)
  --slices N      how many slices of each workload the servers do in turn (default 20)
  --events N      how many events are there when events are read (default 500000)
  --workloads A,B only those whose names begin so (default all)
  --dir DIR       where the stores are made (default: the system's directory for temporary files)
";

struct Arguments {
    rounds: usize,
    scale: Scale,
    workloads: Vec<String>,
    dir: PathBuf,
}

/// Whether this process was started to be the command `annals`.
pub fn is_annals() -> bool {
    std::env::args_os().next().is_some_and(|name| name == ANNALS)
}

pub fn serve_annals() -> ExitCode {
    annals_server::run()
}

/// Measures, and prints the table.
pub fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return Ok(());
    }
    let arguments = Arguments::parse(arguments)?;
    let base = arguments.dir.join(format!("annals-bench-compare-{}", std::process::id()));
    let measured = measure(&arguments, &base);
    let _ = std::fs::remove_dir_all(&base);
    let (measured, restarts) = measured?;
    for kind in &KINDS {
        println!("- {}: {}", kind.name, kind.about);
    }
    println!();
    let rows = WRITING.iter().chain(READING);
    let rows = rows.filter_map(|workload| Some((workload, measured.get(workload.name)?)));
    let rows = rows.map(|(workload, rounds)| (workload, rounds.each_ref().map(|rounds| medians(rounds))));
    print!("{}", summary::table(rows, &restarts.each_ref().map(|rounds| medians(rounds))));
    Ok(())
}

impl Arguments {
    fn parse(from: &[String]) -> Result<Arguments> {
        let mut arguments = Arguments {
            rounds: 3,
            scale: Scale { slices: 20, events: 500_000 },
            workloads: vec![String::new()],
            dir: std::env::temp_dir(),
        };
        let mut from = from.iter();
        while let Some(flag) = from.next() {
            let value = from.next().ok_or_else(|| format!("{flag} needs a value; see http --help"))?;
            match flag.as_str() {
                "--rounds" => arguments.rounds = value.parse()?,
                "--slices" => arguments.scale.slices = value.parse()?,
                "--events" => arguments.scale.events = value.parse()?,
                "--workloads" => arguments.workloads = value.split(',').map(str::to_owned).collect(),
                "--dir" => arguments.dir = value.into(),
                _ => return Err(format!("there is no flag {flag}; see http --help").into()),
            }
        }
        Ok(arguments)
    }

    fn wants(&self, workload: &Workload) -> bool {
        self.workloads.iter().any(|name| workload.name.starts_with(name))
    }
}

/// By workload, what was measured of each server, round by round.
type Measured = BTreeMap<&'static str, [Vec<Figures>; 2]>;

fn measure(arguments: &Arguments, base: &Path) -> Result<(Measured, [Vec<Figures>; 2])> {
    let (mut measured, mut restarts) = (Measured::new(), [Vec::new(), Vec::new()]);
    let mut all = |servers: &[Server], workloads: &'static [Workload]| -> Result<()> {
        for workload in workloads.iter().filter(|workload| arguments.wants(workload)) {
            eprintln!("  {}", workload.name);
            let figures = in_turns(workload, servers, arguments.scale)?;
            measured
                .entry(workload.name)
                .or_default()
                .iter_mut()
                .zip(figures)
                .for_each(|(all, of)| all.push(of));
        }
        Ok(())
    };
    for round in 1..=arguments.rounds {
        eprintln!("round {round}");
        if WRITING.iter().any(|workload| arguments.wants(workload)) {
            all(&start_all(base)?, WRITING)?;
            std::fs::remove_dir_all(base)?;
        }
        if READING.iter().any(|workload| arguments.wants(workload)) {
            let servers = start_all(base)?;
            servers.iter().try_for_each(|server| workload::load(server, arguments.scale))?;
            all(&servers, READING)?;
            drop(servers);
            for (kind, restarts) in KINDS.iter().zip(&mut restarts) {
                restarts.push(workload::restart(|| Server::start(kind, &base.join(kind.name)))?);
            }
            std::fs::remove_dir_all(base)?;
        }
    }
    Ok((measured, restarts))
}

/// Both servers, on stores that are new.
fn start_all(base: &Path) -> Result<Vec<Server>> {
    std::fs::create_dir_all(base)?;
    KINDS.iter().map(|kind| Server::start(kind, &base.join(kind.name))).collect()
}

/// Does a workload with both servers, a slice of each at a time.
fn in_turns(workload: &Workload, servers: &[Server], scale: Scale) -> Result<Vec<Figures>> {
    let mut turns =
        servers.iter().map(|server| (workload.open)(server, scale)).collect::<Result<Vec<_>>>()?;
    let mut samples: Vec<Vec<Sample>> = turns.iter().map(|_| Vec::new()).collect();
    for slice in 0..scale.slices {
        for (turn, samples) in turns.iter_mut().zip(&mut samples) {
            samples.push(turn(slice)?);
        }
    }
    Ok(samples.into_iter().map(figures_of).collect())
}
