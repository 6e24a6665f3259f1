//! Which media type an answer gets: the one that `Accept` likes best among those that can be produced.

use axum::http::{HeaderMap, header};

use super::problem::{self, Problem};

pub(crate) const JSON: &str = "application/json";
pub(crate) const NDJSON: &str = "application/x-ndjson";
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";
pub(crate) const CLOUD_BATCH: &str = "application/cloudevents-batch+json";
pub(crate) const SSE: &str = "text/event-stream";

/// The media types that can be produced and are produced as [`NDJSON`].
pub(crate) const NDJSON_ALIAS: &str = "application/ndjson";

/// Chooses among `offered`, whose first is the default and wins a tie.
pub(crate) fn negotiate(headers: &HeaderMap, offered: &[&'static str]) -> Result<&'static str, Problem> {
    let given: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    choose(&given.join(","), offered).ok_or_else(|| {
        Problem::new(
            problem::NOT_ACCEPTABLE,
            format!("this is answered as {}; accept one of them", offered.join(" or ")),
        )
    })
}

fn choose(accept: &str, offered: &[&'static str]) -> Option<&'static str> {
    if accept.trim().is_empty() {
        return offered.first().copied();
    }
    let mut best = None;
    for candidate in offered {
        let quality = quality_of(accept, candidate);
        if quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((quality, *candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// How much a media type is wanted, in thousandths, by the most specific range that covers it.
fn quality_of(accept: &str, candidate: &str) -> u32 {
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let name = if name == NDJSON_ALIAS { NDJSON } else { name.as_str() };
        let specificity = match name {
            "*/*" => 1,
            _ if name == candidate => 3,
            _ if name
                .strip_suffix('*')
                .is_some_and(|kind| kind.ends_with('/') && candidate.starts_with(kind)) =>
            {
                2
            }
            _ => continue,
        };
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if specificity > best.0 {
            best = (specificity, (quality.clamp(0.0, 1.0) * 1000.0) as u32);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: &[&str] = &[NDJSON, JSON];

    #[test]
    fn without_a_wish_the_default_is_taken() {
        for accept in ["", "*/*", "application/*", "text/html,*/*;q=0.8"] {
            assert_eq!(choose(accept, OFFERED), Some(NDJSON), "{accept}");
        }
    }

    #[test]
    fn the_type_that_is_liked_best_wins() {
        assert_eq!(choose("application/json", OFFERED), Some(JSON));
        assert_eq!(choose("application/x-ndjson;q=0.5, Application/JSON", OFFERED), Some(JSON));
        assert_eq!(choose("application/ndjson, application/json;q=0.9", OFFERED), Some(NDJSON));
    }

    #[test]
    fn the_more_specific_range_decides() {
        assert_eq!(choose("*/*, application/x-ndjson;q=0", OFFERED), Some(JSON));
    }

    #[test]
    fn what_cannot_be_produced_is_not_chosen() {
        assert_eq!(choose("text/html", OFFERED), None);
    }
}
