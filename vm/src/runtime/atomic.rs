//! Waiting and notifying, as instances ask for it.

use crate::call::parking::Outcome;
use crate::runtime::error::{Error, without_frames};
use crate::runtime::objects::Objects;
use std::sync::atomic::Ordering::SeqCst;
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
        self.check_atomic(instance, memory, address, expected.bytes())?;
        let memory = &self.memories[self.memory_index(instance, memory)?];
        let shared = memory.shared();
        let shared = shared.ok_or_else(|| without_frames(TrapCode::ExpectedSharedMemory))?;
        let timeout = u64::try_from(timeout).ok().map(Duration::from_nanos);
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let at = address as usize;
        let unchanged = || match expected {
            Expected::Bits32(value) => {
                shared.atomic_u32(at).is_ok_and(|cell| cell.load(SeqCst) == value)
            }
            Expected::Bits64(value) => {
                shared.atomic_u64(at).is_ok_and(|cell| cell.load(SeqCst) == value)
            }
        };
        shared.wait(address, unchanged, end).map_err(without_frames)
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
