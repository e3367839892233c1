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
use crate::standing::{self, Standing};
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use wfaas_vm::Ticks;

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

/// A task's right to turns.
#[derive(Debug)]
struct Ticket {
    turns: Arc<Turns>,
    payer: Arc<Account>,
    /// Into a line and out of it, and to sleep, under the lock of the turns only.
    standing: standing::Shared,
    /// tokio's. Nobody takes another lock within this one.
    waker: Mutex<Waker>,
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
struct Place {
    ticket: Arc<Ticket>,
    /// The ticket's.
    waker: Waker,
    /// As the ticket has it.
    outer: Waker,
}

/// A turn that is taken; over when dropped.
struct Turn<'a> {
    ticket: &'a Arc<Ticket>,
    began: Ticks,
    /// Time of this thread that was charged elsewhere before.
    elsewhere: Duration,
    ended: bool,
    /// The turn around, if there is one, as [`TURN`].
    outer: usize,
}

thread_local! {
    /// Time of this thread's turns that others than their payers are charged for.
    static ELSEWHERE: Cell<Duration> = const { Cell::new(Duration::ZERO) };

    /// Address of the ticket of this thread's turn; zero if there is none.
    static TURN: Cell<usize> = const { Cell::new(0) };

    /// Address of the ticket of a task that goes on anyway; zero if there is none.
    static GOES_ON: Cell<usize> = const { Cell::new(0) };
}

/// Does a part of the work of this thread's turn, after which its task looks at everything that it could be woken
/// for, before the turn ends. So the part wakes the task for nothing: it would have another turn, and nothing to do.
pub(crate) fn before_going_on<R>(part: impl FnOnce() -> R) -> R {
    struct Restored(usize);
    impl Drop for Restored {
        fn drop(&mut self) {
            GOES_ON.set(self.0);
        }
    }
    let _outer = Restored(GOES_ON.replace(TURN.get()));
    part()
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
        let outer = Waker::noop().clone();
        let ticket = Arc::new(Ticket {
            turns: self.clone(),
            payer: payer.clone(),
            standing: standing::Shared::new(Standing::Woken),
            waker: Mutex::new(outer.clone()),
        });
        let waker = Waker::from(ticket.clone());
        InTurns { task, place: Place { ticket, waker, outer } }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a turn for a task whose standing is `from`, or puts it into its payer's line: what it is
    /// now. `None` if its standing was another.
    fn ask(&mut self, ticket: &Arc<Ticket>, from: Standing) -> Option<Standing> {
        if self.taken >= ticket.turns.most {
            return self.join(ticket, from);
        }
        let granted = ticket.standing.change(from, Standing::Granted);
        granted.then(|| {
            self.taken += 1;
            // Nobody waits.
            self.lines.serve(&ticket.payer.turns);
            Standing::Granted
        })
    }

    /// Puts a task at the end of its payer's line.
    fn join(&mut self, ticket: &Arc<Ticket>, from: Standing) -> Option<Standing> {
        let joined = ticket.standing.change(from, Standing::InLine);
        joined.then(|| {
            self.lines.line(&ticket.payer.turns, VecDeque::new).push_back(ticket.clone());
            Standing::InLine
        })
    }

    /// Gives a turn that is over to the next in line, if there is one.
    fn pass_on(&mut self) -> Option<Arc<Ticket>> {
        while let Some(line) = self.lines.first() {
            let ticket = line.pop_front();
            if line.is_empty() {
                self.lines.remove_first();
            }
            let is_there =
                |ticket: &Arc<Ticket>| ticket.standing.change(Standing::InLine, Standing::Granted);
            if let Some(ticket) = ticket.filter(is_there) {
                return Some(ticket);
            }
        }
        self.taken -= 1;
        None
    }
}

impl Ticket {
    /// The task's turn is over.
    fn end(self: &Arc<Self>, took: u64, is_done: bool) {
        let mut state = self.turns.lock();
        state.lines.charge(&self.payer.turns, took);
        if is_done {
            self.standing.replace(Standing::Left);
        } else if !self.standing.change(Standing::Running, Standing::Asleep) {
            // Its turn is still taken: it waits, if only for a moment.
            state.join(self, Standing::RunningWoken);
        }
        let next = state.pass_on();
        drop(state);
        if let Some(next) = next {
            next.wake_task();
        }
    }

    /// The task will not be polled any more.
    fn leave(&self) {
        if self.standing.replace(Standing::Left) != Standing::Granted {
            return;
        }
        let next = self.turns.lock().pass_on();
        if let Some(next) = next {
            next.wake_task();
        }
    }

    fn waker(&self) -> MutexGuard<'_, Waker> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has tokio poll the task, which was granted a turn.
    fn wake_task(&self) {
        self.waker().wake_by_ref();
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if GOES_ON.get() == Arc::as_ptr(self).addr() {
            return;
        }
        while self.standing.is_woken_asleep() {
            let asked = self.turns.lock().ask(self, Standing::Asleep);
            match asked {
                Some(Standing::Granted) => return self.wake_task(),
                Some(_) => return,
                // Somebody else was faster, and the task may even have run since.
                None => {}
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        TURN.set(self.outer);
        let elsewhere = ELSEWHERE.get().saturating_sub(self.elsewhere);
        let took = self.began.elapsed().saturating_sub(elsewhere).min(LONGEST_CHARGED);
        self.ticket.end(took.as_nanos() as u64, self.ended);
    }
}

impl Place {
    /// Whether the task has a turn now. If not, it is woken when it has.
    fn begin(&mut self, context: &Context<'_>) -> bool {
        if !self.outer.will_wake(context.waker()) {
            self.outer.clone_from(context.waker());
            self.ticket.waker().clone_from(context.waker());
        }
        let Place { ticket, .. } = self;
        if ticket.standing.get() == Standing::Woken {
            ticket.turns.lock().ask(ticket, Standing::Woken);
        }
        ticket.standing.change(Standing::Granted, Standing::Running)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.ticket.leave();
    }
}

impl<F> InTurns<F> {
    /// The task itself, to be run after a change.
    pub(crate) fn task(self: Pin<&mut Self>) -> Pin<&mut F> {
        let this = self.project();
        this.place.waker.wake_by_ref();
        this.task
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.place.begin(context) {
            return Poll::Pending;
        }
        let Place { ticket, waker, .. } = &*this.place;
        let (began, elsewhere) = (Ticks::now(), ELSEWHERE.get());
        let _began = clock::begin(began);
        let outer = TURN.replace(Arc::as_ptr(ticket).addr());
        let mut turn = Turn { ticket, began, elsewhere, ended: false, outer };
        let poll = this.task.poll(&mut Context::from_waker(waker));
        turn.ended = poll.is_ready();
        poll
    }
}

#[cfg(test)]
mod tests;
