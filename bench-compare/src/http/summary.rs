//! All that was measured, as one table: the floor, annals, and what of the one the other reaches.

use std::fmt::Write as _;

use super::workload::{RESTART, Target, Workload};
use crate::figures::Figures;
use crate::table::readable;

const HEAD: &str = "\
| | floor: p50, p99, p99.9 us | annals: p50, p99, p99.9 us | floor a second | annals a second | annals of the floor | to reach |
|---|---:|---:|---:|---:|---:|---:|
";

/// The table; figures are those of the floor and those of annals.
pub fn table<'a>(
    rows: impl Iterator<Item = (&'a Workload, [Figures; 2])>,
    restarts: &[Figures; 2],
) -> String {
    let mut out = HEAD.to_owned();
    // Writing to a string does not fail.
    for (workload, figures) in rows {
        let [floor, annals] = &figures;
        let (share, wanted) = judged(workload.target, floor, annals);
        let rates = [rate(floor), rate(annals)].map(shown);
        let _ = writeln!(
            out,
            "| {}: {} | {} | {} | {} | {} | {share} | {wanted} |",
            workload.name,
            workload.about,
            times(floor),
            times(annals),
            rates[0],
            rates[1]
        );
    }
    for (name, most) in RESTART {
        let [floor, annals] = restarts.each_ref().map(|figures| shown(figures.0.get(name).copied()));
        let _ = writeln!(
            out,
            "| started again after a kill, {name} | {floor} | {annals} | - | - | - | at most {most} |"
        );
    }
    out
}

fn judged(target: Target, floor: &Figures, annals: &Figures) -> (String, String) {
    let of = |of: fn(&Figures) -> Option<f64>| match (of(floor), of(annals)) {
        (Some(floor), Some(annals)) => format!("{:.2}", annals / floor),
        _ => "-".to_owned(),
    };
    match target {
        Target::Share(least) => (of(rate), format!("at least {least:.2}")),
        Target::Times(most) => {
            (of(|figures| figures.0.get("p50 us").copied()), format!("p50 at most {most:.1}"))
        }
    }
}

fn rate(figures: &Figures) -> Option<f64> {
    figures.0.get("events/s").or(figures.0.get("per s")).copied()
}

fn times(figures: &Figures) -> String {
    let [middle, hundredth, thousandth] =
        ["p50 us", "p99 us", "p99.9 us"].map(|name| shown(figures.0.get(name).copied()));
    match figures.0.contains_key("p50 us") {
        true => format!("{middle}, {hundredth}, {thousandth}"),
        false => "-".to_owned(),
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), readable)
}
