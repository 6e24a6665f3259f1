//! How much one client may ask: requests a second, and bytes of bodies a second, by its token or else by its address.
//!
//! Promise: whoever asks for no more than its rate is never refused, and what is remembered of others is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::Deserialize;

use super::access::Bearer;
use super::app::App;
use super::paths;
use super::problem::{self, Problem};

/// How many clients are remembered at one time. One that has been silent for a second need not be.
const CLIENTS_MAX: usize = 8192;

/// How much may be asked in a second; what is not said has no limit. As much may be asked at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// Requests.
    #[serde(default)]
    pub(crate) requests_per_second_max: Option<NonZeroU32>,
    /// Bytes of the bodies of requests, as they come.
    #[serde(default)]
    pub(crate) bytes_per_second_max: Option<NonZeroU32>,
}

impl Rate {
    /// What holds where this says nothing of its own.
    pub(super) fn or(self, other: Rate) -> Rate {
        Rate {
            requests_per_second_max: self.requests_per_second_max.or(other.requests_per_second_max),
            bytes_per_second_max: self.bytes_per_second_max.or(other.bytes_per_second_max),
        }
    }

    /// What is said, as TOML; none when nothing is.
    pub(super) fn shown(self) -> Option<String> {
        let said = [
            self.requests_per_second_max.map(|max| format!("requests_per_second_max = {max}")),
            self.bytes_per_second_max.map(|max| format!("bytes_per_second_max = {max}")),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| format!("{{ {} }}", said.join(", ")))
    }

    pub(super) fn is_none(self) -> bool {
        self == Rate::default()
    }
}

/// The address that a request comes from, where that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// The bearer of the token with this name.
    Token(Arc<str>),
    /// Somebody at this address.
    Address(IpAddr),
}

impl Client {
    /// Who asks from an address. One who has an address of IPv6 has as many as can be counted in its lower half.
    pub(super) fn at(address: IpAddr) -> Client {
        Client::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            address => address,
        })
    }
}

/// What clients have asked in the last second.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    clients: Mutex<HashMap<Client, Asked>>,
    refused: AtomicU64,
}

/// What one client may still ask.
#[derive(Debug, Clone, Copy)]
struct Asked {
    requests: Bucket,
    bytes: Bucket,
}

/// What is left of a second's worth, and when that was so. Less than nothing is owed.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Takes a request, and counts what comes of its body; or refuses it. `bearer` is whose token it has.
pub(super) fn admitted(
    app: &Arc<App>,
    request: Request,
    bearer: Option<&Bearer>,
) -> Result<Request, Problem> {
    let rate = bearer.map_or(Rate::default(), |bearer| bearer.rate).or(app.config.rate);
    // Whoever asks how the server is has to be told.
    if rate.is_none() || paths::FOR_ALL.contains(&request.uri().path()) {
        return Ok(request);
    }
    let client = match (bearer, request.extensions().get::<Peer>()) {
        (Some(bearer), _) => Client::Token(Arc::clone(&bearer.name)),
        (None, Some(Peer(address))) => Client::at(*address),
        (None, None) => return Ok(request),
    };
    app.rates.admit(client.clone(), rate, Instant::now())?;
    if rate.bytes_per_second_max.is_none() {
        return Ok(request);
    }
    let app = Arc::clone(app);
    Ok(request.map(|body| Body::new(Counted { body, client, app })))
}

/// A body whose bytes are counted as they come.
struct Counted {
    body: Body,
    client: Client,
    app: Arc<App>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        self.app.rates.count(&self.client, data.map_or(0, Bytes::len));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Rates {
    /// Takes a request of a client, or refuses it.
    pub(super) fn admit(&self, client: Client, rate: Rate, now: Instant) -> Result<(), Problem> {
        let refused = {
            let mut clients = self.lock();
            let asked = entry(&mut clients, client, rate, now);
            let of_bytes =
                rate.bytes_per_second_max.and_then(|max| Some((asked.bytes.wait(0.0, max, now)?, max)));
            let of_requests =
                rate.requests_per_second_max.and_then(|max| Some((asked.requests.wait(1.0, max, now)?, max)));
            match (of_bytes, of_requests) {
                (Some((wait, max)), _) => Some(("bytesPerSecondMax", "bytes", wait, max)),
                (None, Some((wait, max))) => Some(("requestsPerSecondMax", "requests", wait, max)),
                (None, None) => {
                    asked.requests.left -= 1.0;
                    None
                }
            }
        };
        let Some((limit, unit, wait, max)) = refused else { return Ok(()) };
        self.refused.fetch_add(1, Ordering::Relaxed);
        let detail = format!(
            "more than {max} {unit} a second were asked; wait as long as `Retry-After` says, and ask for less"
        );
        let problem = Problem::new(problem::TOO_MANY, detail).with("limit", limit).with("max", max.get());
        Err(problem.retry_after(wait))
    }

    /// Counts bytes that came from a client. They are there: whoever sent too many is refused later.
    pub(super) fn count(&self, client: &Client, bytes: usize) {
        if let Some(asked) = self.lock().get_mut(client) {
            asked.bytes.left -= bytes as f64;
        }
    }

    /// How many requests were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Client, Asked>> {
        // What is locked is whole at every moment.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client may still ask; room is made for one who is not known.
fn entry(clients: &mut HashMap<Client, Asked>, client: Client, rate: Rate, now: Instant) -> &mut Asked {
    if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
        clients.retain(|_, asked| asked.is_recent(now));
        // All of them ask at this very moment: one of them begins anew, which costs less than refusing others.
        if clients.len() >= CLIENTS_MAX
            && let Some(some) = clients.keys().next().cloned()
        {
            clients.remove(&some);
        }
    }
    let full = |max: Option<NonZeroU32>| Bucket { left: max.map_or(0.0, |max| max.get().into()), at: now };
    clients.entry(client).or_insert_with(|| Asked {
        requests: full(rate.requests_per_second_max),
        bytes: full(rate.bytes_per_second_max),
    })
}

impl Asked {
    /// Whether it has asked something that has not been forgotten: who owes is not forgiven.
    fn is_recent(&self, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        [self.requests, self.bytes].iter().any(|bucket| bucket.at + second > now || bucket.left < 0.0)
    }
}

impl Bucket {
    /// Fills up to now, and tells how long it takes until `wanted` are left; none when they are. Of none, there has to be
    /// more than nothing.
    fn wait(&mut self, wanted: f64, max: NonZeroU32, now: Instant) -> Option<Duration> {
        let rate = f64::from(max.get());
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate).min(rate);
        self.at = self.at.max(now);
        let lacking = wanted - self.left;
        (lacking > 0.0).then(|| Duration::from_secs_f64(lacking / rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32, bytes: u32) -> Rate {
        Rate {
            requests_per_second_max: NonZeroU32::new(requests),
            bytes_per_second_max: NonZeroU32::new(bytes),
        }
    }

    fn client(number: u16) -> Client {
        Client::at(IpAddr::from([0x2001, number, 0, 0, 0, 0, 0, 1]))
    }

    #[test]
    fn a_seconds_worth_may_be_asked_at_once_and_then_as_it_comes() {
        let (rates, now) = (Rates::default(), Instant::now());
        let asks =
            |after_ms| rates.admit(client(1), rate(4, 0), now + Duration::from_millis(after_ms)).is_ok();
        assert!((0..4).all(|_| asks(0)));
        assert!(!asks(0) && !asks(240));
        assert!(asks(250) && !asks(250) && asks(500));
        assert!((0..4).all(|_| asks(60_000)) && !asks(60_000), "no more than a second's worth is saved up");
        assert_eq!(rates.refused(), 4);
        assert!(rates.admit(client(2), rate(4, 0), now).is_ok(), "another client asks for itself");
    }

    #[test]
    fn bytes_that_came_are_owed() {
        let (rates, now) = (Rates::default(), Instant::now());
        let asks =
            |after_ms| rates.admit(client(1), rate(0, 100), now + Duration::from_millis(after_ms)).is_ok();
        assert!(asks(0));
        rates.count(&client(1), 350);
        assert!(!asks(0) && !asks(2_400) && asks(2_500));
    }

    #[test]
    fn all_addresses_of_one_household_are_one_client() {
        let at = |text: &str| Client::at(text.parse().expect("an address"));
        assert_eq!(at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::2"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }

    #[test]
    fn no_more_clients_are_remembered_than_there_is_room_for_and_who_owes_is_not_forgiven() {
        let (rates, now) = (Rates::default(), Instant::now());
        let late = now + Duration::from_secs(2);
        for number in 0..CLIENTS_MAX as u16 {
            rates.admit(client(number), rate(1, 1), now).expect("it asks once");
        }
        rates.count(&client(7), 1000);
        rates.admit(client(CLIENTS_MAX as u16), rate(1, 1), late).expect("it asks once");
        assert_eq!(rates.lock().len(), 2);
        assert!(rates.admit(client(7), rate(1, 1), late).is_err());
        for number in 0..2 * CLIENTS_MAX as u16 {
            drop(rates.admit(client(number), rate(1, 1), late));
        }
        assert!(rates.lock().len() <= CLIENTS_MAX);
    }
}
