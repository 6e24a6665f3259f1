//! What a run measured: named numbers, which one process prints and another reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::store::Result;

/// Numbers by name. The unit is the last part of a name.
#[derive(Debug, Default, Clone)]
pub struct Figures(pub BTreeMap<String, f64>);

/// Only of those that were cut short.
pub const DONE: &str = "% done";

impl Figures {
    pub fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// How much was done of what there was to do, if that is not all.
    pub fn set_done(&mut self, done: u64, of: u64) {
        if done < of {
            self.set(DONE, done as f64 * 100.0 / of as f64);
        }
    }

    /// Percentiles of times.
    pub fn set_latencies(&mut self, times: &mut [Duration]) {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        self.set("p50 us", at(0.5));
        self.set("p99 us", at(0.99));
        self.set("p99.9 us", at(0.999));
    }

    /// Prints what was measured of a store.
    pub fn print(&self, store: &str) {
        for (name, value) in &self.0 {
            println!("{store}\t{name}\t{value}");
        }
    }

    /// What was printed of a store.
    pub fn parse(text: &str, store: &str) -> Result<Figures> {
        let lines =
            text.lines().filter_map(|line| line.strip_prefix(store)?.strip_prefix('\t')?.split_once('\t'));
        Ok(Figures(lines.map(|(name, value)| Ok((name.to_owned(), value.parse()?))).collect::<Result<_>>()?))
    }
}

/// The median of each figure.
pub fn medians(rounds: &[Figures]) -> Figures {
    let names = rounds.iter().flat_map(|figures| figures.0.keys());
    let median = |name: &String| {
        let mut values: Vec<f64> = rounds.iter().filter_map(|figures| figures.0.get(name)).copied().collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Figures(names.map(|name| (name.clone(), median(name))).collect())
}

/// Anonymous memory of this process.
pub fn anonymous_bytes() -> u64 {
    anonymous_bytes_of("self")
}

/// Anonymous memory of a process, by its number.
pub fn anonymous_bytes_of(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes << 10)
}

/// Bytes of all files below `dir`, without what is only reserved: each counts up to its last byte that is not zero, in blocks.
pub fn used_bytes(dir: &Path) -> Result<u64> {
    let mut used = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        used += match path.is_dir() {
            true => used_bytes(&path)?,
            false => {
                let mut bytes = Vec::new();
                let file = File::open(&path)?;
                (&file).take(end_of_data(&file)?).read_to_end(&mut bytes)?;
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
                end.next_multiple_of(4096)
            }
        };
    }
    Ok(used)
}

/// Where the last bytes end that were ever written. Reading further would put pages of zeros into the system's cache, and whoever
/// opens the file next would find them there.
fn end_of_data(file: &File) -> Result<u64> {
    let mut end = 0;
    loop {
        match seek(file, SeekFrom::Data(end)) {
            Ok(begin) => end = seek(file, SeekFrom::Hole(begin))?,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        }
    }
    // Reading begins where seeking has left off.
    seek(file, SeekFrom::Start(0))?;
    Ok(end)
}
