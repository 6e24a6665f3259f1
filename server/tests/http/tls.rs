//! TLS: what a certificate needs, how it is changed under way, and that nobody waits for a handshake for ever.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::support::{Answer, Reply, Server, eventually, head};

/// A directory with a certificate and its key.
pub(super) struct Files {
    dir: TempDir,
    pub(super) certificate: CertificateDer<'static>,
}

impl Files {
    pub(super) fn new() -> Files {
        let dir = tempfile::tempdir().expect("a directory");
        let certificate = write_pair(dir.path());
        Files { dir, certificate }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The command that serves with them.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.env("ANNALS_TLS_CERTIFICATE", self.path().join("cert.pem"));
        command.env("ANNALS_TLS_KEY", self.path().join("key.pem"));
        command
    }

    pub(super) fn serve(&self) -> Server {
        Server::start_on(&self.path().join("data"), self.command())
    }
}

/// Writes a new certificate and its key; gives the certificate.
fn write_pair(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate is made");
    write_private(&dir.join("key.pem"), &made.signing_key.serialize_pem());
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).expect("a file is written");
    made.cert.der().clone()
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file is written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let owners = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, owners).expect("permissions are set");
    }
}

/// A client that trusts one certificate and offers these protocols.
pub(super) fn client(trusted: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("there are versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Sends a request in the clear of TLS; an error when the server proves another name, or none.
fn get(server: &Server, trusted: &CertificateDer<'static>, path: &str) -> std::io::Result<Reply> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(client(trusted, &["http/1.1"]), name).expect("a session");
    let mut connection = StreamOwned::new(session, server.connect());
    connection.write_all(head(server.address(), "GET", path, &[], 0).as_bytes())?;
    Ok(Answer::read(connection).whole("GET"))
}

#[test]
fn with_a_certificate_nothing_is_answered_in_the_clear() {
    let files = Files::new();
    let server = files.serve();
    assert_eq!(get(&server, &files.certificate, "/health/ready").expect("is trusted").status, 200);
    let mut clear = server.connect();
    clear.write_all(head(server.address(), "GET", "/limits", &[], 0).as_bytes()).expect("is sent");
    let mut answered = Vec::new();
    // It may be closed or reset: what matters is what came before.
    drop(clear.read_to_end(&mut answered));
    assert!(!answered.starts_with(b"HTTP"), "{answered:?}");
    let other = Files::new();
    assert!(get(&server, &other.certificate, "/limits").is_err(), "another certificate is not trusted");
}

#[test]
fn a_changed_certificate_is_used_without_a_restart_and_a_broken_one_changes_nothing() {
    let files = Files::new();
    let mut command = files.command();
    command.stderr(Stdio::piped());
    let mut server = Server::start_on(&files.path().join("data"), command);
    let mut log = BufReader::new(server.child().stderr.take().expect("is piped")).lines();
    let mut told = |what: &str| {
        let line = log.by_ref().map_while(Result::ok).find(|line| line.contains(what));
        line.unwrap_or_else(|| panic!("the log does not say: {what}"))
    };

    let second = write_pair(files.path());
    eventually("the new certificate is used", || get(&server, &second, "/health/ready").is_ok());
    assert!(get(&server, &files.certificate, "/limits").is_err());
    told("certificate was read again");

    std::fs::write(files.path().join("cert.pem"), "garbage").expect("a file is written");
    let line = told("the certificate stays as it was");
    assert!(line.contains("cert.pem") && line.contains("BEGIN CERTIFICATE"), "{line}");
    let health = get(&server, &second, "/health/ready").expect("the old one serves on");
    assert_eq!((health.status, &health.json()["reasons"][0]["code"]), (200, &"certificate".into()));
    assert!(!health.text().contains("pem"), "anybody may ask: {}", health.text());

    let third = write_pair(files.path());
    eventually("it is mended", || {
        get(&server, &third, "/health/ready").is_ok_and(|health| health.json()["status"] == "ready")
    });
    let metrics = get(&server, &third, "/metrics").expect("is trusted").text();
    assert!(metrics.contains("annals_tls_reloads_total{outcome=\"refused\"} "), "{metrics}");
}

#[test]
fn files_that_cannot_be_used_keep_the_server_from_starting_and_say_what_to_give() {
    let files = Files::new();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    let other = Files::new();
    let fails = |certificate: &Path, key: &Path, hints: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(files.path().join("data"));
        command.arg("--tls-certificate").arg(certificate).arg("--tls-key").arg(key);
        let ended = command.output().expect("the binary starts");
        let said = String::from_utf8(ended.stderr).expect("messages are text");
        assert_eq!(ended.status.code(), Some(2), "{said}");
        for hint in hints {
            assert!(said.contains(hint), "{hint}: {said}");
        }
    };
    fails(&files.path().join("none.pem"), &key, &["cannot read", "none.pem"]);
    fails(&key, &key, &["key.pem", "BEGIN CERTIFICATE"]);
    fails(&cert, &cert, &["cert.pem", "PRIVATE KEY"]);
    fails(&cert, &other.path().join("key.pem"), &["cert.pem", "give a pair"]);
}

#[cfg(unix)]
#[test]
fn a_key_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let files = Files::new();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(files.path().join("key.pem"), open).expect("permissions are set");
    let mut command = files.command();
    command.stderr(Stdio::piped());
    let mut server = Server::start_on(&files.path().join("data"), command);
    let mut line = String::new();
    let said = server.child().stderr.take().expect("is piped");
    BufReader::new(said).read_line(&mut line).expect("the log is text");
    assert!(line.contains("key.pem can be read by others"), "{line}");
}

#[test]
fn a_handshake_that_does_not_end_is_not_waited_for() {
    let files = Files::new();
    let config = "[http]\nhandshake_wait_ms_max = 200\nconnections_max = 1\n";
    std::fs::write(files.path().join("annals.toml"), config).expect("a file is written");
    let mut command = files.command();
    command.arg("--config").arg(files.path().join("annals.toml"));
    let server = Server::start_on(&files.path().join("data"), command);
    let ended = |mut connection: TcpStream| {
        let read = connection.read(&mut [0; 64]).expect("it is closed, not reset");
        assert_eq!(read, 0);
    };
    ended(server.connect());
    let mut half = server.connect();
    // The head of a record that never comes.
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).expect("is sent");
    ended(half);
    assert_eq!(get(&server, &files.certificate, "/limits").expect("their place is free").status, 200);
}

#[test]
fn a_command_asks_a_server_under_tls_whose_certificate_it_is_told_of_and_no_other() {
    let files = Files::new();
    let server = files.serve();
    let url = format!("https://{}", server.address().replace("127.0.0.1", "localhost"));
    let run = |args: &[&str], trusted: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals"));
        command.args(args).args(["--url", &url]).env("ANNALS_TLS_CA", trusted);
        command.output().expect("the binary starts")
    };
    let trusted = files.path().join("cert.pem");
    let appended = run(&["append", "a", "t", "1"], &trusted);
    let said = String::from_utf8_lossy(&appended.stderr).into_owned();
    assert!(appended.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&run(&["read", "a"], &trusted).stdout).contains("\"streamVersion\":1"));
    let other = Files::new();
    let refused = run(&["read", "a"], &other.path().join("cert.pem"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("ANNALS_TLS_CA"), "{said}");
    let nothing = run(&["read", "a"], &files.path().join("key.pem"));
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("holds no certificate"));
}
