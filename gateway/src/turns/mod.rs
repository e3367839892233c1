//! Turns: which connection's task goes on next, when there are more than threads to run them.
//!
//! tokio runs tasks in the order in which they were woken. A client that keeps thousands of tasks
//! awake would have every other client wait behind them. So a task of a connection that is woken
//! waits for a turn, outside of tokio's queue, and there are as many turns at a time as threads.
//! The next turn is for the payer that was served the least ([fair queueing](crate::fair)). Time in
//! which a turn runs a guest is not charged to the payer: the [scheduler](crate::scheduler) charges the
//! guest's function.

use crate::budget::Account;
use crate::clock;
use crate::fair::Lines;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A turn that took longer was most likely interrupted by the kernel, which is no fault of its
/// payer's: without this, a payer that is interrupted once waits until all others have had as much.
const LONGEST_CHARGED: Duration = Duration::from_micros(100);

/// The head start of a payer that comes anew, in nanoseconds.
const CREDIT: u64 = 1_000_000;

/// The turns of one server.
#[derive(Debug)]
pub(crate) struct Turns {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Turns that are taken, or granted to a task that tokio has not run yet.
    taken: usize,
    /// Tasks that wait, a line for each payer.
    lines: Lines<VecDeque<Arc<Ticket>>>,
}

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
    /// Time of this thread that was charged elsewhere before.
    elsewhere: Duration,
    ended: bool,
}

thread_local! {
    /// Time of this thread's turns that others than their payers are charged for.
    static ELSEWHERE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Takes time from the charge of this thread's turn, if it has one.
pub(crate) fn charge_elsewhere(time: Duration) {
    ELSEWHERE.set(ELSEWHERE.get().saturating_add(time));
}

impl Turns {
    /// Turns for `threads` threads.
    pub(crate) fn new(threads: usize) -> Arc<Turns> {
        Arc::new(Turns {
            most: threads.max(1),
            state: Mutex::new(State { taken: 0, lines: Lines::new(CREDIT) }),
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
        self.lines.serve(&ticket.payer.turns);
        Standing::Granted
    }

    /// Puts a task at the end of its payer's line.
    fn join(&mut self, ticket: &Arc<Ticket>) -> Standing {
        self.lines.line(&ticket.payer.turns, VecDeque::new).push_back(ticket.clone());
        Standing::InLine
    }

    /// Gives a turn that is over to the next in line: its waker, if there is one.
    fn pass_on(&mut self) -> Option<Waker> {
        while let Some(line) = self.lines.first() {
            let ticket = line.pop_front();
            if line.is_empty() {
                self.lines.remove_first();
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
        state.lines.charge(&self.payer.turns, took);
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
        let elsewhere = ELSEWHERE.get().saturating_sub(self.elsewhere);
        let took = self.began.elapsed().saturating_sub(elsewhere).min(LONGEST_CHARGED);
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
        let (began, elsewhere) = (Instant::now(), ELSEWHERE.get());
        let _began = clock::begin(began);
        let mut turn = Turn { ticket, began, elsewhere, ended: false };
        let waker = Waker::from(ticket.clone());
        let poll = this.task.poll(&mut Context::from_waker(&waker));
        turn.ended = poll.is_ready();
        poll
    }
}

#[cfg(test)]
mod tests;
