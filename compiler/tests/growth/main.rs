//! Time and memory of the compiler grow in proportion to the module, whatever it is.
//!
//! The modules of each family of sizes n, 2n and 4n are compiled in a process of their own: under Callgrind,
//! which counts instructions, and once more without it, for the peak of memory. From one size to
//! the next, neither may grow by more than [`MOST_GROWTH`]. The largest one's cost for each of its
//! bytes is printed. `WFAAS_FAMILIES=table` leaves out families without that in their name.

mod families;

use families::Family;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::{Options, compile};

/// Growth that a doubling may cause.
const MOST_GROWTH: f64 = 2.3;

/// The variable that names the module that a child process compiles.
const MODULE: &str = "WFAAS_GROWTH_MODULE";

/// What starts the line with a child's peak of memory, in KiB.
const PEAK: &str = "VmHWM:";

/// The variable that says how it keeps accesses inside the memory, if not by a guard.
const BOUNDS: &str = "WFAAS_GROWTH_BOUNDS";

/// Memory that is not looked at, in KiB: what the compiler takes for anything.
const FREE_KIB: f64 = 8192.0;

/// Instructions beyond an empty module's that are none of its growth: two counts of one module differ by some thousand.
const FREE_INSTRUCTIONS: f64 = 1e6;

/// Cost of a compilation.
struct Cost {
    bytes: f64,
    instructions: f64,
    kib: f64,
}

/// Families that once took time with the square of their size, or for nothing.
const QUICK: [&str; 3] = ["table-of-one-target", "unused-locals", "values-alive-over-ifs"];

#[test]
fn twice_the_module_takes_twice_as_long() {
    check("guard", |family| QUICK.contains(&family.name));
}

#[test]
#[ignore = "takes minutes: ./test growth"]
fn twice_any_module_takes_twice_as_long() {
    check("guard", |_| true);
}

#[test]
#[ignore = "takes minutes: ./test growth"]
fn proofs_of_twice_as_many_checks_take_twice_as_long() {
    check("trap", |family| family.has_accesses());
}

fn check(bounds: &str, chosen: fn(&&Family) -> bool) {
    let empty = measure("(module)", bounds);
    let name = std::env::var("WFAAS_FAMILIES").unwrap_or_default();
    let wanted = |family: &&Family| chosen(family) && family.name.contains(&name);
    let left = Mutex::new(families::all().filter(wanted));
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(family) = { left.lock().unwrap().next() } {
            let costs = [1, 2, 4].map(|times| {
                let cost = measure(&(family.module)(family.size * times), bounds);
                let kib = (cost.kib - empty.kib).max(FREE_KIB);
                let instructions = cost.instructions - empty.instructions;
                Cost { instructions: instructions.max(FREE_INSTRUCTIONS), kib, ..cost }
            });
            let line = line(family, &costs);
            eprintln!("{line}");
            if costs.windows(2).any(|pair| growth(&pair[0], &pair[1]) > MOST_GROWTH) {
                failures.lock().unwrap().push(line);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "grow too fast:\n{}", failures.join("\n"));
}

fn growth(small: &Cost, large: &Cost) -> f64 {
    (large.instructions / small.instructions).max(large.kib / small.kib)
}

fn line(family: &Family, costs: &[Cost; 3]) -> String {
    let cost = |cost: &Cost| format!("{:8.1} M {:7.0} KiB", cost.instructions / 1e6, cost.kib);
    let texts: Vec<String> = costs.iter().map(cost).collect();
    let Cost { bytes, instructions, kib } = &costs[2];
    let (each, memory) = (instructions / bytes, kib * 1024.0 / bytes);
    format!("{:36} {}; {each:7.0} and {memory:5.0} a byte", family.name, texts.join(", "))
}

/// Compiles a module in children.
fn measure(text: &str, bounds: &str) -> Cost {
    let file = tempfile::NamedTempFile::new().unwrap();
    let module = wat::parse_str(text).unwrap();
    std::fs::write(&file, &module).unwrap();
    let this = std::env::current_exe().unwrap();
    let child = |command: &mut Command| child(command.env(BOUNDS, bounds), file.path()).stderr;
    let peak = String::from_utf8(child(&mut Command::new(&this))).unwrap();
    let mut counted = Command::new("valgrind");
    counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&this);
    let count = String::from_utf8(child(&mut counted)).unwrap();
    let (instructions, kib) = (number(&count, "Collected :"), number(&peak, PEAK));
    Cost { bytes: module.len() as f64, instructions, kib }
}

fn child(command: &mut Command, module: &Path) -> Output {
    command.args(["--exact", "compiles", "--ignored", "--nocapture", "--test-threads=1"]);
    let output = command.env(MODULE, module).env("RAYON_NUM_THREADS", "1").output();
    let output = output.expect("valgrind is installed (./test setup)");
    assert!(output.status.success(), "{output:?}");
    output
}

/// The number after `name`.
fn number(text: &str, name: &str) -> f64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// The child: a module that is compiled, or refused.
#[test]
#[ignore = "a part of the other test"]
fn compiles() {
    let Ok(module) = std::env::var(MODULE) else { return };
    let module = std::fs::read(module).unwrap();
    let bounds = match std::env::var(BOUNDS).as_deref() {
        Ok("trap") => BoundsStrategy::Trap,
        _ => BoundsStrategy::Guard,
    };
    compile(&module, &Options { bounds, ..Options::default() }).expect("compiles");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    eprintln!("\n{}", status.lines().find(|line| line.starts_with(PEAK)).unwrap());
}
