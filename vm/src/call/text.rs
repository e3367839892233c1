//! Which addresses are guest code: asked by signal handlers, so without locks or allocation.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

/// The sorted ranges, replaced as a whole.
static RANGES: AtomicPtr<Vec<Range<usize>>> = AtomicPtr::new(std::ptr::null_mut());
/// How many threads are looking at `RANGES` right now.
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Held while `RANGES` is being replaced.
static WRITER: Mutex<()> = Mutex::new(());

/// A range that stays registered until this is dropped.
#[derive(Debug)]
pub(crate) struct Registration(Range<usize>);

/// Makes `range` known as guest code.
pub(crate) fn register(range: Range<usize>) -> Registration {
    replace(|ranges| {
        let at = ranges.partition_point(|other| other.start < range.start);
        ranges.insert(at, range.clone());
    });
    Registration(range)
}

impl Drop for Registration {
    fn drop(&mut self) {
        replace(|ranges| ranges.retain(|range| *range != self.0));
    }
}

/// Whether `pc` is guest code. Async-signal-safe.
pub(crate) fn contains(pc: usize) -> bool {
    around(pc).is_some()
}

/// The range of guest code that `pc` is in. Async-signal-safe.
pub(crate) fn around(pc: usize) -> Option<Range<usize>> {
    READERS.fetch_add(1, SeqCst);
    // SAFETY: `replace` frees a list only after it saw no readers since it took the list away;
    // this reader was counted before it looked.
    let ranges = unsafe { RANGES.load(SeqCst).as_ref() };
    let found = ranges.and_then(|ranges| {
        let after = ranges.partition_point(|range| range.start <= pc);
        let range = ranges.get(after.checked_sub(1)?)?;
        range.contains(&pc).then(|| range.clone())
    });
    READERS.fetch_sub(1, SeqCst);
    found
}

fn replace(change: impl FnOnce(&mut Vec<Range<usize>>)) {
    let _guard = WRITER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let old = RANGES.load(SeqCst);
    // SAFETY: only this function frees a list, and the lock is held.
    let mut ranges = unsafe { old.as_ref() }.cloned().unwrap_or_default();
    change(&mut ranges);
    RANGES.store(Box::into_raw(Box::new(ranges)), SeqCst);
    // Readers are signal handlers, gone in well under a microsecond.
    while READERS.load(SeqCst) != 0 {
        std::hint::spin_loop();
    }
    if !old.is_null() {
        // SAFETY: it came from `Box::into_raw` here, and nobody looks at it any more.
        drop(unsafe { Box::from_raw(old) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_until_they_are_dropped() {
        let low = register(100..200);
        let high = register(300..400);
        assert!(contains(100) && contains(199) && contains(399));
        assert!(!contains(200) && !contains(99) && !contains(250));
        drop(low);
        assert!(!contains(150) && contains(350));
        drop(high);
        assert!(!contains(350));
    }
}
