//! The state of a connection: the event that it waits for, since when, and which clock ends it.

use super::exchange::Exchange;
use super::wire::Wire;
use crate::budget::Account;
use crate::config::Config;
use crate::pace::Pace;
use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A connection's state, shared by its socket, its requests and the table of connections.
#[derive(Debug)]
pub(crate) struct State {
    clocks: Clocks,
    /// What the connection holds of budgets.
    pub(crate) account: Arc<Account>,
    inner: Mutex<Inner>,
    shed: Notify,
}

/// The times that end a connection.
#[derive(Debug, Clone)]
struct Clocks {
    header: Duration,
    idle: Duration,
    receive: Duration,
    send: Duration,
    min_rate: u64,
}

#[derive(Debug)]
struct Inner {
    wire: Wire,
    /// Requests under way, by number.
    exchanges: Vec<(u64, Weak<Exchange>)>,
    /// How many requests there were.
    begun: u64,
    /// When the connection was opened, or the last request ended.
    idle_since: Instant,
    /// When the head under way began.
    head_since: Option<Instant>,
    /// The client's taking of bytes that the kernel has no room for.
    socket: Pace,
    calm: Calm,
}

/// Credit for frames that bring no request nearer to its end. It comes with time, with answers
/// and with bytes that are sent: a client that makes use of its connection has enough. Nothing is
/// read from one that is in debt.
#[derive(Debug)]
struct Calm {
    credit: i64,
    since: Instant,
}

/// Most credit, and what it starts with.
const MOST_CREDIT: i64 = 1000;
/// Credit a second.
const CREDIT_RATE: u64 = 20;
/// Credit for an answer.
const ANSWER_CREDIT: u64 = 20;
/// Bytes to send for one more.
const CREDIT_BYTES: u64 = 512;
/// Longest pause between two looks at the debt.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a connection ends that has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It did nothing wrong: it is told first.
    Idle,
    /// The client owes bytes, or takes none.
    Overdue(&'static str),
}

/// Which connections can be done without: the first ones best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// It has no request; since when.
    Idle(Instant),
    /// Its requests wait for their client; how long, the other way round.
    Waiting(Reverse<Duration>),
    /// A request is being answered.
    Busy,
}

impl State {
    pub(crate) fn new(config: &Config) -> State {
        let clients = &config.clients;
        let now = Instant::now();
        let clocks = Clocks {
            header: config.header_timeout,
            idle: config.idle_timeout,
            receive: config.body_timeout,
            send: clients.send_timeout,
            min_rate: clients.min_rate,
        };
        let inner = Inner {
            wire: Wire::new(),
            exchanges: Vec::new(),
            begun: 0,
            idle_since: now,
            head_since: None,
            socket: clocks.sending(),
            calm: Calm { credit: MOST_CREDIT, since: now },
        };
        State { clocks, account: Arc::default(), inner: Mutex::new(inner), shed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<Exchange> {
        let mut inner = self.lock();
        inner.begun += 1;
        let number = inner.begun;
        let bare_line_feed = inner.wire.bare_line_feed().is_some_and(|head| head <= number);
        let paces = (self.clocks.receiving(), self.clocks.sending());
        let exchange = Arc::new(Exchange::new(self.clone(), number, bare_line_feed, paces));
        inner.exchanges.push((number, Arc::downgrade(&exchange)));
        exchange
    }

    #[cfg(test)]
    pub(crate) fn begin_for_tests(self: &Arc<Self>) -> Arc<Exchange> {
        self.begin()
    }

    /// A request has ended, with an answer or without.
    pub(super) fn finished(&self, number: u64, answered: bool) {
        let mut inner = self.lock();
        inner.exchanges.retain(|(other, _)| *other != number);
        inner.idle_since = Instant::now();
        if answered {
            inner.calm.earn(ANSWER_CREDIT);
        }
    }

    /// The client has sent bytes.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        let heads = inner.wire.heads();
        inner.wire.feed(bytes);
        if !inner.wire.head_is_open() {
            inner.head_since = None;
        } else if inner.head_since.is_none() || inner.wire.heads() != heads {
            inner.head_since = Some(Instant::now());
        }
        let cost = inner.wire.take_cost();
        inner.calm.credit = inner.calm.credit.saturating_sub(i64::from(cost));
    }

    /// How long nothing should be read.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.lock().calm.pause(Instant::now())
    }

    /// Bytes could not be given to the kernel: the client does not take them.
    pub(super) fn blocked(&self) {
        self.lock().socket.wait(Instant::now());
    }

    /// Bytes were given to the kernel.
    pub(super) fn sent(&self, bytes: usize) {
        let (now, mut inner) = (Instant::now(), self.lock());
        inner.socket.moved(now, bytes as u64);
        inner.socket.pause(now);
        inner.calm.earn(bytes as u64 / CREDIT_BYTES);
    }

    /// Ready when a clock ends the connection. Requests that a client does not take the answers
    /// of are ended one by one if its protocol can.
    pub(super) async fn overdue(&self) -> End {
        loop {
            tokio::time::sleep(self.clocks.tick()).await;
            if let Some(end) = self.check(Instant::now()) {
                return end;
            }
        }
    }

    fn check(&self, now: Instant) -> Option<End> {
        let inner = self.lock();
        if inner.socket.is_over(now) {
            return Some(End::Overdue("the client takes no bytes"));
        }
        if let Some(since) = inner.head_since {
            // A head that waits behind a request of HTTP/1 is not late.
            let (mut since, mut counts) = (since, true);
            if !inner.wire.is_http2() {
                counts = inner.exchanges.is_empty();
                since = since.max(inner.idle_since);
            }
            if counts && now.duration_since(since) >= self.clocks.header {
                return Some(End::Overdue("the client does not complete a request's headers"));
            }
        }
        if inner.exchanges.is_empty() {
            let idle = now.duration_since(inner.idle_since) >= self.clocks.idle;
            return idle.then_some(End::Idle);
        }
        let is_http2 = inner.wire.is_http2();
        let exchanges: Vec<_> = inner.exchanges.iter().filter_map(|(_, it)| it.upgrade()).collect();
        // The last one to hold a request ends it, and needs the lock.
        drop(inner);
        let mut overdue = exchanges.iter().filter(|exchange| exchange.is_overdue(now));
        overdue
            .any(|exchange| !is_http2 || !exchange.cancel())
            .then_some(End::Overdue("the client does not take an answer"))
    }

    /// How much the connection is needed.
    pub(crate) fn need(&self, now: Instant) -> Need {
        let inner = self.lock();
        if inner.exchanges.is_empty() {
            return Need::Idle(inner.idle_since);
        }
        // A few tell enough: a look has to be cheap.
        let some = inner.exchanges.iter().take(4);
        let exchanges: Vec<_> = some.filter_map(|(_, exchange)| exchange.upgrade()).collect();
        drop(inner);
        let strains: Option<Vec<_>> = exchanges.iter().map(|it| it.strain(now)).collect();
        let least = strains.and_then(|strains| strains.into_iter().min());
        least.map_or(Need::Busy, |least| Need::Waiting(Reverse(least)))
    }

    /// Makes room for another connection.
    pub(crate) fn shed(&self) {
        self.shed.notify_one();
    }

    /// Ready when the connection has to make room.
    pub(super) async fn is_shed(&self) {
        self.shed.notified().await;
    }

    /// Longest time for everything that comes before the first request.
    pub(super) fn header_timeout(&self) -> Duration {
        self.clocks.header
    }
}

impl Clocks {
    fn receiving(&self) -> Pace {
        Pace::new(self.receive, self.min_rate)
    }

    fn sending(&self) -> Pace {
        Pace::new(self.send, self.min_rate)
    }

    /// How often to look: no clock is late by more than an eighth.
    fn tick(&self) -> Duration {
        let shortest = self.header.min(self.idle).min(self.send);
        (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

impl Calm {
    fn earn(&mut self, credit: u64) {
        let credit = i64::try_from(credit).unwrap_or(i64::MAX);
        self.credit = self.credit.saturating_add(credit).min(MOST_CREDIT);
    }

    /// How long to wait for what is owed.
    fn pause(&mut self, now: Instant) -> Option<Duration> {
        if self.credit >= 0 {
            self.since = now;
            return None;
        }
        let passed = now.duration_since(self.since);
        let earned = passed.as_millis() as u64 * CREDIT_RATE / 1000;
        if earned > 0 {
            self.earn(earned);
            self.since = now;
        }
        let owed = self.credit.min(0).unsigned_abs();
        let pause = Duration::from_secs(owed) / CREDIT_RATE as u32;
        (owed > 0).then(|| pause.min(LONGEST_PAUSE))
    }
}
