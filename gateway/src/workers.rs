//! Threads that run guests.
//!
//! The next job is one of the payer that was served the least, by start-time fair queueing (Goyal,
//! Vin and Cheng, 1996): a payer that comes anew starts where the one that is served now stands. So
//! many jobs, or long ones, are in the way of their own payer only.

use crate::budget::Account;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

type Job = Box<dyn FnOnce(Fate) + Send>;

/// The end of a job's wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A thread runs it.
    Run,
    /// It makes room for another one.
    MadeRoom,
}

/// A fixed number of threads behind a queue of a fixed length.
pub(crate) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

/// A job that waits for a thread.
struct Waiting {
    number: u64,
    payer: Arc<Account>,
    job: Job,
}

/// A job's place in the queue. Dropped, it takes the job out and drops it, unless a thread has
/// begun it: nobody waits for it any more.
#[must_use]
pub(crate) struct Ticket {
    queue: Arc<Queue>,
    /// `None` once the job has begun.
    number: Option<u64>,
}

impl Ticket {
    /// The job has begun: there is nothing to take out.
    pub(crate) fn redeem(mut self) {
        self.number = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.queue.lock();
        let place = state.jobs.binary_search_by_key(&number, |waiting| waiting.number);
        let waiting = place.ok().and_then(|place| state.jobs.remove(place));
        // A job gives back what it holds, which has locks of its own.
        drop(state);
        drop(waiting);
    }
}

#[derive(Default)]
struct State {
    /// By number.
    jobs: VecDeque<Waiting>,
    /// Number of the next job.
    next: u64,
    /// The virtual time: how long the payer of the last job had been served.
    now: u64,
    idle: usize,
    closed: bool,
}

/// All threads are busy and the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl Workers {
    /// Starts `threads` threads; at most `limit` jobs wait for one.
    pub(crate) fn start(threads: usize, limit: usize) -> std::io::Result<Workers> {
        let (state, changed) = (Mutex::default(), Condvar::new());
        let queue = Queue { state, changed, limit };
        let mut workers = Workers { queue: Arc::new(queue), threads: Vec::new() };
        for index in 0..threads.max(1) {
            let queue = workers.queue.clone();
            let name = format!("guest-{index}");
            let thread = std::thread::Builder::new().name(name).spawn(move || queue.work())?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Has a thread run `job`, in the time of `payer`, as long as the ticket is not dropped before.
    pub(crate) fn submit(
        &self,
        payer: Arc<Account>,
        job: impl FnOnce(Fate) + Send + 'static,
    ) -> Result<Ticket, QueueFull> {
        let mut state = self.queue.lock();
        if state.jobs.len() >= self.queue.limit + state.idle {
            return Err(QueueFull);
        }
        payer.served.fetch_max(state.now, Ordering::Relaxed);
        let number = state.next;
        state.next += 1;
        state.jobs.push_back(Waiting { number, payer, job: Box::new(job) });
        self.queue.changed.notify_one();
        Ok(Ticket { queue: self.queue.clone(), number: Some(number) })
    }
}

impl Workers {
    /// Takes a place from the payer with most of them, for one that has none: the longest queue is
    /// the one to drop from. `false` if there is none with two.
    pub(crate) fn make_room(&self, payer: &Arc<Account>) -> bool {
        let mut state = self.queue.lock();
        if state.jobs.iter().any(|waiting| Arc::ptr_eq(&waiting.payer, payer)) {
            return false;
        }
        let mut counts: HashMap<*const Account, usize> = HashMap::new();
        for waiting in &state.jobs {
            *counts.entry(Arc::as_ptr(&waiting.payer)).or_default() += 1;
        }
        let longest = counts.into_iter().max_by_key(|(_, count)| *count);
        let Some((longest, 2..)) = longest else { return false };
        let last = state.jobs.iter().rposition(|it| Arc::as_ptr(&it.payer) == longest);
        let Some(last) = last.and_then(|last| state.jobs.remove(last)) else { return false };
        drop(state);
        (last.job)(Fate::MadeRoom);
        true
    }
}

impl Drop for Workers {
    /// Waits for the jobs under way; those in the queue are dropped.
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // Jobs do not panic beyond `run`, so neither does the thread.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(Waiting { payer, job, .. }) = self.next() {
            let began = Instant::now();
            // A panic is a bug of ours and costs its own request, not a thread.
            if catch_unwind(AssertUnwindSafe(|| job(Fate::Run))).is_err() {
                tracing::error!("a worker panicked while it ran a request");
            }
            let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let _state = self.lock();
            let served = payer.served.load(Ordering::Relaxed);
            payer.served.store(served.saturating_add(took), Ordering::Relaxed);
        }
    }

    /// Waits for a job; `None` at the end.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.lock();
        state.idle += 1;
        while state.jobs.is_empty() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle -= 1;
        let served = |waiting: &Waiting| waiting.payer.served.load(Ordering::Relaxed);
        let (index, served) =
            state.jobs.iter().map(served).enumerate().min_by_key(|(_, served)| *served)?;
        state.now = state.now.max(served);
        state.jobs.remove(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_full_queue_refuses_and_recovers() {
        let workers = Workers::start(1, 1).unwrap();
        let (started, is_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let (done, is_done) = mpsc::channel();
        workers
            .submit(Arc::default(), move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
            })
            .unwrap()
            .redeem();
        is_started.recv().unwrap();
        workers.submit(Arc::default(), move |_| done.send(1).unwrap()).unwrap().redeem();
        assert!(workers.submit(Arc::default(), |_| ()).is_err());
        release.send(()).unwrap();
        assert_eq!(is_done.recv(), Ok(1));
    }

    #[test]
    fn a_panic_costs_one_job() {
        let workers = Workers::start(1, 4).unwrap();
        let (done, is_done) = mpsc::channel();
        workers.submit(Arc::default(), |_| panic!("a test's panic")).unwrap().redeem();
        workers.submit(Arc::default(), move |_| done.send(2).unwrap()).unwrap().redeem();
        assert_eq!(is_done.recv(), Ok(2));
    }

    #[test]
    fn a_payer_is_in_its_own_way_only() {
        let workers = Workers::start(1, 100).unwrap();
        let (done, is_done) = mpsc::channel();
        let [many, few]: [Arc<Account>; 2] = Default::default();
        let submit = |payer: &Arc<Account>, name: &'static str| {
            let done = done.clone();
            let job = move |_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                done.send(name).unwrap();
            };
            workers.submit(payer.clone(), job).unwrap().redeem();
        };
        (0..20).for_each(|_| submit(&many, "many"));
        assert_eq!(is_done.recv(), Ok("many"));
        submit(&few, "few");
        let before = is_done.iter().take_while(|name| *name == "many").count();
        assert!(before <= 2, "{before} of the other's jobs came first");
        assert_eq!(
            is_done.iter().take(19 - before).filter(|name| *name == "many").count(),
            19 - before
        );
    }

    #[test]
    fn who_has_nothing_gets_a_place_of_the_one_with_most() {
        let workers = Workers::start(1, 100).unwrap();
        let (release, released) = mpsc::channel::<()>();
        workers.submit(Arc::default(), move |_| released.recv().unwrap()).unwrap().redeem();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let (done, is_done) = mpsc::channel();
        let [many, few, none]: [Arc<Account>; 3] = Default::default();
        for (payer, name) in [(&many, "first"), (&few, "few"), (&many, "last")] {
            let done = done.clone();
            let job = move |fate: Fate| done.send((name, fate == Fate::Run)).unwrap();
            workers.submit(payer.clone(), job).unwrap().redeem();
        }
        assert!(!workers.make_room(&few), "it has one");
        assert!(workers.make_room(&none));
        assert_eq!(is_done.recv(), Ok(("last", false)));
        assert!(!workers.make_room(&none), "all have one");
        release.send(()).unwrap();
        assert!(is_done.iter().take(2).all(|(_, is_run)| is_run));
    }

    #[test]
    fn a_job_that_nobody_waits_for_leaves_at_once() {
        let workers = Workers::start(1, 2).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let wait = move |_| _ = released.recv();
        workers.submit(Arc::default(), wait).unwrap().redeem();
        while workers.queue.lock().idle > 0 || !workers.queue.lock().jobs.is_empty() {
            std::thread::yield_now();
        }
        let held = Arc::new(());
        let submit = || {
            let held = held.clone();
            workers.submit(Arc::default(), move |_| drop(held))
        };
        let tickets = [submit(), submit()].map(Result::unwrap);
        assert!(submit().is_err());
        assert_eq!(Arc::strong_count(&held), 3);
        drop(tickets);
        assert_eq!(Arc::strong_count(&held), 1, "what they hold is freed");
        let _next = submit().unwrap();
        drop(release);
    }
}
