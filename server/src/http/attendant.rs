//! Looks after the server while it runs: reads files again that have changed, and tells the log what became of the store.
//!
//! The store tells nobody by itself, and an append that is refused tells its client alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annals::{Health, Position, Read};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::app::App;
use super::problem::Problem;
use super::tls::Tls;
use super::token::Tokens;

/// How often it looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How many looks lie between two at the disk: there may be many files.
const DISK_EVERY: u64 = 15;

/// How far the clock may be behind the newest event before that is told: clocks are never quite alike.
const BEHIND_MS_MAX: u64 = 5_000;

/// What it saw when it looked the last time.
#[derive(Debug, Default)]
struct Attendant {
    trouble: Option<&'static str>,
    missing: u64,
    segments: u64,
    head: Option<Position>,
    /// How often it has looked.
    looks: u64,
}

/// Looks for as long as it is awaited.
pub(super) async fn attend(app: Arc<App>) {
    let mut attendant = Attendant { segments: app.store.metrics().segments, ..Attendant::default() };
    loop {
        let looked = app.blocking(move |app| {
            attendant.look(app);
            Ok(attendant)
        });
        // A look that panics is told by the panic, and the next one begins anew.
        attendant = looked.await.unwrap_or_default();
        sleep(PAUSE).await;
    }
}

impl Attendant {
    fn look(&mut self, app: &App) {
        if let Some(Err(what)) = app.tokens.as_ref().map(Tokens::refresh) {
            warn!("the tokens stay as they were: {what}");
        }
        match app.tls.as_ref().and_then(Tls::refresh) {
            Some(Ok(())) => info!("the certificate was read again"),
            Some(Err(what)) => warn!("the certificate stays as it was: {what}"),
            None => {}
        }
        self.look_at_store(app);
        if self.looks.is_multiple_of(DISK_EVERY) {
            app.disk.look(app);
        }
        self.looks += 1;
        self.look_at_clock(app);
    }

    fn look_at_store(&mut self, app: &App) {
        // A balancer that was told of no space sends no append that would find some.
        app.store.look_for_space();
        let trouble = app.store.trouble();
        let code = trouble.as_ref().map(|error| Problem::from(error.clone()).code());
        match (self.trouble, trouble) {
            (before, Some(trouble)) if before != code => {
                error!(code, "appends are refused: {trouble}");
            }
            (Some(_), None) => info!("appends are taken again"),
            _ => {}
        }
        self.trouble = code;
        let missing = match app.store.health() {
            Health::Warming { missing } => missing,
            _ => 0,
        };
        match (self.missing, missing) {
            (0, 1..) => info!(missing, "indexes are being built"),
            (1.., 0) => info!("all indexes are there"),
            _ => {}
        }
        self.missing = missing;
        let segments = app.store.metrics().segments;
        match segments.checked_sub(self.segments) {
            Some(0) => {}
            Some(sealed) => info!(sealed, segments, "the log went on in another segment"),
            None => info!(segments, "retention dropped segments"),
        }
        self.segments = segments;
    }

    fn look_at_clock(&mut self, app: &App) {
        let (head, behind) = (app.store.head(), app.clock_behind_ms.load(Ordering::Relaxed));
        if self.head == Some(head) && behind == 0 {
            return;
        }
        self.head = Some(head);
        let newest = app.store.read(Read::all().backward().system(true).limit(1)).ok();
        let Some(Ok(newest)) = newest.and_then(|mut events| events.next()) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ahead = u128::try_from(newest.recorded_at().as_nanos() / 1_000_000).unwrap_or_default();
        let by = u64::try_from(ahead.saturating_sub(now.as_millis())).unwrap_or(u64::MAX);
        let by = if by > BEHIND_MS_MAX { by } else { 0 };
        match (behind, by) {
            (0, 1..) => warn!(milliseconds = by, "the clock is behind the newest event"),
            (1.., 0) => info!("the clock has caught up with the newest event"),
            _ => {}
        }
        app.clock_behind_ms.store(by, Ordering::Relaxed);
    }
}
