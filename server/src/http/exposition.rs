//! Numbers as Prometheus reads them: its text format, version 0.0.4.

use std::fmt::{Display, Write as _};

/// The media type of the format.
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A label: its name and value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// An exposition under way.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins the samples of one metric.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One metric with one number.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// One number of a metric.
    pub(super) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    /// The numbers of a histogram: how many lie above the bound before and up to each of `bounds`, and at last how many above
    /// all of them.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[Label<'_>],
        bounds: impl Iterator<Item = f64>,
        counts: &[u64],
        sum: f64,
    ) {
        let bounds = bounds.map(|bound| bound.to_string()).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(counts) {
            total += count;
            self.sample(&format!("{name}_bucket"), &[labels, &[("le", &bound)]].concat(), total);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, total);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{text}").expect("writing to memory does not fail");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_everything_below_each_bound() {
        let mut out = Exposition::default();
        out.family("took_seconds", "histogram", "How long it took.");
        out.histogram("took_seconds", &[("route", "/a\"")], [0.001, 0.1].into_iter(), &[2, 0, 1], 7.5);
        assert_eq!(
            out.finish(),
            "# HELP took_seconds How long it took.\n# TYPE took_seconds histogram\n\
             took_seconds_bucket{route=\"/a\\\"\",le=\"0.001\"} 2\n\
             took_seconds_bucket{route=\"/a\\\"\",le=\"0.1\"} 2\n\
             took_seconds_bucket{route=\"/a\\\"\",le=\"+Inf\"} 3\n\
             took_seconds_sum{route=\"/a\\\"\"} 7.5\ntook_seconds_count{route=\"/a\\\"\"} 3\n"
        );
    }
}
