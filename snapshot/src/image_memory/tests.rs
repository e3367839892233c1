//! Images come, go and share, and no slot sees it.

use super::*;
use crate::{Binding, Bound, Geometry, Growth, Slot, Tracking};
use std::os::unix::fs::MetadataExt;

const PAGES: usize = 8;

fn memory() -> ImageMemory {
    ImageMemory::new(64 << 20).unwrap()
}

/// Bytes of memory that the file has.
fn taken(memory: &ImageMemory) -> u64 {
    memory.0.file.metadata().unwrap().blocks() * 512
}

/// An image of pages full of `byte`.
fn filled(memory: &ImageMemory, byte: u8) -> Image {
    let stored = vec![byte; PAGES * PAGE];
    let extents = [Extent { at: 0, file: 0, bytes: stored.len() }];
    memory.image(stored.len(), 0, &extents, &stored).unwrap()
}

/// An image of zeros but for a byte at the start of each of these pages.
fn sparse(memory: &ImageMemory, pages: usize, stored: impl Iterator<Item = usize>) -> Image {
    let extent =
        |(index, page)| Extent { at: page * PAGE, file: (index * PAGE) as u64, bytes: PAGE };
    let extents: Vec<Extent> = stored.enumerate().map(extent).collect();
    let stored: Vec<u8> = (0..extents.len() * PAGE).map(|at| (at % PAGE == 0).into()).collect();
    memory.image(pages * PAGE, 0, &extents, &stored).unwrap()
}

fn bound(image: Image) -> Bound {
    let geometry = Geometry { below: 0, above: image.len(), align: PAGE };
    let (tracking, growth) = (Tracking::Discard, Growth::Protect);
    let binding = Binding { image: Arc::new(image), lead: 0, head: 0, tracking, growth };
    Slot::reserve(geometry).unwrap().bind(binding).unwrap()
}

fn is_full_of(slot: &Bound, byte: u8) -> bool {
    slot.bytes(0, PAGES * PAGE).unwrap().iter().all(|found| *found == byte)
}

#[test]
fn memory_is_given_back_and_used_again() {
    let memory = memory();
    let kept = filled(&memory, 1);
    let before = (taken(&memory), memory.bytes());
    assert_eq!(before, ((PAGES * PAGE) as u64, (PAGES * PAGE) as u64));
    let others: Vec<Image> = (2..100).map(|byte| filled(&memory, byte)).collect();
    assert_eq!(taken(&memory), 99 * before.0);
    drop(others);
    assert_eq!((taken(&memory), memory.bytes()), before);
    let again: Vec<Image> = (2..100).map(|byte| filled(&memory, byte)).collect();
    assert_eq!(memory.0.file.metadata().unwrap().len(), 99 * before.0, "the same ranges");
    drop((kept, again));
    assert_eq!(taken(&memory), 0);
}

#[test]
fn nothing_takes_the_place_of_an_image_that_a_slot_maps() {
    let memory = memory();
    // Nobody but the slots has these images.
    let mut slots: Vec<Bound> = (1..4).map(|byte| bound(filled(&memory, byte))).collect();
    slots[1].bytes_mut(0, PAGE).unwrap().fill(9);
    let later: Vec<Image> = (10..40).map(|byte| filled(&memory, byte)).collect();
    slots[1].reset().unwrap();
    for (slot, byte) in slots.iter().zip(1..) {
        assert!(is_full_of(slot, byte));
    }
    let mut unbound = slots.pop().unwrap().unbind().unwrap();
    let in_its_place = filled(&memory, 50);
    assert_eq!(in_its_place.extents()[0].file, 2 * (PAGES * PAGE) as u64);
    for (byte, image) in (10..).zip(later) {
        let slot = unbound.bind(Binding {
            image: Arc::new(image),
            lead: 0,
            head: 0,
            tracking: Tracking::Discard,
            growth: Growth::Protect,
        });
        let slot = slot.unwrap();
        assert!(is_full_of(&slot, byte));
        unbound = slot.unbind().unwrap();
    }
    assert!(is_full_of(&slots[0], 1) && is_full_of(&slots[1], 2));
}

#[test]
fn equal_images_are_one_and_counted_once() {
    let memory = memory();
    let images: Vec<Image> = (0..50).map(|_| filled(&memory, 7)).collect();
    assert_eq!(memory.bytes(), (PAGES * PAGE) as u64);
    assert_eq!(taken(&memory), memory.bytes());
    let layouts = [
        sparse(&memory, PAGES, 0..PAGES),
        sparse(&memory, PAGES, 1..PAGES),
        sparse(&memory, 2 * PAGES, 0..PAGES),
        sparse(&memory, PAGES, 0..PAGES),
    ];
    let places: Vec<u64> = layouts.iter().map(|image| image.extents()[0].file).collect();
    assert_eq!(places[0], places[3]);
    assert_eq!(memory.bytes(), ((1 + 1 + 1 + 2) * PAGES * PAGE) as u64);
    drop(images);
    let slots = layouts.map(bound);
    assert_eq!(slots[0].bytes(0, PAGES * PAGE).unwrap(), slots[3].bytes(0, PAGES * PAGE).unwrap());
    assert_eq!(slots[1].bytes(0, 1).unwrap(), [0]);
    drop(slots);
    assert_eq!((memory.bytes(), taken(&memory)), (0, 0));
}

/// However an image's holes are, what looking at all of it takes was counted.
#[test]
fn looking_at_holes_takes_no_memory_that_is_not_counted() {
    let (megabyte, memory) = ((1 << 20) / PAGE, ImageMemory::new(1 << 30).unwrap());
    for (apart, most) in
        [(5 * megabyte, 50), (megabyte + 1, 50), (megabyte, 50 * megabyte), (3, 150)]
    {
        let slot = bound(sparse(&memory, 50 * apart, (0..50).map(|index| index * apart)));
        let bytes = slot.bytes(0, 50 * apart * PAGE).unwrap();
        let ones = bytes.iter().step_by(PAGE).filter(|byte| **byte == 1).count();
        assert_eq!(ones, 50);
        assert!(taken(&memory) <= memory.bytes(), "{apart}: {} taken", taken(&memory));
        assert!(
            memory.bytes() <= ((most + 64) * PAGE) as u64,
            "{apart}: {} counted",
            memory.bytes()
        );
    }
    assert_eq!((memory.bytes(), taken(&memory)), (0, 0));
}

#[test]
fn more_than_there_may_be_is_refused() {
    let memory = ImageMemory::new((3 * PAGES * PAGE) as u64).unwrap();
    let images = [filled(&memory, 1), filled(&memory, 2), filled(&memory, 2), filled(&memory, 3)];
    let stored = [1; PAGE];
    let one = |memory: &ImageMemory| {
        memory.image(PAGE, 0, &[Extent { at: 0, file: 0, bytes: PAGE }], &stored)
    };
    let error = one(&memory).unwrap_err();
    assert!(matches!(error, Error::ImageMemory { bytes: 4096, .. }), "{error}");
    drop(images);
    one(&memory).unwrap();
}
