//! What a look at every byte of a store found, as JSON: from a directory or from a server, the same.

use std::fmt;
use std::path::Path;

use annals::{Fault, Note, VerifyProgress, VerifyReport};
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

/// A line of an answer that is given while the store is looked at.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum VerifyLine {
    Progress(Progress),
    /// The last one.
    Summary(Verified),
}

/// How far the look is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    segments_read: u64,
    segments: u64,
    events: u64,
    bytes: u64,
    faults: u64,
}

impl From<VerifyProgress<'_>> for Progress {
    fn from(VerifyProgress { report, segments, .. }: VerifyProgress<'_>) -> Progress {
        let VerifyReport { segments: segments_read, events, bytes, .. } = *report;
        Progress { segments_read, segments, events, bytes, faults: report.faults.len() as u64 }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { segments_read, segments, events, faults, .. } = self;
        write!(out, "{segments_read} of {segments} segments, {events} events, {faults} faults")
    }
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
