//! Programs that wait: random ones, captured at a call of an import, whatever frames are on the stack
//! then, and continued. They have to end as they do if they are not interrupted.
//!
//! `WFAAS_WAITING=1000` runs as many, `WFAAS_WAITING=100..200` these; with more than a thousand, the
//! kinds of frames that were on the stack are counted.

mod mutants;
mod program;
mod run;
mod shape;

use program::Random;
use wfaas_compiler::{Effort, OptLevel, Options};
use wfaas_vm::{Config, Engine};

/// How many programs an ordinary run tries.
const PROGRAMS: u64 = 150;

fn numbers() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WFAAS_WAITING") else { return 0..PROGRAMS };
    let number = |text: &str| text.parse().expect("WFAAS_WAITING is a number or first..last");
    match text.split_once("..") {
        Some((first, last)) => number(first)..number(last),
        None => 0..number(&text),
    }
}

/// A way to compile the code that continues.
fn way(number: u64) -> Options<'static> {
    let usual = Options::default();
    match number % 8 {
        0 => Options { effort: Some(Effort::Frame), ..usual },
        1 => Options { effort: Some(Effort::Linear), ..usual },
        2 => Options { opt: OptLevel::Fast, ..usual },
        3 => Options { bounds: wfaas_abi::BoundsStrategy::Trap, ..usual },
        _ => usual,
    }
}

/// A program that was captured, and its outcome if it is not interrupted.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) whole: run::Outcome,
    pub(crate) wait_at: usize,
    pub(crate) waiting: run::Waiting,
}

/// The program with this number, if it waits at all.
pub(crate) fn case(engine: &Engine, number: u64) -> Option<Case> {
    let text = program::text(number);
    let whole = run::finish(engine, &run::usual(&text), 0);
    let wait_at = Random(number ^ 0x5eed).below(whole.calls.max(1));
    let waiting = (whole.calls > 0).then(|| run::Waiting::at(engine, &text, wait_at))?;
    Some(Case { text, whole, wait_at, waiting })
}

#[test]
fn programs_go_on_as_if_nothing_had_happened() {
    let engine = Engine::new(Config::default()).unwrap();
    let (mut waited, mut counts) = (0, [0; shape::KINDS.len()]);
    for number in numbers() {
        let Some(Case { text, whole, wait_at, waiting }) = case(&engine, number) else { continue };
        let wasm = wat::parse_str(&text).unwrap();
        let kinds = shape::kinds(&waiting.continuation, &shape::calls(&wasm), &text);
        waited += 1;
        (0..kinds.len()).for_each(|kind| counts[kind] += u64::from(kinds[kind]));
        let artifact = waiting.continued(&way(number));
        let artifact = artifact.unwrap_or_else(|error| panic!("{number}: {error}\n{text}"));
        for _ in 0..2 {
            let found = run::finish(&engine, &artifact, wait_at);
            assert_eq!(found, whole, "{number}, continued at call {wait_at}:\n{text}");
        }
    }
    eprintln!("{waited} programs waited; among their frames were, in so many of them:");
    for (kind, count) in shape::KINDS.iter().zip(counts) {
        eprintln!("  {count:>7} {kind}");
        assert!(count > 0, "none had {kind}");
    }
}
