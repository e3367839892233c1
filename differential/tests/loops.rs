//! Loops that count: addresses from counters of all kinds, which the compiler turns into 64-bit
//! arithmetic where it can prove that they do not wrap around. Random modules hardly ever have
//! such loops, so these are made for it: starts, steps and limits near zero, 2^31 and 2^32.
//!
//! `WFAAS_LOOPS=1000` runs as many, `WFAAS_LOOPS=100..200` these.

use std::fmt::Write;
use wfaas_abi::BoundsStrategy;
use wfaas_differential::{Choice, Outcome, Verdict, run_module};

/// How many modules an ordinary run tries.
const MODULES: u64 = 400;

/// Counters that are made 64 bits wide step by 2 MiB of memory at most, so that is how many rounds it
/// takes for an index to come around to where it was.
const FUEL: u32 = 6500;

/// What these loops mostly step by; four bytes of memory each, so that the index comes around before
/// the counter does and meets its end.
const UNIT: i64 = 1 << 18;

/// A sequence of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

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
    match random.below(9) {
        0 | 1 => format!("(i32.add {inner} (i32.const {}))", number(random)),
        2 => format!("(i32.add {inner} {})", index(random, depth - 1)),
        3 => format!("(i32.sub {inner} {})", index(random, depth - 1)),
        4 => format!("(i32.shl {inner} (i32.const {}))", random.of(&[1, 2, 3, 31, 33])),
        5 => format!("(i32.mul {inner} (i32.const {}))", random.of(&[3, 12, -4, 65_536])),
        6 => format!("(i32.and {inner} (i32.const {}))", random.of(&[7, 0xfff8, -8])),
        7 => format!("(i32.shr_u {inner} (i32.const {}))", random.of(&[1, 16, 34])),
        _ => format!("(i32.rem_u {inner} (i32.const {}))", random.of(&[3, 100, -1])),
    }
}

/// Accesses that add to `$sum` and to the memory.
fn accesses(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(3) + 1 {
        let depth = random.below(4) as usize;
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
    let mut random = Random(seed);
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
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let outcome = run_module(&wasm, seed, true, &guard());
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
        let text = module(seed);
        let outcome = outcome(&text, seed);
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
        let inner = numbers[random.below(place as u64 + 1) as usize];
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
        let mut random = Random(seed);
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

/// Loops that do not leave at their limit, for some argument: it is behind the start, or they step
/// over it. Once the counter has wrapped around, the indices are in memory, and 4 GiB further in
/// integers without limits.
#[test]
fn missed_limits() {
    let plain = "(local.get $i)";
    let scaled = "(i32.shl (local.get $i) (i32.const 2))";
    let moved = &*format!("(i32.add (i32.const 64) {scaled})");
    // Downwards, there must be room for what a processor runs ahead.
    let far = &*format!("(i32.add (i32.const 0x40100000) {scaled})");
    let from_far = "(i32.add (i32.const 0x40000000) (local.get $i))";
    let bit =
        |shift| format!("(i32.shl (i32.and (local.get $p) (i32.const 1)) (i32.const {shift}))");
    let (low, unit) = (&*bit(0), &*bit(18));
    let below = &*format!("(i32.sub (i32.const 0) {unit})");
    let half = "(i32.and (local.get $p) (i32.const 0x7fffffff))";
    let most = "(i32.rem_u (local.get $p) (i32.const -65535))";
    let uneven = &*format!("(i32.add (i32.const 0x40000) {low})");
    let (zero, high) = ("(i32.const 0)", "(i32.const 0x40000000)");
    for (start, step, compare, limit, index) in [
        // The limit is the first number that is compared, or behind it.
        (zero, UNIT, "ne", unit, scaled),
        (zero, UNIT, "ne", unit, moved),
        (zero, -UNIT, "ne", below, far),
        (zero, UNIT, "ne", zero, moved),
        (zero, -UNIT, "ne", zero, far),
        // The first number that is compared is at the limit, or past it.
        (unit, UNIT, "ne", "(i32.const 0x40000)", scaled),
        (unit, -UNIT, "ne", zero, far),
        // The counter is never equal to the limit.
        (zero, UNIT, "ne", "(i32.const 0x60000)", scaled),
        (zero, -UNIT, "ne", "(i32.const -0x60000)", far),
        (zero, UNIT, "ne", uneven, moved),
        // It is never past the limit.
        (zero, 4 * UNIT, "lt_u", most, plain),
        (zero, 4 * UNIT, "le_u", most, plain),
        (zero, 4 * UNIT, "lt_s", half, plain),
        (zero, 4 * UNIT, "le_s", half, plain),
        (zero, -4 * UNIT, "ge_u", low, from_far),
        (high, -4 * UNIT, "ge_u", zero, from_far),
        (high, -4 * UNIT, "ge_s", "(i32.const -0x80000000)", from_far),
        (high, -4 * UNIT, "gt_s", "(i32.const -0x7fffffff)", from_far),
    ] {
        let text = towards(start, step, compare, limit, index);
        assert_agrees(&text);
    }
}

/// Loops behind a comparison that says nearly enough: for some argument the counter misses its
/// end and wraps around.
#[test]
fn guards_that_do_not_suffice() {
    let units = |number: i64| format!("(i32.const {})", (number * UNIT) as i32);
    let and = |number: &str, mask: i64| format!("(i32.and {number} {})", units(mask));
    let (few, even) = ("(local.get $few)", "(local.get $even)");
    let scaled = "(i32.shl (local.get $i) (i32.const 2))";
    let unless = |compare: &str, number: &str, limit: i64| {
        format!("(if (i32.{compare} {number} {}) (then (return (i32.const 7))))", units(limit))
    };
    let less = |number: &str, by| format!("(i32.sub {number} {})", units(by));
    let half = format!("(i32.shr_u {few} (i32.const 1))");
    let merged = format!("(block (br_if 0 {few}) (local.set $sum (i32.const 3)))");
    let mut texts = Vec::new();
    for (guards, start, step, limit) in [
        // It is not some other number.
        (unless("eq", few, 2), 0, 1, few),
        // It may be just behind the first one that is compared.
        (unless("eq", few, 0), 1, 1, few),
        (unless("eq", even, 0), 2, 2, even),
        (unless("lt_u", few, 2), 2, 1, few),
        (unless("le_u", few, 1), 2, 1, few),
        (unless("lt_s", few, 2), 2, 1, few),
        // A mask or a shift may clear all of it.
        (unless("lt_u", few, 1), 0, 1, &and(few, 13)),
        (unless("eq", few, 0), 0, 2, even),
        (unless("lt_u", few, 2), 1, 1, &half),
        // The difference wraps around for small ones.
        (unless("lt_u", &less(few, 2), 1), 0, 1, few),
        (unless("lt_u", &less(even, 4), 2), 0, 2, even),
        // The sum with a constant is at the limit, and the number itself less.
        (unless("lt_u", few, 2) + &unless("lt_u", &less(few, -2), 5), 6, 1, few),
        // Both ways lead to the loop.
        (merged, 0, 1, few),
    ] {
        texts.push(guarded(&guards, &units(start), step * UNIT, "ne", limit, scaled));
    }
    // Of two counters that go along, the one that is ahead is compared, and the other one the limit.
    for (ahead, behind) in [("$a", "$b"), ("$b", "$a")] {
        let limit = format!("(local.get {behind})");
        let inner = looping(&units(5), UNIT, "ne", &limit, scaled);
        let [unit, three, five, seven, ten] = [1, 3, 5, 7, 10].map(units);
        texts.push(run(&format!(
            "(local.set {behind} {three})
            (local.set {ahead} {five})
            (loop $outer
                (block $skip
                    (br_if $skip (i32.lt_u (local.get {ahead}) {seven}))
                    {inner})
                (local.set $a (i32.add (local.get $a) {unit}))
                (local.set $b (i32.add (local.get $b) {unit}))
                (br_if $outer (i32.ne {limit} {ten})))"
        )));
    }
    for text in texts {
        assert_agrees(&text);
    }
}

/// Loops with more than one way back, and with a limit that is another one in each round.
#[test]
fn unsteady_loops() {
    let access = |index: &str| {
        format!(
            "(if (i32.lt_u {index} (i32.const 65536)) (then
                (local.set $sum (i32.add (local.get $sum) (i32.load {index})))
                (i32.store offset=8 {index} (local.get $fuel))))
            (local.set $fuel (i32.sub (local.get $fuel) (i32.const 1)))
            (br_if 1 (i32.eqz (local.get $fuel)))"
        )
    };
    let plain = access("(local.get $i)");
    let scaled = access("(i32.shl (local.get $i) (i32.const 2))");
    let count = "(local.set $i (i32.add (local.get $i) (i32.const 0x40000)))";
    let goes_on = "(i32.ne (local.get $i) (i32.const 0x40000))";
    let odd = "(i32.and (local.get $p) (i32.const 1))";
    for body in [
        // Some rounds do not meet the comparison.
        format!("{scaled} {count} (br_if 0 {odd}) (br_if 0 {goes_on})"),
        format!("{scaled} {count} (if {odd} (then (br_if 1 {goes_on})) (else (br 1)))"),
        format!("{scaled} {count} (if {odd} (then (br 1)) (else (br_if 1 {goes_on})))"),
        // The limit is not where the counter is.
        format!(
            "{scaled} {count} (br_if 0 (i32.ne (local.get $i) (i32.add (i32.const 0x40000)
                (i32.shl (i32.and (local.get $fuel) (i32.const 1)) (i32.const 18)))))"
        ),
        // The steps differ.
        format!(
            "{plain}
            (if (i32.and (local.get $fuel) (i32.const 1)) (then
                (local.set $i (i32.add (local.get $i) (i32.const 4))) (br 1)))
            (local.set $i (i32.add (local.get $i) (i32.const 12))) (br 0)"
        ),
    ] {
        let text = format!(
            "(module (memory (export \"memory\") 2 3)
                (func $run (export \"run\") (param $p i32) (result i32)
                    (local $i i32) (local $sum i32) (local $fuel i32)
                    (local.set $fuel (i32.const {FUEL}))
                    (block (loop {body}))
                    (i32.add (local.get $sum) (local.get $i)))
                (func (export \"all\") (result i32)
                    (i32.add (call $run (i32.const 0)) (call $run (i32.const 1)))))"
        );
        assert_agrees(&text);
    }
}

/// All passes: seed 0 leaves none out.
fn guard() -> Choice {
    Choice::all().with_bounds(BoundsStrategy::Guard)
}
