//! `faascli doctor`

use crate::failure::Failure;
use crate::output;
use crate::toolchain::TOOLS;
use serde::Serialize;
use wfaas_abi::cpu::CpuFeatures;
use wfaas_vm::Tracking;
use wfaas_vm::diagnostics::{self, Missing, cost};

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
    let mut checks = vec![kernel(), cpu(), tracking(), reset_costs(), userfaultfd(), map_count()];
    checks.extend([overcommit(), engine()]);
    checks.extend(TOOLS.iter().map(toolchain));
    let report = Report { version: env!("CARGO_PKG_VERSION"), checks };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(u8::from(report.checks.iter().any(|check| check.state == State::Bad)))
}

fn print(report: &Report) -> output::Result {
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

/// The way of tracking that pools use unless, by a function's profile, another one costs less.
fn active() -> Tracking {
    cost::choose(wfaas_vm::Config::default().tracking, diagnostics::userfaultfd().is_ok(), None)
}

fn tracking() -> Check {
    let active = active();
    let slower = Some((State::Note, "slower than pages, which need userfaultfd"));
    let (reset, advice) = match active {
        Tracking::Granules => ("copies back written pages of granules (mprotect)", slower),
        Tracking::Discard => ("discards all pages that were written to", slower),
        _ => ("copies back the pages that a function writes to (userfaultfd)", None),
    };
    check("tracking", format!("{}: a reset {reset}", active.name()), advice)
}

fn reset_costs() -> Check {
    let set = cost::typical();
    let micros = |way| cost::reset_nanos(way, &set) as f64 / 1000.0;
    let found = format!(
        "{} ns to copy a page, {} to compare, {} to discard and fault in; {} pages: {:.1} µs \
         (pages {:.1}, granules {:.1}, discard {:.1})",
        cost::COPY_PAGE,
        cost::COMPARE_PAGE,
        cost::FAULT,
        set.len(),
        micros(active()),
        micros(Tracking::Pages),
        micros(Tracking::Granules),
        micros(Tracking::Discard),
    );
    check("reset costs, as assumed", found, None)
}

fn userfaultfd() -> Check {
    let name = "userfaultfd";
    let missing = match diagnostics::userfaultfd() {
        Ok(()) => return check(name, "available, with write protection and SIGBUS mode", None),
        Err(missing) => missing,
    };
    let advice = match missing {
        Missing::SystemCall => "needs a kernel with CONFIG_USERFAULTFD",
        Missing::Permission => {
            "a filter of system calls forbids it: allow userfaultfd in the container's profile"
        }
        Missing::Features => "needs Linux 6.4 with CONFIG_HAVE_ARCH_USERFAULTFD_WP",
        Missing::Other(_) => "look at the limits, as of file descriptors",
    };
    check(name, missing.to_string(), Some((State::Note, advice)))
}

/// Mappings of a slot: what is accessible and the guard, and as many again where an image has holes.
const MAPPINGS_PER_SLOT: u64 = 4;

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
