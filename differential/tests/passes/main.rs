//! Each pass by itself: programs with something to do for every pass, and random modules, compiled with
//! all passes and with all but one. All of them must do as the other engine does, and every pass must
//! have changed the code of some program.
//!
//! `WFAAS_PASSES=1000` runs as many of both, `WFAAS_PASSES=100..200` these.

mod program;

use std::collections::BTreeSet;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::{Options, Passes, compile};
use wfaas_differential::{Choice, Verdict, run_module, run_seed};

/// How many programs, and how many random modules, an ordinary run tries with each pass left out.
const PROGRAMS: u64 = 24;
const MODULES: u64 = 12;

/// The seeds to run: so many, unless the environment says otherwise.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WFAAS_PASSES") else { return 0..count };
    let number = |text: &str| text.parse().expect("WFAAS_PASSES is a number or first..last");
    match text.split_once("..") {
        Some((first, last)) => number(first)..number(last),
        None => 0..number(&text),
    }
}

/// All passes, then all but each of them.
fn choices() -> impl Iterator<Item = (&'static str, Choice)> {
    let choice = Choice::all().with_bounds(BoundsStrategy::Guard);
    [""].into_iter()
        .chain(Passes::names())
        .map(move |name| (name, choice.clone().without_pass(name)))
}

/// The code of a program that is compiled without this pass.
fn code(wasm: &[u8], without: &str) -> Vec<u8> {
    let passes = match without {
        "" => Passes::ALL,
        name => Passes::ALL.without(name).unwrap(),
    };
    let compiled = compile(wasm, &Options { passes, ..Options::default() }).expect("compiles");
    let artifact = wfaas_abi::Artifact::parse(&compiled.artifact).expect("an artifact");
    artifact.text().to_vec()
}

#[test]
fn programs_agree_without_each_pass() {
    let mut idle: BTreeSet<&str> = Passes::names().collect();
    for seed in seeds(PROGRAMS) {
        let text = program::text(seed);
        let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let all = code(&wasm, "");
        idle.retain(|name| code(&wasm, name) == all);
        for (name, choice) in choices() {
            let outcome = run_module(&wasm, seed, true, &choice);
            let outcome = outcome.unwrap_or_else(|wrong| panic!("{name}, {seed}: {wrong}\n{text}"));
            assert_eq!(outcome.peer, Verdict::Agreed, "without '{name}', program {seed}\n{text}");
            assert_eq!(outcome.returned, outcome.calls, "program {seed} traps\n{text}");
        }
    }
    assert!(idle.is_empty(), "no program had anything to do for {idle:?}");
}

#[test]
fn random_modules_agree_without_each_pass() {
    for seed in seeds(MODULES) {
        for (name, choice) in choices() {
            run_seed(seed, &choice)
                .unwrap_or_else(|wrong| panic!("without '{name}', seed {seed}: {wrong}"));
        }
    }
}
