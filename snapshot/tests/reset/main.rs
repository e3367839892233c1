//! Whatever was written, grown and read: after a reset the slot is the image. For each way of
//! tracking, forced.

mod fork;
mod growth;
mod learning;
mod slots;
mod working_sets;

use proptest::prelude::*;
use slots::*;
use std::sync::Arc;
use wfaas_snapshot::{Binding, Error, Growth, Image, PAGE, Slot, Tracking};

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, byte: u8 },
    Open { pages: usize },
    Reset { sheds: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..MAX_OPEN + LEAD, any::<u8>()).prop_map(|(at, byte)| Step::Write { at, byte }),
        2 => (0..MAX_OPEN / PAGE).prop_map(|pages| Step::Open { pages }),
        1 => any::<bool>().prop_map(|sheds| Step::Reset { sheds }),
    ]
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
            Step::Reset { sheds } => {
                let mut from = sheds.then_some(0);
                while let Some(at) = from {
                    from = slot.shed(at).unwrap();
                }
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
        reset_restores_the_image(Tracking::Pages, growth, steps);
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
fn a_slot_can_be_bound_to_another_image() {
    for (tracking, growth) in EACH.iter().flat_map(|t| GROWTHS.map(|growth| (*t, growth))) {
        let mut slot = grown_by(growth, tracking, image().0, PAGE);
        slot.open(MAX_OPEN).unwrap();
        slot.bytes_mut(0, MAX_OPEN).unwrap().fill(1);
        let image = Arc::new(Image::zeroed(2 * PAGE));
        let binding = Binding { image, lead: PAGE, head: PAGE, tracking, growth };
        let mut slot = slot.unbind().unwrap().bind(binding).unwrap();
        let all = slot.bytes(-(2 * PAGE as isize), 3 * PAGE).unwrap();
        assert!(all.iter().all(|byte| *byte == 0));
        slot.bytes(0, 2 * PAGE).expect_err("the first image's memory is gone");
        slot.open(MAX_OPEN).unwrap();
        assert!(slot.bytes(0, MAX_OPEN).unwrap().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn the_kernel_may_write_where_it_was_allowed() {
    use std::io::Read;
    let (image, expected) = image();
    let mut slot = bound(Tracking::Pages, image, 0);
    slot.make_writable(100, 2 * PAGE).unwrap();
    let mut zeros = std::fs::File::open("/dev/zero").unwrap();
    let buffer = slot.bytes_mut(100, 2 * PAGE).unwrap();
    zeros.read_exact(buffer).unwrap();
    assert!(buffer.iter().all(|byte| *byte == 0));
    slot.reset().unwrap();
    assert_pristine(&slot, &expected);
}

/// A slot that could not be bound is as it was.
#[test]
fn an_image_that_is_too_large_leaves_the_slot() {
    let binding = |image: Image, head| Binding {
        image: Arc::new(image),
        lead: LEAD,
        head,
        tracking: Tracking::Auto,
        growth: Growth::Protect,
    };
    let refused = |slot: Slot, image, head| {
        let failed = slot.bind(binding(image, head)).unwrap_err();
        assert!(matches!(failed.error, Error::TooLarge { .. }), "{failed}");
        failed.slot.unwrap()
    };
    let large = Image::zeroed(LEAD + GEOMETRY.above + PAGE);
    let small = Image::zeroed(LEAD - PAGE);
    let (image, expected) = image();
    let slot = refused(Slot::reserve(GEOMETRY).unwrap(), large, 0);
    let slot = refused(slot, small, 0);
    let slot = refused(slot, Image::zeroed(IMAGE), GEOMETRY.below);
    let slot = refused(slot, Image::zeroed(IMAGE), usize::MAX);
    assert_pristine(&slot.bind(binding(image, 0)).unwrap(), &expected);
}
