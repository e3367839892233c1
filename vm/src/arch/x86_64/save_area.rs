//! The registers of preempted guest code, kept until it goes on.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// Vector state of guests: SSE, AVX, and the three components of AVX-512 (Intel SDM vol. 1, 13.1).
/// They use neither the x87 unit nor AMX.
const GUEST_COMPONENTS: u32 = 0b1110_0110;

/// The part of an XSAVE area that `fxsave` writes, and the header behind it (SDM vol. 1, 13.4).
pub(super) const LEGACY_BYTES: usize = 512;
pub(super) const HEADER_BYTES: usize = 64;

/// Bytes of an XSAVE area in the standard format, up to the end of the last of these components.
pub(super) const VECTOR_BYTES: usize = 2688;

/// The general registers.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct General {
    pub(super) rax: u64,
    pub(super) rbx: u64,
    pub(super) rcx: u64,
    pub(super) rdx: u64,
    pub(super) rsi: u64,
    pub(super) rdi: u64,
    pub(super) rbp: u64,
    pub(super) rsp: u64,
    pub(super) r8: u64,
    pub(super) r9: u64,
    pub(super) r10: u64,
    pub(super) r11: u64,
    pub(super) r12: u64,
    pub(super) r13: u64,
    pub(super) r14: u64,
    pub(super) r15: u64,
    pub(super) rflags: u64,
}

/// Place of preempted guest code, from which its frames are found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// The address of the instruction that comes next.
    pub(crate) pc: usize,
    /// Whether the guest was interrupted there, rather than stopped when a call of the host returned.
    pub(crate) interrupted: bool,
    /// The stack pointer.
    pub(crate) sp: usize,
    /// The frame pointer.
    pub(crate) fp: usize,
}

/// All registers of preempted guest code.
#[repr(C, align(64))]
#[derive(Clone)]
pub(crate) struct SaveArea {
    /// An XSAVE area in the standard format, or what `fxsave` writes.
    pub(super) vector: [u8; VECTOR_BYTES],
    /// The components that are restored; zero if the processor has no XSAVE.
    pub(super) components: u32,
    pub(super) general: General,
    /// The address to go on at.
    pub(super) resume_at: usize,
    pub(super) pc: usize,
    pub(super) interrupted: bool,
}

impl std::fmt::Debug for SaveArea {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SaveArea({:#x})", self.pc)
    }
}

impl SaveArea {
    /// An area in which no guest was saved yet; `None` on a processor that lays vectors out in more
    /// room.
    pub(crate) fn new() -> Option<Box<SaveArea>> {
        let components = components()?;
        let layout = Layout::new::<SaveArea>();
        // SAFETY: the layout has a size.
        let memory = unsafe { alloc_zeroed(layout) }.cast::<SaveArea>();
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: it was allocated with the layout of the type, for which all zeros is a value.
        let mut area = unsafe { Box::from_raw(memory) };
        area.components = components;
        Some(area)
    }

    /// Place of the guest.
    pub(crate) fn place(&self) -> Place {
        let General { rsp, rbp, .. } = self.general;
        let (sp, fp) = (rsp as usize, rbp as usize);
        Place { pc: self.pc, interrupted: self.interrupted, sp, fp }
    }

    /// The registers that may hold references.
    pub(crate) fn words(&self) -> [u64; 15] {
        let General {
            rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, ..
        } = self.general;
        [rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15]
    }
}

/// The components of guests that this processor has, and the kernel has switched on; `None` if they
/// do not fit.
fn components() -> Option<u32> {
    static COMPONENTS: OnceLock<Option<u32>> = OnceLock::new();
    *COMPONENTS.get_or_init(|| {
        if !std::arch::is_x86_feature_detected!("xsave") {
            return Some(0);
        }
        // SAFETY: the processor has the instruction, and the kernel allows it.
        let enabled = unsafe { _xgetbv(0) };
        let components = enabled as u32 & GUEST_COMPONENTS;
        // The first two are in the legacy part.
        let end = |component| {
            let leaf = __cpuid_count(0xd, component);
            (leaf.eax + leaf.ebx) as usize
        };
        let extended = (2..u32::BITS).filter(|component| components & 1 << component != 0);
        extended.map(end).all(|end| end <= VECTOR_BYTES).then_some(components)
    })
}
