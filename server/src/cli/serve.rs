//! `annals serve`: the server, from binding its address to closing its store.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use annals::{EventStore, Health};
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::effective::Effective;
use super::failure::Failure;
use super::log::{self, LogFormat};
use super::output::Output;
use super::settings::{Settings, parse_address};
#[cfg(feature = "otlp")]
use crate::http::Spans;
use crate::http::{self, HttpConfig, ServeConfig, Tls, TlsFiles, Tokens, quoted};

/// Serves the store in a directory over HTTP; the command when none is given
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The address and port to listen on; port 0 takes a free one [default: 127.0.0.1:2662]
    #[arg(long, value_name = "ADDR:PORT", env = "ANNALS_LISTEN", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Listen also where other machines can reach it, although nobody is asked for a token
    #[arg(long)]
    allow_remote: bool,
    /// The file of tokens; whoever asks needs one of them. `annals token` makes it
    #[arg(long, value_name = "FILE", env = "ANNALS_TOKENS")]
    tokens: Option<PathBuf>,
    /// The certificate of the server, in PEM, with those between it and one that clients know; with it, it speaks TLS
    #[arg(long, value_name = "FILE", env = "ANNALS_TLS_CERTIFICATE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM; both are read again when they change
    #[arg(long, value_name = "FILE", env = "ANNALS_TLS_KEY", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// What is logged: a level, or levels by place, such as warn,annals::requests=info [default: info, and of requests only
    /// those that the server failed]
    #[arg(long = "log", value_name = "LEVEL", env = "ANNALS_LOG")]
    log: Option<String>,
    /// How the log is written [default: text]
    #[arg(long, value_name = "FORMAT", env = "ANNALS_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// A collector of OpenTelemetry that requests are told to as spans, such as http://127.0.0.1:4318
    #[cfg(feature = "otlp")]
    #[arg(long, value_name = "URL", env = "ANNALS_OTLP")]
    otlp: Option<String>,
    /// Print every setting that holds and where it comes from, as a file that says the same, and do not serve
    #[arg(long)]
    print_config: bool,
    /// Only read, as from a damaged store that refuses writes; what is added by another process is not seen
    #[arg(long)]
    read_only: bool,
}

/// Runs the command until a signal ends it.
pub(crate) fn run(args: &ServeArgs, settings: &Settings) -> Result<(), Failure> {
    if args.print_config {
        return args.print(settings);
    }
    log::begin(&args.log_filter(settings), args.log_format(settings))?;
    let directory = settings.only_directory("serve")?;
    let options = if args.read_only { directory.to_read() } else { directory.to_write() };
    let address = args.listen.unwrap_or(settings.listen);
    let http = args.http(settings);
    let tokens = http.tokens.clone().map(Tokens::open).transpose().map_err(Failure::Usage)?;
    #[cfg(feature = "otlp")]
    let spans = args.otlp.as_deref().map(Spans::to).transpose().map_err(Failure::Usage)?;
    let tls = http.tls.clone().map(Tls::open).transpose().map_err(Failure::Usage)?;
    if let Some(warning) = tls.as_ref().and_then(Tls::warning) {
        warn!("{warning}");
    }
    check_reach(address, args.allow_remote || tokens.is_some())?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(http::threads()).enable_all().build().map_err(cannot_start)?;
    let served = runtime.block_on(async {
        // The address before the store: a second server on it must not touch a directory.
        let listener = TcpListener::bind(address).await.map_err(|error| cannot_listen(address, &error))?;
        let store = EventStore::open(options)?;
        if let (true, Health::Degraded { reason }) = (args.read_only, store.health()) {
            warn!("appends are refused: {reason}");
        }
        let config = ServeConfig {
            listen: listener.local_addr().map_err(cannot_start)?,
            to_read: directory.to_read(),
            http,
            tokens,
            tls,
            #[cfg(feature = "otlp")]
            spans,
        };
        serve(store, listener, config).await
    });
    // What the store was asked for is done. What still waits for a disk, as a backup may, does not hold up the end.
    runtime.shutdown_background();
    served
}

impl ServeArgs {
    /// The bounds of the server, with what flags say.
    fn http(&self, settings: &Settings) -> HttpConfig {
        let mut http = settings.http.clone();
        http.tokens = self.tokens.clone().or(http.tokens);
        http.tls = self.tls_files().or(http.tls);
        http
    }

    /// Prints every setting.
    fn print(&self, settings: &Settings) -> Result<(), Failure> {
        let mut effective = Effective::default();
        settings.show_store(&mut effective);
        effective.add("listen", Some(quoted(self.listen.unwrap_or(settings.listen))));
        effective.add("log", Some(quoted(self.log_filter(settings))));
        effective.add("log_format", Some(quoted(self.log_format(settings).as_str())));
        for (key, value) in HttpConfig::KEYS.iter().zip(self.http(settings).shown()) {
            effective.add(format!("http.{key}"), value);
        }
        let mut out = Output::stdout();
        out.bytes(effective.to_toml(&settings.origins).as_bytes())?;
        out.flush()
    }

    fn log_filter(&self, settings: &Settings) -> String {
        let chosen = self.log.as_ref().or(settings.log.as_ref());
        chosen.map_or_else(|| log::FILTER.to_owned(), String::clone)
    }

    fn log_format(&self, settings: &Settings) -> LogFormat {
        self.log_format.or(settings.log_format).unwrap_or_default()
    }

    /// The files of the certificate, which are given together or not at all.
    fn tls_files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_certificate.clone().zip(self.tls_key.clone())?;
        Some(TlsFiles { certificate, key })
    }
}

async fn serve(store: EventStore, listener: TcpListener, config: ServeConfig) -> Result<(), Failure> {
    let listen = config.listen;
    if let Some(torn) = store.torn_tail() {
        info!(offset = torn.offset, "a torn tail was mended; nothing that was acknowledged is missing");
    }
    // Signals before the first line: who reads it may end the server at once.
    let shutdown = end_signal().map_err(cannot_start)?;
    announce(listen, config.tls.is_some())?;
    info!(address = %listen, events = store.head().get(), "the server listens");
    http::serve(store.clone(), config, listener, shutdown).await;
    store.close()?;
    info!("the store is closed");
    Ok(())
}

fn announce(address: SocketAddr, speaks_tls: bool) -> Result<(), Failure> {
    let mut out = Output::stdout();
    let scheme = if speaks_tls { "https" } else { "http" };
    out.line(format_args!("annals listening on {scheme}://{address}"))?;
    out.flush()
}

/// Refuses an address that other machines can reach, unless that is said to be meant.
fn check_reach(address: SocketAddr, allow_remote: bool) -> Result<(), Failure> {
    if address.ip().is_loopback() || allow_remote {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{address} can be reached from other machines, and nobody is asked for a token; listen on 127.0.0.1, give a \
         file of tokens with --tokens, or add --allow-remote if the network keeps strangers out"
    )))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    Failure::Unusable(match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is in use; stop who listens there, or choose another with --listen ADDR:PORT")
        }
        _ => format!("cannot listen on {address}: {error}"),
    })
}

fn cannot_start(error: io::Error) -> Failure {
    Failure::Unusable(format!("the server cannot start: {error}"))
}

/// Takes over the signals that end a server; the future is ready when one came.
#[cfg(unix)]
fn end_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(std::future::poll_fn(move |context| {
        // Both are asked, so that both wake this.
        let came = [interrupt.poll_recv(context), terminate.poll_recv(context)];
        if came.iter().any(|poll| poll.is_ready()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    }))
}

/// Takes over the signals that end a server; the future is ready when one came.
#[cfg(not(unix))]
fn end_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        // Without a handler the server can still be ended by force; there is nothing else to do.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_needs_a_flag() {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 2662));
        assert!(matches!(check_reach(everywhere, false), Err(Failure::Usage(_))));
        assert!(check_reach(everywhere, true).is_ok());
        assert!(check_reach(SocketAddr::from(([127, 0, 0, 1], 0)), false).is_ok());
    }
}
