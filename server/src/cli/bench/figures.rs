//! What was measured of one kind of work, and all of it as a table.

use std::time::Duration;

use serde::Serialize;

/// How long one kind of work took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    what: String,
    calls: usize,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    /// Of calls, or of events where a call is for many.
    per_second: f64,
    /// Of what is written or read, where the bytes of the log are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    megabytes_per_second: Option<f64>,
    /// The rate of one writer by its median, or of several by all they did, as a share of that of the raw writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_raw: Option<f64>,
    /// On disk, indexes included, after a clean close.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_event: Option<f64>,
    /// What the process had allocated at most meanwhile, maps not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous_megabytes: Option<f64>,
}

impl Figures {
    /// Of these times, of which there is at least one, one after the other.
    pub(super) fn of(what: String, mut times: Vec<Duration>) -> Figures {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        let took: Duration = times.iter().sum();
        let (p50_us, p99_us, p999_us) = (at(0.5), at(0.99), at(0.999));
        let calls = times.len();
        let per_second = calls as f64 / took.as_secs_f64();
        Figures {
            what,
            calls,
            p50_us,
            p99_us,
            p999_us,
            per_second,
            megabytes_per_second: None,
            of_raw: None,
            bytes_per_event: None,
            anonymous_megabytes: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.what
    }

    /// Each time is that of so many events.
    pub(super) fn events(mut self, events: u64) -> Figures {
        self.per_second *= events as f64;
        self
    }

    /// So many bytes come to each of what is counted a second.
    pub(super) fn bytes(mut self, bytes: u64) -> Figures {
        self.megabytes_per_second = Some(self.per_second * bytes as f64 / 1e6);
        self
    }

    /// They were not one after the other, and took so long together.
    pub(super) fn took(mut self, took: Duration) -> Figures {
        self.per_second = self.calls as f64 / took.as_secs_f64();
        self
    }

    /// Tells the share of raw writes of as many bytes.
    pub(super) fn beside(mut self, raw: &Figures) -> Figures {
        self.of_raw = Some(raw.p50_us / self.p50_us);
        self
    }

    /// Tells the same where several are under way at once: what counts is how many bytes came to the disk.
    pub(super) fn at_once_beside(mut self, raw: &Figures) -> Figures {
        let share = |(own, raw): (f64, f64)| own / raw;
        self.of_raw = self.megabytes_per_second.zip(raw.megabytes_per_second).map(share);
        self
    }

    /// Tells what was left on disk, and what was in memory at most, if the system tells.
    pub(super) fn left(mut self, bytes_per_event: f64, anonymous_bytes: Option<u64>) -> Figures {
        self.bytes_per_event = Some(bytes_per_event);
        self.anonymous_megabytes = anonymous_bytes.map(|bytes| bytes as f64 / 1e6);
        self
    }
}

/// A line for each, and one above.
pub(super) fn table(all: &[Figures]) -> Vec<String> {
    let width = all.iter().map(|figures| figures.what.len()).max().unwrap_or_default();
    let head = format!("{:width$}{:>12}{:>12}{:>12}{:>14}", "", "p50 us", "p99 us", "p99.9 us", "per second");
    let line = |figures: &Figures| {
        let Figures { what, p50_us, p99_us, p999_us, per_second, .. } = figures;
        let rest = [
            figures.megabytes_per_second.map(|megabytes| format!("{megabytes:.1} MB/s")),
            figures.of_raw.map(|of_raw| format!("{of_raw:.2} of the raw rate")),
            figures.bytes_per_event.map(|bytes| format!("{bytes:.0} bytes an event on disk")),
            figures.anonymous_megabytes.map(|megabytes| format!("{megabytes:.1} MB of memory")),
        ];
        let rest = rest.into_iter().flatten().collect::<Vec<_>>().join(", ");
        format!("{what:width$}{p50_us:>12.1}{p99_us:>12.1}{p999_us:>12.1}{per_second:>14.0}  {rest}")
            .trim_end()
            .to_owned()
    };
    std::iter::once(head).chain(all.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(times: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        times.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times_and_a_rate_is_of_all_of_them() {
        let figures = Figures::of("work".to_owned(), millis((1..=1000).rev()));
        assert_eq!((figures.p50_us, figures.p99_us, figures.p999_us), (500_000.0, 990_000.0, 999_000.0));
        assert!((figures.per_second - 1000.0 / 500.5).abs() < 1e-9);
        assert!((figures.clone().events(10).per_second - 10_000.0 / 500.5).abs() < 1e-9);
        assert_eq!(figures.took(Duration::from_secs(10)).per_second, 100.0);
    }

    #[test]
    fn a_share_is_that_of_medians_and_stands_in_the_table() {
        let raw = Figures::of("raw".to_owned(), millis([8, 9, 10])).bytes(9_000_000);
        let work = Figures::of("work".to_owned(), millis([10, 10, 10])).beside(&raw);
        assert_eq!((raw.megabytes_per_second, work.of_raw), (Some(1000.0), Some(0.9)));
        let several = Figures::of("several".to_owned(), millis([10; 30])).took(Duration::from_millis(100));
        let several = several.bytes(9_000_000).at_once_beside(&raw).left(447.0, Some(45_000_000));
        let table = table(&[raw, work, several]);
        let ends = ["1000.0 MB/s", "0.90 of the raw rate", "447 bytes an event on disk, 45.0 MB of memory"];
        assert!(table[1..].iter().zip(ends).all(|(line, end)| line.ends_with(end)), "{table:?}");
        assert!(table[3].contains("2700.0 MB/s, 2.70 of the raw rate"), "{table:?}");
    }
}
