//! Turns: which connection's task goes on next, when there are more than threads to run them.
//!
//! tokio runs tasks in the order in which they were woken. A client that keeps thousands of tasks
//! awake would have every other client wait behind them. So a task of a connection that is woken
//! waits for a turn, outside of tokio's queue, and there are as many turns at a time as threads.
//! The next turn is for the payer that was served the least, by start-time fair queueing (Goyal,
//! Vin and Cheng, 1996), as in the queue of the workers: a payer that comes anew starts where the
//! one that is served now stands.

use crate::budget::Account;
use crate::clock;
use pin_project_lite::pin_project;
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A turn that took longer was most likely interrupted by the kernel, which is no fault of its
/// payer's: without this, a payer that is interrupted once waits until all others have had as much.
const LONGEST_CHARGED: Duration = Duration::from_micros(100);

/// The head start of a payer that comes anew, in nanoseconds: enough for a request, so that a
/// client with few of them does not wait for each of the others with many, once for each step
/// (as new flows in FQ-CoDel, RFC 8290).
const CREDIT: u64 = 1_000_000;

/// The turns of one server.
#[derive(Debug)]
pub(crate) struct Turns {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Turns that are taken, or granted to a task that tokio has not run yet.
    taken: usize,
    /// The virtual time: how long the payer of the last turn had been served.
    now: u64,
    /// Lines that there ever were.
    arrivals: u64,
    /// Tasks that wait, a line for each payer.
    lines: BTreeMap<Key, VecDeque<Arc<Ticket>>>,
}

/// How long a payer was served, and when it came to wait: those that were served alike go on in
/// the order in which they came.
type Key = (u64, u64);

/// A task's right to turns, and its waker.
#[derive(Debug)]
struct Ticket {
    turns: Arc<Turns>,
    payer: Arc<Account>,
    /// Changed under the lock of the turns only, which is the outer one.
    task: Mutex<Task>,
}

#[derive(Debug)]
struct Task {
    standing: Standing,
    /// tokio's.
    waker: Waker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has nothing to do.
    Asleep,
    /// It is to be run, and tokio will poll it.
    Woken,
    /// It is in its payer's line.
    InLine,
    /// It has a turn, and tokio will poll it.
    Granted,
    Running,
    /// It was woken while it runs.
    RunningWoken,
    Left,
}

pin_project! {
    /// A task of a connection, going on in turns.
    pub(crate) struct InTurns<F> {
        #[pin]
        task: F,
        place: Place,
    }
}

/// The place of a task among the others.
struct Place(Arc<Ticket>);

/// A turn that is taken; over when dropped.
struct Turn<'a> {
    ticket: &'a Arc<Ticket>,
    began: Instant,
    ended: bool,
}

impl Turns {
    /// Turns for `threads` threads.
    pub(crate) fn new(threads: usize) -> Arc<Turns> {
        Arc::new(Turns {
            most: threads.max(1),
            state: Mutex::new(State { now: CREDIT, ..State::default() }),
        })
    }

    /// A task that goes on in turns, in the time of `payer`.
    pub(crate) fn of<F: Future>(self: &Arc<Self>, payer: &Arc<Account>, task: F) -> InTurns<F> {
        let first = Task { standing: Standing::Woken, waker: Waker::noop().clone() };
        let (turns, payer) = (self.clone(), payer.clone());
        InTurns { task, place: Place(Arc::new(Ticket { turns, payer, task: Mutex::new(first) })) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a turn for a task, or puts it into its payer's line: what it is now.
    fn ask(&mut self, most: usize, ticket: &Arc<Ticket>) -> Standing {
        if self.taken >= most {
            return self.join(ticket);
        }
        self.taken += 1;
        // Nobody waits.
        self.now = self.now.max(self.key(&ticket.payer).0);
        Standing::Granted
    }

    /// Puts a task at the end of its payer's line.
    fn join(&mut self, ticket: &Arc<Ticket>) -> Standing {
        let key = self.key(&ticket.payer);
        self.lines.entry(key).or_default().push_back(ticket.clone());
        Standing::InLine
    }

    /// The key of a payer, with its head start if it comes anew.
    fn key(&mut self, payer: &Account) -> Key {
        if !self.lines.contains_key(&key(payer)) {
            payer.polled.fetch_max(self.now.saturating_sub(CREDIT), Ordering::Relaxed);
            self.arrive(payer);
        }
        key(payer)
    }

    /// Counts a turn of `payer`, of so many nanoseconds.
    fn charge(&mut self, payer: &Account, took: u64) {
        let old = key(payer);
        payer.polled.store(old.0.saturating_add(took), Ordering::Relaxed);
        if let Some(line) = self.lines.remove(&old) {
            self.arrive(payer);
            self.lines.insert(key(payer), line);
        }
    }

    fn arrive(&mut self, payer: &Account) {
        self.arrivals += 1;
        payer.arrived.store(self.arrivals, Ordering::Relaxed);
    }

    /// Gives a turn that is over to the next in line: its waker, if there is one.
    fn pass_on(&mut self) -> Option<Waker> {
        while let Some(mut line) = self.lines.first_entry() {
            self.now = self.now.max(line.key().0);
            let ticket = line.get_mut().pop_front();
            if line.get().is_empty() {
                line.remove();
            }
            if let Some(ticket) = ticket {
                let mut task = ticket.lock();
                if task.standing == Standing::InLine {
                    task.standing = Standing::Granted;
                    return Some(task.waker.clone());
                }
            }
        }
        self.taken -= 1;
        None
    }
}

fn key(payer: &Account) -> Key {
    (payer.polled.load(Ordering::Relaxed), payer.arrived.load(Ordering::Relaxed))
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, Task> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the task has a turn now. If not, it is woken when it has.
    fn begin(self: &Arc<Self>, context: &Context<'_>) -> bool {
        let mut state = self.turns.lock();
        let mut task = self.lock();
        task.waker.clone_from(context.waker());
        if task.standing == Standing::Woken {
            task.standing = state.ask(self.turns.most, self);
        }
        let granted = task.standing == Standing::Granted;
        if granted {
            task.standing = Standing::Running;
        }
        granted
    }

    /// The task's turn is over.
    fn end(self: &Arc<Self>, took: u64, is_done: bool) {
        let mut state = self.turns.lock();
        state.charge(&self.payer, took);
        let mut task = self.lock();
        task.standing = match task.standing {
            _ if is_done => Standing::Left,
            // Its turn is still taken: it waits, if only for a moment.
            Standing::RunningWoken => state.join(self),
            _ => Standing::Asleep,
        };
        drop(task);
        let next = state.pass_on();
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }

    /// The task will not be polled any more.
    fn leave(&self) {
        let mut state = self.turns.lock();
        let standing = std::mem::replace(&mut self.lock().standing, Standing::Left);
        let next = if standing == Standing::Granted { state.pass_on() } else { None };
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.turns.lock();
        let mut task = self.lock();
        task.standing = match task.standing {
            Standing::Asleep => state.ask(self.turns.most, self),
            Standing::Running => Standing::RunningWoken,
            other => other,
        };
        // One that was granted before is polled anyway.
        let waker = (task.standing == Standing::Granted).then(|| task.waker.clone());
        drop((task, state));
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let took = self.began.elapsed().min(LONGEST_CHARGED);
        self.ticket.end(took.as_nanos() as u64, self.ended);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<F> InTurns<F> {
    /// The task itself, to be run after a change.
    pub(crate) fn task(self: Pin<&mut Self>) -> Pin<&mut F> {
        let this = self.project();
        this.place.0.wake_by_ref();
        this.task
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let ticket = &this.place.0;
        if !ticket.begin(context) {
            return Poll::Pending;
        }
        let mut turn = Turn { ticket, began: Instant::now(), ended: false };
        let _began = clock::begin(turn.began);
        let waker = Waker::from(ticket.clone());
        let poll = this.task.poll(&mut Context::from_waker(&waker));
        turn.ended = poll.is_ready();
        poll
    }
}

#[cfg(test)]
mod tests;
