//! `annals inspect`: what stands in one file, in order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use annals::{Finding, Inspect, OpenError};
use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::settings::Settings;

/// Describes one file of a store: a segment, an index, STATE, LOCK or a tail file
///
/// The file is read by itself, wherever it lies; no store is opened. What is wrong stands behind an exclamation mark.
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show each event of a frame, and each stream of an index
    #[arg(long)]
    events: bool,
    /// Begin at this offset of a segment
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Show at most this many lines
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print each line as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    offset: u64,
    what: &'a str,
    fields: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
}

/// Runs the command.
pub(crate) fn run(args: &InspectArgs, _: &Settings) -> Result<(), Failure> {
    let findings = Inspect::file(&args.file).parts(args.events).from(args.from).read();
    let findings = findings.map_err(|error| match error {
        OpenError::Store(error) => error.into(),
        error => Failure::from(error),
    })?;
    let mut out = Output::stdout();
    for finding in findings.take(args.limit.unwrap_or(usize::MAX)) {
        let finding = finding?;
        if args.json {
            out.json(&Line::new(&finding))?;
        } else {
            print(&finding, &mut out)?;
        }
    }
    out.flush()
}

impl<'a> Line<'a> {
    fn new(finding: &'a Finding) -> Line<'a> {
        Line {
            offset: finding.offset,
            what: finding.what,
            fields: finding.fields.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            fault: finding.fault.as_deref(),
        }
    }
}

fn print(finding: &Finding, out: &mut Output) -> Result<(), Failure> {
    let indent = if finding.is_part { "  " } else { "" };
    let fields: String = finding.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let fault = finding.fault.as_ref().map_or_else(String::new, |fault| format!(" ! {fault}"));
    out.line(format_args!("{:>10}  {indent}{}{fields}{fault}", finding.offset, finding.what))
}
