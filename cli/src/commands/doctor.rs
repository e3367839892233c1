//! `faascli doctor`

use crate::failure::Failure;
use crate::output;
use crate::toolchain::TOOLS;
use serde::Serialize;
use wfaas_abi::cpu::CpuFeatures;

/// Say what this machine offers, and what would make functions faster or possible
///
/// Looks at the kernel, its limits, the CPU and the toolchains of the examples. Exit code 0 if
/// functions can be built and run here, 1 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli doctor
  faascli doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything found.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Serialize)]
struct Check {
    name: String,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Works, but something is slower or cannot be done.
    Note,
    /// Functions cannot run.
    Bad,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let mut checks = vec![kernel(), cpu(), reset(), userfaultfd(), map_count(), overcommit()];
    checks.push(engine());
    checks.extend(TOOLS.iter().map(toolchain));
    let report = Report { version: env!("CARGO_PKG_VERSION"), checks };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(u8::from(report.checks.iter().any(|check| check.state == State::Bad)))
}

fn print(report: &Report) -> std::io::Result<()> {
    for check in &report.checks {
        let mark = match check.state {
            State::Ok => "ok  ",
            State::Note => "note",
            State::Bad => "BAD ",
        };
        output::line(format_args!("{mark} {:26} {}", check.name, check.found))?;
        if let Some(advice) = &check.advice {
            output::line(format_args!("     {:26} {advice}", ""))?;
        }
    }
    Ok(())
}

fn check(name: &str, found: impl Into<String>, advice: Option<(State, &str)>) -> Check {
    Check {
        name: name.to_owned(),
        state: advice.map_or(State::Ok, |(state, _)| state),
        found: found.into(),
        advice: advice.map(|(_, text)| text.to_owned()),
    }
}

/// The content of a one-line file under /proc, or "unknown".
fn proc(path: &str) -> String {
    std::fs::read_to_string(path).map_or("unknown".to_owned(), |text| text.trim().to_owned())
}

fn kernel() -> Check {
    check("kernel", format!("Linux {}", proc("/proc/sys/kernel/osrelease")), None)
}

fn cpu() -> Check {
    let available = wfaas_vm::available_cpu_features();
    let missing = CpuFeatures::X86_64_V3.missing_in(available);
    if missing.is_empty() {
        return check("cpu", format!("x86-64-v3, {}", available.names().join(" ")), None);
    }
    let advice = "build with --cpu native; artifacts for x86-64-v3 do not run here";
    check("cpu", format!("lacks {}", missing.join(" ")), Some((State::Note, advice)))
}

fn reset() -> Check {
    let name = "reset mechanism";
    if wfaas_vm::learning_available() {
        return check(name, "copies back the pages a function writes to", None);
    }
    let advice = "slower: every request faults in the pages it writes to anew; see userfaultfd";
    check(name, "discards all pages written to", Some((State::Note, advice)))
}

fn userfaultfd() -> Check {
    let name = "userfaultfd";
    if wfaas_vm::learning_available() {
        return check(name, "available, with write protection and SIGBUS mode", None);
    }
    let advice = "needs Linux 6.4, and a container profile that allows the system call";
    check(name, "not available", Some((State::Note, advice)))
}

/// Mappings one slot needs at least: guard, host context, state and image, stack.
const MAPPINGS_PER_SLOT: u64 = 8;

fn map_count() -> Check {
    let found = proc("/proc/sys/vm/max_map_count");
    let advice = "raise it for many functions at once: sysctl vm.max_map_count=1048576";
    let few = found.parse::<u64>().is_ok_and(|count| count < 1000 * MAPPINGS_PER_SLOT);
    check("vm.max_map_count", found, few.then_some((State::Note, advice)))
}

fn overcommit() -> Check {
    let found = proc("/proc/sys/vm/overcommit_memory");
    let advice = "reservations of 4 GiB per slot may fail: sysctl vm.overcommit_memory=0";
    let strict = found == "2";
    check("vm.overcommit_memory", found, strict.then_some((State::Note, advice)))
}

/// Whether an engine can be made at all: signal handlers, address space.
fn engine() -> Check {
    match wfaas_vm::Engine::new(wfaas_vm::Config::default()) {
        Ok(_) => check("engine", "starts", None),
        Err(error) => check("engine", error.to_string(), Some((State::Bad, "nothing can run"))),
    }
}

fn toolchain(tool: &crate::toolchain::Tool) -> Check {
    match tool.is_there() {
        true => check(tool.name, "installed", None),
        false => check(tool.name, "missing", Some((State::Note, tool.install))),
    }
}
