//! A running server, asked over HTTP by the commands that take `--url`.
//!
//! Knows requests, problems and lines; what a line means is the command's business.

use std::io::{BufReader, Read};
use std::sync::Arc;
use std::time::Duration;

use annals::IdempotencyKey;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderValue, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Body, BodyReader, RequestBuilder, SendBody};

use super::failure::Failure;
use super::lines::Lines;
use super::roots;
use crate::wire::Params;

/// How long to wait for a connection. An answer may take as long as it likes: a tail never ends.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// The longest line of an answer: the largest event a store can be told to take, and its quoting.
const LINE_BYTES_MAX: u64 = 512 << 20;

/// The longest problem that is read.
const PROBLEM_BYTES_MAX: u64 = 64 * 1024;

/// Media type of JSON.
const JSON: &str = "application/json";

/// Media type of lines of JSON.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// The address of a server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    url: String,
    agent: ureq::Agent,
    /// What it is told about who asks, from the environment: arguments can be seen by others.
    authorization: Option<String>,
}

/// The lines of an answer.
pub(crate) struct Answer(Lines<BufReader<BodyReader<'static>>>);

/// One line of an answer.
pub(crate) enum Line<'a> {
    /// A result, with its line end.
    Result(&'a [u8]),
    /// Every event that was there has been told; what follows is new.
    CaughtUp,
    /// A stretch without a match was passed.
    Checkpoint,
    /// The server passed over a range and says why; the line as it came.
    Skipped(&'a [u8]),
}

/// What the server says when it refuses (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    title: Option<String>,
    detail: Option<String>,
    status: u16,
    /// Which line of what was sent, where lines mean something.
    line: Option<u64>,
}

/// The lines between results.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Control {
    CaughtUp(IgnoredAny),
    Checkpoint(IgnoredAny),
    Skipped(IgnoredAny),
    Error(Problem),
}

impl std::str::FromStr for Server {
    type Err = String;

    fn from_str(url: &str) -> Result<Server, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let authority = rest.trim_end_matches('/');
        let tls = match scheme {
            _ if authority.is_empty() => None,
            "http" => Some(TlsConfig::default()),
            "https" => Some(tls(roots::read()?)),
            _ => None,
        };
        let Some(tls) = tls else {
            return Err("a server is named like http://127.0.0.1:2662 or https://events.example".to_owned());
        };
        let authorization =
            std::env::var("ANNALS_TOKEN").ok().map(|token| format!("Bearer {}", token.trim()));
        Ok(Server { url: format!("{scheme}://{authority}"), agent: agent(tls), authorization })
    }
}

fn tls(roots: Vec<Certificate<'static>>) -> TlsConfig {
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

fn agent(tls: TlsConfig) -> ureq::Agent {
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_TIME_MAX))
        // A refusal carries a problem that is worth reading.
        .http_status_as_error(false)
        .max_redirects(0)
        // A proxy of the environment has no business between a tool and its store.
        .proxy(None)
        .build()
        .into()
}

impl Server {
    /// Asks for lines.
    pub(crate) fn get(&self, path: &str, params: &Params) -> Result<Answer, Failure> {
        let request = self.asking(self.agent.get(format!("{}{path}?{}", self.url, params.encode())));
        self.accepted(request.header("Accept", NDJSON).call()).map(answer)
    }

    /// Asks for one JSON value. The path carries its parameters, as links of the server do.
    pub(crate) fn get_json<T: DeserializeOwned>(&self, path_and_query: &str) -> Result<T, Failure> {
        self.json(self.asking(self.agent.get(format!("{}{path_and_query}", self.url))).call())
    }

    /// Sends events as JSON, under a key if there is one, and reads the JSON that answers.
    pub(crate) fn append<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &Params,
        key: Option<&IdempotencyKey>,
        body: &[u8],
    ) -> Result<T, Failure> {
        let mut request = self.asking(self.agent.post(format!("{}{path}?{}", self.url, params.encode())));
        if let Some(key) = key {
            let value = HeaderValue::from_bytes(key.as_str().as_bytes())
                .map_err(|error| Failure::Usage(format!("the key {key} cannot be sent: {error}")))?;
            request = request.header("Idempotency-Key", value);
        }
        self.json(request.content_type(JSON).send(body))
    }

    /// Asks for something to be done, perhaps with JSON that says what, and reads the JSON that answers.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path_and_query: &str,
        wanted: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let request = self.asking(self.agent.post(format!("{}{path_and_query}", self.url)));
        self.json(match wanted {
            Some(wanted) => request.content_type(JSON).send(json_of(wanted)),
            None => request.send_empty(),
        })
    }

    /// Asks for something to be done, and for lines that tell how it goes.
    pub(crate) fn post_for_lines(&self, path_and_query: &str) -> Result<Answer, Failure> {
        let request = self.asking(self.agent.post(format!("{}{path_and_query}", self.url)));
        self.accepted(request.header("Accept", NDJSON).send_empty()).map(answer)
    }

    /// Puts JSON somewhere, and reads the JSON that answers.
    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, value: &impl Serialize) -> Result<T, Failure> {
        let request = self.asking(self.agent.put(format!("{}{path}", self.url)));
        self.json(request.content_type(JSON).send(json_of(value)))
    }

    /// Deletes something, and reads the JSON that answers.
    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str, params: &Params) -> Result<T, Failure> {
        let request = self.agent.delete(format!("{}{path}?{}", self.url, params.encode()));
        self.json(self.asking(request).call())
    }

    /// Asks for one JSON value; none where there is no such thing.
    pub(crate) fn find_json<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        match self.asking(self.agent.get(format!("{}{path}", self.url))).call() {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => Ok(None),
            answered => self.json(answered).map(Some),
        }
    }

    /// Sends lines of any number and reads the lines that answer.
    pub(crate) fn post_lines(&self, path: &str, lines: &mut dyn Read) -> Result<Answer, Failure> {
        let request = self.asking(self.agent.post(format!("{}{path}", self.url))).header("Accept", NDJSON);
        self.accepted(request.content_type(NDJSON).send(SendBody::from_reader(lines))).map(answer)
    }

    fn asking<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization),
            None => request,
        }
    }

    fn json<T: DeserializeOwned>(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<T, Failure> {
        let answer = self.accepted(sent)?.read_to_vec().map_err(|error| self.unreadable(error))?;
        serde_json::from_slice(&answer).map_err(|error| self.unreadable(error))
    }

    fn accepted(&self, sent: Result<Response<Body>, ureq::Error>) -> Result<Body, Failure> {
        let response = sent.map_err(|error| self.unreachable(error))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let mut text = Vec::new();
        // What cannot be read of a problem is no news: the status alone is told then.
        let _ = body.into_reader().take(PROBLEM_BYTES_MAX).read_to_end(&mut text);
        let problem = serde_json::from_slice(&text).unwrap_or_default();
        Err(Problem { status: head.status.as_u16(), ..problem }.into())
    }

    fn unreachable(&self, error: ureq::Error) -> Failure {
        let url = &self.url;
        Failure::Unusable(match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!(
                    "no server answers at {url}; start one with `annals serve`, or name a directory with --data"
                )
            }
            error if url.starts_with("https:") => format!(
                "the request to {url} failed: {error}; a server that signed its own certificate is known by the file of \
                 that in {}",
                roots::VARIABLE
            ),
            error => format!("the request to {url} failed: {error}"),
        })
    }

    fn unreadable(&self, error: impl std::fmt::Display) -> Failure {
        Failure::Unusable(format!("the answer of {} cannot be read: {error}", self.url))
    }
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is sent is made of texts and numbers")
}

fn answer(body: Body) -> Answer {
    Answer(Lines::new(BufReader::new(body.into_reader()), LINE_BYTES_MAX))
}

impl Answer {
    /// The next line; none when the server ended the answer on purpose. A cut or a reported failure is an error.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>, Failure> {
        let line = self
            .0
            .next_line()
            .map_err(|error| Failure::Unusable(format!("the answer broke off: {error}")))?;
        let Some((_, line)) = line else { return Ok(None) };
        match control(line) {
            None => Ok(Some(Line::Result(line))),
            Some(Control::CaughtUp(_)) => Ok(Some(Line::CaughtUp)),
            Some(Control::Checkpoint(_)) => Ok(Some(Line::Checkpoint)),
            Some(Control::Skipped(_)) => Ok(Some(Line::Skipped(line))),
            Some(Control::Error(problem)) => Err(problem.into()),
        }
    }
}

/// Reads a line that is no result. Results begin with other keys, so most lines are told by their first bytes.
pub(super) fn control(line: &[u8]) -> Option<Control> {
    const KEYS: [&[u8]; 4] = [b"{\"caughtUp\":", b"{\"checkpoint\":", b"{\"skipped\":", b"{\"error\":"];
    KEYS.iter().any(|key| line.starts_with(key)).then(|| serde_json::from_slice(line).ok())?
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        let status = problem.status;
        let said = [problem.detail, problem.title].into_iter().flatten().find(|text| !text.trim().is_empty());
        let text = said.unwrap_or_else(|| format!("the server answered {status}"));
        let text = match problem.line {
            Some(line) => format!("line {line}: {text}"),
            None => text,
        };
        if (400..500).contains(&status) { Failure::Request(text) } else { Failure::Unusable(text) }
    }
}

/// Writes a name so that it is one segment of a path.
pub(crate) fn path_segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_http_or_https_and_nothing_else() {
        assert!(
            "http://127.0.0.1:2662/"
                .parse::<Server>()
                .is_ok_and(|server| server.url == "http://127.0.0.1:2662")
        );
        for url in ["127.0.0.1:2662", "http://", "ftp://127.0.0.1", "://a", ""] {
            assert!(url.parse::<Server>().is_err_and(|error| error.contains("http")), "{url}");
        }
    }

    #[test]
    fn a_slash_in_a_name_does_not_split_the_path() {
        assert_eq!(path_segment("a/b ü"), "a%2Fb%20%C3%BC");
    }

    #[test]
    fn only_lines_with_the_key_of_a_control_are_controls() {
        assert!(matches!(control(b"{\"caughtUp\":7}\n"), Some(Control::CaughtUp(_))));
        assert!(control(b"{\"id\":\"a\",\"data\":{\"error\":1}}\n").is_none());
    }
}
