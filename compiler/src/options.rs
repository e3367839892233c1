//! Options of a compilation.

use crate::switches::{Passes, Proofs, Proposals};
use wfaas_abi::BoundsStrategy;
use wfaas_abi::cpu::CpuFeatures;

/// The time to spend on better code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptLevel {
    /// Fast code.
    #[default]
    Speed,
    /// Fast compilation.
    Fast,
}

/// The ways to generate code for a function. Large functions get cheaper ones, of which the time is in
/// proportion to their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// All passes, and registers allocated with backtracking.
    Usual,
    /// The same without a map of where blocks start, so that jumps stay as they are.
    Unmapped,
    /// The code generator's own passes, and registers allocated in one pass. Of ours, branch tables are lowered and returns
    /// duplicated, as at each effort.
    Linear,
    /// No further passes and no map, and registers allocated in one pass.
    Least,
    /// The same, with locals and operands in the frame.
    Frame,
}

impl Effort {
    /// All of them, the dearest first.
    pub const ALL: [Effort; 5] =
        [Effort::Usual, Effort::Unmapped, Effort::Linear, Effort::Least, Effort::Frame];
}

/// Receives the number of functions done and of all functions, from any thread.
pub type Progress<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// The choices of a caller. The default is fast code for x86-64-v3, by all passes and proofs.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How much to optimise.
    pub opt: OptLevel,
    /// Features of the CPU the code is for.
    pub cpu: CpuFeatures,
    /// Proposals that modules may use.
    pub proposals: Proposals,
    /// How memory accesses are kept inside the memory.
    pub bounds: BoundsStrategy,
    /// Proofs that may make bounds checks unnecessary.
    pub elide: Proofs,
    /// Whether checks that proofs made unnecessary stay as assertions, which raise
    /// [`TrapCode::ElidedCheckFailed`](wfaas_abi::TrapCode).
    pub verify_bounds: bool,
    /// Passes of wfaas' own, for [`OptLevel::Speed`].
    pub passes: Passes,
    /// How to generate code for all functions; `None` for the way that fits the size of each.
    pub effort: Option<Effort>,
    /// The artifact's [component](wfaas_abi::component) section; empty for a core module. Nothing of it is read
    /// here.
    pub component: &'a [u8],
    /// The artifact's [checkpoint](wfaas_abi::checkpoint) section; empty for a program that begins anew. Nothing
    /// of it is read here.
    pub checkpoint: &'a [u8],
    /// Called after each function.
    pub progress: Option<&'a Progress<'a>>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options {
            opt: OptLevel::Speed,
            cpu: CpuFeatures::X86_64_V3,
            proposals: Proposals::ALL,
            bounds: BoundsStrategy::Guard,
            elide: Proofs::ALL,
            verify_bounds: false,
            passes: Passes::ALL,
            effort: None,
            component: &[],
            checkpoint: &[],
            progress: None,
        }
    }
}
