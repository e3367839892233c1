//! The value of the header `date` (RFC 9110, 6.6.1), written once a second by each thread.

use crate::clock;
use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

struct Written {
    text: [u8; LENGTH],
    /// When the second is over.
    until: Instant,
}

thread_local! {
    static WRITTEN: RefCell<Option<Written>> = const { RefCell::new(None) };
}

/// Adds the date.
pub(super) fn write(out: &mut Vec<u8>) {
    let now = clock::now();
    WRITTEN.with_borrow_mut(|written| {
        let is_over = written.as_ref().is_none_or(|written| written.until <= now);
        if is_over {
            *written = Some(Written::at(now, SystemTime::now()));
        }
        if let Some(written) = written {
            out.extend_from_slice(&written.text);
        }
    });
}

impl Written {
    fn at(now: Instant, time: SystemTime) -> Written {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_secs(1) - Duration::from_nanos(since.subsec_nanos().into());
        let mut text = [b' '; LENGTH];
        let date = httpdate::HttpDate::from(UNIX_EPOCH + since).to_string();
        if let Some(place) = text.get_mut(..date.len()) {
            place.copy_from_slice(date.as_bytes());
        }
        Written { text, until: now + left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_holds_until_its_second_is_over() {
        let now = Instant::now();
        let time = UNIX_EPOCH + Duration::from_millis(784_111_777_250);
        let written = Written::at(now, time);
        assert_eq!(&written.text, b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(written.until - now, Duration::from_millis(750));
    }
}
