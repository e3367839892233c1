//! Waiting and notifying, as instances ask for it.

use crate::call::parking::{Outcome, Waiter};
use crate::call::watchdog;
use crate::runtime::error::{Error, without_frames};
use crate::runtime::objects::Objects;
use crate::runtime::pending::Pending;
use crate::runtime::shared::SharedMemory;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;

/// The value that a guest expects where it waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// In four bytes.
    Bits32(u32),
    /// In eight bytes.
    Bits64(u64),
}

impl Expected {
    fn bytes(self) -> u64 {
        match self {
            Expected::Bits32(_) => 4,
            Expected::Bits64(_) => 8,
        }
    }
}

/// A wait at an address of a shared memory.
#[derive(Debug)]
struct Wait {
    memory: SharedMemory,
    address: u64,
    expected: Expected,
    end: Option<Instant>,
}

impl Wait {
    fn is_unchanged(&self) -> bool {
        let at = self.address as usize;
        match self.expected {
            Expected::Bits32(value) => {
                self.memory.atomic_u32(at).is_ok_and(|cell| cell.load(SeqCst) == value)
            }
            Expected::Bits64(value) => {
                self.memory.atomic_u64(at).is_ok_and(|cell| cell.load(SeqCst) == value)
            }
        }
    }
}

/// The future of a suspended guest that waits at an address. It leaves the outcome in a cell.
#[derive(Debug)]
pub(super) struct AtomicWait {
    wait: Wait,
    /// `None` if the value was another one.
    waiter: Option<Arc<Waiter>>,
    result: *mut u64,
}

// SAFETY: the cell is on the guest's stack, which is used by this alone as long as it is polled.
unsafe impl Send for AtomicWait {}

impl Future for AtomicWait {
    type Output = Result<(), Pending>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let AtomicWait { wait, waiter, result } = &*self;
        let outcome = match waiter {
            None => Outcome::Different,
            Some(waiter) => {
                let parking = wait.memory.parking();
                match parking.poll(wait.address, waiter, wait.end, context.waker()) {
                    Poll::Ready(outcome) => outcome,
                    Poll::Pending => {
                        wait.end.into_iter().for_each(watchdog::wake_at);
                        return Poll::Pending;
                    }
                }
            }
        };
        // SAFETY: `begin_wait` was given the cell, which lives as long as the guest waits.
        unsafe { result.write(outcome as u64) };
        Poll::Ready(Ok(()))
    }
}

impl Drop for AtomicWait {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.wait.memory.parking().remove(self.wait.address, &waiter);
        }
    }
}

impl Objects {
    /// Waits at `address` for at most `timeout` nanoseconds, without an end if that is negative.
    pub(super) fn atomic_wait(
        &mut self,
        instance: u32,
        memory: u32,
        address: u64,
        expected: Expected,
        timeout: i64,
    ) -> Result<Outcome, Error> {
        let wait = self.wait(instance, memory, address, expected, timeout)?;
        let parking = wait.memory.parking();
        parking.wait(address, || wait.is_unchanged(), wait.end).map_err(without_frames)
    }

    /// The same as a future, which leaves the outcome in the cell at `result`.
    ///
    /// # Safety
    /// The cell must be there as long as the future is polled.
    pub(super) unsafe fn begin_wait(
        &mut self,
        instance: u32,
        memory: u32,
        address: u64,
        expected: Expected,
        timeout: i64,
        result: *mut u64,
    ) -> Result<AtomicWait, Error> {
        let wait = self.wait(instance, memory, address, expected, timeout)?;
        let waiter = wait.memory.parking().enqueue(address, || wait.is_unchanged());
        Ok(AtomicWait { wait, waiter, result })
    }

    fn wait(
        &self,
        instance: u32,
        memory: u32,
        address: u64,
        expected: Expected,
        timeout: i64,
    ) -> Result<Wait, Error> {
        self.check_atomic(instance, memory, address, expected.bytes())?;
        let memory = &self.memories[self.memory_index(instance, memory)?];
        let shared = memory.shared();
        let shared = shared.ok_or_else(|| without_frames(TrapCode::ExpectedSharedMemory))?;
        let timeout = u64::try_from(timeout).ok().map(Duration::from_nanos);
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(Wait { memory: shared.clone(), address, expected, end })
    }

    /// Wakes at most `count` threads that wait at `address`; nobody waits at an unshared memory.
    pub(super) fn atomic_notify(
        &mut self,
        instance: u32,
        memory: u32,
        address: u64,
        count: u32,
    ) -> Result<u32, Error> {
        self.check_atomic(instance, memory, address, 4)?;
        let memory = &self.memories[self.memory_index(instance, memory)?];
        Ok(memory.shared().map_or(0, |shared| shared.notify(address as usize, count)))
    }

    /// Whether `bytes` bytes at `address` are inside a memory, and aligned.
    fn check_atomic(
        &self,
        instance: u32,
        memory: u32,
        address: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        if !address.is_multiple_of(bytes) {
            return Err(without_frames(TrapCode::UnalignedAtomic));
        }
        self.memory_range(instance, memory, address, bytes).map(|_| ())
    }
}
