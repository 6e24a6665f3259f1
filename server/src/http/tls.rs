//! TLS: a certificate and its key, read from PEM files, and read again when they change.
//!
//! Promise: new files that cannot be used change nothing. Connections go on with what was read before, and the trouble is told
//! until files come that can be used.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::seen::Seen;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What clients may choose to speak, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// The certificate of the server, and those between it and one that clients know.
    pub(crate) certificate: PathBuf,
    /// The private key of the first of them.
    pub(crate) key: PathBuf,
}

/// What the server proves its name with.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    state: Mutex<State>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    seen: [Seen; 2],
    trouble: Option<String>,
}

/// How often files were read again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reloads {
    pub(super) done: u64,
    pub(super) failed: u64,
}

impl Tls {
    /// Reads the files for the first time.
    pub(crate) fn open(files: TlsFiles) -> Result<Tls, String> {
        let seen = files.look();
        let config = files.read()?;
        let state = Mutex::new(State { config, seen, trouble: None });
        Ok(Tls { files, state, reloads: AtomicU64::new(0), failures: AtomicU64::new(0) })
    }

    /// What the next connection is greeted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.lock().config))
    }

    /// Reads the files again if one of them has changed; none when none has. It may block.
    pub(super) fn refresh(&self) -> Option<Result<(), String>> {
        let seen = self.files.look();
        if seen == self.lock().seen {
            return None;
        }
        let read = self.files.read();
        let mut state = self.lock();
        state.seen = seen;
        Some(match read {
            Ok(config) => {
                state.config = config;
                state.trouble = None;
                self.reloads.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(what) => {
                state.trouble = Some(what.clone());
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(what)
            }
        })
    }

    /// Why the files as they stand are not those in use.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    pub(super) fn reloads(&self) -> Reloads {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Reloads { done: count(&self.reloads), failed: count(&self.failures) }
    }

    /// What whoever runs the server should know of the key's file: that others can read it.
    pub(crate) fn warning(&self) -> Option<String> {
        is_readable_by_others(&self.files.key).then(|| {
            let key = self.files.key.display();
            format!("the key {key} can be read by others than its owner and group; run chmod o= {key}")
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is locked is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TlsFiles {
    fn look(&self) -> [Seen; 2] {
        [Seen::of(&self.certificate), Seen::of(&self.key)]
    }

    fn read(&self) -> Result<Arc<ServerConfig>, String> {
        let of = |path: &Path, what: String| format!("{}: {what}", path.display());
        let certificates = CertificateDer::pem_slice_iter(&read(&self.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| of(&self.certificate, format!("is not PEM: {error}")))?;
        if certificates.is_empty() {
            let what = "holds no certificate; give the PEM file that has `BEGIN CERTIFICATE`".to_owned();
            return Err(of(&self.certificate, what));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| {
            of(&self.key, format!("holds no private key; give the PEM file that has `PRIVATE KEY`: {error}"))
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
            .map_err(|error| {
                let key = self.key.display();
                of(&self.certificate, format!("cannot be used with the key {key}; give a pair: {error}"))
            })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let len = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
    if len > FILE_BYTES_MAX {
        return Err(cannot(&format_args!("it has {len} bytes; at most {FILE_BYTES_MAX} are read")));
    }
    std::fs::read(path).map_err(|error| cannot(&error))
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}
