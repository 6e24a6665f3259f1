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
    /// Only of raw writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    megabytes_per_second: Option<f64>,
    /// The median of the raw writes it was timed with, as a share of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_raw: Option<f64>,
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
        Figures { what, calls, p50_us, p99_us, p999_us, per_second, megabytes_per_second: None, of_raw: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.what
    }

    /// Each time is that of so many events.
    pub(super) fn events(mut self, events: u64) -> Figures {
        self.per_second *= events as f64;
        self
    }

    /// Each time is that of so many bytes.
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
}

/// A line for each, and one above.
pub(super) fn table(all: &[Figures]) -> Vec<String> {
    let width = all.iter().map(|figures| figures.what.len()).max().unwrap_or_default();
    let head = format!("{:width$}{:>12}{:>12}{:>12}{:>14}", "", "p50 us", "p99 us", "p99.9 us", "per second");
    let line = |figures: &Figures| {
        let Figures { what, p50_us, p99_us, p999_us, per_second, .. } = figures;
        let rest = match (figures.of_raw, figures.megabytes_per_second) {
            (Some(of_raw), _) => format!("  {of_raw:.2} of the raw rate"),
            (None, Some(megabytes)) => format!("  {megabytes:.1} MB/s"),
            (None, None) => String::new(),
        };
        format!("{what:width$}{p50_us:>12.1}{p99_us:>12.1}{p999_us:>12.1}{per_second:>14.0}{rest}")
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
        let table = table(&[raw, work]);
        assert!(table[1].ends_with("1000.0 MB/s") && table[2].ends_with("0.90 of the raw rate"), "{table:?}");
    }
}
