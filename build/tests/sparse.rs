//! A module with few bytes far apart takes memory for the pages they are in, not for those between.

use std::fmt::Write;
use std::process::Command;

/// The variable that tells the child how many segments its module has.
const SEGMENTS: &str = "WFAAS_SPARSE_SEGMENTS";

/// What starts the line with a process's peak of memory, in KiB.
const PEAK: &str = "VmHWM:";

/// Pages in memory at once for each page with bytes: the image, the file and its mapped part,
/// before initialisation and after.
const COPIES: usize = 8;

#[test]
fn memory_is_in_proportion_to_the_pages_with_bytes() {
    let [small, large] = [2_000, 8_000].map(peak_kib);
    let most = COPIES * 4 * 6_000;
    assert!(large.saturating_sub(small) < most, "{small} KiB, then {large} KiB");
}

/// The peak of memory of a process that builds a module with so many segments.
fn peak_kib(segments: usize) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "builds", "--ignored", "--nocapture"]);
    let output = child.env(SEGMENTS, segments.to_string()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stderr).unwrap();
    let (_, rest) = printed.split_once(PEAK).expect("the child prints its peak");
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// The child: builds a module with a segment in every sixteenth page of its memory.
#[test]
#[ignore = "a part of the other test"]
fn builds() {
    let Ok(segments) = std::env::var(SEGMENTS) else { return };
    let mut module = String::from("(module (memory 65536)");
    for index in 0..segments.parse::<u32>().unwrap() {
        write!(module, "(data (i32.const {}) \"x\")", index << 16).unwrap();
    }
    module
        .push_str("(func (export \"_initialize\") (i32.store8 (i32.const 70000) (i32.const 1))))");
    let options = wfaas_build::Options::default();
    let built = wfaas_build::build(module.as_bytes(), &Default::default(), &options, &()).unwrap();
    let artifact = wfaas_abi::Artifact::parse(&built.artifact).unwrap();
    assert!(artifact.is_initialised());
    let pages = artifact.image().bytes.len() / 4096;
    let expected = segments.parse::<usize>().unwrap();
    assert!((expected..expected + 16).contains(&pages), "{pages} pages");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("\n{}", status.lines().find(|line| line.starts_with(PEAK)).unwrap());
}
