//! What a caller can choose.

use crate::CompileError;
use crate::switches::{Passes, Proofs, Proposals};
use wfaas_abi::BoundsStrategy;
use wfaas_abi::cpu::{CPU_FEATURES, CpuFeatures};

/// How much time to spend on better code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptLevel {
    /// Fast code.
    #[default]
    Speed,
    /// Fast compilation.
    Fast,
}

/// Receives the number of functions done and of all functions, from any thread.
pub type Progress<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// What a caller can choose. The default is fast code for x86-64-v3, by all passes and proofs.
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
            progress: None,
        }
    }
}

/// The features of x86-64-v2 are the first five of the list.
const X86_64_V2: CpuFeatures = CpuFeatures((1 << 5) - 1);

/// CPUs by name.
const LEVELS: &[(&str, CpuFeatures)] =
    &[("x86-64-v2", X86_64_V2), ("x86-64-v3", CpuFeatures::X86_64_V3)];

/// The features that a list of CPU and feature names stands for, such as `x86-64-v3` or
/// `x86-64-v2+avx`.
///
/// ```
/// use wfaas_abi::cpu::CpuFeatures;
///
/// assert_eq!(wfaas_compiler::parse_cpu("x86-64-v3"), Ok(CpuFeatures::X86_64_V3));
/// assert!(wfaas_compiler::parse_cpu("x86-64-v2+avx").unwrap().names().contains(&"avx"));
/// assert!(wfaas_compiler::parse_cpu("z80").is_err());
/// ```
///
/// # Errors
/// [`CompileError::UnknownCpu`] with the names that are known.
pub fn parse_cpu(names: &str) -> Result<CpuFeatures, CompileError> {
    names.split('+').try_fold(CpuFeatures(0), |features, name| {
        let level = LEVELS.iter().find(|(level, _)| *level == name).map(|(_, bits)| bits.0);
        let feature =
            || CPU_FEATURES.iter().find(|(known, _, _)| *known == name).map(|(_, bit, _)| *bit);
        match level.or_else(feature) {
            Some(bits) => Ok(CpuFeatures(features.0 | bits)),
            None => Err(unknown(name)),
        }
    })
}

fn unknown(name: &str) -> CompileError {
    let levels = LEVELS.iter().map(|(level, _)| *level);
    let features = CPU_FEATURES.iter().map(|(feature, _, _)| *feature);
    let known = levels.chain(features).collect::<Vec<_>>().join(", ");
    CompileError::UnknownCpu { name: name.to_owned(), known }
}
