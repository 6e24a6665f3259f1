//! The other files of a store: STATE, and what nobody needs. Nothing here is a fault: all of it can be made again.

use std::path::Path;

use super::VerifyReport;
use crate::error::{Error, OpenError};
use crate::format::state::{SLOT_LEN, SLOT_STRIDE, State};
use crate::log::{Evidence, LogName, log_dir, segment_path, state_path};
use crate::model::Position;
use crate::options::Options;
use crate::vfs::OpenMode;

/// Looks at the files beside the segments. `last` is the last position that was read.
pub(super) fn look_at(
    options: &Options,
    evidence: &Evidence,
    last: Position,
    report: &mut VerifyReport,
) -> Result<(), OpenError> {
    let log_dir = log_dir(&options.dir);
    let names = options.disk.list(&log_dir).map_err(|error| Error::io("list", &log_dir, error))?;
    for name in names {
        if let Some(what) = leftover(&name, &log_dir, options)? {
            report.note(log_dir.join(&name), what);
        }
    }
    look_at_state(options, evidence, last, report)?;
    let names = options.disk.list(&options.dir).map_err(|error| Error::io("list", &options.dir, error))?;
    for name in &names {
        if name.starts_with("meta.damaged-") {
            report.note(options.dir.join(name), "snapshots that could not be used; it can be deleted");
        } else if name.starts_with("tables.damaged-") {
            report.note(options.dir.join(name), "tables that could not be used; it can be deleted");
        }
    }
    Ok(())
}

/// What a file of the log's directory is, if nobody needs it.
fn leftover(name: &str, log_dir: &Path, options: &Options) -> Result<Option<&'static str>, Error> {
    let what = match LogName::of(name) {
        LogName::Segment(_) => return Ok(None),
        LogName::Tail { .. } => "what a crash left behind the last whole append; it can be deleted",
        LogName::Temporary => "a file that was being made; the next writer removes it",
        LogName::Index(number) => {
            let path = segment_path(log_dir, number);
            let exists = options.disk.exists(&path).map_err(|error| Error::io("look for", &path, error))?;
            if exists {
                return Ok(None);
            }
            "the index of a segment that is not there; it can be deleted"
        }
        LogName::Other => "no file of annals",
    };
    Ok(Some(what))
}

fn look_at_state(
    options: &Options,
    evidence: &Evidence,
    last: Position,
    report: &mut VerifyReport,
) -> Result<(), Error> {
    let path = state_path(&options.dir);
    let file = match options.disk.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report.note(path, "it is not there; the next writer makes it");
            return Ok(());
        }
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    for (slot, offset) in [0, SLOT_STRIDE].into_iter().enumerate() {
        let mut bytes = [0; SLOT_LEN];
        if file.read_exact_at(&mut bytes, offset).is_err() {
            report.note(&path, format!("the slot at {offset} is cut off"));
            continue;
        }
        let what = match State::decode(&bytes) {
            None if bytes.iter().all(|byte| *byte == 0) => continue,
            None => "is damaged, or was torn by a crash; the other one counts".to_owned(),
            Some(state) if evidence.store.is_some_and(|store| store != state.store) => {
                "is of another store and does not count".to_owned()
            }
            Some(state) if state.sequence % 2 != slot as u64 => "stands in the other's place".to_owned(),
            Some(state) if state.durable > last => {
                format!("says that position {} is durable; {last} was read", state.durable)
            }
            Some(_) => continue,
        };
        report.note(&path, format!("the slot at {offset} {what}"));
    }
    Ok(())
}
