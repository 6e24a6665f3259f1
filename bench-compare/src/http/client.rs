//! Requests on connections that are kept: one thread asks on all of them, and costs as little as it can. What it costs, both
//! servers lack alike.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;

use super::answer::{Answer, Counts};
use crate::store::Result;

/// More than any answer but those that are replays.
const READ_BYTES: usize = 256 << 10;

/// A connection on which one request follows the other.
struct Connection {
    socket: TcpStream,
    answer: Answer,
    /// When the last request was sent.
    begun: Instant,
}

impl Connection {
    fn open(address: &str, counts: Counts) -> Result<Connection> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Connection { socket, answer: Answer::new(counts), begun: Instant::now() })
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.answer.next();
        self.begun = Instant::now();
        let mut rest = request;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there; tells whether the answer is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match self.socket.read(buffer) {
            Ok(0) => Err("the server closed a connection".into()),
            Ok(read) => self.answer.take(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Some connections to one server.
pub struct Connections {
    all: Vec<Connection>,
    epoll: OwnedFd,
    ready: Vec<Event>,
    buffer: Vec<u8>,
}

impl Connections {
    /// So many connections, on whose answers this is counted.
    pub fn open(address: &str, count: usize, counts: Counts) -> Result<Connections> {
        let all = (0..count).map(|_| Connection::open(address, counts)).collect::<Result<Vec<_>>>()?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (number, connection) in all.iter().enumerate() {
            epoll::add(&epoll, &connection.socket, EventData::new_u64(number as u64), EventFlags::IN)?;
        }
        Ok(Connections { all, epoll, ready: Vec::with_capacity(count), buffer: vec![0; READ_BYTES] })
    }

    /// Waits until something came, and reads it; `on_answer` gets the number of each connection on which something did, and
    /// whether its answer is whole.
    fn receive(
        &mut self,
        mut on_answer: impl FnMut(&mut Connection, usize, bool) -> Result<()>,
    ) -> Result<()> {
        epoll::wait(&self.epoll, spare_capacity(&mut self.ready), None)?;
        for event in self.ready.drain(..) {
            let number = event.data.u64() as usize;
            let connection = &mut self.all[number];
            let is_whole = connection.receive(&mut self.buffer)?;
            on_answer(connection, number, is_whole)?;
        }
        Ok(())
    }

    /// Makes `count` requests, each connection the next as soon as it has its answer. Tells how long each took, and all of them;
    /// of each answer `of_each` are counted.
    pub fn ask(
        &mut self,
        count: u64,
        of_each: Option<u64>,
        mut write: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<(Vec<Duration>, Duration)> {
        let (mut next, mut request) = (0, Vec::new());
        let mut times = Vec::with_capacity(count as usize);
        let begun = Instant::now();
        let mut send = |connection: &mut Connection| {
            if next < count {
                request.clear();
                write(next, &mut request);
                next += 1;
                connection.send(&request)?;
            }
            Ok(())
        };
        self.all.iter_mut().try_for_each(&mut send)?;
        while times.len() < count as usize {
            self.receive(|connection, _, is_whole| {
                if !is_whole {
                    return Ok(());
                }
                times.push(connection.begun.elapsed());
                let counted = connection.answer.count;
                if of_each.is_some_and(|wanted| wanted != counted) {
                    return Err(format!("an answer has {counted} events").into());
                }
                send(connection)
            })?;
        }
        Ok((times, begun.elapsed()))
    }
}

/// One that appends, and some that follow.
pub struct Live {
    /// The first appends.
    connections: Connections,
    followers: usize,
}

impl Live {
    /// `request` is what each follower asks; their answers have begun when this returns.
    pub fn open(address: &str, followers: usize, request: &[u8]) -> Result<Live> {
        let mut connections = Connections::open(address, followers + 1, Counts::Data)?;
        connections.all[1..].iter_mut().try_for_each(|follower| follower.send(request))?;
        while !connections.all[1..].iter().all(|follower| follower.answer.has_begun()) {
            connections.receive(|_, _, _| Ok(()))?;
        }
        Ok(Live { connections, followers })
    }

    /// Makes `count` requests one after the other, each of so many events. The next follows when the one before is answered, and
    /// if they are `apart`, when everyone has its events. Tells how long it took until events were received, each time, and all
    /// together.
    pub fn publish(
        &mut self,
        count: u64,
        events: u64,
        apart: bool,
        mut write: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<(Vec<Duration>, Duration)> {
        let (mut sent, mut request) = (0, Vec::new());
        let (mut received, mut answered) = (0, true);
        let mut times = Vec::new();
        for follower in &mut self.connections.all[1..] {
            follower.answer.count = 0;
        }
        let begun = Instant::now();
        let mut since = begun;
        while sent < count || !answered || received < sent * events * self.followers as u64 {
            if sent < count && answered && (!apart || received == sent * events * self.followers as u64) {
                request.clear();
                write(sent, &mut request);
                since = Instant::now();
                self.connections.all[0].send(&request)?;
                (sent, answered) = (sent + 1, false);
            }
            self.connections.receive(|connection, number, is_whole| {
                match number {
                    0 => answered |= is_whole,
                    _ if connection.answer.count > 0 => {
                        received += std::mem::take(&mut connection.answer.count);
                        times.push(since.elapsed());
                    }
                    _ => {}
                }
                Ok(())
            })?;
        }
        Ok((times, begun.elapsed()))
    }
}
