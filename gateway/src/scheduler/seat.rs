//! Seats: one guest's way through the scheduler, from its request's task.

use super::clock;
use super::payer::Payer;
use super::queue::Queue;
use super::ticket::Pair;
use super::{Place, Scheduler, Unfinished};
use crate::standing::Standing;
use crate::turns;
use std::borrow::Borrow;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use wfaas_vm::Ticks;

/// One guest in the scheduler, which the seat refers to or shares, as its payer.
#[derive(Debug)]
pub(super) struct Seat<S: Borrow<Scheduler>, P: Borrow<Arc<Payer>>> {
    scheduler: S,
    payer: P,
    deadline: Option<Instant>,
    /// Of a guest, until it is put off: then the queue has it.
    place: Option<Place>,
    /// `None` once the guest has ended.
    pair: Option<Pair>,
    /// Whether it was never polled.
    is_new: bool,
    has_begun: bool,
    /// Whether the thread has had time for its I/O since the slice was granted.
    has_yielded: bool,
    /// The number under which it is put off.
    put_off: Option<u64>,
    /// The number in its line, and since when.
    line: Option<(u64, Instant)>,
    /// Of a guest that is in line.
    late: Option<Pin<Box<Sleep>>>,
}

/// A guest's next step.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Run,
    Wait,
    End(Unfinished),
}

impl<S: Borrow<Scheduler>, P: Borrow<Arc<Payer>>> Seat<S, P> {
    /// A seat for a guest, or for work that is done for a function and has no place.
    pub(super) fn new(
        scheduler: S,
        payer: P,
        place: Option<Place>,
        deadline: Option<Instant>,
    ) -> Seat<S, P> {
        Seat {
            scheduler,
            payer,
            deadline,
            // Guests that begin are counted as requests.
            has_begun: place.is_none(),
            place,
            pair: Some(Pair::get()),
            is_new: true,
            has_yielded: false,
            put_off: None,
            line: None,
            late: None,
        }
    }

    /// Has the guest run to its end.
    pub(super) async fn take<F: Future>(mut self, guest: F) -> Result<F::Output, Unfinished> {
        let mut guest = pin!(guest);
        poll_fn(|context| self.poll(context, guest.as_mut())).await
    }

    /// Polls the guest, if it is its turn.
    pub(super) fn poll<F: Future>(
        &mut self,
        context: &mut Context<'_>,
        work: Pin<&mut F>,
    ) -> Poll<Result<F::Output, Unfinished>> {
        match self.step(context) {
            Step::Run => self.run(context, work),
            Step::Wait => Poll::Pending,
            Step::End(why) => Poll::Ready(Err(why)),
        }
    }

    fn pair(&self) -> &Pair {
        self.pair.as_ref().expect("a guest is not polled after its end")
    }

    /// Finds out whether the guest may run. If not, its task is woken when it may.
    fn step(&mut self, context: &mut Context<'_>) -> Step {
        if std::mem::take(&mut self.is_new) {
            // Nobody knows its ticket yet, which says that it runs.
            return if self.scheduler.borrow().gate.pass() {
                Step::Run
            } else {
                self.arrive(context)
            };
        }
        let standing = {
            let mut task = self.pair().ticket.lock();
            if task.is_evicted {
                return Step::End(Unfinished::MadeRoom);
            }
            if task.standing != Standing::Woken {
                task.waker.clone_from(context.waker());
            }
            task.standing
        };
        match standing {
            Standing::Woken => self.arrive(context),
            Standing::Granted if self.has_yielded => self.begin_granted(),
            Standing::Granted => {
                self.has_yielded = true;
                after_io(context.waker());
                Step::Wait
            }
            Standing::InLine if self.is_late(context) => self.begin_late(),
            _ => Step::Wait,
        }
    }

    /// A guest has come or was woken: it runs at once if nobody is ahead of it.
    fn arrive(&mut self, context: &mut Context<'_>) -> Step {
        let mut queue = self.scheduler.borrow().lock();
        let pair = self.pair.as_ref().expect("a guest is not polled after its end");
        let is_first = queue.begin_if_first(self.payer.borrow());
        let mut task = pair.ticket.lock();
        if is_first {
            task.standing = Standing::Running;
            return Step::Run;
        }
        (task.standing, task.waker) = (Standing::InLine, context.waker().clone());
        drop(task);
        self.line = Some((queue.join(self.payer.borrow(), &pair.ticket), Instant::now()));
        let place = self.place.take();
        let put_off = place.map(|place| queue.put_off(&pair.ticket, self.payer.borrow(), place));
        self.put_off = self.put_off.or(put_off);
        drop(queue);
        if self.is_late(context) { self.begin_late() } else { Step::Wait }
    }

    /// Whether the deadline of a guest in line is over. If not, its task is woken when it is.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline else { return false };
        if deadline <= Instant::now() {
            return true;
        }
        if self.has_begun {
            return false; // the VM wakes it
        }
        let sleep = || Box::pin(tokio::time::sleep_until(deadline.into()));
        self.late.get_or_insert_with(sleep).as_mut().poll(context).is_ready()
    }

    /// A guest in line is late. One that has begun ends at once, if it is polled, unless its time stood
    /// still for a while: then it goes on in line as others do.
    fn begin_late(&mut self) -> Step {
        if !self.has_begun {
            return Step::End(Unfinished::Late);
        }
        self.deadline = None;
        let line = self.line.take();
        let mut queue = self.scheduler.borrow().lock();
        let mut task = self.pair().ticket.lock();
        if task.standing == Standing::InLine {
            queue.begin();
        }
        task.standing = Standing::Running;
        drop(task);
        if let Some((number, since)) = line {
            queue.leave(self.payer.borrow(), number);
            self.payer.borrow().used.waited(since.elapsed());
        }
        drop(queue);
        Step::Run
    }

    fn begin_granted(&mut self) -> Step {
        self.has_yielded = false;
        self.pair().ticket.lock().standing = Standing::Running;
        if let Some((_, since)) = self.line.take() {
            self.payer.borrow().used.waited(since.elapsed());
        }
        Step::Run
    }

    /// Runs the guest for a slice.
    fn run<F: Future>(
        &mut self,
        context: &Context<'_>,
        work: Pin<&mut F>,
    ) -> Poll<Result<F::Output, Unfinished>> {
        self.payer.borrow().used.begin(!std::mem::replace(&mut self.has_begun, true));
        self.late = None;
        let began = Ticks::now();
        let mut inner = Context::from_waker(&self.pair().waker);
        // A panic is a bug of ours and costs its own request.
        let polled = catch_unwind(AssertUnwindSafe(|| work.poll(&mut inner)));
        let elapsed = began.elapsed();
        turns::charge_elsewhere(elapsed);
        let took = clock::processor_time(elapsed);
        let polled = match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Unfinished::Panicked)),
        };
        self.end_slice(context, took, polled.is_ready());
        polled
    }

    /// Charges a slice and passes its thread on.
    fn end_slice(&mut self, context: &Context<'_>, took: Duration, has_ended: bool) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.payer.borrow().used.end(nanos);
        if has_ended && self.put_off.is_none() && self.scheduler.borrow().gate.leave() {
            return self.part();
        }
        let mut queue = self.scheduler.borrow().lock();
        queue.charge(self.payer.borrow(), nanos);
        queue.end();
        if has_ended {
            let forgotten = self.put_off.take().and_then(|number| queue.forget(number));
            pass_on(queue);
            drop(forgotten);
            return self.part();
        }
        let pair = self.pair.as_ref().expect("a guest is not polled after its end");
        if let Some(place) = self.place.take() {
            self.put_off = Some(queue.put_off(&pair.ticket, self.payer.borrow(), place));
        }
        let mut task = pair.ticket.lock();
        task.waker.clone_from(context.waker());
        let is_evicted = task.is_evicted;
        if task.standing == Standing::RunningWoken {
            task.standing = Standing::InLine;
            drop(task);
            self.line = Some((queue.join(self.payer.borrow(), &pair.ticket), Instant::now()));
        } else {
            task.standing = Standing::Asleep;
            drop(task);
        }
        pass_on(queue);
        if is_evicted {
            context.waker().wake_by_ref();
        }
    }

    /// The guest has ended: its ticket serves another one.
    fn part(&mut self) {
        if let Some(pair) = self.pair.take() {
            pair.put_back();
        }
    }
}

impl<S: Borrow<Scheduler>, P: Borrow<Arc<Payer>>> Drop for Seat<S, P> {
    /// A guest that has not ended leaves everything it was in.
    fn drop(&mut self) {
        let Some(pair) = &self.pair else { return };
        let mut queue = self.scheduler.borrow().lock();
        let standing = std::mem::replace(&mut pair.ticket.lock().standing, Standing::Left);
        if let (Standing::InLine, Some((number, _))) = (standing, self.line) {
            queue.leave(self.payer.borrow(), number);
        }
        if standing == Standing::Granted {
            queue.end();
        }
        let forgotten = self.put_off.take().and_then(|number| queue.forget(number));
        pass_on(queue);
        drop(forgotten);
        self.part();
    }
}

/// Grants threads that have become free.
fn pass_on(mut queue: MutexGuard<'_, Queue>) {
    let next = queue.grant();
    drop(queue);
    if let Some(next) = next {
        after_io(&next);
    }
}

/// Wakes a task when this thread has polled for I/O and timers.
fn after_io(waker: &Waker) {
    // On its first poll it defers the waker, outside of a runtime it wakes it.
    let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(waker));
}
