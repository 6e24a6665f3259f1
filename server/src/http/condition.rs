//! What an append expects of its stream, as headers or as a parameter.
//!
//! Both say the same; they differ in the status of a refusal, because a failed `If-Match` is 412 by the rules of HTTP.

use annals::{Error, EventStore, ExpectedVersion, StreamName, StreamVersion};
use axum::http::{HeaderMap, header};
use serde_json::json;

use super::problem::{self, Problem};

/// A condition and how it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// By `expectedVersion`, or not at all: a conflict is 409.
    Parameter(ExpectedVersion),
    /// By `If-Match` or `If-None-Match`: a conflict is 412.
    Header(ExpectedVersion),
    /// By an `If-Match` with several versions, any of which will do.
    AnyOf(Vec<StreamVersion>),
}

impl Condition {
    /// Reads the condition of a request.
    pub(crate) fn parse(headers: &HeaderMap, expected_version: Option<&str>) -> Result<Condition, Problem> {
        let if_match = join(headers, &header::IF_MATCH)?;
        let if_none_match = join(headers, &header::IF_NONE_MATCH)?;
        match (if_match, if_none_match, expected_version) {
            (None, None, None) => Ok(Condition::Parameter(ExpectedVersion::Any)),
            (None, None, Some(text)) => {
                match text.parse() {
                    Ok(expected) => Ok(Condition::Parameter(expected)),
                    Err(error) => Err(Problem::invalid(format!("`expectedVersion`: {error}"))
                        .with("field", "expectedVersion")),
                }
            }
            (Some(tags), None, None) => if_match_of(&tags),
            (None, Some(tags), None) if tags.trim() == "*" => Ok(Condition::Header(ExpectedVersion::None)),
            (None, Some(_), None) => Err(Problem::invalid(
                "`If-None-Match` of an append is `*`, which means that the stream does not exist yet",
            )),
            _ => Err(Problem::invalid(
                "the request has more than one condition; give one of `If-Match`, `If-None-Match`, `expectedVersion`",
            )),
        }
    }

    /// The one expected version to append with. Of several, that which the stream has, or when the append has a key and the
    /// stream has none of them, one that it does not have.
    pub(crate) fn resolve(
        &self,
        store: &EventStore,
        stream: &StreamName,
        has_key: bool,
    ) -> Result<ExpectedVersion, Problem> {
        match self {
            // Under a key the append may have been made already: only the store can say that it has not.
            Condition::AnyOf(versions) if has_key => {
                let actual = version_of(store, stream)?;
                let first = versions.first().copied().unwrap_or_default();
                let expected = if versions.contains(&actual) { actual } else { first };
                Ok(ExpectedVersion::Exactly(expected))
            }
            Condition::Parameter(expected) | Condition::Header(expected) => Ok(*expected),
            Condition::AnyOf(versions) => {
                let actual = version_of(store, stream)?;
                pick(versions, stream, actual)
            }
        }
    }

    /// The problem to answer with when the append failed as `problem`.
    pub(crate) fn refusal(&self, problem: Problem) -> Problem {
        match self {
            Condition::Parameter(_) => problem,
            Condition::Header(_) | Condition::AnyOf(_) => problem.into_precondition(),
        }
    }
}

fn version_of(store: &EventStore, stream: &StreamName) -> Result<StreamVersion, Error> {
    Ok(store.stream(stream)?.map_or(StreamVersion::START, |info| info.version))
}

fn pick(
    versions: &[StreamVersion],
    stream: &StreamName,
    actual: StreamVersion,
) -> Result<ExpectedVersion, Problem> {
    if versions.contains(&actual) {
        return Ok(ExpectedVersion::Exactly(actual));
    }
    let next = problem::READ_AGAIN;
    let detail =
        format!("stream {stream} is at version {actual}, which is none of those in `If-Match`; {next}");
    Err(Problem::new(problem::PRECONDITION, detail)
        .with("stream", stream.as_str())
        .with("expectedVersion", json!(versions))
        .with("actualVersion", json!(actual)))
}

fn if_match_of(tags: &str) -> Result<Condition, Problem> {
    if tags.trim() == "*" {
        return Ok(Condition::Header(ExpectedVersion::Exists));
    }
    let mut versions = Vec::new();
    for tag in tags.split(',').map(str::trim) {
        // An answer in gzip has a weak tag. It is compared with the stream, not with that answer.
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let digits = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let version = digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
            Problem::invalid("`If-Match` is `*`, or versions of the stream in double quotes, such as \"5\"")
        })?;
        versions.push(StreamVersion::new(version));
    }
    Ok(match versions[..] {
        [version] => Condition::Header(version.into()),
        _ => Condition::AnyOf(versions),
    })
}

/// The values of a header that is a list, as one text.
fn join(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<String>, Problem> {
    let mut joined: Option<String> = None;
    for value in headers.get_all(name) {
        let text =
            value.to_str().map_err(|_| Problem::invalid(format!("the header `{name}` is not ASCII")))?;
        joined = Some(joined.map_or_else(|| text.to_owned(), |earlier| format!("{earlier},{text}")));
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, StatusCode};

    fn parse(
        given: &[(header::HeaderName, &'static str)],
        parameter: Option<&str>,
    ) -> Result<Condition, StatusCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name, HeaderValue::from_static(value));
        }
        Condition::parse(&headers, parameter).map_err(|problem| problem.status())
    }

    fn exactly(version: u64) -> ExpectedVersion {
        ExpectedVersion::Exactly(StreamVersion::new(version))
    }

    #[test]
    fn headers_and_the_parameter_say_the_same() {
        assert_eq!(parse(&[], None), Ok(Condition::Parameter(ExpectedVersion::Any)));
        assert_eq!(parse(&[], Some("5")), Ok(Condition::Parameter(exactly(5))));
        assert_eq!(parse(&[], Some("none")), Ok(Condition::Parameter(ExpectedVersion::None)));
        assert_eq!(parse(&[(header::IF_MATCH, "\"5\"")], None), Ok(Condition::Header(exactly(5))));
        assert_eq!(parse(&[(header::IF_MATCH, "*")], None), Ok(Condition::Header(ExpectedVersion::Exists)));
        assert_eq!(
            parse(&[(header::IF_NONE_MATCH, "*")], None),
            Ok(Condition::Header(ExpectedVersion::None))
        );
    }

    #[test]
    fn a_list_in_if_match_is_any_of_its_versions() {
        let any = Condition::AnyOf(vec![StreamVersion::new(5), StreamVersion::new(6)]);
        assert_eq!(parse(&[(header::IF_MATCH, "\"5\", \"6\"")], None), Ok(any.clone()));
        assert_eq!(parse(&[(header::IF_MATCH, "\"5\""), (header::IF_MATCH, "\"6\"")], None), Ok(any));
    }

    #[test]
    fn the_tag_of_an_answer_in_gzip_means_the_same_version() {
        let of = |tag| parse(&[(header::IF_MATCH, tag)], None);
        assert_eq!(of("W/\"5\""), of("\"5\""));
        assert!(of("\"5\"").is_ok());
    }

    #[test]
    fn two_conditions_at_once_are_refused() {
        assert_eq!(parse(&[(header::IF_MATCH, "\"5\"")], Some("5")), Err(StatusCode::BAD_REQUEST));
        assert_eq!(
            parse(&[(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "*")], None),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn what_is_no_version_is_refused_instead_of_never_matching() {
        for tag in ["5", "\"x\"", "w/\"5\"", "\"5\",", ""] {
            assert_eq!(parse(&[(header::IF_MATCH, tag)], None), Err(StatusCode::BAD_REQUEST), "{tag}");
        }
        assert_eq!(parse(&[(header::IF_NONE_MATCH, "\"5\"")], None), Err(StatusCode::BAD_REQUEST));
        assert_eq!(parse(&[], Some("latest")), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn of_several_versions_the_one_that_the_stream_has_is_taken() {
        let stream = StreamName::parse("s").expect("legal");
        let versions = [StreamVersion::new(5), StreamVersion::new(6)];
        assert_eq!(pick(&versions, &stream, StreamVersion::new(6)).ok(), Some(exactly(6)));
        let refused = pick(&versions, &stream, StreamVersion::new(7)).expect_err("moved on");
        assert_eq!(refused.status(), StatusCode::PRECONDITION_FAILED);
    }
}
