//! Tickets: the standing of one guest, and the waker of its task.

use crate::standing::Standing;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The standing of a guest, which its wakers share.
#[derive(Debug)]
pub(super) struct Ticket(Mutex<Task>);

/// Under the lock of its ticket, which is taken after the queue's if both are.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) standing: Standing,
    /// Of the request's task.
    pub(super) waker: Waker,
    /// Whether it has to make room for another one.
    pub(super) is_evicted: bool,
}

impl Ticket {
    pub(super) fn lock(&self) -> MutexGuard<'_, Task> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Task {
    /// As a guest begins.
    fn default() -> Task {
        Task { standing: Standing::Running, waker: Waker::noop().clone(), is_evicted: false }
    }
}

impl Task {
    /// Makes it as a guest begins.
    fn reset(&mut self) {
        let Task { standing, waker, is_evicted } = self;
        (*standing, *is_evicted) = (Standing::Running, false);
        waker.clone_from(Waker::noop());
    }
}

impl Wake for Ticket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut task = self.lock();
        match task.standing {
            Standing::Asleep => task.standing = Standing::Woken,
            // It may be late: then it does not wait for its turn.
            Standing::InLine => {}
            Standing::Running => {
                task.standing = Standing::RunningWoken;
                return;
            }
            _ => return,
        }
        let waker = task.waker.clone();
        drop(task);
        waker.wake();
    }
}

/// A ticket and a waker that holds it.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) ticket: Arc<Ticket>,
    pub(super) waker: Waker,
}

/// Most pairs that a thread keeps for its next requests.
const MOST_KEPT: usize = 16;

thread_local! {
    static KEPT: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
}

impl Pair {
    /// One that this thread has kept, or a new one.
    pub(super) fn get() -> Pair {
        KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            let ticket = Arc::new(Ticket(Mutex::default()));
            Pair { waker: Waker::from(ticket.clone()), ticket }
        })
    }

    /// Keeps the pair of a guest that has ended, if nobody else has its ticket.
    pub(super) fn put_back(self) {
        // Its own waker has one.
        if Arc::strong_count(&self.ticket) > 2 {
            self.ticket.lock().standing = Standing::Left;
            return;
        }
        self.ticket.lock().reset();
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < MOST_KEPT {
                kept.push(self);
            }
        });
    }
}
