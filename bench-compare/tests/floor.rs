//! That the floor says what annals says: asked the same, both answer with the same fields in the same order, which differ in the
//! ids and times that they hold and in nothing else.
#![cfg(feature = "http")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A server over a directory of its own. Both are gone when it is dropped.
struct Server {
    child: Child,
    dir: PathBuf,
    address: String,
}

impl Server {
    fn start(name: &str, arguments: &[&str], test: &str) -> Server {
        let dir = std::env::temp_dir().join(format!("annals-floor-{}-{test}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_annals-bench-compare"));
        command.arg0(name).args(arguments).arg(dir.join("store")).current_dir(&dir).env_clear();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().split_once("http://").unwrap().1.to_owned();
        Server { child, dir, address }
    }

    fn both(test: &str) -> [Server; 2] {
        let floor = Server::start("floor", &["floor"], test);
        [floor, Server::start("annals", &["serve", "--listen", "127.0.0.1:0", "--data"], test)]
    }

    /// Asks on a connection of its own, whose end is that of the answer.
    fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n", body.len());
        write!(socket, "{head}Content-Type: application/json\r\n\r\n{body}").unwrap();
        socket
    }

    /// The status and the body, with ids and times as their lengths.
    fn ask(&self, method: &str, path: &str, body: &str) -> (String, String) {
        let mut answer = String::new();
        self.send(method, path, body).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().to_owned(), masked(body))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A body with ids as their lengths, and times as a word: one in a thousand ends with zeros, which are left out.
fn masked(body: &str) -> String {
    let mut out = body.to_owned();
    for field in ["id", "eventId", "timestamp", "recordedAt"] {
        let name = format!("\"{field}\":\"");
        let mut from = 0;
        while let Some(at) = out[from..].find(&name) {
            from += at + name.len();
            let len = out[from..].find('"').unwrap();
            let value = match field {
                "id" | "eventId" => format!("an id of {len}"),
                _ => {
                    assert!((20..=30).contains(&len) && out[from..from + len].ends_with('Z'), "{body}");
                    "a time".to_owned()
                }
            };
            out.replace_range(from..from + len, &value);
        }
    }
    out
}

const EVENT: &str = r#"{"type":"order.created","data":{"total":5},"metadata":{"trace":"t-1"}}"#;
const PLAIN: &str = r#"{"type":"order.paid","data":null}"#;

/// What both answer, which must be the same.
fn answer(servers: &[Server; 2], method: &str, path: &str, body: &str) -> (String, String) {
    let [floor, annals] = servers.each_ref().map(|server| server.ask(method, path, body));
    assert_eq!(floor, annals, "{method} {path}");
    floor
}

#[test]
fn receipts_and_lines_have_the_fields_that_those_of_annals_have() {
    let servers = Server::both("lines");
    let (status, receipt) = answer(&servers, "POST", "/events/order-1", EVENT);
    assert!(
        status == "201" && receipt.contains(r#""eventId":"an id of 36","streamVersion":1,"position":1}"#)
    );
    answer(&servers, "POST", "/events/order-2", &format!("[{EVENT},{PLAIN}]"));
    let of = |stream: &str| format!("{{\"stream\":\"{stream}\",{}", &EVENT[1..]);
    answer(&servers, "POST", "/events", &format!("[{},{}]", of("order-2"), of("order-1")));
    let (_, stream) = answer(&servers, "GET", "/events/order-2", "");
    assert_eq!(stream.lines().count(), 3);
    let (_, all) = answer(&servers, "GET", "/events", "");
    assert!(
        all.lines().last().unwrap().contains(r#""stream":"order-1","streamVersion":2,"position":5,"#),
        "{all}"
    );
}

#[test]
fn blocks_have_the_lines_that_those_of_annals_have() {
    let servers = Server::both("blocks");
    let blocks = servers.each_ref().map(|server| {
        let mut follower = BufReader::new(server.send("GET", "/events/stream?after=head", ""));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            follower.read_line(&mut line).unwrap();
        }
        server.ask("POST", "/events/order-1", EVENT);
        let mut block = String::new();
        while !block.ends_with("\n\n") {
            follower.read_line(&mut block).unwrap();
        }
        block
    });
    assert_eq!(blocks[0], blocks[1]);
    assert!(blocks[0].starts_with("id: 1\nevent: order.created\ndata: {"));
}
