//! What measured: a line for documents.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs::read_to_string;
use std::process::Command;

/// Has this thread, and those that it starts from now on, run on one processor.
pub(crate) fn pin(processor: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).with_context(|| format!("running on processor {processor}"))
}

/// Processor, kernel, compilers and load, as far as the machine says.
pub(crate) fn line() -> String {
    let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let release = release.trim().split('-').next().unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!(
        "{} processors ({}), Linux {release}, {}, Node {}, load average {load} at the end.",
        processors(),
        processor(&cpuinfo),
        version("clang"),
        version("node")
    )
}

/// How many threads can run at the same time.
pub(crate) fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, usize::from) as u64
}

fn processor(cpuinfo: &str) -> &str {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']))
}

/// The first line of what a program says of its version.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = said.as_deref().map_or("", |said| said.lines().next().unwrap_or_default());
    if line.is_empty() { format!("no {program}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_its_models_name() {
        assert_eq!(processor("vendor_id\t: X\nmodel name\t: Fast(R) CPU\n"), "Fast(R) CPU");
        assert_eq!(processor(""), "unknown");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert_eq!(version("no-such-program-anywhere"), "no no-such-program-anywhere");
    }
}
