//! The load: connections from one thread, each with one request at a time.
//!
//! *Closed*: a connection asks again as soon as it has its answer, which shows the highest rate.
//! *Open*: requests are due at a fixed rate whatever the answers do, and a time of answering begins
//! when its request was due, not when a connection was free for it (Tene's "coordinated omission").

use super::wire::Wire;
use anyhow::{Context, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest time without any answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections to one server.
pub(super) struct Load {
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    /// Those without a request.
    free: Vec<usize>,
}

struct Connection {
    stream: TcpStream,
    wire: Box<dyn Wire>,
    received: Vec<u8>,
    to_send: Vec<u8>,
    /// When the present request was due.
    due: Instant,
}

/// Answers in a time.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// All of them.
    pub(super) answers: u64,
    /// A second, as long as requests were made.
    pub(super) rate: f64,
    /// How long each took, in nanoseconds.
    pub(super) nanos: Vec<f64>,
}

impl Load {
    /// Opens that many connections.
    pub(super) fn connect(
        address: SocketAddr,
        count: usize,
        wire: impl Fn() -> Box<dyn Wire>,
    ) -> anyhow::Result<Load> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let stream = TcpStream::connect(address).context("connecting to the server")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
            let wire = wire();
            let (received, to_send, due) = (Vec::new(), wire.preface(), Instant::now());
            connections.push(Connection { stream, wire, received, to_send, due });
        }
        Ok(Load { epoll, connections, free: (0..count).collect() })
    }

    /// As many requests as are answered in that time, and the last ones of each connection.
    pub(super) fn closed(&mut self, time: Duration) -> anyhow::Result<Sample> {
        let start = Instant::now();
        self.run(|_, now| (now - start < time).then_some(now))
    }

    /// `count` requests, or a few more.
    pub(super) fn count(&mut self, count: u64) -> anyhow::Result<Sample> {
        self.run(|number, now| (number < count).then_some(now))
    }

    /// Requests at a rate, in that time.
    pub(super) fn open(&mut self, rate: f64, time: Duration) -> anyhow::Result<Sample> {
        let start = Instant::now();
        self.run(|number, _| {
            let due = Duration::from_secs_f64(number as f64 / rate);
            (due < time).then_some(start + due)
        })
    }

    /// Makes requests, the next one when `due` says, until it says never.
    fn run(&mut self, due: impl Fn(u64, Instant) -> Option<Instant>) -> anyhow::Result<Sample> {
        let (start, mut sample, mut made) = (Instant::now(), Sample::default(), 0);
        let (mut last, mut over) = (start, None);
        let mut events = Vec::with_capacity(self.connections.len());
        loop {
            let now = Instant::now();
            while over.is_none() && !self.free.is_empty() {
                match due(made, now) {
                    Some(due) if due <= now => self.ask(due)?,
                    Some(_) => break,
                    None => {
                        sample.rate = sample.answers as f64 / (now - start).as_secs_f64();
                        over = Some(now);
                        break;
                    }
                }
                made += 1;
            }
            if over.is_some() && made == sample.answers {
                return Ok(sample);
            }
            ensure!(now - last < PATIENCE, "no answer in {PATIENCE:?}");
            // Without a pause: the processor is the load's own.
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&Timespec::default()))?;
            for event in events.drain(..) {
                let number = { event.data }.u64() as usize;
                if self.connections[number].receive()? {
                    last = Instant::now();
                    let due = self.connections[number].due;
                    sample.nanos.push((last - due).as_nanos() as f64);
                    sample.answers += 1;
                    self.free.push(number);
                }
            }
        }
    }

    /// Has a free connection make a request.
    fn ask(&mut self, due: Instant) -> anyhow::Result<()> {
        let Some(number) = self.free.pop() else { return Ok(()) };
        let connection = &mut self.connections[number];
        connection.due = due;
        connection.wire.ask(&mut connection.to_send);
        connection.send()
    }
}

impl Connection {
    fn send(&mut self) -> anyhow::Result<()> {
        // A few bytes, which the kernel always has room for.
        self.stream.write_all(&self.to_send).context("sending to the server")?;
        self.to_send.clear();
        Ok(())
    }

    /// Reads the bytes that have come. Returns whether the answer is complete.
    fn receive(&mut self) -> anyhow::Result<bool> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => anyhow::bail!("the server has closed a connection"),
            Ok(count) => self.received.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("reading from the server"),
        }
        let complete = self.wire.take(&mut self.received, &mut self.to_send)?;
        if !self.to_send.is_empty() {
            self.send()?;
        }
        Ok(complete)
    }
}
