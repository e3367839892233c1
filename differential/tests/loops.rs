//! Loops that count: addresses from counters of all kinds, which the compiler turns into 64-bit
//! arithmetic where it can prove that they do not wrap around. Random modules hardly ever have
//! such loops, so these are made for it: starts, steps and limits near zero, 2^31 and 2^32.
//!
//! `WFAAS_LOOPS=1000` runs as many, `WFAAS_LOOPS=100..200` these.

use std::fmt::Write;
use wfaas_differential::{Verdict, run_module};

/// How many modules an ordinary run tries.
const MODULES: u64 = 400;

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
        let wasm = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let outcome = run_module(&wasm, seed, true);
        let outcome = outcome.unwrap_or_else(|wrong| panic!("loop {seed}: {wrong}\n{text}"));
        agreed += u64::from(outcome.peer == Verdict::Agreed);
    }
    assert!(agreed * 10 >= total * 9, "only {agreed} of {total} decide anything");
}
