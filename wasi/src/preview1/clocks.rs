//! `clock_*`: the two clocks that say nothing about other guests of the process.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

/// The clock with this number in preview1. The CPU-time clocks of the process and the thread (2
/// and 3) are not for guests: other guests share both.
pub(super) fn clock(number: u32) -> Result<ClockId, Errno> {
    match number {
        0 => Ok(ClockId::Realtime),
        1 => Ok(ClockId::Monotonic),
        _ => Err(Errno::Inval),
    }
}

/// The time of a clock in nanoseconds, as the guest sees it.
pub(crate) fn now(guest: &mut Guest<'_>, clock: ClockId) -> Result<u64, Errno> {
    guest.wasi().sources.now(clock)
}

/// The time of one of this host's clocks in nanoseconds.
pub(crate) fn clock_now(clock: ClockId) -> Result<u64, Errno> {
    nanoseconds(clock_gettime(clock))
}

fn nanoseconds(time: Timespec) -> Result<u64, Errno> {
    let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::Overflow)?;
    let whole = seconds.checked_mul(1_000_000_000).ok_or(Errno::Overflow)?;
    // Always less than a second.
    Ok(whole + time.tv_nsec.unsigned_abs())
}

pub(super) fn clock_res_get(
    guest: &mut Guest<'_>,
    id: u32,
    resolution: GuestPtr,
) -> Result<(), Failure> {
    let nanoseconds = nanoseconds(clock_getres(clock(id)?))?;
    Ok(guest::write_u64(guest, resolution, nanoseconds)?)
}

pub(super) fn clock_time_get(
    guest: &mut Guest<'_>,
    id: u32,
    _precision: u64,
    time: GuestPtr,
) -> Result<(), Failure> {
    let now = now(guest, clock(id)?)?;
    Ok(guest::write_u64(guest, time, now)?)
}
