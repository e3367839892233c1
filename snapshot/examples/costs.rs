//! The prices in `wfaas_snapshot::cost`, measured on this machine: nanoseconds, medians.
//!
//! ```text
//! cargo run --release -p wfaas-snapshot --example costs
//! ```
#![expect(clippy::print_stdout)] // it is what the program is for

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use wfaas_snapshot::{
    Binding, Bound, Extent, FaultSignal, Geometry, Growth, Image, ImageMemory, LEARN_ALIGN, PAGE,
    Slot, Tracking, WorkingSet, cost, handle_write_fault,
};

const ROUNDS: usize = 401;
const IMAGE_PAGES: usize = 4096;

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's argument.
    let info = unsafe { &*info };
    // SAFETY: SIGBUS and SIGSEGV come with an address.
    let address = unsafe { info.si_addr() };
    let signal = if signal == libc::SIGBUS { FaultSignal::Bus } else { FaultSignal::Segv };
    if !handle_write_fault(signal, address as usize) {
        // SAFETY: async-signal-safe.
        unsafe { libc::abort() };
    }
}

fn install_handler() {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_fault as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    for signal in [libc::SIGBUS, libc::SIGSEGV] {
        // SAFETY: the handler is async-signal-safe.
        assert_eq!(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }, 0);
    }
}

/// A slot with an image of ones.
fn slot(tracking: Tracking, expected: Option<WorkingSet>) -> Bound {
    let mut image = ones(IMAGE_PAGES);
    if let Some(set) = expected {
        image = image.expecting(set).expect("a set of the image");
    }
    let slot = bound(tracking, image);
    assert_eq!(slot.tracking(), tracking, "not possible here");
    slot
}

/// An image of so many pages, none of which is zero.
fn ones(pages: usize) -> Image {
    let stored = vec![1; pages * PAGE];
    let extents = [Extent { at: 0, file: 0, bytes: stored.len() }];
    let memory = ImageMemory::new(u64::MAX).expect("a descriptor");
    memory.image(stored.len(), 0, &extents, &stored).expect("memory")
}

fn bound(tracking: Tracking, image: Image) -> Bound {
    let geometry = Geometry { below: 0, above: 64 << 20, align: LEARN_ALIGN };
    let slot = Slot::reserve(geometry).expect("address space");
    let (image, growth) = (Arc::new(image), Growth::Protect);
    slot.bind(Binding { image, lead: 0, head: 0, tracking, growth }).expect("memory")
}

fn touch(slot: &mut Bound, first: usize, pages: usize, apart: usize) {
    for index in 0..pages {
        let at = (first + index * apart) * PAGE;
        slot.bytes_mut(at as isize, 1).expect("inside")[0] = 9;
    }
}

fn nanos(mut work: impl FnMut()) -> u64 {
    let start = Instant::now();
    work();
    start.elapsed().as_nanos() as u64
}

fn median(mut round: impl FnMut() -> u64) -> u64 {
    let mut times: Vec<u64> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

fn show(what: &str, measured: u64, model: Option<u64>) {
    let model = model.map_or("-".to_owned(), |number| number.to_string());
    println!("{what:44} {measured:8} {model:>8}");
}

/// A reset, the writes of the next request, and the two together, for `pages` pages `apart`.
fn requests(name: &str, tracking: Tracking, pages: usize, apart: usize) {
    let mut slot = slot(tracking, None);
    let mut request = || {
        let writes = nanos(|| touch(&mut slot, 0, pages, apart));
        (writes, nanos(|| slot.reset().expect("a reset")))
    };
    request();
    let (mut writes, mut resets) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (write, reset) = request();
        writes.push(write);
        resets.push(reset);
    }
    writes.sort_unstable();
    resets.sort_unstable();
    let (write, reset) = (writes[ROUNDS / 2], resets[ROUNDS / 2]);
    let what = format!("{name}, {pages} pages {apart} apart");
    let set = |index| index * apart..index * apart + 1;
    let set = WorkingSet { pages: (0..pages).map(set).collect(), image: IMAGE_PAGES, grown: 0 };
    println!(
        "{what:44} {:8} {:>8}  reset {reset}, writes {write}",
        write + reset,
        cost::reset_nanos(tracking, &set)
    );
}

/// The first write to a page or granule of a fresh slot.
fn learning(name: &str, tracking: Tracking, apart: usize, model: u64) {
    let measured = median(|| {
        let mut slot = bound(tracking, ones(512));
        nanos(|| touch(&mut slot, 0, 16, apart)) / 16
    });
    show(name, measured, Some(model));
}

/// Growing by `mib`, writing to some of it, and the reset.
fn growth(name: &str, tracking: Tracking, mib: usize, pages: usize) {
    let mut slot = slot(tracking, None);
    let end = IMAGE_PAGES * PAGE;
    let mut request = || {
        nanos(|| {
            slot.open(end + (mib << 20)).expect("room");
            touch(&mut slot, IMAGE_PAGES, pages, 3);
            slot.reset().expect("a reset");
        })
    };
    request();
    show(&format!("{name}, {mib} MiB, {pages} pages written"), median(request), None);
}

fn main() {
    install_handler();
    println!("{:44} {:>8} {:>8}", "nanoseconds", "measured", "model");
    let (from, mut to) = (vec![1u8; 64 * PAGE], vec![2u8; 64 * PAGE]);
    let copy = median(|| nanos(|| black_box(&mut to).copy_from_slice(black_box(&from))) / 64);
    show("copy a page", copy, Some(cost::COPY_PAGE));
    let compare = median(|| nanos(|| assert!(black_box(&to) == black_box(&from))) / 64);
    show("compare a page", compare, Some(cost::COMPARE_PAGE));
    learning("first write, discard", Tracking::Discard, 16, cost::FAULT);
    learning("first write, pages", Tracking::Pages, 16, cost::LEARN_PAGE);
    learning("first write, granules", Tracking::Granules, 16, cost::LEARN_GRANULE);
    for (pages, apart) in [(0, 1), (1, 1), (8, 1), (8, 100), (64, 1), (64, 20), (512, 1)] {
        println!();
        for (name, tracking) in [
            ("discard", Tracking::Discard),
            ("pages", Tracking::Pages),
            ("granules", Tracking::Granules),
        ] {
            requests(name, tracking, pages, apart);
        }
    }
    println!();
    for (mib, pages) in [(1, 0), (1, 4), (1, 64), (8, 0), (8, 4), (8, 64), (32, 4), (32, 64)] {
        growth("grow, discard", Tracking::Discard, mib, pages);
        growth("grow, pages", Tracking::Pages, mib, pages);
    }
}
