//! The list of kernels.

/// A C file in `benches/kernels/`.
pub(super) struct Kernel {
    pub(super) name: &'static str,
    pub(super) group: Group,
    pub(super) source: &'static str,
    /// Repetitions of its work that take some five milliseconds.
    pub(super) repetitions: u32,
}

/// What a kernel mostly computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Group {
    /// Floating-point numbers, in arrays.
    Scientific,
    /// Integers and pointers.
    Integer,
}

/// What all kernels include.
pub(super) const HEADER: &str = include_str!("../../kernels/kernel.h");

/// The main function of native builds.
pub(super) const NATIVE_MAIN: &str = include_str!("../../kernels/native.c");

macro_rules! kernels {
    ($($group:ident: $($name:literal $repetitions:literal),*;)*) => {
        /// All kernels.
        pub(super) const KERNELS: &[Kernel] = &[$($(Kernel {
            name: $name,
            group: Group::$group,
            source: include_str!(concat!("../../kernels/", $name, ".c")),
            repetitions: $repetitions,
        }),*),*];
    };
}

kernels! {
    Scientific: "matmul" 4, "gemm" 10, "syrk" 15, "lu" 20, "atax" 60, "jacobi1d" 700,
        "jacobi2d" 180, "seidel2d" 30, "heat3d" 80, "fft" 60, "nbody" 35_000, "mandelbrot" 10;
    Integer: "floyd" 4, "distance" 15, "knapsack" 25, "keccak" 6000, "sort" 8, "csv" 100,
        "interpreter" 40, "trees" 45;
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
        names.retain(|name| name != "native");
        names.sort();
        let mut listed: Vec<_> = KERNELS.iter().map(|kernel| kernel.name.to_owned()).collect();
        listed.sort();
        assert_eq!(names, listed);
    }
}
