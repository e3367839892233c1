//! Working sets: recorded, and expected.

#![expect(clippy::single_range_in_vec_init)] // sets of pages are lists of ranges

use crate::slots::*;
use wfaas_snapshot::{Error, Image, PAGE, Tracking, WorkingSet};

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
    assert_eq!(bound(Tracking::Pages, image().0, 0).recorded(), None);
}

#[test]
fn what_is_expected_is_not_learned_and_needs_no_faults() {
    for tracking in [Tracking::Pages, Tracking::Granules] {
        let (image, expected) = image();
        let pages = vec![3..5, 8..9, 38..40];
        let set = WorkingSet { pages, image: IMAGE / PAGE, grown: 10 * PAGE };
        let mut slot = bound(tracking, image.expecting(set).unwrap(), 0);
        assert_pristine(&slot, &expected);
        let learned = slot.learned();
        assert_eq!(learned, if tracking == Tracking::Pages { 5 } else { 4 });
        let before = faults();
        [0, 1, 5, 35, 36].iter().for_each(|page| write_page(&mut slot, *page));
        assert!(faults() - before < 2, "{} faults", faults() - before);
        assert_eq!(slot.learned(), learned);
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
    let mut slot = bound(Tracking::Pages, image.expecting(set).unwrap(), 0);
    assert_pristine(&slot, &expected);
    assert_eq!(slot.learned(), 2);
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
        assert!(matches!(error, Error::WorkingSet(_)), "{set:?}: {error}");
    }
}

/// Nothing but speed relies on a working set, so a wrong one must cost speed only for a while.
#[test]
fn a_working_set_that_guests_do_not_write_to_is_forgotten() {
    let pages = 300;
    let image = Image::zeroed(pages * PAGE);
    let set = WorkingSet { pages: vec![10..210], image: pages, grown: 0 };
    for tracking in [Tracking::Pages, Tracking::Granules] {
        let image = Image::zeroed(image.len());
        let mut slot = bound_at(tracking, image.expecting(set.clone()).unwrap());
        assert!(slot.learned() >= 50);
        for _ in 0..5000 {
            slot.bytes_mut(0, 1).unwrap()[0] = 1;
            slot.reset().unwrap();
        }
        assert_eq!(slot.learned(), 1, "{tracking:?}");
    }
}
