//! CPUs by name: the levels of the System V psABI for x86-64, and single features.

use crate::CompileError;
use wfaas_abi::cpu::{CPU_FEATURES, CpuFeatures};

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
