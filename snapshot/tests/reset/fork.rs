//! Forks: the same bytes, then no byte in common, and after a reset the image.

use crate::slots::*;
use proptest::prelude::*;
use std::sync::Arc;
use wfaas_snapshot::{Binding, Bound, Error, Growth, Image, PAGE, Slot, Tracking};

#[derive(Debug, Clone)]
enum Step {
    Write { at: usize, byte: u8 },
    Read { at: usize },
    Open { pages: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..MAX_OPEN + LEAD;
    prop_oneof![
        8 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Step::Write { at, byte }),
        4 => at.prop_map(|at| Step::Read { at }),
        1 => (0..MAX_OPEN / PAGE).prop_map(|pages| Step::Open { pages }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..40)
}

fn slot(image: &Arc<Image>, tracking: Tracking, growth: Growth) -> Bound {
    install_handler();
    let binding = Binding { image: image.clone(), lead: LEAD, head: PAGE, tracking, growth };
    Slot::reserve(GEOMETRY).unwrap().bind(binding).unwrap()
}

fn run(slot: &mut Bound, steps: &[Step]) {
    for step in steps {
        let inside = |at: usize| (at % (slot.open_bytes() + LEAD)) as isize - LEAD as isize;
        match step {
            Step::Write { at, byte } => slot.bytes_mut(inside(*at), 1).unwrap()[0] = *byte,
            Step::Read { at } => {
                std::hint::black_box(slot.bytes(inside(*at), 1).unwrap()[0]);
            }
            Step::Open { pages } => slot.open(pages * PAGE).unwrap(),
        }
    }
}

/// All bytes of a slot, from the image's start on.
fn all(slot: &Bound) -> Vec<u8> {
    slot.bytes(-(LEAD as isize), LEAD + slot.open_bytes()).unwrap().to_vec()
}

fn a_fork_is_its_own(tracking: Tracking, growth: Growth, runs: &[Vec<Step>; 4]) {
    let (image, expected) = image();
    let image = Arc::new(image);
    let [mut parent, mut child, mut grandchild] = [(); 3].map(|()| slot(&image, tracking, growth));
    child.bytes_mut(-(LEAD as isize) - 8, 8).unwrap().fill(0xaa);
    // The child has learned pages, of which some are the parent's too.
    run(&mut child, &runs[0]);
    child.reset().unwrap();
    run(&mut parent, &runs[1]);
    let before = all(&parent);
    child.fork_from(&parent).unwrap();
    assert!(all(&child) == before, "the fork differs");
    assert_eq!(child.bytes(-(LEAD as isize) - 8, 8).unwrap(), [0xaa; 8], "the head is its own");
    run(&mut child, &runs[2]);
    assert!(all(&parent) == before, "the parent sees its fork's writes");
    let after = all(&child);
    grandchild.fork_from(&child).unwrap();
    run(&mut parent, &runs[3]);
    child.reset().unwrap();
    assert!(all(&grandchild) == after, "the fork of a fork sees others' writes");
    assert_pristine(&child, &expected);
    let pages: Vec<_> = grandchild.changed().map(|(page, bytes)| (page, *bytes)).collect();
    let open = grandchild.open_bytes();
    grandchild.reset().unwrap();
    assert_pristine(&grandchild, &expected);
    let runs = pages.chunk_by(|(page, _), (next, _)| next - page == 1);
    let runs: Vec<(usize, Vec<[u8; PAGE]>)> =
        runs.map(|run| (run[0].0, run.iter().map(|(_, bytes)| *bytes).collect())).collect();
    grandchild.fill(open, runs.iter().map(|(first, pages)| (*first, &pages[..]))).unwrap();
    assert!(all(&grandchild) == after, "the pages that changed are not all");
    grandchild.reset().unwrap();
    assert_pristine(&grandchild, &expected);
    grandchild.open(MAX_OPEN).unwrap();
    let grown = grandchild.bytes((IMAGE - LEAD) as isize, MAX_OPEN - (IMAGE - LEAD)).unwrap();
    assert!(grown.iter().all(|byte| *byte == 0), "grown memory is zero again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn forks_are_their_own(
        tracking in prop::sample::select(&EACH), growth in prop::sample::select(&GROWTHS),
        runs in [steps(), steps(), steps(), steps()]
    ) {
        a_fork_is_its_own(tracking, growth, &runs);
    }
}

#[test]
fn pages_that_are_as_in_the_image_have_not_changed() {
    for (tracking, growth) in EACH.iter().flat_map(|t| GROWTHS.map(|growth| (*t, growth))) {
        let mut slot = slot(&Arc::new(image().0), tracking, growth);
        let base = LEAD / PAGE;
        for (page, byte) in [(0, 0), (3, 1), (20, 0), (50, 9), (60, 0)] {
            slot.open(MAX_OPEN).unwrap();
            slot.bytes_mut((page * PAGE + 5) as isize, 1).unwrap()[0] = byte;
        }
        let changed: Vec<usize> = slot.changed().map(|(page, _)| page).collect();
        // Page 3 of the memory is page 6 of the image, which has bytes; the others are zero there.
        assert_eq!(changed, [base + 3, base + 50], "{tracking:?} {growth:?}");
    }
}

#[test]
fn more_pages_than_a_set_holds_are_all_copied() {
    for tracking in [Tracking::Pages, Tracking::Granules, Tracking::Record, Tracking::Discard] {
        let image = Arc::new(Image::zeroed(8000 * PAGE));
        let make = || {
            let geometry = wfaas_snapshot::Geometry { above: 32 << 20, ..GEOMETRY };
            let growth = Growth::Protect;
            let binding = Binding { image: image.clone(), lead: 0, head: 0, tracking, growth };
            install_handler();
            Slot::reserve(geometry).unwrap().bind(binding).unwrap()
        };
        let (mut parent, mut child) = (make(), make());
        (0..8000).step_by(2).chain(1..200).for_each(|page| write_page(&mut parent, page));
        for _ in 0..3 {
            child.fork_from(&parent).unwrap();
            assert_eq!(child.changed().count(), 4000 + 100, "{tracking:?}");
            child.reset().unwrap();
            assert_eq!(child.changed().count(), 0, "{tracking:?}");
        }
    }
}

/// Slots of small requests, into which forks of a large one go from some time on.
#[test]
fn slots_keep_the_pages_that_forks_write_to() {
    let image = Arc::new(Image::zeroed(2000 * PAGE));
    let make = || {
        let geometry = wfaas_snapshot::Geometry { above: 8 << 20, ..GEOMETRY };
        let (tracking, growth) = (Tracking::Pages, Growth::Protect);
        let binding = Binding { image: image.clone(), lead: 0, head: 0, tracking, growth };
        install_handler();
        Slot::reserve(geometry).unwrap().bind(binding).unwrap()
    };
    let (mut parent, mut child) = (make(), make());
    (0..2000).step_by(2).for_each(|page| write_page(&mut parent, page));
    for round in 0..200 {
        write_page(&mut child, 1);
        child.reset().unwrap();
        if round > 40 {
            child.fork_from(&parent).unwrap();
            assert_eq!(child.tracking(), Tracking::Pages, "{round}");
            assert!(child.learned() >= 1000, "{round}: {}", child.learned());
            child.reset().unwrap();
        }
    }
}

/// A first request that writes to more pages than a new set has room for.
#[test]
fn a_slot_that_overflowed_knows_its_pages_again() {
    use wfaas_snapshot::{FaultSignal::Bus, handle_write_fault};
    let mut slot = zeros(Tracking::Pages, 4000);
    (0..4000).step_by(8).for_each(|page| write_page(&mut slot, page));
    // The protection of this page is lifted for a write that does not come, as if a deadline ended the guest.
    assert!(handle_write_fault(Bus, slot.base() as usize + 9 * PAGE));
    assert!(slot.learned() < 500);
    slot.note_written();
    assert_eq!(slot.learned(), 500);
    let changed: Vec<usize> = slot.changed().map(|(page, _)| page).collect();
    assert_eq!(changed, (0..4000).step_by(8).collect::<Vec<usize>>());
    [8, 9, 3999].into_iter().for_each(|page| write_page(&mut slot, page));
    assert_eq!(slot.learned(), 502);
    slot.reset().unwrap();
    assert_eq!((slot.learned(), slot.changed().count()), (502, 0));
    assert!(slot.bytes(0, 4000 * PAGE).unwrap().iter().all(|byte| *byte == 0));
}

/// Something else is mapped over the last page, so that the kernel protects the others and then fails.
#[test]
fn a_slot_whose_pages_could_not_be_noted_still_knows_them() {
    let mut slot = zeros(Tracking::Pages, 200);
    (0..100).for_each(|page| write_page(&mut slot, page));
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let last = slot.base().wrapping_add(199 * PAGE).cast();
    // SAFETY: the page is the slot's, and nobody refers to it.
    let mapped = unsafe { libc::mmap(last, PAGE, protection, flags | libc::MAP_FIXED, -1, 0) };
    assert_eq!(mapped, last);
    slot.note_written();
    let changed: Vec<usize> = slot.changed().map(|(page, _)| page).collect();
    assert_eq!(changed, Vec::from_iter(0..100));
}

#[test]
fn slots_of_other_images_and_pages_outside_are_refused() {
    let [mut one, other] =
        [(); 2].map(|()| slot(&Arc::new(image().0), Tracking::Pages, Growth::Protect));
    assert!(matches!(one.fork_from(&other), Err(Error::Image(_))));
    let pages = [[1; PAGE]; 2];
    for first in [IMAGE / PAGE - 1, IMAGE / PAGE, usize::MAX] {
        let outside = one.fill(IMAGE - LEAD, std::iter::once((first, &pages[..])));
        assert!(matches!(outside, Err(Error::OutOfBounds)), "{first}");
    }
    let beyond = one.fill(GEOMETRY.above + PAGE, std::iter::empty());
    assert!(matches!(beyond, Err(Error::Open { .. })));
}
