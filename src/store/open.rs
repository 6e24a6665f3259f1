//! Opening a store: the log is found and mended, its last segment indexed, and the write path started on it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Core;
use crate::backup::refuse_writing;
use crate::commit::{Committer, CommitterParts, OnSeal, Visible};
use crate::error::OpenError;
use crate::index::{Backlog, Catalog, Indexing, MemoryIndex, Part, Refill, Sealed, TermHasher};
use crate::lifecycle::{Lifecycles, last_settings};
use crate::log::{Lost, Recovered, Search, recover, unfinished};
use crate::meta::{self, Meta};
use crate::model::{Position, Timestamp};
use crate::options::{Limits, Options};
use crate::read::Reader;
use crate::scavenge::Scavenger;
use crate::snapshot::Snapshots;

/// How far ahead of the last commit the clock may be: a store may rest for long, but a year is more likely a mistake.
const CLOCK_AHEAD_NANOS_MAX: i64 = 366 * 24 * 3600 * 1_000_000_000;

/// How often a store that is only read is looked at again: its writer may be going over to the next segment.
const READ_TRIES_MAX: u32 = 5;

pub(super) fn open(options: Options) -> Result<Core, OpenError> {
    check_marks(&options)?;
    let (recovered, memory) = find(&options)?;
    check_clock(&options, &recovered)?;
    let hasher = TermHasher::new(&recovered.roll.term_key);
    let indexing = Arc::new(Indexing::new(
        options.disk.clone(),
        hasher.clone(),
        options.read_only,
        Backlog::new(options.warming_wait_max),
        options.budget.kept_bytes_max(),
    ));
    let parts = parts(&recovered, &memory, &indexing);
    let active = parts.last().cloned().ok_or(OpenError::NotFound { path: options.dir.clone() })?;
    let catalog = Arc::new(Catalog::new(parts));
    let visible = Arc::new(Visible::new(recovered.visible));
    let lost = recovered.lost.as_ref().map(Lost::to_error);
    let lifecycles = Arc::new(Lifecycles::new(catalog.clone(), hasher.clone(), recovered.settings));
    let reader =
        Reader::new(catalog.clone(), visible.clone(), hasher, lifecycles.clone(), options.verify_reads, lost);
    let limits = bounded(&options);

    let (bytes_max, kept_max) = (limits.snapshot_bytes_max, options.snapshots_kept);
    let meta = database(&options, "meta");
    let snapshots = Snapshots::new(meta, reader.clone(), recovered.history, bytes_max, kept_max);
    let scavenger = Arc::new(Scavenger::new(
        catalog.clone(),
        visible.clone(),
        indexing.clone(),
        lifecycles.clone(),
        options.retention,
    ));
    let committer = match recovered.writer {
        None => None,
        Some(writer) => Some(Arc::new(Committer::start(CommitterParts {
            writer,
            memory,
            part: active,
            catalog,
            visible,
            indexing,
            lifecycles: lifecycles.clone(),
            roll: recovered.roll,
            limits: limits.clone(),
            budget: options.budget,
            clock: options.clock.clone(),
            repeat_window: options.repeat_window,
            idempotency_window: options.idempotency_window,
            unsealed_bytes_max: options.unsealed_bytes_max,
            on_seal: on_seal(&options, &scavenger),
            background: options.background,
        })?)),
    };
    if let Some(committer) = &committer {
        committer.rebuild_indexes();
    }
    Ok(Core {
        committer,
        reader,
        snapshots,
        lifecycles,
        scavenger,
        tables: database(&options, "tables"),
        disk: options.disk.clone(),
        history: recovered.history,
        torn: recovered.torn,
        limits,
        clock: options.clock,
        closed: AtomicBool::new(false),
    })
}

/// A database of small state in a directory of its own; in memory for a store that is only read.
fn database(options: &Options, name: &str) -> Arc<dyn Meta> {
    let dir = options.disk.native_dir(&options.dir.join(name)).filter(|_| !options.read_only);
    meta::open(dir, options.budget.cache_bytes())
}

/// Drops what the retention of the store does not keep, whenever a segment is full.
fn on_seal(options: &Options, scavenger: &Arc<Scavenger>) -> Option<OnSeal> {
    let scavenger = scavenger.clone();
    // If it fails, the next time finds the same to do; whoever scavenges is told why.
    let drop_old = move || drop(scavenger.drop_old());
    (!options.retention.keeps_everything()).then(|| Arc::new(drop_old) as OnSeal)
}

/// Finds the log, and indexes its last segment on the way.
fn find(options: &Options) -> Result<(Recovered, Arc<MemoryIndex>), OpenError> {
    let search = Search {
        disk: options.disk.clone(),
        dir: &options.dir,
        segment_bytes: options.segment_bytes,
        prewrites: options.prewrite,
        read_only: options.read_only,
        create: options.create,
    };
    let mut tries = 0;
    loop {
        let (mut memory, mut settings) = (None, Position::START);
        let found = recover(&search, &mut |segment, frame| {
            let refill = memory.get_or_insert_with(|| {
                let index = MemoryIndex::new(segment.header.capacity, options.budget.index_bytes_max());
                Refill::new(index, TermHasher::new(&segment.header.term_key))
            });
            // One that was rewritten is sealed, and gets its index from its file.
            if !segment.header.is_rewritten() {
                refill.add(frame);
                settings = settings.max(last_settings(frame));
            }
            Ok(())
        });
        tries += 1;
        match (found, memory) {
            (Err(OpenError::Store(_)), _) if options.read_only && tries < READ_TRIES_MAX => {}
            (Ok(recovered), _) if recovered.lost.is_some() && tries < READ_TRIES_MAX => {}
            (Err(error), _) => return Err(error),
            (Ok(mut recovered), Some(refill)) => {
                recovered.settings = recovered.settings.max(settings);
                if let Some(writer) = &mut recovered.writer {
                    writer.note_settings(recovered.settings);
                }
                return Ok((recovered, Arc::new(refill.finish())));
            }
            (Ok(_), None) => return Err(OpenError::NotFound { path: options.dir.clone() }),
        }
    }
}

/// Refuses a directory that says it is no store.
fn check_marks(options: &Options) -> Result<(), OpenError> {
    unfinished::check(options.disk.as_ref(), &options.dir)?;
    match options.read_only {
        true => Ok(()),
        false => refuse_writing(options.disk.as_ref(), &options.dir),
    }
}

fn check_clock(options: &Options, recovered: &Recovered) -> Result<(), OpenError> {
    let (now, last) = (options.clock.now(), recovered.last_time);
    let limit = last.as_nanos().saturating_add(CLOCK_AHEAD_NANOS_MAX);
    let fresh = recovered.visible == Position::START;
    if fresh || options.read_only || options.allow_clock_jump || now <= Timestamp::from_nanos(limit) {
        return Ok(());
    }
    Err(OpenError::ClockAhead { now, last })
}

fn parts(recovered: &Recovered, memory: &Arc<MemoryIndex>, indexing: &Arc<Indexing>) -> Vec<Arc<Part>> {
    let next_of = |place: usize| recovered.segments.get(place + 1).map(|segment| segment.first);
    let part = |(place, found): (usize, &crate::log::FoundSegment)| {
        let segment = found.segment.clone();
        match (found.sealed, next_of(place)) {
            (Some((at, crc)), Some(next)) => {
                Part::sealed(segment, found.first, Sealed { at, crc, next }, indexing.clone())
            }
            (Some((at, crc)), None) if segment.header.is_rewritten() => {
                let sealed = Sealed { at, crc, next: recovered.visible.next() };
                Part::sealed(segment, found.first, sealed, indexing.clone())
            }
            (sealed, _) => {
                let part = Part::active(segment, found.first, memory.clone(), indexing.clone());
                if let Some((at, crc)) = sealed {
                    part.seal(Sealed { at, crc, next: recovered.visible.next() });
                }
                part
            }
        }
    };
    recovered.segments.iter().enumerate().map(part).map(Arc::new).collect()
}

/// Limits that would contradict the format are brought within it.
fn bounded(options: &Options) -> Limits {
    let mut limits = options.limits.clone();
    limits.append_bytes_max = limits.append_bytes_max.min(crate::options::APPEND_BYTES_MAX);
    limits.event_bytes_max = limits.event_bytes_max.min(limits.append_bytes_max);
    limits.snapshot_bytes_max = limits.snapshot_bytes_max.min(crate::options::SNAPSHOT_BYTES_MAX);
    limits.queue_bytes_max = limits.queue_bytes_max.min(options.budget.queue_bytes_max());
    limits.append_events_max = limits.append_events_max.max(1);
    limits
}
