//! Components of a real compiler: Rust's target `wasm32-wasip2`.

use crate::support::{run, run_with_stdin, scratch};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles a program to a component; its path.
pub(crate) fn component(source: &Path, folder: &Path) -> PathBuf {
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

/// The test's program of the crate `wasip3`, built.
pub(crate) fn preview3() -> PathBuf {
    built("preview3")
}

/// One of the tests' programs, built.
pub(crate) fn built(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/components");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let made = Command::new("cargo")
        .args(["build", "--locked", "--release", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(&target)
        .current_dir(folder.join(name))
        .output()
        .expect("cargo starts");
    let messages = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{messages}; ./test setup installs the target");
    target.join("wasm32-wasip2/release").join(name).with_extension("wasm")
}

/// The program's lines about files, as the documents of `wasi:filesystem` have them.
const FILES: &str = "\
0 bytes left\nOk(())\n0 bytes left\nOk(())\n0 bytes left\nOk(())\n200007 bytes, true, Ok(())\n\
([101, 110, 100], Ok(()))\n([], Ok(()))\nDescriptorType::RegularFile 200007 1000000000.5\n\
1 at first\nOk(())\ntrue\n150 names, Some(\"000\") to Some(\"149\")\n\
Some(ErrorCode::NoEntry)\nSome(ErrorCode::NotPermitted)\nErr(ErrorCode::NotEmpty)\n\
([], Err(ErrorCode::IsDirectory))\n3 bytes left\nErr(ErrorCode::IsDirectory)\n\
Err(ErrorCode::NotDirectory)\n0 bytes left\nErr(ErrorCode::BadDescriptor)\n";

/// In a directory of the host, and in memory.
#[test]
fn files_of_preview3_are_streams() {
    let folder = scratch();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let dir = format!("{}::/data", data.display());
    let program = preview3();
    let program = program.to_str().unwrap();
    let ended = run(&["run", "--dir", &dir, program]).expect(0, &[]);
    assert_eq!(ended.stdout, format!("/data\n{FILES}"));
    let ended = run(&["run", "--tmp", "1MiB", program]).expect(0, &[]);
    assert_eq!(ended.stdout, format!("/tmp\n{FILES}"));
}
