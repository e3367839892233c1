//! Threads that run guests.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

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

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

/// All threads are busy and the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl Workers {
    /// Starts `threads` threads; at most `limit` jobs wait for one.
    pub(crate) fn start(threads: usize, limit: usize) -> std::io::Result<Workers> {
        let queue = Queue { state: Mutex::default(), changed: Condvar::new(), limit };
        let mut workers = Workers { queue: Arc::new(queue), threads: Vec::new() };
        for index in 0..threads.max(1) {
            let queue = workers.queue.clone();
            let name = format!("guest-{index}");
            let thread = std::thread::Builder::new().name(name).spawn(move || queue.work())?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Has a thread run `job`.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), QueueFull> {
        let mut state = self.queue.lock();
        if state.jobs.len() >= self.queue.limit + state.idle {
            return Err(QueueFull);
        }
        state.jobs.push_back(Box::new(job));
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    /// Waits for the jobs under way; those in the queue are dropped.
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.closed = true;
        state.jobs.clear();
        drop(state);
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
        while let Some(job) = self.next() {
            // A panic is a bug of ours and costs its own request, not a thread.
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("a worker panicked while it ran a request");
            }
        }
    }

    /// Waits for a job; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.idle += 1;
        while state.jobs.is_empty() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle -= 1;
        state.jobs.pop_front()
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
            .submit(move || {
                started.send(()).unwrap();
                released.recv().unwrap();
            })
            .unwrap();
        is_started.recv().unwrap();
        workers.submit(move || done.send(1).unwrap()).unwrap();
        assert_eq!(workers.submit(|| ()), Err(QueueFull));
        release.send(()).unwrap();
        assert_eq!(is_done.recv(), Ok(1));
    }

    #[test]
    fn a_panic_costs_one_job() {
        let workers = Workers::start(1, 4).unwrap();
        let (done, is_done) = mpsc::channel();
        workers.submit(|| panic!("a test's panic")).unwrap();
        workers.submit(move || done.send(2).unwrap()).unwrap();
        assert_eq!(is_done.recv(), Ok(2));
    }
}
