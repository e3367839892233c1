//! Work that may block, as on files of the host: done on a pool's thread while its guest is suspended,
//! or where it is asked for if the guest cannot be suspended.

use crate::files::{self, BlockingPool};
use crate::preview1::{Errno, Failure, Guest};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The rest of a function after its work.
pub(crate) type Then = Box<dyn FnOnce(&mut Guest<'_>) -> Result<(), Failure> + Send>;

/// Work, and the rest of the function behind it.
pub(crate) struct Work(Box<dyn FnOnce() -> Then + Send>);

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
    Err(Failure::Work(Work(Box::new(work))))
}

/// The rest of a function that has no result.
pub(crate) fn done(_guest: &mut Guest<'_>, result: files::Result<()>) -> Result<(), Failure> {
    Ok(result?)
}

impl Work {
    /// Does the work on this thread.
    pub(crate) fn run(self) -> Then {
        (self.0)()
    }

    /// Has a pool do the work.
    pub(crate) fn begin(self, pool: &BlockingPool) -> Working {
        let working = Working(Arc::default());
        let result = Finish(working.0.clone());
        pool(Box::new(move || {
            let then = self.run();
            result.0.set(State::Done(then));
        }));
        working
    }
}

/// Work that a pool does.
pub(crate) struct Working(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
enum State {
    /// Not done, and nobody waits yet.
    #[default]
    Begun,
    /// Not done.
    Awaited(Waker),
    /// Done.
    Done(Then),
    /// Never done: the job panicked, or the pool dropped it.
    Lost,
}

/// Held by the job, so that one that is dropped is noticed.
struct Finish(Arc<Shared>);

impl Shared {
    fn set(&self, state: State) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, state);
        drop(place);
        if let State::Awaited(waker) = before {
            waker.wake();
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        let is_done = matches!(
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner),
            State::Done(_) | State::Lost
        );
        if !is_done {
            self.0.set(State::Lost);
        }
    }
}

impl Working {
    /// The rest of the function, once the work is done.
    ///
    /// # Errors
    /// [`Errno::Io`] if it never will be.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Then, Errno>> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Lost) {
            State::Done(then) => Poll::Ready(Ok(then)),
            State::Lost => Poll::Ready(Err(Errno::Io)),
            State::Begun | State::Awaited(_) => {
                *state = State::Awaited(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
