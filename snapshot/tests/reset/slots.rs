//! Slots to test with, and the signal handlers that they need.

use std::sync::{Arc, Once};
use wfaas_snapshot::{
    Binding, Bound, Extent, FaultSignal, Geometry, Growth, Image, ImageMemory, LEARN_ALIGN, PAGE,
    Slot, Tracking, handle_missing_page, handle_write_fault,
};

pub(crate) const GEOMETRY: Geometry =
    Geometry { below: 1 << 20, above: 4 << 20, align: LEARN_ALIGN };
pub(crate) const LEAD: usize = 3 * PAGE;
pub(crate) const IMAGE: usize = 40 * PAGE;
pub(crate) const MAX_OPEN: usize = 200 * PAGE;
pub(crate) const EACH: [Tracking; 4] =
    [Tracking::Discard, Tracking::Pages, Tracking::Granules, Tracking::Record];
pub(crate) const GROWTHS: [Growth; 3] = [Growth::Protect, Growth::Fault, Growth::Whole];

/// Installs the signal handlers that an embedder needs for slots that learn.
pub(crate) fn install_handler() {
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

pub(crate) fn bound(tracking: Tracking, image: Image, head: usize) -> Bound {
    grown_by(Growth::Protect, tracking, image, head)
}

pub(crate) fn grown_by(growth: Growth, tracking: Tracking, image: Image, head: usize) -> Bound {
    install_handler();
    let binding = Binding { image: Arc::new(image), lead: LEAD, head, tracking, growth };
    let slot = Slot::reserve(GEOMETRY).unwrap().bind(binding).unwrap();
    assert_eq!(slot.tracking(), tracking, "this kernel has no userfaultfd write-protection");
    slot
}

/// An image in memory of its own.
pub(crate) fn stored_image(bytes: usize, extents: &[Extent], stored: &[u8]) -> Image {
    ImageMemory::new(u64::MAX).unwrap().image(bytes, PAGE, extents, stored).unwrap()
}

/// An image with data in pages 0, 5, 6 and 39 and its bytes, computed independently.
pub(crate) fn image() -> (Image, Vec<u8>) {
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
    (stored_image(IMAGE, &extents, &stored), bytes)
}

pub(crate) fn assert_pristine(slot: &Bound, expected: &[u8]) {
    assert_eq!(slot.open_bytes(), IMAGE - LEAD);
    assert!(slot.bytes(-(LEAD as isize), IMAGE).unwrap() == expected, "slot differs from image");
    slot.bytes(0, IMAGE - LEAD + 1).expect_err("nothing beyond the image is accessible");
}

/// A slot with an image of `pages` pages of zeros.
pub(crate) fn zeros(tracking: Tracking, pages: usize) -> Bound {
    let image = Image::zeroed(pages * PAGE);
    bound_at(tracking, image)
}

pub(crate) fn write_page(slot: &mut Bound, page: usize) {
    slot.bytes_mut((page * PAGE) as isize, 1).unwrap()[0] = 1;
}

/// Page faults of this thread so far that needed no disk.
pub(crate) fn faults() -> i64 {
    // SAFETY: all zeros is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills it in.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_minflt
}

/// A slot for more than the other tests', with all of the image at BASE.
pub(crate) fn bound_at(tracking: Tracking, image: Image) -> Bound {
    install_handler();
    let geometry = Geometry { below: 1 << 20, above: 32 << 20, align: LEARN_ALIGN };
    let growth = Growth::Protect;
    let binding = Binding { image: Arc::new(image), lead: 0, head: 0, tracking, growth };
    Slot::reserve(geometry).unwrap().bind(binding).unwrap()
}
