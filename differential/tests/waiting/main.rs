//! Programs that wait: random ones, captured at a call of an import, whatever frames are on the stack
//! then, and continued. They have to end as they do if they are not interrupted. Every second one is captured again when it
//! waits again, by the code that continues it.
//!
//! `WFAAS_WAITING=1000` runs as many, `WFAAS_WAITING=100..200` these. The kinds of frames that were on the stack are
//! counted, and of many programs enough must have had each.

mod mutants;
mod program;
mod run;
mod shape;

use wfaas_compiler::{Effort, OptLevel, Options};
use wfaas_differential::Random;
use wfaas_vm::{Config, Engine};

/// Programs that an ordinary run tries.
const PROGRAMS: u64 = 150;

/// Of programs as many as this, one in [`RARE`] has to have frames of each kind.
const MANY: u64 = 1000;

/// The rarest kind of frames: the programs of which one has it, at most.
const RARE: u64 = 20;

/// Programs from one line about the progress to the next.
const PROGRESS: u64 = 5000;

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

/// Later calls at which every second program is captured again, three at most.
fn later(number: u64, wait_at: usize, calls: usize) -> Vec<usize> {
    let mut random = Random::new(number ^ 0xa6a1);
    let mut later = Vec::new();
    if number.is_multiple_of(2) {
        return later;
    }
    let mut next = wait_at + 1;
    while next < calls && later.len() < 3 {
        next += random.below((calls - next).min(4));
        later.push(next);
        next += 1;
    }
    later
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
    let wait_at = Random::new(number ^ 0x5eed).below(whole.calls.max(1));
    let waiting = (whole.calls > 0).then(|| run::Waiting::at(engine, &text, wait_at))?;
    Some(Case { text, whole, wait_at, waiting })
}

#[test]
fn programs_go_on_as_if_nothing_had_happened() {
    let engine = Engine::new(Config::default()).unwrap();
    let (mut waited, mut waited_again, mut counts) = (0, 0, [0; shape::KINDS.len()]);
    let numbers = numbers();
    let count = numbers.end - numbers.start;
    let least = if count < MANY { 1 } else { count / RARE };
    for number in numbers {
        if number.is_multiple_of(PROGRESS) && count >= MANY {
            eprintln!("program {number}: {waited} waited");
        }
        let Some(case) = case(&engine, number) else { continue };
        let Case { text, whole, wait_at, mut waiting } = case;
        let wasm = wat::parse_str(&text).unwrap();
        let kinds = shape::kinds(&waiting.continuation, &shape::calls(&wasm), &text);
        waited += 1;
        (0..kinds.len()).for_each(|kind| counts[kind] += u64::from(kinds[kind]));
        let again = later(number, wait_at, whole.calls);
        if !again.is_empty() {
            waiting.waits_again(&engine, &again);
        }
        let artifact = waiting.continued(&way(number));
        let artifact = artifact.unwrap_or_else(|error| panic!("{number}: {error}\n{text}"));
        if !again.is_empty() {
            waited_again += 1;
            let found = run::finish_in_pieces(&engine, &artifact, wait_at, &again);
            assert_eq!(
                found.as_ref(),
                Some(&whole),
                "{number}, continued at {wait_at} and {again:?}:\n{text}"
            );
        }
        for _ in 0..2 {
            let found = run::finish(&engine, &artifact, wait_at);
            assert_eq!(found, whole, "{number}, continued at call {wait_at}:\n{text}");
        }
    }
    eprintln!(
        "{waited} programs waited, {waited_again} of them again; among their frames were, in so many of them:"
    );
    for (kind, count) in shape::KINDS.iter().zip(counts) {
        eprintln!("  {count:>7} {kind}");
    }
    assert!(waited_again >= least, "{waited_again} programs of {least} at least waited again");
    for (kind, count) in shape::KINDS.iter().zip(counts) {
        assert!(count >= least, "{count} programs of {least} at least had {kind}");
    }
}
