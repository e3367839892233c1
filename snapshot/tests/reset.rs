//! Whatever was written, grown and read: after a reset the slot is the image.

use proptest::prelude::*;
use std::sync::Arc;
use wfaas_snapshot::{Binding, Extent, Geometry, Image, PAGE, Slot};

const GEOMETRY: Geometry = Geometry { below: 1 << 20, above: 4 << 20, align: 1 << 20 };
const LEAD: usize = 3 * PAGE;
const IMAGE: usize = 40 * PAGE;
const MAX_OPEN: usize = 200 * PAGE;

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn reset_restores_the_image(steps in prop::collection::vec(step(), 1..60)) {
        let (image, expected) = image();
        let mut slot = Slot::reserve(GEOMETRY).unwrap();
        slot.bind(Binding { image: Arc::new(image), lead: LEAD, head: PAGE }).unwrap();
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
        prop_assert_eq!(slot.bytes(-(LEAD as isize) - 8, 8).unwrap(), [0xaa; 8]);
    }
}

#[test]
fn opened_memory_is_zero_every_time() {
    let (image, _) = image();
    let mut slot = Slot::reserve(GEOMETRY).unwrap();
    slot.bind(Binding { image: Arc::new(image), lead: LEAD, head: 0 }).unwrap();
    for _ in 0..3 {
        slot.open(MAX_OPEN).unwrap();
        let grown = slot.bytes_mut((IMAGE - LEAD) as isize, MAX_OPEN - (IMAGE - LEAD)).unwrap();
        assert!(grown.iter().all(|byte| *byte == 0));
        grown.fill(0xff);
        slot.reset().unwrap();
    }
}

#[test]
fn a_slot_can_be_bound_to_another_image() {
    let (first, _) = image();
    let mut slot = Slot::reserve(GEOMETRY).unwrap();
    slot.bind(Binding { image: Arc::new(first), lead: LEAD, head: PAGE }).unwrap();
    slot.open(MAX_OPEN).unwrap();
    slot.bytes_mut(0, MAX_OPEN).unwrap().fill(1);
    let second = Image::from_pages(2 * PAGE, &[], &[]).unwrap();
    slot.bind(Binding { image: Arc::new(second), lead: PAGE, head: PAGE }).unwrap();
    assert!(slot.bytes(-(2 * PAGE as isize), 3 * PAGE).unwrap().iter().all(|byte| *byte == 0));
    slot.bytes(0, 2 * PAGE).expect_err("the first image's memory is gone");
}
