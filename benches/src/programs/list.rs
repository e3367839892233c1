//! The list of programs, in three parts that were drawn before any pass was measured on them.

/// A program in `benches/programs/src/bin/`.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) part: Part,
    /// The language of the library that does the work.
    pub(crate) language: Language,
}

/// Purpose of measuring a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// Passes are developed on these.
    Tuning,
    /// A pass stays if these gain too.
    Validation,
    /// Measured at the end only, and every run is reported.
    Final,
}

/// The language of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) enum Language {
    C,
    Rust,
}

macro_rules! programs {
    ($($part:ident: $($language:ident $($name:literal)*),*;)*) => {
        /// All programs.
        pub(crate) const PROGRAMS: &[Program] = &[$($($(Program {
            name: $name,
            part: Part::$part,
            language: Language::$language,
        },)*)*)*];
    };
}

programs! {
    Tuning: C "zstd" "onig", Rust "regex" "json" "k256" "csv" "sort" "rhai" "png" "sha2" "markdown"
        "aho_corasick" "matrix";
    Validation: C "lz4" "bzip2" "tree_sitter" "secp256k1", Rust "minijinja" "ed25519" "wasmi" "xml"
        "bigint" "decimal" "brotli" "fft" "messagepack" "ordered_map";
    Final: C "sqlite" "deflate" "webp", Rust "jpeg" "toml" "sql_parser" "rust_parser" "unicode" "raster"
        "chacha20" "argon2" "graph" "bitmaps" "fst" "distance";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_the_list_once() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/src/bin");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> =
            files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        let mut listed: Vec<&str> = PROGRAMS.iter().map(|program| program.name).collect();
        listed.sort_unstable();
        assert_eq!(names, listed);
    }

    #[test]
    fn the_parts_are_large_enough() {
        let count = |part| PROGRAMS.iter().filter(|program| program.part == part).count();
        assert!(count(Part::Tuning) + count(Part::Validation) >= 24);
        assert!(count(Part::Final) >= 10);
    }
}
