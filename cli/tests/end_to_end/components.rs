//! Components of a real compiler: Rust's target `wasm32-wasip2`.

use crate::support::{run, run_with_stdin, scratch};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program to a component; its path.
fn component(source: &Path, folder: &Path) -> PathBuf {
    let output = folder.join("program.wasm");
    let made = Command::new("rustc")
        .args(["--edition=2024", "--target=wasm32-wasip2", "-O", "-o"])
        .args([&output, source])
        .output();
    let made = made.unwrap_or_else(|error| panic!("rustc: {error}"));
    let messages = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "rustc: {messages}; ./test installs the target");
    output
}

#[test]
fn a_program_of_the_standard_library_runs() {
    let folder = scratch();
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/components/program.rs");
    let program = component(&source, folder.path());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let dir = format!("{}::/data", data.display());
    let artifact = folder.path().join("program.faas");
    let (program, artifact) = (program.to_str().unwrap(), artifact.to_str().unwrap());
    run(&["build", program, "-o", artifact]).expect(0, &[]);
    let args = ["run", "--dir", &dir, "--env", "GREETING=hi", artifact, "--", "/data", "two"];
    let ended = run_with_stdin(&args, b"a line\nanother").expect(1, &["to stderr"]);
    let expected = "[\"/data\", \"two\"] Ok(\"hi\")\n\"a line\\n\"\n5000 lines, 48890 bytes\n\
        \"the end\\n\", 48898 bytes\n[(\"renamed.txt\", false), (\"sub\", true)]\nNotFound\n\
        true\ntrue\ntrue\n";
    assert_eq!(ended.stdout, expected);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0);
}
