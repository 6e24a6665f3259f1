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

/// Segments that follow each other while the appends are timed.
const ROLLING_BYTES: u64 = 1 << 20;

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

/// Appends by one writer, in turn with raw writes of as many bytes: of one event and of a hundred; then by eight writers, and by one
/// while small segments follow each other.
fn appends(dir: &Path, count: u64, measured: &mut impl FnMut(Figures)) -> Result<(), Failure> {
    let store = EventStore::open(Options::new(dir.join("appends")))?;
    let load = Load::on(&store);
    let (one, bytes) = in_turn(dir, &load, ("append of one event", 1, count), measured)?;
    in_turn(dir, &load, ("append of 100 events", 100, count / 10), measured)?;
    let (times, took) = load.append_by_threads(8, count)?;
    let figures = Figures::of("append of one event, 8 writers".to_owned(), times).took(took);
    measured(figures.bytes(bytes).at_once_beside(&one));
    store.close()?;

    let dir = dir.join("rolling");
    let store = EventStore::open(Options::new(dir.join("store")).segment_bytes(ROLLING_BYTES))?;
    let what = ("append of one event, segments of 1 MiB", 1, count);
    in_turn(&dir, &Load::on(&store), what, measured)?;
    store.close()?;
    Ok(())
}

/// Appends so many times so many events, in turn with raw writes of as many bytes. Tells of these, and how many bytes they are.
fn in_turn(
    dir: &Path,
    load: &Load<'_>,
    (what, events, appends): (&str, u64, u64),
    measured: &mut impl FnMut(Figures),
) -> Result<(Figures, u64), Failure> {
    let bytes = load.frame_bytes(events)?;
    let create = |space, name| Raw::create(&dir.join(format!("{name}-{events}")), bytes, space);
    let (mut raw, mut zeros) = (create(Space::Reserved, "reserved")?, create(Space::Zeros, "zeros")?);
    let (mut writes, mut over_zeros, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..appends.div_ceil(TURN) {
        raw.write(TURN, &mut writes)?;
        zeros.write(TURN, &mut over_zeros)?;
        load.append(TURN, events, &mut times)?;
    }
    let of_bytes = format!("write and sync of {bytes} bytes");
    let over_zeros = Figures::of(format!("{of_bytes} over zeros"), over_zeros).bytes(bytes);
    let raw = Figures::of(of_bytes, writes).bytes(bytes);
    measured(raw.clone());
    measured(over_zeros);
    measured(Figures::of(what.to_owned(), times).events(events).bytes(bytes / events).beside(&raw));
    Ok((raw, bytes))
}

/// A load, opening, replay and reads of single streams, of a log of so many events.
fn reads(dir: &Path, events: u64, measured: &mut impl FnMut(Figures)) -> Result<(), Failure> {
    let log = dir.join("reads");
    let store = EventStore::open(Options::new(&log))?;
    let (took, allocated) = Load::on(&store).fill(events)?;
    store.close()?;
    drop(store);
    let (store, opened) = load::timed(|| Ok(EventStore::open(Options::new(&log))?))?;
    let stats = store.stats()?;
    let bytes = stats.log_bytes / events;

    let append_bytes = bytes * load::FILL_EVENTS.min(events);
    let (mut raw, mut writes) = (Raw::create(&dir.join("load"), append_bytes, Space::Reserved)?, Vec::new());
    raw.write(events.div_ceil(load::FILL_EVENTS), &mut writes)?;
    let raw = Figures::of(format!("write and sync of {append_bytes} bytes"), writes).bytes(append_bytes);
    let loaded = Figures::of(format!("load of {events} events"), vec![took]).events(events).bytes(bytes);
    let on_disk = (stats.log_bytes + stats.index_bytes) as f64 / events as f64;
    let loaded = loaded.at_once_beside(&raw).left(on_disk, allocated);
    measured(raw);
    measured(loaded);

    measured(Figures::of("open after a clean close".to_owned(), vec![opened]));
    let load = Load::on(&store);
    let rounds = (0..5).map(|_| load.replay(events)).collect::<Result<Vec<_>, _>>()?;
    measured(Figures::of(format!("replay of {events} events"), rounds).events(events).bytes(bytes));
    let times = load.read_streams(events)?;
    measured(Figures::of(format!("read of a stream of {} events", load::STREAM_EVENTS), times));
    store.close()?;
    Ok(())
}
