//! Parking: a guest that waits long without a stack gives its slot back, and its address space with it. All that stays
//! are the pages by which it differs from the function's image (a *delta*), and the host's side of it: tables, streams,
//! and the futures that it waits for.
//!
//! ```text
//!           long             a future of the host's wakes it
//!   waits ───────→ is parked ──────────────────────────────→ takes a slot, and waits on or goes on
//!     ↑     │         │ its client leaves
//!     └─────┘         └──────────────────→ (gone)
//!      refused
//! ```
//!
//! The embedder decides, by a [`Parking`]. Only what the guest's own streams, subtasks and clocks wait for wakes a parked
//! one: its task is polled for other reasons too, as the arrival of a body that the guest does not read.

mod slots;

pub use slots::BySlots;

use crate::invoke::InvokeError;
use crate::state::State;
use crate::target::FaasletTarget;
use crate::waiting::turns;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use wfaas_vm::{Error, Faaslet, Parked, Pool, Trap, TrapCode};
use wfaas_wasi::preview3::Waited;
use wfaas_wasi::sleep_until;

/// Whether and when guests of a function are parked, and the account of their deltas. Must not block.
pub trait Parking: fmt::Debug + Send + Sync {
    /// How long a guest that begins to wait keeps its slot.
    fn patience(&self) -> Duration;

    /// Most bytes that the delta of one guest may have now.
    fn most_bytes(&self) -> u64;

    /// Counts a guest that is parked, and the bytes of its delta, until [`Parking::give_back`]. If not, it keeps its slot.
    fn take(&self, bytes: u64) -> bool;

    /// A guest has gone on, or ended, whose delta had so many bytes.
    fn give_back(&self, bytes: u64);
}

/// Least time until a guest that could not be parked is tried again; each further time is twice as long.
const REFUSED: Duration = Duration::from_secs(10);

/// Least time that a guest that was woken keeps its slot, at first and at last: twice as long each time, since what wakes
/// it may be bytes on their way from host to host, one by one.
const WOKEN: Duration = Duration::from_millis(10);
const LONGEST_WOKEN: Duration = Duration::from_secs(1);

/// How long a guest that was woken waits for a slot; how long at most if its time is over.
const SLOT_PATIENCE: Duration = Duration::from_secs(10);
const SLOT_GRACE: Duration = Duration::from_secs(1);

/// How long it waits until it asks for one again, at first and at last: twice as long each time.
const SLOT_LOOK: Duration = Duration::from_millis(10);
const LAST_SLOT_LOOK: Duration = Duration::from_millis(320);

/// What a guest's earlier waits say about the next one.
pub(crate) struct Waits {
    /// It keeps its slot until then.
    until: Option<Instant>,
    refused: Duration,
    woken: Duration,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits { until: None, refused: REFUSED, woken: WOKEN }
    }
}

impl Waits {
    /// How long a guest keeps its slot in a wait that begins now.
    fn patience(&self, parking: &dyn Parking) -> Duration {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        parking.patience().max(left.unwrap_or_default())
    }

    fn refused(&mut self) {
        self.until = Instant::now().checked_add(self.refused);
        self.refused = self.refused.saturating_mul(2);
    }

    fn woken(&mut self) {
        self.until = Instant::now().checked_add(self.woken);
        self.woken = self.woken.saturating_mul(2).min(LONGEST_WOKEN);
    }
}

/// A guest that is parked.
pub(crate) struct ParkedGuest<'a> {
    parked: Parked<State>,
    pool: &'a Pool<State>,
    parking: &'a dyn Parking,
    bytes: u64,
}

impl<'a> ParkedGuest<'a> {
    /// Takes all of a guest out of its faaslet; `None` if it cannot be parked, or there is no room for its delta.
    pub(crate) fn new(
        faaslet: &mut Faaslet<'a, State>,
        parking: &'a dyn Parking,
    ) -> Option<ParkedGuest<'a>> {
        let most = usize::try_from(parking.most_bytes()).unwrap_or(usize::MAX);
        let parked = faaslet.park(most).ok()?;
        let bytes = parked.bytes() as u64;
        if !parking.take(bytes) {
            *faaslet.store().data_mut() = parked.into_data();
            return None;
        }
        Some(ParkedGuest { parked, pool: faaslet.pool(), parking, bytes })
    }

    /// The data of its store.
    pub(crate) fn state(&mut self) -> &mut State {
        self.parked.data_mut()
    }

    /// When its calls end.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.parked.deadline()
    }

    /// The guest in a slot.
    ///
    /// # Errors
    /// As [`Pool::unpark`].
    pub(crate) fn go_on(&mut self) -> Result<Faaslet<'a, State>, Error> {
        self.pool.unpark(&mut self.parked)
    }
}

impl Drop for ParkedGuest<'_> {
    fn drop(&mut self) {
        self.parking.give_back(self.bytes);
    }
}

/// Waits between two calls of a guest, which is parked meanwhile if that takes long. `poll` is its conversation's
/// [wait](crate::Conversation::wait).
pub(crate) async fn wait<'a>(
    target: &mut FaasletTarget<'a>,
    mut poll: impl FnMut(
        &mut FaasletTarget<'a>,
        Option<Duration>,
        &mut Context<'_>,
    ) -> Poll<Result<Waited, InvokeError>>
    + Send,
) -> Result<(), InvokeError> {
    let parking = target.parking();
    loop {
        let patience = parking.map(|parking| target.waits.patience(parking));
        let waited = poll_fn(|context| poll(target, patience, context)).await?;
        let (Waited::Long, Some(parking)) = (waited, parking) else { return Ok(()) };
        // The host's futures have this bell's waker, and whatever else polls the task has not.
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        if let Poll::Ready(waited) = poll(target, None, &mut Context::from_waker(&waker)) {
            return waited.map(drop);
        }
        if bell.has_rung() {
            // Something is on its way, and others have their turn.
            turns().await;
        } else if target.park(parking) {
            // Boxed: guests that are not parked have no memory for it.
            Box::pin(parked(target, &bell)).await?;
            target.waits.woken();
        } else {
            target.waits.refused();
        }
    }
}

/// Waits until a parked guest is woken, and has a slot.
async fn parked(target: &mut FaasletTarget<'_>, bell: &Bell) -> Result<(), InvokeError> {
    poll_fn(|context| bell.poll(context)).await;
    let (now, deadline) = (Instant::now(), target.parked_deadline());
    let late = deadline.and_then(|it| it.max(now).checked_add(SLOT_GRACE));
    let give_up = late.unwrap_or(now + SLOT_PATIENCE).min(now + SLOT_PATIENCE);
    let mut pause = SLOT_LOOK;
    loop {
        match target.unpark() {
            Ok(()) => return Ok(()),
            Err(Error::NoSlot { .. }) if Instant::now() < give_up => {
                sleep_until(Instant::now() + pause).await;
                pause = (2 * pause).min(LAST_SLOT_LOOK);
                // A clock that could not be set is over at once.
                turns().await;
            }
            Err(Error::NoSlot { .. }) if deadline.is_some_and(|it| it <= Instant::now()) => {
                return Err(InvokeError::Deadline(Trap::without_frames(
                    TrapCode::DeadlineExceeded,
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Rings once, and wakes the task of a parked guest.
#[derive(Default)]
struct Bell(Mutex<Ringing>);

#[derive(Default)]
struct Ringing {
    has_rung: bool,
    task: Option<Waker>,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, Ringing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_rung(&self) -> bool {
        self.lock().has_rung
    }

    /// Ready once it has rung.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut ringing = self.lock();
        if ringing.has_rung {
            return Poll::Ready(());
        }
        let task = Some(context.waker().clone());
        let before = std::mem::replace(&mut ringing.task, task);
        drop(ringing);
        drop(before); // a waker may do anything when it is dropped
        Poll::Pending
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut ringing = self.lock();
        ringing.has_rung = true;
        let task = ringing.task.take();
        drop(ringing);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_vm::{Config, Engine};

    #[test]
    fn whoever_is_woken_or_refused_keeps_its_slot_longer_each_time() {
        let engine = Engine::new(Config::default()).unwrap();
        let at_once = BySlots::new(&engine, Duration::ZERO);
        let mut waits = Waits::default();
        assert_eq!(waits.patience(&at_once), Duration::ZERO);
        // A busy machine may take from the beginning of the time, so the ends are looked at.
        let mut last = Duration::ZERO;
        for millis in [10, 20, 40, 80, 160, 320, 640, 1000, 1000] {
            let before = Instant::now();
            waits.woken();
            let until = waits.until.unwrap();
            assert!(until >= before + Duration::from_millis(millis), "{millis}");
            assert!(until <= Instant::now() + Duration::from_millis(millis), "{millis}");
            last = waits.patience(&at_once);
        }
        assert!(!last.is_zero());
        for seconds in [10, 20, 40] {
            let before = Instant::now();
            waits.refused();
            assert!(waits.until.unwrap() >= before + Duration::from_secs(seconds));
            assert!(waits.patience(&at_once) > Duration::from_secs(seconds / 2));
        }
    }
}
