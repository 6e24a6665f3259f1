//! `annals bench`: what this disk can do, and what annals makes of it.
//!
//! It works in a directory of its own beside that of `--data`, so that both are on one disk, and removes it at the end. Each
//! kind of append is timed in turn with raw writes of as many bytes, each synced: what the disk does meanwhile it does to both.

mod figures;
mod load;
mod raw;

use std::path::{Path, PathBuf};

use annals::{EventStore, Options};

use self::figures::Figures;
use self::load::Load;
use self::raw::{Raw, Space};
use super::failure::Failure;
use super::output::{Output, Progress};
use super::settings::Settings;

/// Measures this disk and annals on it: raw syncs, appends, replay, reads and opening
///
/// Works in a directory beside that of --data, and removes it. An event has a type of 16 bytes, 256 bytes of data and 64 of metadata.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// How many appends of one event; the other counts follow
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..))]
    appends: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Raw writes and appends take turns by so many.
const TURN: u64 = 50;

/// Events of the log that is read: so many for each append.
const LOADED_PER_APPEND: u64 = 40;

/// Runs the command.
pub(crate) fn run(args: &BenchArgs, settings: &Settings) -> Result<(), Failure> {
    let data = settings.only_directory("bench")?.path().to_owned();
    let scratch = Scratch::beside(&data)?;
    let mut progress = Progress::new();
    let mut all = Vec::new();
    let mut measured = |figures: Figures| {
        progress.show(format_args!("{}", figures.name()));
        all.push(figures);
    };
    appends(&scratch.0, args.appends, &mut measured)?;
    reads(&scratch.0, args.appends * LOADED_PER_APPEND, &mut measured)?;
    progress.clear();
    let mut out = Output::stdout();
    match args.json {
        true => all.iter().try_for_each(|figures| out.json(figures))?,
        false => figures::table(&all).iter().try_for_each(|line| out.line(line))?,
    }
    out.flush()
}

/// A directory that is removed with what it holds.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(data: &Path) -> Result<Scratch, Failure> {
        let name =
            data.file_name().map_or_else(|| "annals".into(), |name| name.to_string_lossy().into_owned());
        let path = data.with_file_name(format!("{name}.bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure::Unusable(format!("cannot make {}: {error}", path.display())))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If it cannot be removed, its name says what it was for.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Appends of one event and of a hundred by one writer, in turn with raw writes of as many bytes; then by eight writers.
fn appends(dir: &Path, count: u64, measured: &mut impl FnMut(Figures)) -> Result<(), Failure> {
    let store = EventStore::open(Options::new(dir.join("appends")))?;
    let load = Load::on(&store);
    for (events, appends) in [(1, count), (100, count / 10)] {
        let bytes = load.frame_bytes(events)?;
        let create = |space, name| Raw::create(&dir.join(format!("{name}-{events}")), bytes, space);
        let (mut raw, mut zeros) = (create(Space::Reserved, "reserved")?, create(Space::Zeros, "zeros")?);
        let (mut writes, mut over_zeros, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..appends.div_ceil(TURN) {
            raw.write(TURN, &mut writes)?;
            zeros.write(TURN, &mut over_zeros)?;
            load.append(TURN, events, &mut times)?;
        }
        let what = format!("write and sync of {bytes} bytes");
        let over_zeros = Figures::of(format!("{what} over zeros"), over_zeros).bytes(bytes);
        let raw = Figures::of(what, writes).bytes(bytes);
        let name = if events == 1 { "append of one event" } else { "append of 100 events" };
        measured(raw.clone());
        measured(over_zeros);
        measured(Figures::of(name.to_owned(), times).events(events).beside(&raw));
    }
    let (times, took) = load.append_by_threads(8, count)?;
    measured(Figures::of("append of one event, 8 writers".to_owned(), times).took(took));
    store.close()?;
    Ok(())
}

/// Opening, replay and reads of single streams of a log of so many events.
fn reads(dir: &Path, events: u64, measured: &mut impl FnMut(Figures)) -> Result<(), Failure> {
    let dir = dir.join("reads");
    let store = EventStore::open(Options::new(&dir))?;
    let took = Load::on(&store).fill(events)?;
    measured(Figures::of(format!("load of {events} events"), vec![took]).events(events));
    store.close()?;
    drop(store);
    let (store, took) = load::timed(|| Ok(EventStore::open(Options::new(&dir))?))?;
    measured(Figures::of("open after a clean close".to_owned(), vec![took]));
    let load = Load::on(&store);
    let rounds = (0..5).map(|_| load.replay(events)).collect::<Result<Vec<_>, _>>()?;
    measured(Figures::of(format!("replay of {events} events"), rounds).events(events));
    let times = load.read_streams(events)?;
    measured(Figures::of(format!("read of a stream of {} events", load::STREAM_EVENTS), times));
    store.close()?;
    Ok(())
}
