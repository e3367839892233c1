//! Features of the processor that an artifact may ask for.

use wfaas_abi::cpu::{CPU_FEATURES, CpuFeatures};

/// The features that this machine has, of those an artifact may ask for.
pub fn available_cpu_features() -> CpuFeatures {
    macro_rules! detect {
        ($($name:tt)*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name)),)*]
        };
    }
    let detected = detect!(
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt"
        "avx512f" "avx512vl" "avx512dq" "avx512bitalg" "avx512vbmi"
    );
    let bit = |name| CPU_FEATURES.iter().find(|feature| feature.0 == name).map_or(0, |f| f.1);
    let bits = detected.iter().filter(|(_, has)| *has).map(|(name, _)| bit(*name));
    CpuFeatures(bits.fold(0, |all, bit| all | bit))
}
