//! What several benches print: percentiles, and the memory of the process as Linux tells it.

use std::io::{Result, Write};
use std::time::Duration;

pub(crate) fn report(out: &mut impl Write, what: &str, times: &mut [Duration]) -> Result<()> {
    times.sort_unstable();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e6;
    writeln!(out, "{what}: p50 {:.1} us, p99 {:.1} us", at(0.5), at(0.99))
}

/// The median of times that [`report`] has sorted, in seconds.
pub(crate) fn median(times: &[Duration]) -> f64 {
    times[times.len() / 2].as_secs_f64()
}

pub(crate) fn memory(out: &mut impl Write, when: &str) -> Result<()> {
    let megabytes = |kind| status_bytes(kind).map_or("?".to_owned(), |bytes| (bytes >> 20).to_string());
    let (anonymous, file) = (megabytes("RssAnon:"), megabytes("RssFile:"));
    writeln!(out, "memory {when}: {anonymous} MB anonymous, {file} MB of mapped files")
}

/// None where the system does not tell.
pub(crate) fn anonymous_bytes() -> Option<u64> {
    status_bytes("RssAnon:")
}

fn status_bytes(kind: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(kind))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}
