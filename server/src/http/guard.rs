//! What every request passes: it is no larger than it may be, comes from where it may, and may do what it asks for.
//!
//! A store on a developer's machine asks for no token, so any page in the browser could write to it; but a browser says in `Host`
//! and `Origin` where a request is meant to go and where it comes from.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::access::{Access, Bearer, Scope};
use super::answer;
use super::app::App;
use super::body::drained;
use super::cors;
use super::packing;
use super::paths;
use super::problem::{self, Problem};
use super::rate;
use super::unpacking;

/// The most bytes of a request's path, parameters and headers.
pub(crate) const HEAD_BYTES_MAX: usize = 32 << 10;

/// The most headers of a request.
pub(crate) const HEADERS_MAX: usize = 100;

/// What of a request its answer depends on, whoever makes that.
pub(super) struct Asked {
    /// The page that it comes from, when that is let in.
    page: Option<HeaderValue>,
    takes_gzip: bool,
}

/// What of a request the answer of its resource depends on.
pub(super) struct Passed {
    bearer: Option<Bearer>,
    asks_for_methods: bool,
}

/// Checks a request before anything else looks at it: it is passed on, or has its answer already.
///
/// Nothing here waits, so that a request is not carried from one waiting function to the next.
pub(super) fn check(app: &Arc<App>, request: Request) -> (Asked, Result<(Request, Passed), Response>) {
    let request = drained(request);
    let hosts = app.listen.ip().is_loopback().then_some(&app.config.hosts[..]);
    let page = cors::allowed_origin(request.headers(), &app.config);
    let asked = Asked { takes_gzip: packing::is_taken(request.headers()), page };
    let checked = check_size(&request)
        .and_then(|()| check_host(request.uri(), request.headers(), hosts))
        .and_then(|()| match &asked.page {
            Some(_) => Ok(()),
            None => check_origin(request.uri(), request.headers()),
        });
    if let Err(problem) = checked {
        return (asked, Err(problem.into_response()));
    }
    if let Some(response) = cors::preflight(request.method(), request.headers()) {
        return (asked, Err(response));
    }
    (asked, pass(app, request).map_err(IntoResponse::into_response))
}

/// The request with what it may do, if it may.
fn pass(app: &Arc<App>, request: Request) -> Result<(Request, Passed), Problem> {
    let allowed = access_of(app, &request);
    // Who guesses tokens is held back as well.
    let bearer = allowed.as_ref().ok().and_then(|(_, bearer)| bearer.as_ref());
    let request = rate::admitted(app, request, bearer)?;
    let (access, bearer) = allowed?;
    let mut request = unpacking::unpacked(request)?;
    request.extensions_mut().insert(access);
    if let Some(bearer) = &bearer {
        request.extensions_mut().insert(bearer.clone());
    }
    let asks_for_methods = request.method() == Method::OPTIONS;
    Ok((request, Passed { bearer, asks_for_methods }))
}

impl Passed {
    /// What its resource has answered, as it is answered.
    pub(super) fn answered(self, mut response: Response) -> Response {
        // No resource has this method, but each says which ones it has.
        if self.asks_for_methods && response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let methods = response.headers_mut().remove(header::ALLOW);
            response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().extend(methods.map(|methods| (header::ALLOW, methods)));
        }
        if let Some(bearer) = self.bearer {
            response.extensions_mut().insert(bearer);
        }
        response
    }
}

impl Asked {
    /// An answer as it is sent: it names the history.
    pub(super) fn answered(self, app: &App, mut response: Response) -> Response {
        if let Some(origin) = self.page {
            cors::let_in(&mut response, origin);
        }
        response.headers_mut().insert(answer::HISTORY, app.history.clone());
        packing::packed(response, self.takes_gzip)
    }
}

/// What a request may do, once it is known that it may do what its method and its path say; and by whose token.
fn access_of(app: &App, request: &Request) -> Result<(Access, Option<Bearer>), Problem> {
    let path = request.uri().path();
    let Some(tokens) = app.tokens.as_ref().filter(|_| !paths::FOR_ALL.contains(&path)) else {
        return Ok((Access::everything(), None));
    };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|given| {
        let (scheme, token) = given.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
    });
    let (access, bearer) = token.and_then(|token| tokens.access_of(token)).ok_or_else(|| {
        Problem::new(problem::UNAUTHORIZED, "send a token that is known, as `Authorization: Bearer TOKEN`")
    })?;
    match *request.method() {
        Method::OPTIONS => {}
        Method::GET | Method::HEAD if paths::FOR_BEARERS.contains(&path) => {}
        Method::GET | Method::HEAD => access.check(Scope::Read)?,
        _ if path.starts_with(paths::ADMIN) => access.check(Scope::Admin)?,
        _ => access.check(Scope::Append)?,
    }
    Ok((access, Some(bearer)))
}

fn check_size(request: &Request) -> Result<(), Problem> {
    let too_large = |what: &str, limit: &'static str, max: usize| {
        Err(Problem::new(
            problem::HEAD_TOO_LARGE,
            format!("the request has more than {max} {what}; shorten its path or its headers"),
        )
        .with("limit", limit)
        .with("max", max))
    };
    let headers = request.headers();
    if headers.len() > HEADERS_MAX {
        return too_large("headers", "headersMax", HEADERS_MAX);
    }
    let target = request.uri();
    let path = target.path_and_query().map_or(0, |path| path.as_str().len())
        + target.authority().map_or(0, |host| host.as_str().len());
    let of_headers = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if path + of_headers.sum::<usize>() > HEAD_BYTES_MAX {
        return too_large("bytes before its body", "headBytesMax", HEAD_BYTES_MAX);
    }
    Ok(())
}

/// `hosts` are the names allowed beside those of the loopback; none when the server can be reached from elsewhere and
/// cannot know all its names.
pub(super) fn check_host(target: &Uri, headers: &HeaderMap, hosts: Option<&[String]>) -> Result<(), Problem> {
    // A proxy in front may have chosen the other one.
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Problem::invalid("the request has more than one `Host`; send one"));
    }
    match hosts {
        // A page whose own name was made to resolve to this machine passes every check of its browser but this.
        Some(hosts) if !is_own(host_of(target, headers), hosts) => Err(Problem::new(
            problem::FORBIDDEN,
            "the request names another host than this one; call the server localhost, 127.0.0.1 or [::1], or add the name \
             to `hosts` in `[http]` of annals.toml",
        )),
        _ => Ok(()),
    }
}

/// Refuses web pages of other origins.
pub(super) fn check_origin(target: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::ORIGIN) {
        Some(origin) if !is_same(origin.as_bytes(), host_of(target, headers)) => Err(Problem::new(
            problem::FORBIDDEN,
            "the request comes from a web page of another origin; to let its pages in, add that to `cors_origins` in \
             `[http]` of annals.toml",
        )),
        _ => Ok(()),
    }
}

/// For which host a request is meant. A target that names one, as every target of HTTP/2 does, stands before `Host`.
fn host_of<'a>(target: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    target.authority().map(Authority::as_str).or(named).unwrap_or_default()
}

fn is_own(host: &str, hosts: &[String]) -> bool {
    // What nearly every client of this machine says is known without being taken apart.
    let is_number = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let named = host.rsplit_once(':').filter(|(_, port)| is_number(port)).map_or(host, |(name, _)| name);
    if named == "127.0.0.1" || named.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn is_same(origin: &[u8], host: &str) -> bool {
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(host: &'static str, origin: Option<&'static str>, hosts: Option<&[String]>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        let target = Uri::from_static("/events");
        check_host(&target, &headers, hosts).is_ok() && check_origin(&target, &headers).is_ok()
    }

    #[test]
    fn a_local_server_answers_only_to_local_names() {
        for host in ["localhost:2662", "LOCALHOST", "127.0.0.1:1", "127.8.9.1", "[::1]:2662"] {
            assert!(passes(host, None, Some(&[])), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1:2662", "", "a b"] {
            assert!(!passes(host, None, Some(&[])), "{host}");
        }
        assert!(check_host(&Uri::from_static("/events"), &HeaderMap::new(), Some(&[])).is_err());
    }

    #[test]
    fn a_host_that_the_target_names_stands_before_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost:2662"));
        for target in
            ["http://evil.example/events", "http://localhost@evil.example/events", "evil.example:443"]
        {
            assert!(check_host(&Uri::from_static(target), &headers, Some(&[])).is_err(), "{target}");
        }
        let own = Uri::from_static("http://127.0.0.1:2662/events");
        headers.insert(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(check_host(&own, &headers, Some(&[])).is_ok());
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://evil.example"));
        assert!(check_origin(&own, &headers).is_err());
    }

    #[test]
    fn a_configured_name_is_a_local_one() {
        assert!(passes("annals.test:80", None, Some(&["annals.test".to_owned()])));
    }

    #[test]
    fn a_server_that_others_can_reach_answers_to_every_name() {
        assert!(passes("annals.example", None, None));
    }

    #[test]
    fn a_page_of_another_origin_is_refused_and_one_of_the_same_is_not() {
        assert!(passes("localhost:2662", Some("http://localhost:2662"), Some(&[])));
        for origin in ["http://localhost:3000", "http://evil.example", "null", "localhost:2662"] {
            assert!(!passes("localhost:2662", Some(origin), Some(&[])), "{origin}");
            assert!(!passes("localhost:2662", Some(origin), None), "{origin}");
        }
    }
}
