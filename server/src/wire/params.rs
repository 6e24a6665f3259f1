//! A query string, or the flags of a command: names with values, read once and strictly.
//!
//! What nobody knows is refused by name, because a misspelt filter that is ignored answers with other events than
//! were asked for.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use annals::Timestamp;

use super::WireError;

/// Everything but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How the names of criteria begin.
const CRITERION: &str = "match.";

/// Names with values, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string and refuses every parameter that is none of `known`.
    pub(crate) fn parse(query: &str, known: &[&[&str]]) -> Result<Params, WireError> {
        Params::parse_others(query, known, |name| Err(unknown(name, known)))
    }

    /// Reads a query string in which every parameter that is none of `known` is a criterion, unless it may be a misspelt
    /// one, or one of the `others` that other requests have.
    pub(crate) fn parse_with_criteria(
        query: &str,
        known: &[&[&str]],
        others: &[&[&str]],
    ) -> Result<Params, WireError> {
        Params::parse_others(query, known, |name| {
            if name == CRITERION {
                return Err(WireError::field(name, "names no criterion; write match.KEY=VALUE"));
            }
            if name.starts_with(CRITERION) {
                return Ok(name);
            }
            if others.concat().contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
            match known.concat().into_iter().find(|known| is_near(&name, known)) {
                Some(meant) => {
                    let what = format!(
                        "is not a parameter; `{meant}` is. For a criterion of that name write `{CRITERION}{name}`"
                    );
                    Err(WireError::field(name, what))
                }
                None if name.is_empty() => Err(WireError::new("a parameter has no name")),
                None => Ok(format!("{CRITERION}{name}")),
            }
        })
    }

    fn parse_others(
        query: &str,
        known: &[&[&str]],
        other: impl Fn(String) -> Result<String, WireError>,
    ) -> Result<Params, WireError> {
        let mut params = Params::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| WireError::new("a parameter's name is not UTF-8"))?;
            let is_known = known.iter().any(|group| group.contains(&name.as_str()));
            let name = if is_known { name } else { other(name)? };
            let value = decode(value).ok_or_else(|| WireError::field(name.as_str(), "is not UTF-8"))?;
            params.0.push((name, value));
        }
        Ok(params)
    }

    /// The criteria: each a key with its value.
    pub(crate) fn criteria(&self) -> impl Iterator<Item = (String, String)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(CRITERION)?.to_owned(), value.clone())))
    }

    /// Adds a criterion.
    #[must_use]
    pub(crate) fn with_criterion(self, key: &str, value: &str) -> Params {
        self.with(&format!("{CRITERION}{key}"), value)
    }

    /// Adds a value: a flag of a command.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Params {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    /// The same with `name` set to `value`, and not to anything else.
    #[must_use]
    pub(crate) fn replaced(mut self, name: &str, value: u64) -> Params {
        self.0.retain(|(given, _)| given != name);
        self.with(name, value.to_string())
    }

    /// The query string, without the `?`.
    pub(crate) fn encode(&self) -> String {
        let pair = |(name, value): &(String, String)| {
            let [name, value] = [name, value].map(|text| utf8_percent_encode(text, RESERVED));
            format!("{name}={value}")
        };
        self.0.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// Whether one of `names` is given.
    pub(crate) fn has_any(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(given, _)| names.contains(&given.as_str()))
    }

    /// The value of a parameter that is given at most once.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, WireError> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(WireError::field(name, "is given more than once; it has one value")),
        }
    }

    /// The values of a parameter: of a single one those between its commas, of a repeated one each as it is.
    pub(crate) fn list(&self, name: &'static str) -> Result<Vec<String>, WireError> {
        let given: Vec<&str> = self.values(name).collect();
        let values: Vec<String> = match given[..] {
            [one] => one.split(',').map(str::to_owned).collect(),
            _ => given.into_iter().map(str::to_owned).collect(),
        };
        match values.iter().any(String::is_empty) {
            true => Err(WireError::field(name, "has an empty value; leave it out")),
            false => Ok(values),
        }
    }

    /// The value of a parameter that counts something.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<u64>, WireError> {
        self.parsed(name, |text| text.parse().map_err(|_| "is not a whole number"))
    }

    /// The value of a parameter that is an instant.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, WireError> {
        self.parsed(name, |text| match Timestamp::parse(text) {
            Err(_) if text.contains(' ') => {
                Err("has a space; in a URL the + of an offset is written %2B".to_owned())
            }
            parsed => parsed.map_err(|error| error.to_string()),
        })
    }

    /// The value of a parameter that is `true` or `false`, which is also what it is when it is not given.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, WireError> {
        Ok(self.switch(name)?.unwrap_or(false))
    }

    /// The value of a parameter that is `true` or `false`.
    pub(crate) fn switch(&self, name: &'static str) -> Result<Option<bool>, WireError> {
        self.parsed(name, |text| text.parse().map_err(|_| "is neither true nor false"))
    }

    fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, WireError> {
        let parse = |text| parse(text).map_err(|error| WireError::field(name, error));
        self.one(name)?.map(parse).transpose()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// Decodes one name or value; in a query string a plus sign is a space.
fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Whether `name` may be a misspelt `known`: it differs by one letter, in case, or is the singular.
pub(crate) fn is_near(name: &str, known: &str) -> bool {
    let plain = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let (name, known) = (plain(name), plain(known));
    let singular = known.strip_suffix("ies").is_some_and(|stem| name.strip_suffix('y') == Some(stem));
    // Of a name as short as `to` half would be another.
    name == known || singular || (known.len() > 3 && differ_by_one(name.as_bytes(), known.as_bytes()))
}

/// Whether two texts differ by one byte that is added, left out or another, or by two neighbours in turned order.
fn differ_by_one(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let same = short.iter().zip(long).take_while(|(one, other)| one == other).count();
    let (short, long) = (&short[same..], &long[same..]);
    match (short, long) {
        (short, [_, rest @ ..]) if short == rest => true,
        ([a, b, short @ ..], [c, d, long @ ..]) if (a, b) == (d, c) && short == long => true,
        ([_, short @ ..], [_, long @ ..]) => short == long,
        _ => false,
    }
}

fn unknown(name: String, known: &[&[&str]]) -> WireError {
    let mut names: Vec<&str> = Vec::new();
    for name in known.concat() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let names = names.join(", ");
    let what = match names.is_empty() {
        true => "is not a parameter of this request; it takes none".to_owned(),
        false => format!("is not a parameter of this request; it takes {names}"),
    };
    WireError::field(name, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query, &[&["types", "limit", "since", "system"]]).expect("known parameters")
    }

    #[test]
    fn an_unknown_parameter_is_told_each_that_is_known_once() {
        let known: &[&[&str]] = &[&["from", "history"], &["to", "history"]];
        let refused = Params::parse("colour=1", known).expect_err("is not known");
        assert!(refused.what.ends_with("it takes from, history, to"), "{refused}");
    }

    #[test]
    fn an_unknown_parameter_is_named_with_those_that_are_known() {
        let error = Params::parse("type=a", &[&["types"], &["limit"]]).expect_err("unknown");
        assert_eq!(error.field.as_deref(), Some("type"));
        assert!(error.what.ends_with("types, limit"), "{error}");
    }

    #[test]
    fn what_is_no_parameter_is_a_criterion_unless_it_may_be_misspelt() {
        let known: &[&[&str]] = &[&["types", "categories", "correlationId", "from", "to"]];
        let criteria = |query: &str| {
            Params::parse_with_criteria(query, known, &[&["limit"]]).map(|params| params.criteria().collect())
        };
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(criteria("customer=c-1&no=%26"), Ok(vec![pair("customer", "c-1"), pair("no", "&")]));
        assert_eq!(criteria("match.type=x&match.a.b=1"), Ok(vec![pair("type", "x"), pair("a.b", "1")]));
        for near in [
            "type",
            "Types",
            "tpyes",
            "typos",
            "category",
            "correlation_id",
            "form",
            "TO",
            "limit",
            "match.",
            "",
        ] {
            assert!(criteria(&format!("{near}=x")).is_err(), "{near}");
        }
        let given = Params::parse_with_criteria("a%26b=%26", known, &[]).expect("a criterion");
        assert_eq!(Params::parse_with_criteria(&given.encode(), known, &[]), Ok(given));
    }

    #[test]
    fn a_single_value_is_split_at_commas_and_repeated_ones_are_not() {
        assert_eq!(params("types=a,b%2Cc").list("types"), Ok(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(params("types=a,b&types=c").list("types"), Ok(vec!["a,b".into(), "c".into()]));
        assert!(params("types=a,,b").list("types").is_err());
        assert_eq!(params("").list("types"), Ok(vec![]));
    }

    #[test]
    fn a_parameter_of_one_value_is_refused_when_it_is_repeated() {
        assert_eq!(params("limit=5").number("limit"), Ok(Some(5)));
        assert_eq!(
            params("limit=5&limit=5").number("limit").expect_err("twice").field.as_deref(),
            Some("limit")
        );
        assert!(params("limit=-5").number("limit").is_err());
    }

    #[test]
    fn percent_signs_and_plus_signs_are_decoded() {
        assert_eq!(params("types=a+b%2b%C3%BC").one("types"), Ok(Some("a b+ü")));
        assert!(Params::parse("types=%FF", &[&["types"]]).is_err());
    }

    #[test]
    fn a_query_string_survives_decoding_and_encoding() {
        let given = params("types=a%20b%26c&limit=5").replaced("limit", 7);
        assert_eq!(given.encode(), "types=a%20b%26c&limit=7");
        assert_eq!(params(&given.encode()), given);
    }

    #[test]
    fn a_time_whose_plus_sign_was_lost_says_how_to_write_it() {
        let error = params("since=2024-07-15T14:32:22+02:00").time("since").expect_err("a space");
        assert!(error.what.contains("%2B"), "{error}");
        assert!(params("since=2024-07-15T14:32:22%2B02:00").time("since").is_ok());
    }

    #[test]
    fn a_flag_is_true_or_false_and_nothing_else() {
        assert_eq!(params("system=true").flag("system"), Ok(true));
        assert_eq!(params("").flag("system"), Ok(false));
        assert!(params("system=1").flag("system").is_err());
    }
}
