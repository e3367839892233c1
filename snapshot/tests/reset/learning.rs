//! The learned set: how it fills, when it is dropped, and when a slot rests.

use crate::slots::*;
use wfaas_snapshot::{Extent, Image, PAGE, Tracking, handle_write_fault};

#[test]
fn only_pages_that_were_written_to_are_learned() {
    let mut slot = bound(Tracking::Pages, image().0, 0);
    assert_eq!(slot.learned(), 0);
    for _ in 0..3 {
        slot.bytes_mut(0, 1).unwrap()[0] = 1;
        slot.bytes_mut(10 * PAGE as isize, 2 * PAGE).unwrap().fill(1);
        assert_eq!(slot.learned(), 3);
        slot.reset().unwrap();
    }
}

#[test]
fn slots_shed_the_pages_that_they_do_not_track() {
    for tracking in EACH {
        let mut slot = bound(tracking, image().0, PAGE);
        slot.open(MAX_OPEN).unwrap();
        write_page(&mut slot, MAX_OPEN / PAGE - 1);
        let before = faults();
        // Granules are of the image alone.
        let sheds = matches!(tracking, Tracking::Discard | Tracking::Granules);
        let next = slot.shed(0).unwrap();
        assert_eq!(next, sheds.then_some(MAX_OPEN), "{tracking:?}");
        assert_eq!(next.map(|from| slot.shed(from).unwrap()), next.map(|_| None));
        write_page(&mut slot, MAX_OPEN / PAGE - 1);
        assert_eq!(faults() > before, sheds, "{tracking:?}: its page was given back");
        slot.reset().unwrap();
    }
}

#[test]
fn a_set_that_grows_too_large_is_learned_anew() {
    let pages = 5000;
    let stored = vec![3; PAGE];
    let extents = [Extent { at: 0, file: 0, bytes: PAGE }];
    let image = stored_image(pages * PAGE, &extents, &stored);
    let mut slot = bound_at(Tracking::Pages, image);
    slot.bytes_mut(0, pages * PAGE).unwrap().fill(9);
    slot.reset().unwrap();
    assert_eq!(slot.learned(), 0);
    let bytes = slot.bytes(0, pages * PAGE).unwrap();
    assert!(bytes[..PAGE].iter().all(|byte| *byte == 3));
    assert!(bytes[PAGE..].iter().all(|byte| *byte == 0));
    slot.bytes_mut(7 * PAGE as isize, 1).unwrap()[0] = 1;
    assert_eq!(slot.learned(), 1, "the image is protected again");
}

#[test]
fn a_slot_stops_learning_from_guests_that_do_not_repeat_themselves() {
    let pages = 4000;
    let image = Image::zeroed(pages * PAGE);
    let mut slot = bound_at(Tracking::Pages, image);
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
    let mut slot = bound(Tracking::Pages, image().0, 0);
    for round in 0..300 {
        slot.bytes_mut(0, 20 * PAGE).unwrap().fill(1);
        slot.bytes_mut(((20 + round / 40) * PAGE) as isize, 1).unwrap()[0] = 1;
        slot.reset().unwrap();
    }
    assert_eq!(slot.tracking(), Tracking::Pages);
    assert_eq!(slot.learned(), 28);
}

#[test]
fn a_slot_that_rests_from_learning_tries_again() {
    let mut slot = zeros(Tracking::Pages, 4000);
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
    assert_eq!(slot.tracking(), Tracking::Pages);
    assert_eq!(slot.learned(), 1);
}

#[test]
fn a_set_that_has_drifted_shrinks() {
    let mut slot = zeros(Tracking::Pages, 1000);
    for round in 0..2000 {
        write_page(&mut slot, 0);
        if round < 500 && round % 2 == 0 {
            write_page(&mut slot, round);
        }
        slot.reset().unwrap();
    }
    assert!((1..250).contains(&slot.learned()), "{}", slot.learned());
    assert_eq!(slot.tracking(), Tracking::Pages);
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
        assert_eq!(slot.learned(), 2);
        slot.reset().unwrap();
    }
    assert_eq!(slot.tracking(), Tracking::Granules);
}

#[test]
fn a_fault_that_is_not_the_first_write_is_not_taken_for_one() {
    use wfaas_snapshot::FaultSignal::{Bus, Segv};
    let mut slot = bound(Tracking::Granules, image().0, 0);
    write_page(&mut slot, 2);
    let at = |page: usize| slot.base() as usize + page * PAGE;
    assert!(handle_write_fault(Segv, at(2)), "another thread was first: to be tried again");
    assert!(!handle_write_fault(Segv, at(100)), "it is behind the image");
    assert!(!handle_write_fault(Bus, at(30)), "the other signal");
    assert!(!handle_write_fault(Segv, 0));
    assert!(!handle_write_fault(Segv, usize::MAX));
    assert!(handle_write_fault(Segv, at(30)));

    let mut slot = bound(Tracking::Pages, image().0, 0);
    slot.open(MAX_OPEN).unwrap();
    slot.reset().unwrap();
    let at = |page: usize| slot.base() as usize + page * PAGE;
    assert!(!handle_write_fault(Segv, at(60)), "it is watched, but closed");
    assert!(!handle_write_fault(Segv, at(2)), "the other signal");
    assert!(handle_write_fault(Bus, at(2)));
}
