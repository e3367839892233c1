//! Work that may block, as on files of the host: done on a pool's thread while its guest is suspended,
//! or where it is asked for if the guest cannot be suspended. And work that others do: a future.

use crate::files::{self, BlockingPool};
use crate::preview1::{Errno, Failure, Guest};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The rest of a function after its work.
pub(crate) type Then = Box<dyn FnOnce(&mut Guest<'_>) -> Result<(), Failure> + Send>;

/// Work, and the rest of the function behind it.
pub(crate) enum Work {
    /// A job that may block.
    Blocks(Box<dyn FnOnce() -> Then + Send>),
    /// A future that others make ready.
    Awaits(Pin<Box<dyn Future<Output = Then> + Send>>),
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

/// Does `job`, then `then` with its result: at once, unless it `blocks` and the guest can be suspended.
pub(crate) fn work<R: Send + 'static>(
    guest: &mut Guest<'_>,
    blocks: bool,
    job: impl FnOnce() -> R + Send + 'static,
    then: impl FnOnce(&mut Guest<'_>, R) -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    if !blocks || !guest.offloads() {
        let result = job();
        return then(guest, result);
    }
    let work = move || {
        let result = job();
        Box::new(move |guest: &mut Guest<'_>| then(guest, result)) as Then
    };
    Err(Failure::Work(Work::Blocks(Box::new(work))))
}

/// Waits for a future, then does `then` with its output.
pub(crate) fn wait<R: Send + 'static>(
    future: impl Future<Output = R> + Send + 'static,
    then: impl FnOnce(&mut Guest<'_>, R) -> Result<(), Failure> + Send + 'static,
) -> Failure {
    Failure::Work(Work::Awaits(Box::pin(async move {
        let output = future.await;
        Box::new(move |guest: &mut Guest<'_>| then(guest, output)) as Then
    })))
}

/// The rest of a function that has no result.
pub(crate) fn done(_guest: &mut Guest<'_>, result: files::Result<()>) -> Result<(), Failure> {
    Ok(result?)
}

impl Work {
    /// Has the pool or others do the work. Without a pool, what may block is done here.
    pub(crate) fn begin(self, pool: Option<&BlockingPool>) -> Working {
        match self {
            Work::Blocks(job) => Working::InPool(Offloaded::begin(pool, job)),
            Work::Awaits(future) => Working::Elsewhere(future),
        }
    }
}

/// Work under way.
pub(crate) enum Working {
    /// A pool does it.
    InPool(Offloaded<Then>),
    /// Others do.
    Elsewhere(Pin<Box<dyn Future<Output = Then> + Send>>),
}

impl Working {
    /// Whether it takes as long as others like. A pool's work is short: no answer begins for its sake.
    pub(crate) fn is_others(&self) -> bool {
        matches!(self, Working::Elsewhere(_))
    }

    /// The rest of the function, once the work is done.
    ///
    /// # Errors
    /// [`Errno::Io`] if it never will be.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Then, Errno>> {
        match self {
            Working::InPool(job) => job.poll(context).map(|then| then.ok_or(Errno::Io)),
            Working::Elsewhere(future) => future.as_mut().poll(context).map(Ok),
        }
    }
}

/// A job that a pool does.
pub(crate) struct Offloaded<T>(Arc<Mutex<State<T>>>);

#[derive(Default)]
enum State<T> {
    /// Not done, and nobody waits yet.
    #[default]
    Begun,
    /// Not done.
    Awaited(Waker),
    /// Done.
    Done(T),
    /// Never done: the job panicked, or the pool dropped it.
    Lost,
}

/// Held by the job, so that one that is dropped is noticed.
struct Finish<T>(Arc<Mutex<State<T>>>);

impl<T> Finish<T> {
    fn set(&self, state: State<T>) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, state);
        drop(place);
        if let State::Awaited(waker) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        let is_done = matches!(
            *self.0.lock().unwrap_or_else(PoisonError::into_inner),
            State::Done(_) | State::Lost
        );
        if !is_done {
            self.set(State::Lost);
        }
    }
}

impl<T: Send + 'static> Offloaded<T> {
    /// Has the pool do a job. Without one, it is done here.
    pub(crate) fn begin(
        pool: Option<&BlockingPool>,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Offloaded<T> {
        let Some(pool) = pool else {
            return Offloaded(Arc::new(Mutex::new(State::Done(job()))));
        };
        let shared = Arc::<Mutex<State<T>>>::default();
        let result = Finish(shared.clone());
        pool(Box::new(move || {
            let done = job();
            result.set(State::Done(done));
        }));
        Offloaded(shared)
    }

    /// Ready when it is done, with the result; `None` if it never will be.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Lost) {
            State::Done(result) => Poll::Ready(Some(result)),
            State::Lost => Poll::Ready(None),
            State::Begun | State::Awaited(_) => {
                *state = State::Awaited(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
