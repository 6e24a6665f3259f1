//! Settings: flags before environment before `annals.toml` before defaults.
//!
//! Clap has merged flags and environment already; what neither gave may stand in the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::client::Server;
use super::duration::write_duration;
use super::effective::Effective;
use super::failure::Failure;
use super::file::{Configured, Origin};
use super::keeping::{Keeping, KeepingArgs};
use super::log::LogFormat;
use crate::http::{HttpConfig, TlsFiles, quoted};
use annals::{MEMORY_BYTES_MIN, Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// The configuration file that is read when it is there.
const FILE: &str = "annals.toml";

/// The data directory when nothing names another.
const DATA: &str = "./annals-data";

/// The address of the server when nothing names another.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2662);

/// The heading of the flags of every command.
const WHERE: &str = "Where the events are";

/// The flags of every command. None may be called like an argument of a command: clap would take them for one.
#[derive(Debug, clap::Args)]
pub(crate) struct GlobalArgs {
    /// The directory of the store [default: ./annals-data]
    #[arg(long = "data", global = true, help_heading = WHERE, value_name = "DIR", env = "ANNALS_DATA")]
    dir: Option<PathBuf>,
    /// A running server to ask, such as http://127.0.0.1:2662, instead of the directory
    #[arg(long, global = true, help_heading = WHERE, value_name = "URL")]
    url: Option<Server>,
    /// The configuration file [default: annals.toml, when it is there]
    #[arg(long, global = true, help_heading = WHERE, value_name = "FILE", env = "ANNALS_CONFIG")]
    config: Option<PathBuf>,
    /// The size of new segment files in bytes, for commands that write [default: 67108864]
    #[arg(
        long,
        global = true,
        help_heading = WHERE,
        value_name = "BYTES",
        env = "ANNALS_SEGMENT_BYTES",
        value_parser = clap::value_parser!(u64).range(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX)
    )]
    segment_bytes: Option<u64>,
    /// The memory that the store keeps to in bytes, mapped files not counted [default: 268435456]
    #[arg(
        long,
        global = true,
        help_heading = WHERE,
        value_name = "BYTES",
        env = "ANNALS_MEMORY_BYTES",
        value_parser = clap::value_parser!(u64).range(MEMORY_BYTES_MIN..)
    )]
    memory_bytes: Option<u64>,
    /// Write although the clock is more than a year ahead of the last event, as in a store that rested for long
    #[arg(long, global = true, help_heading = WHERE)]
    allow_clock_jump: bool,
    #[command(flatten)]
    keeping: KeepingArgs,
}

/// What holds for one run.
#[derive(Debug)]
pub(crate) struct Settings {
    dir: PathBuf,
    url: Option<Server>,
    /// Where the server listens unless a flag says otherwise.
    pub(crate) listen: SocketAddr,
    /// What a server logs, as the file says.
    pub(crate) log: Option<String>,
    /// How, as the file says.
    pub(crate) log_format: Option<LogFormat>,
    /// The size of new segments; none is the library's default.
    segment_bytes: Option<u64>,
    /// The store's memory; none is the library's default.
    memory_bytes: Option<u64>,
    allow_clock_jump: bool,
    keeping: Keeping,
    /// The bounds of the server.
    pub(crate) http: HttpConfig,
    /// Where each setting comes from that is not the default.
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// Where the events are.
pub(crate) enum Place<'a> {
    /// In a directory, opened by this process.
    Directory(Directory<'a>),
    /// Behind a server.
    Server(&'a Server),
}

/// The directory of a store and how to open it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directory<'a> {
    dir: &'a Path,
    segment_bytes: Option<u64>,
    memory_bytes: Option<u64>,
    allow_clock_jump: bool,
    keeping: Keeping,
}

impl Settings {
    /// Puts together flags, environment and file.
    ///
    /// `given` is where settings of a server stood that the flags or their part of the environment gave.
    pub(crate) fn resolve(args: GlobalArgs, given: BTreeMap<String, Origin>) -> Result<Settings, Failure> {
        let path = args.config.clone().unwrap_or_else(|| FILE.into());
        let environment =
            std::env::vars_os().filter_map(|(name, text)| Some((name.into_string().ok()?, text)));
        let Configured { file, mut origins } = Configured::read(&path, args.config.is_some(), environment)?;
        origins.extend(given);
        let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
        let listen = match &file.listen {
            Some(text) => parse_address(text).map_err(|what| wrong(format!("`listen`: {what}")))?,
            None => LISTEN,
        };
        if let Some(bytes) = file.segment_bytes
            && !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes)
        {
            let range = format!("{SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes");
            return Err(wrong(format!("`segment_bytes` is {bytes}; a segment has {range}")));
        }
        if let Some(bytes) = file.memory_bytes
            && bytes < MEMORY_BYTES_MIN
        {
            return Err(wrong(format!("`memory_bytes` is {bytes}; a store needs {MEMORY_BYTES_MIN} bytes")));
        }
        let keeping = args.keeping.or(file.keeping());
        // A directory that the file names is meant from where the file lies.
        let beside_file = |data: PathBuf| path.parent().map(|parent| parent.join(&data)).unwrap_or(data);
        let dir = args.dir.or(file.data.map(&beside_file)).unwrap_or_else(|| DATA.into());
        let segment_bytes = args.segment_bytes.or(file.segment_bytes);
        let memory_bytes = args.memory_bytes.or(file.memory_bytes);
        let GlobalArgs { url, allow_clock_jump, .. } = args;
        let mut http = file.http;
        http.tls = http
            .tls
            .map(|tls| TlsFiles { certificate: beside_file(tls.certificate), key: beside_file(tls.key) });
        http.tokens = http.tokens.map(beside_file);
        let (log, log_format) = (file.log, file.log_format);
        Ok(Settings {
            dir,
            url,
            listen,
            log,
            log_format,
            segment_bytes,
            memory_bytes,
            allow_clock_jump,
            keeping,
            http,
            origins,
        })
    }

    /// What holds for the store, for `serve --print-config`.
    pub(crate) fn show_store(&self, effective: &mut Effective) {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let duration = |duration: Option<Duration>| duration.map(|time| quoted(write_duration(time)));
        let Keeping { retention, idempotency_window } = self.keeping;
        effective.add("data", Some(quoted(self.dir.display())));
        effective.add("segment_bytes", number(self.segment_bytes));
        effective.add("memory_bytes", number(self.memory_bytes));
        effective.add("retention_age", duration(retention.max_age));
        effective.add("retention_bytes", number(retention.max_bytes));
        effective.add("idempotency_window", duration(idempotency_window));
    }

    /// The directory or the server that was named.
    pub(crate) fn place(&self) -> Place<'_> {
        match &self.url {
            Some(server) => Place::Server(server),
            None => Place::Directory(self.directory()),
        }
    }

    /// The directory, for a command that works on files; `command` names it when a server was given instead.
    pub(crate) fn only_directory(&self, command: &str) -> Result<Directory<'_>, Failure> {
        match self.url {
            Some(_) => Err(Failure::Usage(format!(
                "`annals {command}` works on the files themselves: name the directory with --data, not a server \
                 with --url"
            ))),
            None => Ok(self.directory()),
        }
    }

    fn directory(&self) -> Directory<'_> {
        Directory {
            dir: &self.dir,
            segment_bytes: self.segment_bytes,
            memory_bytes: self.memory_bytes,
            allow_clock_jump: self.allow_clock_jump,
            keeping: self.keeping,
        }
    }
}

impl Directory<'_> {
    /// How to open the store for writing; it is made where there is none.
    pub(crate) fn to_write(self) -> Options {
        let options = self.keeping.apply(self.options()).allow_clock_jump(self.allow_clock_jump);
        match self.segment_bytes {
            Some(bytes) => options.segment_bytes(bytes),
            None => options,
        }
    }

    fn options(self) -> Options {
        let options = Options::new(self.dir);
        match self.memory_bytes {
            Some(bytes) => options.memory_bytes(bytes),
            None => options,
        }
    }

    /// How to open the store for reading. A server may use the directory at the same time.
    pub(crate) fn to_read(self) -> Options {
        self.options().read_only(true).create(false)
    }

    /// How to copy out of the store, which is only read; the segments of the copy have the size that was asked for.
    pub(crate) fn to_salvage(self) -> Options {
        self.to_write().read_only(true).create(false)
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.dir
    }
}

/// Reads an address to listen on.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is no address and port, such as {LISTEN} or [::1]:2662"))
}
