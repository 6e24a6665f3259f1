//! The account of a salvage: every position of the damaged store is kept or lost, and every stream's versions too.
//!
//! Memory: a hash and two versions for each stream, and an entry for each range that is lost.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::report::{Line, Loss, ReportFile, SalvageReport, ends, versions};
use crate::error::Error;
use crate::format::removed::{self, LastVersion};
use crate::index::TermHasher;
use crate::model::{HistoryId, Position, StreamVersion};

/// Why what comes next is missing.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) path: PathBuf,
    pub(super) offset: u64,
    pub(super) what: String,
}

/// Where a stream stands in the damaged store and in the new one.
#[derive(Clone, Copy)]
struct Head {
    old: StreamVersion,
    new: StreamVersion,
}

impl Head {
    const START: Head = Head { old: StreamVersion::START, new: StreamVersion::START };
}

/// Positions without a hole, as they were and as they are.
struct Run {
    old: Position,
    new: Position,
    count: u64,
}

pub(super) struct Account {
    file: ReportFile,
    durable: Position,
    /// The position that the next event of the damaged store has, if nothing is missing.
    next: Position,
    cause: Option<Cause>,
    run: Option<Run>,
    hasher: TermHasher,
    heads: HashMap<u128, Head>,
    losses: Vec<Loss>,
    incomplete_appends: u64,
    streams_changed: u64,
    /// How many events had been removed that explain no missing version yet.
    removed: u64,
    /// How many of them are those of streams that the segment's REMOVED frames name.
    named: u64,
    faults: u64,
    pub(super) old_history: Option<HistoryId>,
}

impl Account {
    /// `durable` is the last position known to have been acknowledged.
    pub(super) fn new(file: ReportFile, durable: Position, hasher: TermHasher) -> Account {
        Account {
            file,
            durable,
            next: Position::new(1),
            cause: None,
            run: None,
            hasher,
            heads: HashMap::new(),
            losses: Vec::new(),
            incomplete_appends: 0,
            streams_changed: 0,
            removed: 0,
            named: 0,
            faults: 0,
            old_history: None,
        }
    }

    pub(super) fn next(&self) -> Position {
        self.next
    }

    pub(super) fn durable(&self) -> Position {
        self.durable
    }

    /// Notes a damaged place. It is the cause of what is missing next, unless another is known already.
    pub(super) fn blame(&mut self, path: &Path, offset: u64, what: &str) -> Result<(), Error> {
        let cause = Cause { path: path.to_owned(), offset, what: what.to_owned() };
        self.cause.get_or_insert(cause);
        self.fault(path, offset, what)
    }

    /// Notes a damaged place that takes no event.
    pub(super) fn fault(&mut self, path: &Path, offset: u64, what: &str) -> Result<(), Error> {
        self.faults += 1;
        self.file.line(&Line::Fault { file: path.display().to_string(), offset, what })
    }

    /// Notes what changed in an event that is kept.
    pub(super) fn note(&mut self, path: &Path, offset: u64, what: &str) -> Result<(), Error> {
        self.file.line(&Line::Note { file: path.display().to_string(), offset, what })
    }

    /// Notes why the events that come next are missing.
    pub(super) fn because(&mut self, path: &Path, offset: u64, what: String) {
        self.cause = Some(Cause { path: path.to_owned(), offset, what });
    }

    /// Notes an append that lost some of its events.
    pub(super) fn incomplete(
        &mut self,
        path: &Path,
        offset: u64,
        (first, last): (Position, Position),
        whole: u64,
        kept: bool,
    ) -> Result<(), Error> {
        self.incomplete_appends += 1;
        let (file, positions) = (path.display().to_string(), ends(first, last));
        self.file.line(&Line::Incomplete { file, offset, positions, whole, kept })
    }

    /// Counts everything before `position` that was not kept as lost.
    pub(super) fn lose_before(&mut self, position: Position) -> Result<(), Error> {
        let split = self.durable.next().clamp(self.next, self.next.max(position));
        for (first, end, acknowledged) in [(self.next, split, true), (split, position, false)] {
            if first < end {
                self.lose(first, end.previous(), acknowledged)?;
            }
        }
        self.next = self.next.max(position);
        self.cause = None;
        Ok(())
    }

    fn lose(&mut self, first: Position, last: Position, acknowledged: bool) -> Result<(), Error> {
        let cause = self.cause.clone().unwrap_or_else(|| Cause {
            path: PathBuf::new(),
            offset: 0,
            what: "no file holds these events".to_owned(),
        });
        let (file, offset, what) = (cause.path.display().to_string(), cause.offset, cause.what.as_str());
        self.file.line(&Line::Lost { positions: ends(first, last), acknowledged, file, offset, what })?;
        let Cause { path, offset, what } = cause;
        self.losses.push(Loss { positions: first..=last, acknowledged, path, offset, what });
        Ok(())
    }

    /// Counts an event as kept at `now`; tells the version that it gets.
    pub(super) fn keep(
        &mut self,
        position: Position,
        stream: &str,
        version: StreamVersion,
        now: Position,
    ) -> Result<StreamVersion, Error> {
        self.lose_before(position)?;
        self.next = position.next();
        match &mut self.run {
            Some(run) if run.old.advanced(run.count) == position => run.count += 1,
            _ => {
                self.end_run()?;
                self.run = Some(Run { old: position, new: now, count: 1 });
            }
        }
        let head = self.heads.entry(self.hasher.stream(stream.as_bytes())).or_insert(Head::START);
        let missing = version.since(head.old.next());
        if missing <= self.removed {
            // Retention took them: versions go on as they did.
            self.removed -= missing;
            *head = Head { old: head.old.advanced(missing), new: head.new.advanced(missing) };
        }
        let before = *head;
        *head = Head { old: version.max(before.old), new: before.new.next() };
        let now_version = head.new;
        if version > before.old.next() {
            self.streams_changed += u64::from(before.old == before.new);
            let lost_versions = versions(before.old.next(), version.previous());
            self.file.line(&Line::Stream {
                stream,
                lost_versions,
                next_version: version.get(),
                now_version: now_version.get(),
            })?;
        }
        Ok(now_version)
    }

    /// A segment begins. The frames of the one before have all been seen, whichever of them named a stream.
    pub(super) fn begin_segment(&mut self) {
        self.removed = self.removed.saturating_sub(std::mem::take(&mut self.named));
    }

    /// Counts events as removed that had been before the damage; tells where the streams stand now that it names.
    pub(super) fn removed<'r>(
        &mut self,
        first: Position,
        count: u32,
        streams: impl Iterator<Item = LastVersion<'r>>,
    ) -> Result<Vec<u8>, Error> {
        self.lose_before(first)?;
        self.next = first.advanced(count.into());
        self.removed += u64::from(count);
        let mut body = Vec::new();
        for last in streams {
            let head = self.heads.entry(self.hasher.stream(last.stream)).or_insert(Head::START);
            let gone = last.version.since(head.old);
            self.named += gone;
            *head = Head { old: head.old.advanced(gone), new: head.new.advanced(gone) };
            removed::push(&mut body, LastVersion { version: head.new, ..last });
        }
        removed::finish(&mut body);
        Ok(body)
    }

    /// Where a stream stood in the damaged store, and stands in the new one.
    pub(super) fn stands(&self, stream: &str) -> Option<(StreamVersion, StreamVersion)> {
        let head = self.heads.get(&self.hasher.stream(stream.as_bytes()))?;
        Some((head.old, head.new))
    }

    fn end_run(&mut self) -> Result<(), Error> {
        let Some(Run { old, new, count }) = self.run.take() else { return Ok(()) };
        let last = |first: Position| first.advanced(count - 1);
        self.file.line(&Line::Kept { positions: ends(old, last(old)), now: ends(new, last(new)) })
    }

    /// Writes the last lines of the report and makes it durable.
    pub(super) fn finish(mut self, events: u64) -> Result<SalvageReport, Error> {
        self.end_run()?;
        let count = |loss: &Loss| loss.positions.end().since(*loss.positions.start()) + 1;
        let lost = self.losses.iter().map(count).sum();
        let lost_acknowledged = self.losses.iter().filter(|loss| loss.acknowledged).map(count).sum();
        let Account { incomplete_appends, streams_changed, faults, old_history, .. } = self;
        self.file.line(&Line::End {
            events,
            lost,
            lost_acknowledged,
            incomplete_appends,
            streams_changed,
            faults,
            old_history: old_history.map(|history| history.to_string()),
        })?;
        self.file.finish()?;
        Ok(SalvageReport {
            events,
            lost,
            lost_acknowledged,
            losses: self.losses,
            incomplete_appends,
            streams_changed,
            faults,
            old_history,
            history: self.file.history(),
            path: self.file.path(),
        })
    }
}
