//! Loops written by hand: where a proof that is a little too bold would be wrong.

use super::{FUEL, UNIT, assert_agrees, guarded, looping, run, towards};

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
