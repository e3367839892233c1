//! Standings: what a task does now, as its wakers see it.
//!
//! Every change is an atomic exchange, and so is the look of a waker that changes nothing: whoever
//! polls the task after it sees everything that was written before the task was woken.

use crossbeam_utils::atomic::AtomicCell;

/// What a task does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has nothing to do: it waits for an event.
    Asleep,
    /// It is to be run, and will be polled.
    Woken,
    /// It is in a line.
    InLine,
    /// It may run, and will be polled.
    Granted,
    Running,
    /// It was woken while it runs.
    RunningWoken,
    /// It has ended.
    Left,
}

/// The standing of a task, which its wakers share.
#[derive(Debug)]
pub(crate) struct Shared(AtomicCell<Standing>);

impl Shared {
    pub(crate) fn new(standing: Standing) -> Shared {
        Shared(AtomicCell::new(standing))
    }

    pub(crate) fn get(&self) -> Standing {
        self.0.load()
    }

    /// The standing before.
    pub(crate) fn replace(&self, standing: Standing) -> Standing {
        self.0.swap(standing)
    }

    /// Changes it if it is `from`; whether it was.
    pub(crate) fn change(&self, from: Standing, to: Standing) -> bool {
        self.0.compare_exchange(from, to).is_ok()
    }

    /// Notes that the task was woken, and finds it asleep or not: then it is polled anyway, or put into
    /// line again at the end of its run.
    pub(crate) fn is_woken_asleep(&self) -> bool {
        loop {
            let standing = self.get();
            let next = match standing {
                Standing::Asleep => return true,
                Standing::Running => Standing::RunningWoken,
                other => other,
            };
            if self.change(standing, next) {
                return false;
            }
        }
    }
}
