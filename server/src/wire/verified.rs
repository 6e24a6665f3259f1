//! What a look at every byte of a store found, as JSON: from a directory or from a server, the same.

use std::path::Path;

use annals::{Fault, Note, VerifyReport};
use serde::{Deserialize, Serialize};

/// What was read, and what is wrong.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verified {
    pub(crate) segments: u64,
    pub(crate) frames: u64,
    pub(crate) events: u64,
    /// Events that retention or a scavenge took out of the log.
    pub(crate) removed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) streams: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) faults: Vec<FaultLine>,
    pub(crate) faults_left_out: u64,
    pub(crate) notes: Vec<NoteLine>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FaultLine {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) what: String,
    /// The first and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) positions: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<String>,
}

/// Something that is as it should be, and worth knowing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoteLine {
    pub(crate) file: String,
    pub(crate) what: String,
}

impl Verified {
    /// A report, in which `name` says how files are called.
    pub(crate) fn new(report: &VerifyReport, deep: bool, name: impl Fn(&Path) -> String) -> Verified {
        let fault = |fault: &Fault| FaultLine {
            file: name(&fault.path),
            offset: fault.offset,
            what: fault.what.clone(),
            positions: fault.positions.as_ref().map(|range| [range.start().get(), range.end().get()]),
            stream: fault.stream.clone(),
        };
        let note = |note: &Note| NoteLine { file: name(&note.path), what: note.what.clone() };
        Verified {
            segments: report.segments,
            frames: report.frames,
            events: report.events,
            removed: report.removed,
            streams: deep.then_some(report.streams),
            bytes: report.bytes,
            faults: report.faults.iter().map(fault).collect(),
            faults_left_out: report.faults_left_out,
            notes: report.notes.iter().map(note).collect(),
        }
    }

    /// How many things are wrong.
    pub(crate) fn fault_count(&self) -> u64 {
        self.faults.len() as u64 + self.faults_left_out
    }
}
