//! CPU features that an artifact may need.

macro_rules! cpu_features {
    ($($name:literal = $bit:literal, $setting:literal;)*) => {
        /// A set of x86-64 features as bits.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct CpuFeatures(pub u64);

        /// Every feature: name as in `/proc/cpuinfo`-like tools, bit, Cranelift setting.
        pub const CPU_FEATURES: &[(&str, u64, &str)] = &[$(($name, 1 << $bit, $setting),)*];

        /// The features by bit, for the description of the ABI.
        pub(crate) const BITS: &[crate::description::Item] =
            &[$(crate::description::Item { name: $name, number: $bit },)*];
    };
}

cpu_features! {
    "sse3" = 0, "has_sse3";
    "ssse3" = 1, "has_ssse3";
    "sse4.1" = 2, "has_sse41";
    "sse4.2" = 3, "has_sse42";
    "popcnt" = 4, "has_popcnt";
    "avx" = 5, "has_avx";
    "avx2" = 6, "has_avx2";
    "fma" = 7, "has_fma";
    "bmi1" = 8, "has_bmi1";
    "bmi2" = 9, "has_bmi2";
    "lzcnt" = 10, "has_lzcnt";
    "avx512f" = 11, "has_avx512f";
    "avx512vl" = 12, "has_avx512vl";
    "avx512dq" = 13, "has_avx512dq";
    "avx512bitalg" = 14, "has_avx512bitalg";
    "avx512vbmi" = 15, "has_avx512vbmi";
}

impl CpuFeatures {
    /// The features of every x86-64-v3 machine (Haswell 2013, Zen 2017 and later): the default
    /// target.
    pub const X86_64_V3: CpuFeatures = CpuFeatures((1 << 11) - 1);

    /// The features of `self` that are not in `available`, by name.
    pub fn missing_in(self, available: CpuFeatures) -> Vec<&'static str> {
        CPU_FEATURES
            .iter()
            .filter(|(_, bit, _)| self.0 & bit != 0 && available.0 & bit == 0)
            .map(|(name, _, _)| *name)
            .collect()
    }

    /// The names of the features, in the order of the list.
    pub fn names(self) -> Vec<&'static str> {
        self.missing_in(CpuFeatures(0))
    }
}
