//! Points in time as numbers that are read and written at once: nanoseconds since the first use.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// No point in time, after all others.
pub(super) const NEVER: u64 = u64::MAX;

/// The number of a point in time.
pub(super) fn nanos(instant: Instant) -> u64 {
    whole(instant.saturating_duration_since(anchor()))
}

/// The number of the present.
pub(super) fn now() -> u64 {
    nanos(Instant::now())
}

/// The point in time with a number, unless it is [`NEVER`].
pub(super) fn instant(nanos: u64) -> Option<Instant> {
    (nanos != NEVER).then(|| anchor() + Duration::from_nanos(nanos))
}

/// A duration in nanoseconds, less than [`NEVER`].
pub(super) fn whole(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER - 1).min(NEVER - 1)
}

/// The origin.
fn anchor() -> Instant {
    static ANCHOR: OnceLock<Instant> = OnceLock::new();
    *ANCHOR.get_or_init(Instant::now)
}
