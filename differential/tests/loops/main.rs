//! Loops that count: addresses from counters of all kinds, which the compiler turns into 64-bit
//! arithmetic where it can prove that they do not wrap around. Random modules hardly ever have
//! such loops, so these are made for it: starts, steps and limits near zero, 2^31 and 2^32.
//!
//! `WFAAS_LOOPS=1000` runs as many, `WFAAS_LOOPS=100..200` these.

mod known;

use std::fmt::Write;
use wfaas_abi::BoundsStrategy;
use wfaas_differential::{Choice, Outcome, Random, Verdict, run_module};

/// How many modules an ordinary run tries.
const MODULES: u64 = 400;

/// Counters that are made 64 bits wide step by 2 MiB of memory at most, so that is how many rounds it
/// takes for an index to come around to where it was.
const FUEL: u32 = 6500;

/// What these loops mostly step by; four bytes of memory each, so that the index comes around before
/// the counter does and meets its end.
const UNIT: i64 = 1 << 18;

/// Numbers near where something changes.
fn number(random: &mut Random) -> i32 {
    let near = random.of(&[0_i64, 0, 0, 64, 1000, 65_536, 1 << 31, 1 << 32]);
    let distance = random.below(40) as i64 * random.of(&[1, 4, 8]);
    (near + random.of(&[-1, 1]) * distance) as i32
}

/// An expression that may be an address: the local `$i` or `$j`, scaled, moved and masked.
fn index(random: &mut Random, depth: usize) -> String {
    if depth == 0 {
        return match random.below(5) {
            0 => format!("(i32.const {})", number(random)),
            1 => "(local.get $p)".to_owned(),
            2 => "(local.get $j)".to_owned(),
            _ => "(local.get $i)".to_owned(),
        };
    }
    let inner = index(random, depth - 1);
    match random.below(11) {
        0 | 1 => format!("(i32.add {inner} (i32.const {}))", number(random)),
        2 => format!("(i32.add {inner} {})", index(random, depth - 1)),
        3 => format!("(i32.sub {inner} {})", index(random, depth - 1)),
        4 => format!("(i32.shl {inner} (i32.const {}))", random.of(&[1, 2, 3, 31, 33])),
        5 => format!("(i32.mul {inner} (i32.const {}))", random.of(&[3, 12, -4, 65_536])),
        6 => format!("(i32.and {inner} (i32.const {}))", random.of(&[7, 0xfff8, -8])),
        7 => format!("(i32.shr_u {inner} (i32.const {}))", random.of(&[1, 16, 34])),
        8 => remainder(random, &inner),
        9 => {
            let rounded = format!("(i32.sub (i32.const 1500) (i32.rem_u {inner} (i32.const 90)))");
            format!("(i32.and {rounded} (i32.const {}))", random.of(&[1534, 1528, 1022]))
        }
        _ => format!("(i32.rem_u {inner} (i32.const {}))", random.of(&[3, 100, -1])),
    }
}

/// A multiple of a remainder, as a compiler computes it that has the quotient; some are none.
fn remainder(random: &mut Random, number: &str) -> String {
    let (by, times) = (random.of(&[3, 90, 1000]), random.of(&[1, 4, 12]));
    let of = by * times + random.of(&[0, 0, 0, 1]);
    let multiple = format!("(i32.mul {number} (i32.const {times}))");
    let rest = format!("(i32.mul (i32.div_u {number} (i32.const {by})) (i32.const {of}))");
    match random.below(2) {
        0 => format!("(i32.sub {multiple} {rest})"),
        _ => format!("(i32.sub {rest} {multiple})"),
    }
}

/// Loads at constants from one number, some of them behind a comparison of such a sum.
fn fields(random: &mut Random) -> String {
    let number = index(random, 1);
    let (scale, near) = (random.of(&[0, 2, 3, 4]), random.of(&[0, 1024, 65_536, -8]));
    let at = |constant: i64| {
        format!(
            "(i32.add (i32.shl {number} (i32.const {scale})) (i32.const {}))",
            (near + constant) as i32
        )
    };
    let mut text = String::new();
    for _ in 0..random.below(4) + 1 {
        let load = random.of(&["i32.load8_u", "i32.load16_u", "i32.load"]);
        let at = at(random.below(18) as i64 - 1);
        let _ = writeln!(text, "(local.set $sum (i32.add (local.get $sum) ({load} {at})))");
    }
    if random.below(2) == 0 {
        return text;
    }
    let (compare, limit) =
        (random.of(&["le_u", "lt_u", "lt_s", "ne"]), random.of(&[4, 1024, 65_536]));
    let sum = at(random.below(18) as i64);
    format!("(if (i32.{compare} {sum} (i32.const {limit})) (then {text}))")
}

/// Accesses that add to `$sum` and to the memory.
fn accesses(random: &mut Random) -> String {
    let mut text = String::new();
    if random.below(4) == 0 {
        text = fields(random);
    }
    for _ in 0..random.below(3) + 1 {
        let depth = random.below(4);
        let (at, offset) = (index(random, depth), random.of(&[0, 4, 1024, 70_000]));
        let _ = match random.below(3) {
            0 => writeln!(text, "(i32.store offset={offset} {at} (local.get $fuel))"),
            1 => writeln!(text, "(i64.store8 offset={offset} {at} (i64.const 77))"),
            _ => writeln!(
                text,
                "(local.set $sum (i32.add (local.get $sum) (i32.load16_u offset={offset} {at})))"
            ),
        };
    }
    text
}

/// The condition on which a loop with the counter `name` goes on; `next` is the counter after the
/// step.
fn condition(random: &mut Random, next: &str, limit: &str) -> String {
    let compare = random.of(&[
        "ne", "ne", "ne", "lt_s", "lt_u", "le_s", "le_u", "gt_s", "gt_u", "ge_s", "ge_u", "eq",
    ]);
    match random.below(5) {
        0 => next.to_owned(),
        // The compiler's way to say that it has not wrapped around.
        4 => format!("(i32.ge_u (i32.add {next} (i32.const 1)) {next})"),
        1 => format!("(i32.eqz (i32.{compare} {next} {limit}))"),
        2 => format!("(i32.{compare} {limit} {next})"),
        _ => format!("(i32.{compare} {next} {limit})"),
    }
}

/// A loop that counts `name`, with `body` inside; it ends without fuel too.
fn counting(random: &mut Random, name: &str, body: &str, outer: &[&str]) -> String {
    let start = match random.below(4) {
        0 => format!("(local.get {})", random.of(outer)),
        _ => format!("(i32.const {})", number(random)),
    };
    let limit = match random.below(4) {
        0 => format!("(local.get {})", random.of(outer)),
        1 => format!("(i32.and (local.get {}) (i32.const 120))", random.of(outer)),
        _ => format!("(i32.const {})", number(random)),
    };
    let step = random.of(&[1, 1, 1, 4, 8, 3, -1, -1, -8, 1 << 30]);
    let early = random.below(3) == 0;
    let next = format!("(i32.add (local.get {name}) (i32.const {step}))");
    let count = format!("(local.set {name} {next})");
    let tested = if early { next } else { format!("(local.get {name})") };
    let goes_on = condition(random, &tested, &limit);
    let (before, after) = if early { ("", count.as_str()) } else { (count.as_str(), "") };
    format!(
        "(local.set {name} {start})
        (block (loop
            {body}
            (local.set $fuel (i32.sub (local.get $fuel) (i32.const 1)))
            (br_if 1 (i32.le_s (local.get $fuel) (i32.const 0)))
            {before}
            (br_if 1 (i32.eqz {goes_on}))
            {after}
            (br 0)))"
    )
}

fn module(seed: u64) -> String {
    let mut random = Random::new(seed);
    let random = &mut random;
    let inner = accesses(random);
    let inner = counting(random, "$j", &inner, &["$i", "$p"]);
    let body = format!("{} {inner}", accesses(random));
    let body = if random.below(2) == 0 { body } else { accesses(random) };
    let outer = counting(random, "$i", &body, &["$p"]);
    format!(
        "(module (memory (export \"memory\") {pages} 3)
            (func (export \"run\") (param $p i32) (result i32)
                (local $i i32) (local $j i32) (local $sum i32) (local $fuel i32)
                (local.set $fuel (i32.const 300))
                {outer}
                (i32.add (local.get $sum) (local.get $i))))",
        pages = random.below(2) + 1
    )
}

/// What becomes of a module, which must not be a disagreement.
fn outcome(text: &str, seed: u64) -> Outcome {
    outcome_under(BoundsStrategy::Guard, text, seed)
}

fn outcome_under(strategy: BoundsStrategy, text: &str, seed: u64) -> Outcome {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    // All passes: seed 0 leaves none out.
    let outcome = run_module(&wasm, seed, true, &Choice::all().with_bounds(strategy));
    outcome.unwrap_or_else(|wrong| panic!("loop {seed}: {wrong}\n{text}"))
}

/// Checks that all calls of a module return, and what they do in the other engine.
fn assert_agrees(text: &str) {
    let outcome = outcome(text, 0);
    assert_eq!(outcome.peer, Verdict::Agreed, "{text}");
    assert_eq!(outcome.returned, outcome.calls, "{text}");
}

#[test]
fn counting_loops_agree() {
    agree(BoundsStrategy::Guard);
}

/// The same with checks, of which proofs leave some out: the seeds of one strategy are built with all proofs, with
/// each of them verified as the code runs, and without some.
#[test]
fn checked_loops_agree() {
    agree(BoundsStrategy::Trap);
}

fn agree(strategy: BoundsStrategy) {
    let number = |text: &str| text.parse().expect("WFAAS_LOOPS is a number or first..last");
    let seeds = match std::env::var("WFAAS_LOOPS") {
        Ok(text) => match text.split_once("..") {
            Some((first, last)) => number(first)..number(last),
            None => 0..number(&text),
        },
        Err(_) => 0..MODULES,
    };
    let mut agreed = 0;
    let total = seeds.end - seeds.start;
    for seed in seeds {
        let outcome = outcome_under(strategy, &module(seed), seed);
        agreed += u64::from(outcome.peer == Verdict::Agreed);
    }
    assert!(agreed * 10 >= total * 9, "only {agreed} of {total} decide anything");
}

/// A loop from `start` that counts by `step` as long as the counter compares with the limit, and
/// adds up and stores at `index` where there is memory; with fuel, since some never end.
fn towards(start: &str, step: i64, compare: &str, limit: &str, index: &str) -> String {
    guarded("", start, step, compare, limit, index)
}

/// The same behind `guards`, which return for some arguments.
fn guarded(
    guards: &str,
    start: &str,
    step: i64,
    compare: &str,
    limit: &str,
    index: &str,
) -> String {
    run(&format!("{guards} {}", looping(start, step, compare, limit, index)))
}

/// The loop alone.
fn looping(start: &str, step: i64, compare: &str, limit: &str, index: &str) -> String {
    format!(
        "(local.set $i {start})
        (local.set $limit {limit})
        (block (loop
            (if (i32.lt_u {index} (i32.const 65536)) (then
                (local.set $sum (i32.add (local.get $sum) (i32.load {index})))
                (i32.store offset=8 {index} (local.get $fuel))))
            (local.set $fuel (i32.sub (local.get $fuel) (i32.const 1)))
            (br_if 1 (i32.eqz (local.get $fuel)))
            (local.set $i (i32.add (local.get $i) (i32.const {step})))
            (br_if 0 (i32.{compare} (local.get $i) (local.get $limit)))))"
    )
}

/// A module with code that is run with several arguments `$p`.
fn run(code: &str) -> String {
    let arguments = [0, 1, -1, -65537, 2, 3, 4, 5, 6, 7, 12];
    let calls = arguments.map(|argument| format!("(call $run (i32.const {argument}))"));
    let all = calls.into_iter().reduce(|sum, call| format!("(i32.add {sum} {call})"));
    format!(
        "(module (memory (export \"memory\") 2 3)
            (func $run (export \"run\") (param $p i32) (result i32)
                (local $i i32) (local $limit i32) (local $sum i32) (local $fuel i32)
                (local $a i32) (local $b i32) (local $few i32) (local $even i32)
                (local.set $fuel (i32.const {FUEL}))
                (local.set $few (i32.and (i32.mul (local.get $p) (i32.const {UNIT}))
                    (i32.const {few})))
                (local.set $even (i32.and (local.get $few) (i32.const {even})))
                {code}
                (i32.add (local.get $sum) (local.get $i)))
            (func (export \"all\") (result i32) {all}))",
        all = all.expect("there are arguments"),
        few = 7 * UNIT,
        even = 6 * UNIT
    )
}

/// Numbers computed from the argument in units of `unit`, one from the other, as compilers compute how
/// often a loop goes round that they unroll: the code, and what gets each of them.
fn derived(random: &mut Random, unit: i64) -> (String, [&'static str; 4]) {
    let numbers = ["(local.get $few)", "(local.get $even)", "(local.get $a)", "(local.get $b)"];
    let mut code = format!("(local.set $few (i32.mul (local.get $p) (i32.const {unit})))");
    for (place, name) in ["$even", "$a", "$b"].into_iter().enumerate() {
        let inner = numbers[random.below(place + 1)];
        let few = random.below(5) as i64 - 2;
        let value = match random.below(5) {
            0 => format!("(i32.shr_u {inner} (i32.const {}))", random.of(&[1, 2, 20])),
            1 => format!("(i32.add {inner} (i32.const {}))", few * unit),
            _ => {
                let mask = random.of(&[-2, -4, 3, 0x7e, 7]) * unit;
                let mask = if random.below(3) == 0 { mask & 0x7fff_ffff } else { mask };
                format!("(i32.and {inner} (i32.const {mask}))")
            }
        };
        let _ = writeln!(code, "(local.set {name} {value})");
    }
    (code, numbers)
}

/// Loops behind comparisons that say something about where they start and end, or not enough. In
/// most, the counter wraps around soon if it misses its end.
#[test]
fn guarded_loops_agree() {
    let comparisons = ["eq", "ne", "lt_u", "lt_s", "le_u", "gt_u", "ge_u", "ge_s"];
    let mut looped = 0;
    for seed in 0..MODULES {
        let mut random = Random::new(seed);
        let random = &mut random;
        let unit = random.of(&[1, UNIT / 4, UNIT, UNIT]);
        let (mut guards, numbers) = derived(random, unit);
        let number = |random: &mut Random| random.of(&numbers).to_owned();
        for _ in 0..random.below(4) {
            let (left, limit) = (number(random), random.below(6) as i64 * unit);
            let compare = random.of(&comparisons);
            let _ = writeln!(
                guards,
                "(if (i32.{compare} {left} (i32.const {})) (then (return (i32.const 7))))",
                limit as i32
            );
        }
        let (step, zero) = (random.of(&[1, 1, 2]) * unit, "(i32.const 0)".to_owned());
        let (start, limit, step) = match random.below(3) {
            0 => (number(random), zero, -step),
            1 => (zero, number(random), step),
            _ => (number(random), number(random), step),
        };
        let compare = random.of(&["ne", "ne", "ne", "lt_u", "lt_s", "gt_u"]);
        let shift = random.of(&[0, 2, 2]);
        let index = format!("(i32.shl (local.get $i) (i32.const {shift}))");
        let text = guarded(&guards, &start, step, compare, &limit, &index);
        let outcome = outcome(&text, seed);
        looped += u64::from(outcome.peer == Verdict::Agreed);
    }
    assert!(looped * 10 >= MODULES * 9, "only {looped} of {MODULES} decide anything");
}
