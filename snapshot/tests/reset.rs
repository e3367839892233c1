//! Whatever was written, grown and read: after a reset the slot is the image. For both ways of
//! resetting, forced.

use proptest::prelude::*;
use std::sync::{Arc, Once};
use wfaas_snapshot::{Binding, Extent, Geometry, Growth, Image, LEARN_ALIGN, PAGE, Slot, Tracking};

const GEOMETRY: Geometry = Geometry { below: 1 << 20, above: 4 << 20, align: LEARN_ALIGN };
const LEAD: usize = 3 * PAGE;
const IMAGE: usize = 40 * PAGE;
const MAX_OPEN: usize = 200 * PAGE;
const BOTH: [Tracking; 2] = [Tracking::Discard, Tracking::Learn];
const GROWTHS: [Growth; 3] = [Growth::Protect, Growth::Fault, Growth::Whole];

/// What an embedder has to install for slots that learn.
fn install_handler() {
    extern "C" fn handler(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel's argument.
        let info = unsafe { &*info };
        // SAFETY: SIGBUS comes with an address.
        let address = unsafe { info.si_addr() };
        let address = address as usize;
        if !wfaas_snapshot::handle_write_fault(address)
            && !wfaas_snapshot::handle_missing_page(address)
        {
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
        // SAFETY: the handler is async-signal-safe.
        assert_eq!(unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) }, 0);
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
    fn copying_back_restores_the_image(
        steps in prop::collection::vec(step(), 1..60), growth in prop::sample::select(&GROWTHS)
    ) {
        reset_restores_the_image(Tracking::Learn, growth, steps);
    }
}

#[test]
fn opened_memory_is_zero_every_time() {
    for (tracking, growth) in BOTH.iter().flat_map(|t| GROWTHS.map(|growth| (*t, growth))) {
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
    for (tracking, growth) in BOTH.iter().flat_map(|t| GROWTHS.map(|growth| (*t, growth))) {
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
    install_handler();
    let geometry = Geometry { below: 1 << 20, above: 32 << 20, align: LEARN_ALIGN };
    let mut slot = Slot::reserve(geometry).unwrap();
    let tracking = Tracking::Learn;
    slot.bind(Binding {
        image: Arc::new(image),
        lead: 0,
        head: 0,
        tracking,
        growth: Growth::Protect,
    })
    .unwrap();
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
    install_handler();
    let geometry = Geometry { below: 1 << 20, above: 32 << 20, align: LEARN_ALIGN };
    let mut slot = Slot::reserve(geometry).unwrap();
    let tracking = Tracking::Learn;
    slot.bind(Binding {
        image: Arc::new(image),
        lead: 0,
        head: 0,
        tracking,
        growth: Growth::Protect,
    })
    .unwrap();
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
