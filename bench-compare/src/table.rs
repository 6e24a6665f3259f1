//! What was measured, as tables that read well as text and as Markdown.

use std::fmt::Write;
use std::time::Duration;

use crate::figures::{DONE, Figures};
use crate::store::Contender;
use crate::workload::Workload;

/// Names the stores, and says what some of the figures mean.
pub fn describe(stores: &[&Contender], most: Duration) -> String {
    let stores: String = stores.iter().map(|store| format!("- {}: {}\n", store.name, store.about)).collect();
    let seconds = most.as_secs();
    format!(
        "{stores}\nA `-` is what a store cannot do, or what needs no saying. A store that takes more than {seconds} s for a \
         workload is cut short there, and `{DONE}` says how much of it was done.\n"
    )
}

/// One row a store; figures that have a rate also as a share of the first store's.
pub fn of(workload: &Workload, rows: &[(&str, Figures)]) -> String {
    let names: Vec<&String> = {
        let mut names: Vec<&String> = rows.iter().flat_map(|(_, figures)| figures.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    if names.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}: {}\n\n| |", workload.name, workload.about);
    // Writing to a string does not fail.
    let _ = writeln!(out, "{} share |", names.iter().map(|name| format!(" {name} |")).collect::<String>());
    let _ = writeln!(out, "|---|{}", "---:|".repeat(names.len() + 1));
    let rate = |figures: &Figures| figures.0.get("events/s").or(figures.0.get("per s")).copied();
    let limit = rows.first().and_then(|(_, figures)| rate(figures));
    for (store, figures) in rows {
        let _ = write!(out, "| {store} |");
        for name in &names {
            match figures.0.get(*name) {
                Some(value) => {
                    let _ = write!(out, " {} |", readable(*value));
                }
                None => out.push_str(" - |"),
            }
        }
        match (rate(figures), limit) {
            (Some(rate), Some(limit)) => {
                let _ = writeln!(out, " {:.2} |", rate / limit);
            }
            _ => out.push_str(" - |\n"),
        }
    }
    out
}

/// Three digits or more, with separators.
pub fn readable(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 1000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
