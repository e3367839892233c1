//! The state of a connection: the event that it waits for, since when, and which clock ends it.

use super::calm::{CREDIT_BYTES, Calm};
use super::exchange::Exchange;
use super::signal::{End, Signal};
use super::wire::Wire;
use crate::budget::Account;
use crate::clock;
use crate::config::Config;
use crate::pace::Pace;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A connection's state, shared by its socket, its requests and the table of connections.
#[derive(Debug)]
pub(crate) struct State {
    clocks: Clocks,
    /// What the connection holds of budgets.
    pub(crate) account: Arc<Account>,
    inner: Mutex<Inner>,
    /// Whether the client is in debt, or has not taken bytes at once: most never are, and cost no look
    /// at the rest. Changed by the connection's own task only.
    is_indebted: AtomicBool,
    is_strained: AtomicBool,
    pub(super) signal: Signal,
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
            calm: Calm::new(now),
        };
        State {
            clocks,
            account: Arc::default(),
            inner: Mutex::new(inner),
            is_indebted: AtomicBool::new(false),
            is_strained: AtomicBool::new(false),
            signal: Signal::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<Exchange> {
        let mut inner = self.lock();
        let exchange = self.next_exchange(&mut inner);
        inner.list(&exchange);
        exchange
    }

    /// An exchange for requests that are answered at once: the connection counts as idle, unless the
    /// exchange is [listed](State::list).
    pub(super) fn unlisted(self: &Arc<Self>) -> Arc<Exchange> {
        self.next_exchange(&mut self.lock())
    }

    /// A request takes longer: its exchange counts from now on, for this one request.
    pub(super) fn list(&self, exchange: &Arc<Exchange>) {
        self.lock().list(exchange);
    }

    /// A request without a listed exchange has ended.
    pub(super) fn finished_unlisted(&self) {
        self.lock().idle_since = clock::now();
    }

    fn next_exchange(self: &Arc<Self>, inner: &mut Inner) -> Arc<Exchange> {
        inner.begun += 1;
        let number = inner.begun;
        let bare_line_feed = inner.wire.bare_line_feed().is_some_and(|head| head <= number);
        let paces = (self.clocks.receiving(), self.clocks.sending());
        Arc::new(Exchange::new(self.clone(), number, bare_line_feed, paces))
    }

    #[cfg(test)]
    pub(crate) fn begin_for_tests(self: &Arc<Self>) -> Arc<Exchange> {
        self.begin()
    }

    /// A request has ended, with an answer or without.
    pub(super) fn finished(&self, number: u64, answered: bool) {
        let mut inner = self.lock();
        inner.exchanges.retain(|(other, _)| *other != number);
        inner.idle_since = clock::now();
        if answered {
            inner.calm.answered();
        }
    }

    /// Whether a head has begun and is not complete, of which no bytes were counted.
    pub(super) fn set_head_open(&self, is_open: bool) {
        let mut inner = self.lock();
        let since = inner.head_since.unwrap_or_else(clock::now);
        inner.head_since = is_open.then_some(since);
    }

    /// Counts bytes from now on: those of so many requests of HTTP/1.1 were not counted.
    pub(super) fn skip_requests(&self, requests: u64) {
        let mut inner = self.lock();
        if requests > 0 {
            inner.wire = Wire::after_requests(requests);
            inner.begun = requests;
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
            inner.head_since = Some(clock::now());
        }
        let cost = inner.wire.take_cost();
        if inner.calm.spend(cost) {
            self.is_indebted.store(true, Relaxed);
        }
    }

    /// How long nothing should be read.
    pub(super) fn pause(&self) -> Option<Duration> {
        if !self.is_indebted.load(Relaxed) {
            return None;
        }
        let pause = self.lock().calm.pause(Instant::now());
        self.is_indebted.store(pause.is_some(), Relaxed);
        pause
    }

    /// Bytes could not be given to the kernel: the client does not take them.
    pub(super) fn blocked(&self) {
        self.is_strained.store(true, Relaxed);
        self.lock().socket.wait(clock::now());
    }

    /// Bytes were given to the kernel.
    pub(super) fn sent(&self, bytes: usize) {
        let (bytes, is_strained) = (bytes as u64, self.is_strained.load(Relaxed));
        if bytes < CREDIT_BYTES && !is_strained {
            return;
        }
        let mut inner = self.lock();
        inner.calm.sent(bytes);
        if is_strained {
            let now = Instant::now();
            inner.socket.moved(now, bytes);
            inner.socket.pause(now);
            self.is_strained.store(!inner.socket.is_rested(), Relaxed);
        }
    }

    /// Looks at the clocks, and has the connection end if one says so. Requests with answers that a
    /// client does not take are ended one by one if its protocol can.
    pub(crate) fn look(&self, now: Instant) {
        if let Some(end) = self.check(now) {
            self.signal.raise(end);
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
            return idle.then_some(End::Leave);
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
        self.signal.raise(End::Leave);
    }

    /// Ends with the server, after the requests under way.
    pub(crate) fn end(&self) {
        self.signal.raise(End::Server);
    }

    /// Longest time for everything that comes before the first request.
    pub(super) fn header_timeout(&self) -> Duration {
        self.clocks.header
    }
}

impl Inner {
    fn list(&mut self, exchange: &Arc<Exchange>) {
        self.exchanges.push((exchange.number(), Arc::downgrade(exchange)));
    }
}

impl Clocks {
    fn receiving(&self) -> Pace {
        Pace::new(self.receive, self.min_rate)
    }

    fn sending(&self) -> Pace {
        Pace::new(self.send, self.min_rate)
    }
}
