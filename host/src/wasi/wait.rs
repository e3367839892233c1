//! Waiting that a deadline or a cancel ends.

use super::Guest;
use super::errno::Errno;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::time::{Duration, Instant};

/// Longest single wait. A signal that arrives just before the system call does not interrupt it,
/// so no wait is longer than what a deadline may be late.
const SLICE: Duration = Duration::from_millis(20);

/// Waits until one of `descriptors` is ready or `until` has come (`None` for never); says which
/// ones are ready.
///
/// # Errors
/// [`Errno::Intr`] if the guest's call is to end: the caller returns to the guest at once.
pub(super) fn wait(
    guest: &Guest<'_>,
    descriptors: &mut [PollFd<'_>],
    until: Option<Instant>,
) -> Result<Vec<bool>, Errno> {
    loop {
        if guest.interrupted().is_some() {
            return Err(Errno::Intr);
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let ready = poll_once(descriptors, left.unwrap_or(SLICE).min(SLICE))?;
        if ready.contains(&true) || left == Some(Duration::ZERO) {
            return Ok(ready);
        }
    }
}

fn poll_once(descriptors: &mut [PollFd<'_>], time: Duration) -> Result<Vec<bool>, Errno> {
    let time = Timespec {
        tv_sec: 0, // less than a second, see SLICE
        tv_nsec: time.subsec_nanos().into(),
    };
    match poll(descriptors, Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(descriptors.iter().map(|descriptor| descriptor.revents() != PollFlags::empty()).collect())
}
