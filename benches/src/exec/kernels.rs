//! The list of kernels.

/// A C file in `benches/kernels/`.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) group: Group,
    pub(crate) source: &'static str,
    /// Repetitions of its work that take some two milliseconds.
    pub(crate) repetitions: u32,
}

/// What a kernel mostly computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    /// Floating-point numbers, in arrays.
    Scientific,
    /// Integers and pointers.
    Integer,
}

/// What all kernels include.
pub(crate) const HEADER: &str = include_str!("../../kernels/kernel.h");

/// The program that runs kernels in V8.
pub(crate) const NODE_MAIN: &str = include_str!("../../kernels/node.mjs");

/// What grows the memory before it runs a kernel.
pub(crate) const GROWING: &str = include_str!("../../kernels/growing.c");

/// The main function of native builds.
pub(crate) const NATIVE_MAIN: &str = include_str!("../../kernels/native.c");

macro_rules! kernels {
    ($($group:ident: $($name:literal $repetitions:literal),*;)*) => {
        /// All kernels.
        pub(crate) const KERNELS: &[Kernel] = &[$($(Kernel {
            name: $name,
            group: Group::$group,
            source: include_str!(concat!("../../kernels/", $name, ".c")),
            repetitions: $repetitions,
        }),*),*];
    };
}

kernels! {
    Scientific: "matmul" 2, "gemm" 4, "syrk" 6, "lu" 8, "atax" 24, "jacobi1d" 280,
        "jacobi2d" 72, "seidel2d" 12, "heat3d" 32, "fft" 24, "nbody" 14_000, "mandelbrot" 4;
    Integer: "floyd" 2, "distance" 6, "knapsack" 10, "keccak" 2400, "sort" 3, "csv" 40,
        "interpreter" 16, "trees" 18, "lz" 12, "regex" 8,
        "classes" 20, "field" 20_000, "hashmap" 4, "sha1" 7000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/kernels");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let names = files.filter(|path| path.extension().is_some_and(|end| end == "c"));
        let mut names: Vec<_> =
            names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.retain(|name| !["native", "growing"].contains(&name.as_str()));
        names.sort();
        let mut listed: Vec<_> = KERNELS.iter().map(|kernel| kernel.name.to_owned()).collect();
        listed.sort();
        assert_eq!(names, listed);
    }
}
