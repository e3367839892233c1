//! Resets behind the answer: nobody waits for the pages of a guest to be copied or given back. A short reset is done in a
//! turn of its function as soon as the task of the connection has sent the answer: it is the next task of the
//! thread. Pages of a long one are given back piece by piece, in turns as if the guest went on; what is left then is
//! done by a thread that may be blocked. A thread for whole resets takes a processor from the server's own, for as
//! long as a reset takes.

use crate::scheduler::{Payer, Scheduler};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wfaas_function::{Background, LongReset, Reset};
use wfaas_vm::thread_processor_time;

/// Most resets of a tenant's guests that are left to do at the same time, short ones and long ones each. Each
/// has the memory of its guest, which no request has reserved any more; further ones are done at once, in the time of
/// their guests.
const MOST_OF_TENANT: usize = 16;

/// How long a turn is: less than a guest's slice.
const TURN: Duration = Duration::from_micros(500);

/// The resets of one tenant's guests. Short ones take no place of a long one, which would hold up a thread.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl Default for Pending {
    fn default() -> Pending {
        let [short, long] = [(); 2].map(|()| Arc::new(Semaphore::new(MOST_OF_TENANT)));
        Pending { short, long }
    }
}

impl Pending {
    fn place(&self, reset: &Reset) -> Option<OwnedSemaphorePermit> {
        let places = match reset {
            Reset::Short(_) => &self.short,
            Reset::Long(_) => &self.long,
        };
        places.clone().try_acquire_owned().ok()
    }
}

/// For the guests of a function that `scheduler` charges as `payer`.
pub(crate) fn background(payer: &Arc<Payer>, scheduler: &Arc<Scheduler>) -> Background {
    let (payer, scheduler) = (payer.clone(), scheduler.clone());
    Box::new(move |reset| {
        // Outside of a runtime nobody would do it.
        let runtime = Handle::try_current().ok();
        let place = payer.tenant.resets.place(&reset);
        match runtime.zip(place) {
            Some((runtime, place)) => {
                let (payer, scheduler) = (payer.clone(), scheduler.clone());
                drop(match reset {
                    Reset::Short(reset) => runtime.spawn(in_a_turn(reset, place, payer, scheduler)),
                    Reset::Long(reset) => runtime.spawn(in_turns(reset, place, payer, scheduler)),
                });
            }
            None => drop(reset),
        }
    })
}

async fn in_a_turn(
    reset: Box<dyn Send>,
    place: OwnedSemaphorePermit,
    payer: Arc<Payer>,
    scheduler: Arc<Scheduler>,
) {
    // After a panic, too, the faaslet is reset, or dropped.
    let _ = scheduler.work(&payer, async move { drop((reset, place)) }).await;
}

/// Does pieces until the turn is over; whether there is more to do.
fn turn(reset: &mut LongReset) -> bool {
    let began = Instant::now();
    while reset() {
        if began.elapsed() >= TURN {
            return true;
        }
    }
    false
}

async fn in_turns(
    mut reset: LongReset,
    place: OwnedSemaphorePermit,
    payer: Arc<Payer>,
    scheduler: Arc<Scheduler>,
) {
    let pieces = poll_fn(|context| {
        if turn(&mut reset) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    });
    // After a panic, too, the faaslet is reset, or dropped.
    let _ = scheduler.work(&payer, pieces).await;
    let rest = move || {
        let before = thread_processor_time();
        drop((reset, place));
        scheduler.charge(&payer, thread_processor_time().saturating_sub(before));
    };
    drop(tokio::task::spawn_blocking(rest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::Tenant;
    use crate::tenants::TenantTerms;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{ThreadId, current};
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn payer() -> Arc<Payer> {
        let tenant = Arc::new(Tenant::new(&TenantTerms::new("a".parse().unwrap()), 0));
        Payer::new("f".parse().unwrap(), &tenant)
    }

    /// Tells of each of its pieces, and of its end.
    struct Told(Sender<(usize, ThreadId)>, usize);

    impl Told {
        fn piece(&mut self) -> bool {
            let began = thread_processor_time();
            while thread_processor_time() - began < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            self.1 += 1;
            self.0.send((self.1, current().id())).unwrap();
            self.1 < 3
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send((0, current().id())).unwrap();
        }
    }

    #[test]
    fn pieces_are_done_in_turns_and_the_rest_elsewhere() {
        let (payer, scheduler) = (payer(), Scheduler::new(1));
        let (sender, told) = channel();
        let background = background(&payer, &scheduler);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let here = current().id();
        runtime.block_on(async {
            let mut pieces = Told(sender, 0);
            background(Reset::Long(Box::new(move || pieces.piece())));
            assert!(told.try_recv().is_err(), "whoever ends a guest waits for nothing");
            // Others have turns between pieces.
            for number in 1..=3 {
                let began = Instant::now();
                // Another clock.
                while payer.usage().processor < 900_000 * number {
                    assert!(began.elapsed() < PATIENCE);
                    tokio::task::yield_now().await;
                }
                assert_eq!(told.try_recv(), Ok((number as usize, here)));
            }
            tokio::task::yield_now().await;
        });
        let (end, elsewhere) = told.recv_timeout(PATIENCE).unwrap();
        assert!(end == 0 && elsewhere != here);
        assert_eq!(payer.usage().requests, 0, "it is none");
    }

    #[test]
    fn a_short_reset_is_done_in_a_turn_behind_the_task_that_left_it() {
        let (payer, scheduler) = (payer(), Scheduler::new(1));
        let (sender, told) = channel();
        let background = background(&payer, &scheduler);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            background(Reset::Short(Box::new(Told(sender, 0))));
            assert!(told.try_recv().is_err(), "the answer comes first");
            tokio::task::yield_now().await;
            assert_eq!(told.try_recv(), Ok((0, current().id())));
        });
        assert!(payer.usage().processor > 0, "its function is charged");
        assert_eq!(payer.tenant.resets.short.available_permits(), MOST_OF_TENANT);
    }

    #[test]
    fn a_reset_outside_of_a_runtime_is_done_at_once() {
        let (sender, told) = channel();
        let mut pieces = Told(sender, 0);
        background(&payer(), &Scheduler::new(1))(Reset::Long(Box::new(move || pieces.piece())));
        assert_eq!(told.try_recv(), Ok((0, current().id())));
    }

    #[test]
    fn a_tenant_has_so_many_resets_in_turns_and_others_at_once() {
        let (payer, scheduler) = (payer(), Scheduler::new(1));
        let background = background(&payer, &scheduler);
        let (sender, told) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let begin = || {
            let mut pieces = Told(sender.clone(), 0);
            background(Reset::Long(Box::new(move || pieces.piece())));
        };
        runtime.block_on(async {
            (0..MOST_OF_TENANT).for_each(|_| begin());
            assert!(told.try_recv().is_err());
            begin();
            assert_eq!(told.try_recv(), Ok((0, current().id())), "there was no room");
            // Three pieces each, and the end, elsewhere.
            for _ in 0..4 * MOST_OF_TENANT {
                while told.try_recv().is_err() {
                    tokio::task::yield_now().await;
                }
            }
        });
        drop(runtime);
        assert_eq!(payer.tenant.resets.long.available_permits(), MOST_OF_TENANT);
    }
}
