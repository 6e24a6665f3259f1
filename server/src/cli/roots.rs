//! The certificates that those of servers are checked against: of a file that the environment names, or of the system's.

use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, parse_pem};

/// The variable that names a file of them, such as the certificate of a server that signed its own.
pub(super) const VARIABLE: &str = "ANNALS_TLS_CA";

/// The variable that other programs heed.
const VARIABLE_OF_ALL: &str = "SSL_CERT_FILE";

/// Where systems keep them: Debian, Red Hat, SUSE, BSD and macOS.
const OF_SYSTEMS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads them.
pub(super) fn read() -> Result<Vec<Certificate<'static>>, String> {
    let named = [VARIABLE, VARIABLE_OF_ALL].into_iter().find_map(std::env::var_os).map(PathBuf::from);
    let of_system = || OF_SYSTEMS.iter().map(PathBuf::from).find(|path| path.exists());
    let path = named.or_else(of_system).ok_or_else(|| {
        format!("there is no file of certificates that servers are checked against; name one with {VARIABLE}")
    })?;
    let found = in_file(&path).map_err(|what| format!("{}: {what}", path.display()))?;
    match found.is_empty() {
        true => Err(format!("{} holds no certificate; give a PEM file", path.display())),
        false => Ok(found),
    }
}

fn in_file(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let len = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if len > FILE_BYTES_MAX {
        return Err(format!("has {len} bytes; at most {FILE_BYTES_MAX} are read"));
    }
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| error.to_string())? {
            found.push(certificate);
        }
    }
    Ok(found)
}
