//! A golden look at the machine code that a reset lives by. `BLESS=1` writes the present
//! instructions; look at them before they are committed: zeros are to be found by one test of a whole vector
//! (`vptestmd` and `kortestw`, or `vptest`), never by taking the vector apart (`vextract…`).
#![cfg(target_arch = "x86_64")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// The folder of this crate.
const CRATE: &str = env!("CARGO_MANIFEST_DIR");

/// A file of `src/restore` with an outer function for its `restore`, compiled with optimisation.
fn instructions(file: &str, feature: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, assembly) = (folder.join(format!("{file}.rs")), folder.join(format!("{file}.s")));
    let text = format!(
        "#[path = \"{CRATE}/src/restore/{file}.rs\"] mod {file};
        #[unsafe(no_mangle)] #[target_feature(enable = \"{feature}\")]
        pub unsafe fn look(page: *mut u8, pristine: *const u8, stored: u16) {{
            unsafe {{ {file}::restore(page, pristine, stored) }}
        }}"
    );
    fs::write(&source, text).expect("the source is written");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args(["--edition=2024", "--crate-type=lib", "-Copt-level=3", "--emit=asm", "-o"])
        .args([&assembly, &source])
        .current_dir(CRATE)
        .output()
        .expect("rustc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let assembly = fs::read_to_string(assembly).expect("the assembly is there");
    let is_instruction = |line: &&str| line.starts_with('\t') && !line.starts_with("\t.");
    let lines = assembly.lines().filter(is_instruction).map(|line| line.trim().replace('\t', " "));
    lines.map(|line| line + "\n").collect()
}

/// Compares with the golden file, or writes it.
fn look(file: &str, feature: &str, tests: &[&str]) {
    let golden = Path::new(CRATE).join("tests/golden").join(format!("restore_{file}.s"));
    let now = instructions(file, feature);
    assert!(!now.contains("vextract"), "vectors are taken apart:\n{now}");
    for test in tests {
        assert!(now.contains(test), "no {test}:\n{now}");
    }
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &now).expect("the golden file is written");
    }
    let then = fs::read_to_string(&golden).expect("the golden file is there");
    assert_eq!(now, then, "not as in {}", golden.display());
}

#[test]
fn whole_vectors_are_tested_with_avx512() {
    look("avx512", "avx512f", &["vptestmd ", "kortestw "]);
}

#[test]
fn whole_vectors_are_tested_with_avx2() {
    look("avx2", "avx2", &["vptest "]);
}
