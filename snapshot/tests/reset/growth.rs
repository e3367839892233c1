//! Memory after the image: zero when it is opened, inaccessible when it is closed.

use crate::slots::*;
use wfaas_snapshot::{Bound, Growth, PAGE, Tracking, handle_missing_page};

#[test]
fn opened_memory_is_zero_every_time() {
    for (tracking, growth) in EACH.iter().flat_map(|t| GROWTHS.map(|growth| (*t, growth))) {
        let mut slot = grown_by(growth, tracking, image().0, 0);
        for _ in 0..3 {
            slot.open(MAX_OPEN).unwrap();
            let bytes = MAX_OPEN - (IMAGE - LEAD);
            let grown = slot.bytes_mut((IMAGE - LEAD) as isize, bytes).unwrap();
            assert!(grown.iter().all(|byte| *byte == 0));
            grown.fill(0xff);
            slot.reset().unwrap();
        }
    }
}

/// A guest without bounds checks writes to memory that was never opened.
#[test]
fn what_was_never_opened_is_reset_too() {
    let mut slot = grown_by(Growth::Whole, Tracking::Discard, image().0, 0);
    let last = slot.base().wrapping_add(GEOMETRY.above - 1);
    for _ in 0..2 {
        // SAFETY: with `Growth::Whole` all of the slot is mapped, and nobody refers to it.
        assert_eq!(unsafe { last.read_volatile() }, 0);
        // SAFETY: as above.
        unsafe { last.write_volatile(9) };
        slot.reset().unwrap();
    }
}

#[test]
fn memory_that_grows_again_needs_no_faults() {
    let mut slot = bound(Tracking::Pages, image().0, 0);
    let mut request = || {
        slot.open(MAX_OPEN).unwrap();
        let bytes = slot.bytes_mut(MAX_OPEN as isize - 9000, 9000).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(7);
        slot.reset().unwrap();
        slot.bytes(IMAGE as isize - LEAD as isize, 1).expect_err("it is closed");
    };
    request();
    let before = faults();
    (0..100).for_each(|_| request());
    assert!(faults() - before < 100, "{} faults", faults() - before);
    assert_eq!(slot.learned(), 3);
}

#[test]
fn a_fault_provides_the_pages_around_it() {
    let mut slot = grown_by(Growth::Fault, Tracking::Discard, image().0, 0);
    let end = slot.open_bytes();
    let there = |slot: &Bound| {
        let mut pages = [0u8; 40];
        let start = slot.base().wrapping_add(end).cast();
        // SAFETY: a byte for each page.
        assert_eq!(unsafe { libc::mincore(start, 40 * PAGE, pages.as_mut_ptr()) }, 0);
        let there = pages.iter().enumerate().filter(|(_, page)| **page & 1 == 1);
        there.map(|(page, _)| page).collect::<Vec<_>>()
    };
    let touch = |slot: &mut Bound, page: usize| {
        slot.bytes_mut(0, end + 40 * PAGE).unwrap()[end + page * PAGE] = 1
    };
    slot.open(end + 40 * PAGE).unwrap();
    assert_eq!(there(&slot), []);
    touch(&mut slot, 21);
    assert_eq!(there(&slot), Vec::from_iter(16..32));
    touch(&mut slot, 33);
    assert_eq!(there(&slot), Vec::from_iter(16..40), "no more than what is open");
    slot.reset().unwrap();
    assert_eq!(there(&slot), []);
    // A block of which some pages were provided when no more were open.
    slot.open(end + 2 * PAGE).unwrap();
    slot.bytes_mut(0, end + 1).unwrap()[end] = 1;
    slot.open(end + 40 * PAGE).unwrap();
    touch(&mut slot, 9);
    assert_eq!(there(&slot), [0, 1, 9]);
}

#[test]
fn threads_may_fault_on_the_same_pages_at_the_same_time() {
    let mut slot = grown_by(Growth::Fault, Tracking::Discard, image().0, 0);
    let end = slot.open_bytes();
    for _ in 0..200 {
        slot.open(end + 160 * PAGE).unwrap();
        let start = slot.base() as usize + end;
        let together = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    // From the start, from the end, and all over the place.
                    for step in 0..160 {
                        let page = [step, 159 - step, step * 7 % 160][thread];
                        let byte = (start + page * PAGE + thread) as *mut u8;
                        // SAFETY: open memory; each thread has bytes of its own.
                        let before = unsafe { std::ptr::read_volatile(byte) };
                        // SAFETY: as above.
                        unsafe { std::ptr::write_volatile(byte, before + 1) };
                    }
                });
            }
        });
        for page in slot.bytes(0, end + 160 * PAGE).unwrap()[end..].chunks(PAGE) {
            assert_eq!(page[..4], [1, 1, 1, 0]);
        }
        slot.reset().unwrap();
    }
}

#[test]
fn memory_that_is_closed_is_not_accessible() {
    for tracking in EACH {
        let mut slot = bound(tracking, image().0, 0);
        slot.open(MAX_OPEN).unwrap();
        slot.bytes_mut(MAX_OPEN as isize - 1, 1).unwrap()[0] = 1;
        slot.reset().unwrap();
        let last = slot.base().wrapping_add(MAX_OPEN - 1);
        let mut byte = [0u8];
        // The kernel tells about it where a read of our own would end the test.
        let local = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        let remote = libc::iovec { iov_base: last.cast(), iov_len: 1 };
        let this = std::process::id() as i32;
        // SAFETY: both ranges are of one byte, the local one is ours.
        let read = unsafe { libc::process_vm_readv(this, &local, 1, &remote, 1, 0) };
        assert_eq!(read, -1, "{tracking:?}");
    }
}

#[test]
fn pages_are_provided_only_while_they_are_open() {
    let mut slot = grown_by(Growth::Fault, Tracking::Discard, image().0, 0);
    let (base, end) = (slot.base() as usize, slot.open_bytes());
    assert!(!handle_missing_page(base + end), "nothing is open");
    slot.open(end + 2 * PAGE).unwrap();
    assert!(handle_missing_page(base + end));
    assert!(!handle_missing_page(base + end + 2 * PAGE), "no more is open");
    assert!(!handle_missing_page(base + end - 1), "this is the image's");
    slot.reset().unwrap();
    assert!(!handle_missing_page(base + end), "no more is it open");
}
