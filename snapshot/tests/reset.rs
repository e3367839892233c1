//! Whatever was written, grown and read: after a reset the slot is the image. For each way of
//! resetting, forced.

#![expect(clippy::single_range_in_vec_init)] // sets of pages are lists of ranges

use proptest::prelude::*;
use std::sync::{Arc, Once};
use wfaas_snapshot::{
    Binding, Extent, FaultSignal, Geometry, Growth, Image, LEARN_ALIGN, PAGE, Slot, Tracking,
    WorkingSet, handle_missing_page, handle_write_fault,
};

const GEOMETRY: Geometry = Geometry { below: 1 << 20, above: 4 << 20, align: LEARN_ALIGN };
const LEAD: usize = 3 * PAGE;
const IMAGE: usize = 40 * PAGE;
const MAX_OPEN: usize = 200 * PAGE;
const EACH: [Tracking; 4] =
    [Tracking::Discard, Tracking::Learn, Tracking::Granules, Tracking::Record];
const GROWTHS: [Growth; 3] = [Growth::Protect, Growth::Fault, Growth::Whole];

/// What an embedder has to install for slots that learn.
fn install_handler() {
    extern "C" fn handler(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel's argument.
        let info = unsafe { &*info };
        // SAFETY: SIGBUS and SIGSEGV come with an address.
        let address = unsafe { info.si_addr() };
        let bus = signal == libc::SIGBUS;
        let (signal, address) =
            (if bus { FaultSignal::Bus } else { FaultSignal::Segv }, address as usize);
        let ours = handle_write_fault(signal, address) || bus && handle_missing_page(address);
        if !ours {
            // SAFETY: async-signal-safe.
            unsafe { libc::abort() };
        }
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: all zeros is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
        for signal in [libc::SIGBUS, libc::SIGSEGV] {
            // SAFETY: the handler is async-signal-safe.
            assert_eq!(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }, 0);
        }
    });
}

fn bound(tracking: Tracking, image: Image, head: usize) -> Slot {
    grown_by(Growth::Protect, tracking, image, head)
}

fn grown_by(growth: Growth, tracking: Tracking, image: Image, head: usize) -> Slot {
    install_handler();
    let mut slot = Slot::reserve(GEOMETRY).unwrap();
    slot.bind(Binding { image: Arc::new(image), lead: LEAD, head, tracking, growth }).unwrap();
    assert_eq!(slot.tracking(), tracking, "this kernel has no userfaultfd write-protection");
    slot
}

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, byte: u8 },
    Open { pages: usize },
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..MAX_OPEN + LEAD, any::<u8>()).prop_map(|(at, byte)| Step::Write { at, byte }),
        2 => (0..MAX_OPEN / PAGE).prop_map(|pages| Step::Open { pages }),
        1 => Just(Step::Reset),
    ]
}

/// An image with data in pages 0, 5, 6 and 39 and its bytes, computed independently.
fn image() -> (Image, Vec<u8>) {
    let stored: Vec<u8> = (0..4 * PAGE).map(|i| (i / 7) as u8 | 1).collect();
    let extents = [(0, 0, 1), (5, 1, 2), (39, 3, 1)].map(|(at, file, pages)| Extent {
        at: at * PAGE,
        file: file * PAGE as u64,
        bytes: pages * PAGE,
    });
    let mut bytes = vec![0; IMAGE];
    bytes[..PAGE].copy_from_slice(&stored[..PAGE]);
    bytes[5 * PAGE..7 * PAGE].copy_from_slice(&stored[PAGE..3 * PAGE]);
    bytes[39 * PAGE..].copy_from_slice(&stored[3 * PAGE..]);
    (Image::from_pages(IMAGE, &extents, &stored).unwrap(), bytes)
}

fn assert_pristine(slot: &Slot, expected: &[u8]) {
    assert_eq!(slot.open_bytes(), IMAGE - LEAD);
    assert!(slot.bytes(-(LEAD as isize), IMAGE).unwrap() == expected, "slot differs from image");
    slot.bytes(0, IMAGE - LEAD + 1).expect_err("nothing beyond the image is accessible");
}

fn reset_restores_the_image(tracking: Tracking, growth: Growth, steps: Vec<Step>) {
    let (image, expected) = image();
    let mut slot = grown_by(growth, tracking, image, PAGE);
    slot.bytes_mut(-(LEAD as isize) - 8, 8).unwrap().fill(0xaa);
    assert_pristine(&slot, &expected);
    for step in steps {
        match step {
            Step::Write { at, byte } => {
                let at = (at % (slot.open_bytes() + LEAD)) as isize - LEAD as isize;
                slot.bytes_mut(at, 1).unwrap()[0] = byte;
            }
            Step::Open { pages } => slot.open(pages * PAGE).unwrap(),
            Step::Reset => {
                slot.reset().unwrap();
                assert_pristine(&slot, &expected);
            }
        }
    }
    slot.reset().unwrap();
    assert_pristine(&slot, &expected);
    assert_eq!(slot.bytes(-(LEAD as isize) - 8, 8).unwrap(), [0xaa; 8]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn discarding_restores_the_image(
        steps in prop::collection::vec(step(), 1..60), growth in prop::sample::select(&GROWTHS)
    ) {
        reset_restores_the_image(Tracking::Discard, growth, steps);
    }

    #[test]
    fn copying_pages_back_restores_the_image(
        steps in prop::collection::vec(step(), 1..60), growth in prop::sample::select(&GROWTHS)
    ) {
        reset_restores_the_image(Tracking::Learn, growth, steps);
    }

    #[test]
    fn copying_granules_back_restores_the_image(
        steps in prop::collection::vec(step(), 1..60), growth in prop::sample::select(&GROWTHS)
    ) {
        reset_restores_the_image(Tracking::Granules, growth, steps);
    }

    #[test]
    fn recording_restores_the_image(
        steps in prop::collection::vec(step(), 1..60), growth in prop::sample::select(&GROWTHS)
    ) {
        reset_restores_the_image(Tracking::Record, growth, steps);
    }
}

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

/// A guest without bounds checks writes to what was never opened.
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
fn a_slot_can_be_bound_to_another_image() {
    for (tracking, growth) in EACH.iter().flat_map(|t| GROWTHS.map(|growth| (*t, growth))) {
        let mut slot = grown_by(growth, tracking, image().0, PAGE);
        slot.open(MAX_OPEN).unwrap();
        slot.bytes_mut(0, MAX_OPEN).unwrap().fill(1);
        let image = Arc::new(Image::from_pages(2 * PAGE, &[], &[]).unwrap());
        slot.bind(Binding { image, lead: PAGE, head: PAGE, tracking, growth }).unwrap();
        let all = slot.bytes(-(2 * PAGE as isize), 3 * PAGE).unwrap();
        assert!(all.iter().all(|byte| *byte == 0));
        slot.bytes(0, 2 * PAGE).expect_err("the first image's memory is gone");
        slot.open(MAX_OPEN).unwrap();
        assert!(slot.bytes(0, MAX_OPEN).unwrap().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn only_pages_that_were_written_to_are_learned() {
    let mut slot = bound(Tracking::Learn, image().0, 0);
    assert_eq!(slot.learned_pages(), 0);
    for _ in 0..3 {
        slot.bytes_mut(0, 1).unwrap()[0] = 1;
        slot.bytes_mut(10 * PAGE as isize, 2 * PAGE).unwrap().fill(1);
        assert_eq!(slot.learned_pages(), 3);
        slot.reset().unwrap();
    }
}

#[test]
fn a_set_that_grows_too_large_is_learned_anew() {
    let pages = 5000;
    let stored = vec![3; PAGE];
    let extents = [Extent { at: 0, file: 0, bytes: PAGE }];
    let image = Image::from_pages(pages * PAGE, &extents, &stored).unwrap();
    let mut slot = bound_at(Tracking::Learn, image);
    slot.bytes_mut(0, pages * PAGE).unwrap().fill(9);
    slot.reset().unwrap();
    assert_eq!(slot.learned_pages(), 0);
    let bytes = slot.bytes(0, pages * PAGE).unwrap();
    assert!(bytes[..PAGE].iter().all(|byte| *byte == 3));
    assert!(bytes[PAGE..].iter().all(|byte| *byte == 0));
    slot.bytes_mut(7 * PAGE as isize, 1).unwrap()[0] = 1;
    assert_eq!(slot.learned_pages(), 1, "the image is protected again");
}

#[test]
fn the_kernel_may_write_where_it_was_allowed() {
    use std::io::Read;
    let (image, expected) = image();
    let mut slot = bound(Tracking::Learn, image, 0);
    slot.make_writable(100, 2 * PAGE).unwrap();
    let mut zeros = std::fs::File::open("/dev/zero").unwrap();
    let buffer = slot.bytes_mut(100, 2 * PAGE).unwrap();
    zeros.read_exact(buffer).unwrap();
    assert!(buffer.iter().all(|byte| *byte == 0));
    slot.reset().unwrap();
    assert_pristine(&slot, &expected);
}

#[test]
fn a_slot_stops_learning_from_guests_that_do_not_repeat_themselves() {
    let pages = 4000;
    let image = Image::from_pages(pages * PAGE, &[], &[]).unwrap();
    let mut slot = bound_at(Tracking::Learn, image);
    for round in 0..100 {
        for page in 0..8 {
            slot.bytes_mut(((round * 8 + page) * PAGE) as isize, 1).unwrap()[0] = 1;
        }
        slot.reset().unwrap();
        let bytes = slot.bytes(0, pages * PAGE).unwrap();
        assert!(bytes.iter().step_by(PAGE).all(|byte| *byte == 0));
    }
    assert_eq!(slot.tracking(), Tracking::Discard);
}

#[test]
fn a_slot_goes_on_learning_from_guests_that_mostly_repeat_themselves() {
    let mut slot = bound(Tracking::Learn, image().0, 0);
    for round in 0..300 {
        slot.bytes_mut(0, 20 * PAGE).unwrap().fill(1);
        slot.bytes_mut(((20 + round / 40) * PAGE) as isize, 1).unwrap()[0] = 1;
        slot.reset().unwrap();
    }
    assert_eq!(slot.tracking(), Tracking::Learn);
    assert_eq!(slot.learned_pages(), 28);
}

/// A slot with an image of `pages` pages of zeros.
fn zeros(tracking: Tracking, pages: usize) -> Slot {
    let image = Image::from_pages(pages * PAGE, &[], &[]).unwrap();
    bound_at(tracking, image)
}

fn write_page(slot: &mut Slot, page: usize) {
    slot.bytes_mut((page * PAGE) as isize, 1).unwrap()[0] = 1;
}

/// Page faults of this thread so far that needed no disk.
fn faults() -> i64 {
    // SAFETY: all zeros is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills it in.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_minflt
}

#[test]
fn a_slot_that_rests_from_learning_tries_again() {
    let mut slot = zeros(Tracking::Learn, 4000);
    for round in 0..64 {
        (0..8).for_each(|page| write_page(&mut slot, round * 8 + page));
        slot.reset().unwrap();
    }
    assert_eq!(slot.tracking(), Tracking::Discard);
    for _ in 0..20_000 {
        write_page(&mut slot, 7);
        slot.reset().unwrap();
        assert_eq!(slot.bytes(7 * PAGE as isize, 1).unwrap(), [0]);
    }
    assert_eq!(slot.tracking(), Tracking::Learn);
    assert_eq!(slot.learned_pages(), 1);
}

#[test]
fn a_set_that_has_drifted_shrinks() {
    let mut slot = zeros(Tracking::Learn, 1000);
    for round in 0..2000 {
        write_page(&mut slot, 0);
        if round < 500 && round % 2 == 0 {
            write_page(&mut slot, round);
        }
        slot.reset().unwrap();
    }
    assert!((1..250).contains(&slot.learned_pages()), "{}", slot.learned_pages());
    assert_eq!(slot.tracking(), Tracking::Learn);
}

#[test]
fn more_granules_than_a_set_holds_are_discarded() {
    let mut slot = zeros(Tracking::Granules, 4000);
    for _ in 0..3 {
        (0..4000).step_by(40).for_each(|page| write_page(&mut slot, page));
        slot.reset().unwrap();
        assert!(slot.bytes(0, 4000 * PAGE).unwrap().iter().step_by(64).all(|byte| *byte == 0));
    }
    assert_eq!(slot.tracking(), Tracking::Discard);
}

#[test]
fn the_granules_of_a_page_are_learned_and_others_stay_protected() {
    let mut slot = zeros(Tracking::Granules, 100);
    for _ in 0..3 {
        write_page(&mut slot, 0);
        write_page(&mut slot, 3);
        write_page(&mut slot, 99);
        assert_eq!(slot.learned_pages(), 2);
        slot.reset().unwrap();
    }
    assert_eq!(slot.tracking(), Tracking::Granules);
}

#[test]
fn memory_that_grows_again_needs_no_faults() {
    let mut slot = bound(Tracking::Learn, image().0, 0);
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
    assert_eq!(slot.learned_pages(), 3);
}

#[test]
fn a_fault_provides_the_pages_around_it() {
    let mut slot = grown_by(Growth::Fault, Tracking::Discard, image().0, 0);
    let end = slot.open_bytes();
    let there = |slot: &Slot| {
        let mut pages = [0u8; 40];
        let start = slot.base().wrapping_add(end).cast();
        // SAFETY: a byte for each page.
        assert_eq!(unsafe { libc::mincore(start, 40 * PAGE, pages.as_mut_ptr()) }, 0);
        let there = pages.iter().enumerate().filter(|(_, page)| **page & 1 == 1);
        there.map(|(page, _)| page).collect::<Vec<_>>()
    };
    let touch = |slot: &mut Slot, page: usize| {
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

#[test]
fn a_fault_that_is_not_the_first_write_is_not_taken_for_one() {
    use FaultSignal::{Bus, Segv};
    let mut slot = bound(Tracking::Granules, image().0, 0);
    write_page(&mut slot, 2);
    let at = |page: usize| slot.base() as usize + page * PAGE;
    assert!(handle_write_fault(Segv, at(2)), "another thread was first: to be tried again");
    assert!(!handle_write_fault(Segv, at(100)), "it is behind the image");
    assert!(!handle_write_fault(Bus, at(30)), "the other signal");
    assert!(!handle_write_fault(Segv, 0));
    assert!(!handle_write_fault(Segv, usize::MAX));
    assert!(handle_write_fault(Segv, at(30)));

    let mut slot = bound(Tracking::Learn, image().0, 0);
    slot.open(MAX_OPEN).unwrap();
    slot.reset().unwrap();
    let at = |page: usize| slot.base() as usize + page * PAGE;
    assert!(!handle_write_fault(Segv, at(60)), "it is watched, but closed");
    assert!(!handle_write_fault(Segv, at(2)), "the other signal");
    assert!(handle_write_fault(Bus, at(2)));
}

#[test]
fn what_was_written_is_recorded() {
    let mut slot = bound(Tracking::Record, image().0, 0);
    for pages in [[1, 5, 6], [0, 5, 30]] {
        pages.iter().for_each(|page| write_page(&mut slot, *page));
        slot.open(MAX_OPEN).unwrap();
        write_page(&mut slot, 100);
        slot.reset().unwrap();
    }
    let lead = LEAD / PAGE;
    let expected = WorkingSet {
        pages: vec![lead..lead + 2, lead + 5..lead + 7, lead + 30..lead + 31],
        image: IMAGE / PAGE,
        grown: MAX_OPEN - (IMAGE - LEAD),
    };
    assert_eq!(slot.recorded(), Some(expected));
    assert_eq!(bound(Tracking::Learn, image().0, 0).recorded(), None);
}

#[test]
fn what_is_expected_is_not_learned_and_needs_no_faults() {
    for tracking in [Tracking::Learn, Tracking::Granules] {
        let (image, expected) = image();
        let pages = vec![3..5, 8..9, 38..40];
        let set = WorkingSet { pages, image: IMAGE / PAGE, grown: 10 * PAGE };
        let mut slot = bound(tracking, image.expecting(set).unwrap(), 0);
        assert_pristine(&slot, &expected);
        let learned = slot.learned_pages();
        assert_eq!(learned, if tracking == Tracking::Learn { 5 } else { 4 });
        let before = faults();
        [0, 1, 5, 35, 36].iter().for_each(|page| write_page(&mut slot, *page));
        assert!(faults() - before < 2, "{} faults", faults() - before);
        assert_eq!(slot.learned_pages(), learned);
        slot.reset().unwrap();
        assert_pristine(&slot, &expected);
        slot.open(IMAGE - LEAD + 10 * PAGE).unwrap();
        assert!(
            slot.bytes(IMAGE as isize - LEAD as isize, 10 * PAGE).unwrap().iter().all(|b| *b == 0)
        );
    }
}

#[test]
fn memory_that_is_expected_to_grow_is_watched_from_the_start() {
    let (image, expected) = image();
    let set = WorkingSet { pages: vec![41..43], image: IMAGE / PAGE, grown: 10 * PAGE };
    let mut slot = bound(Tracking::Learn, image.expecting(set).unwrap(), 0);
    assert_pristine(&slot, &expected);
    assert_eq!(slot.learned_pages(), 2);
    slot.open(IMAGE - LEAD + 10 * PAGE).unwrap();
    let before = faults();
    let first = IMAGE / PAGE - LEAD / PAGE + 1;
    write_page(&mut slot, first);
    write_page(&mut slot, first + 1);
    assert!(faults() - before < 2, "{} faults", faults() - before);
    slot.reset().unwrap();
    assert_pristine(&slot, &expected);
    slot.open(IMAGE - LEAD + 10 * PAGE).unwrap();
    assert_eq!(slot.bytes((first * PAGE) as isize, 1).unwrap(), [0]);
}

#[test]
fn impossible_working_sets_are_refused() {
    let all = IMAGE / PAGE;
    for (pages, image_pages, grown) in [
        (vec![5..6, 3..4], all, 0),
        (vec![5..6, 5..7], all, 0),
        (vec![5..5], all, 0),
        (vec![39..41], all, 0),
        (vec![40..52], all, 11 * PAGE),
        (vec![1..2], all - 1, 0),
        (vec![1..2], all, 100),
        (vec![0..5000], all, 5000 * PAGE),
        (vec![], all, usize::MAX - 4095),
    ] {
        let set = WorkingSet { pages, image: image_pages, grown };
        let error = image().0.expecting(set.clone()).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{set:?}");
    }
}

/// Nothing but speed relies on a working set, so a wrong one must not cost speed for ever.
#[test]
fn a_working_set_that_guests_do_not_write_to_is_forgotten() {
    let pages = 300;
    let image = Image::from_pages(pages * PAGE, &[], &[]).unwrap();
    let set = WorkingSet { pages: vec![10..210], image: pages, grown: 0 };
    for tracking in [Tracking::Learn, Tracking::Granules] {
        let image = Image::from_pages(image.len(), &[], &[]).unwrap();
        let mut slot = bound_at(tracking, image.expecting(set.clone()).unwrap());
        assert!(slot.learned_pages() >= 50);
        for _ in 0..5000 {
            slot.bytes_mut(0, 1).unwrap()[0] = 1;
            slot.reset().unwrap();
        }
        assert_eq!(slot.learned_pages(), 1, "{tracking:?}");
    }
}

/// A slot for more than the other tests', with all of the image at BASE.
fn bound_at(tracking: Tracking, image: Image) -> Slot {
    install_handler();
    let geometry = Geometry { below: 1 << 20, above: 32 << 20, align: LEARN_ALIGN };
    let mut slot = Slot::reserve(geometry).unwrap();
    let growth = Growth::Protect;
    slot.bind(Binding { image: Arc::new(image), lead: 0, head: 0, tracking, growth }).unwrap();
    slot
}
