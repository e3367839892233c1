//! Golden tests: every file in `tests/golden` is a module with directives. A line `;;! clif N`,
//! `;;! optimised N` or `;;! asm N` is followed by the code that function N must give, in comments; a
//! bounds strategy may follow N. `BLESS=1` writes the code that it gives now instead.

use std::fs;
use std::path::Path;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::{Options, Passes, assembly, clif, optimised};

/// What a file should be, given what the compiler generates now.
fn regenerate(source: &str) -> String {
    let mut expected = String::new();
    let mut in_output = false;
    for line in source.lines() {
        if in_output && line.starts_with(";;") && !line.starts_with(";;!") {
            continue;
        }
        in_output = false;
        expected.push_str(line);
        expected.push('\n');
        if let Some(directive) = line.strip_prefix(";;! ") {
            in_output = true;
            for line in generate(source, directive).lines() {
                expected.push_str(format!(";; {line}").trim_end());
                expected.push('\n');
            }
        }
    }
    expected
}

fn generate(source: &str, directive: &str) -> String {
    let (what, function) = directive.split_once(' ').expect("a directive and a function");
    let (function, strategy) = function.split_once(' ').unwrap_or((function, "guard"));
    let function = function.parse().expect("the index of a function");
    let bounds = BoundsStrategy::from_name(strategy).expect("a bounds strategy");
    let options = Options { bounds, ..Options::default() };
    let generate = match what {
        "clif" => clif,
        "optimised" => optimised,
        "asm" => assembly,
        _ => panic!("unknown directive {what}"),
    };
    generate(source.as_bytes(), function, &options).expect("compiles")
}

#[test]
fn generated_code_is_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        let now = regenerate(&source);
        files += 1;
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, now).unwrap();
        } else if now != source {
            wrong.push(format!("{}:\n{now}", path.display()));
        }
    }
    assert!(files >= 5, "the golden files are gone");
    assert!(wrong.is_empty(), "changed (BLESS=1 accepts):\n{}", wrong.join("\n"));
}

#[test]
fn circles_of_parameters_stay_without_their_pass() {
    let source = include_str!("golden/redundant_phis.wat");
    let parameters = |passes: Passes| {
        let options = Options { passes, ..Options::default() };
        let code = optimised(source.as_bytes(), 0, &options).expect("compiles");
        // The function's own are in its entry block.
        let headers = code.lines().filter(|line| line.trim_start().starts_with("block"));
        headers.map(|line| line.matches(": i").count()).sum::<usize>()
    };
    let without = Passes::ALL.without("redundant-phis").expect("a pass");
    assert!(parameters(without) > parameters(Passes::ALL));
}
