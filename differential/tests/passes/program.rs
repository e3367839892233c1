//! Programs with something to do for every pass: counting loops of one block and of several, calls of
//! small functions, products of 128 bits, numbers that are indices too, bytes in reverse order, masks of the low part of a
//! number, branch tables, interpreters, and several ways out.

use std::fmt::Write;
use wfaas_differential::Random;

/// The functions that every program has: the high and the low half of a product, written with 32-bit
/// halves, a small function, and one with several ways out.
const FUNCTIONS: &str = "
    (func $high (param $a i64) (param $b i64) (result i64) (local $t i64) (local $u i64)
        (local.set $t (i64.add
            (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.and (local.get $b) (i64.const 0xffffffff)))
            (i64.shr_u (i64.mul (i64.and (local.get $a) (i64.const 0xffffffff))
                (i64.and (local.get $b) (i64.const 0xffffffff))) (i64.const 32))))
        (local.set $u (i64.add
            (i64.mul (i64.and (local.get $a) (i64.const 0xffffffff)) (i64.shr_u (local.get $b) (i64.const 32)))
            (i64.and (local.get $t) (i64.const 0xffffffff))))
        (i64.add (i64.add
            (i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.shr_u (local.get $b) (i64.const 32)))
            (i64.shr_u (local.get $t) (i64.const 32)))
            (i64.shr_u (local.get $u) (i64.const 32))))
    (func $mix (param $a i32) (param $b i32) (result i32)
        (i32.xor (i32.rotl (local.get $a) (i32.const 5)) (i32.add (local.get $b) (local.get $a))))
    (func $ways (param $a i32) (result i32)
        (if (result i32) (i32.and (local.get $a) (i32.const 1))
            (then (if (result i32) (i32.and (local.get $a) (i32.const 2))
                (then (i32.load (i32.and (local.get $a) (i32.const 0xffc))))
                (else (i32.mul (local.get $a) (i32.const 3)))))
            (else (i32.sub (local.get $a) (i32.const 9)))))
    (func $far (param $a i32) (result i32) (local $n i32)
        (loop (local.set $a (i32.add (local.get $a) (i32.div_u (local.get $a) (i32.const 3))))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))
        (i32.store (i32.and (local.get $a) (i32.const 0xffc)) (local.get $n))
        (local.get $a))";

/// An address in the first 32 KiB.
fn address(random: &mut Random, counter: &str) -> String {
    let scale = random.of(&[0, 1, 2, 3]);
    let scaled = format!("(i32.shl (local.get {counter}) (i32.const {scale}))");
    match random.below(3) {
        0 => scaled,
        1 => format!("(i32.add {scaled} (i32.const {}))", random.below(2000)),
        _ => format!("(i32.and (i32.add {scaled} (local.get $sum)) (i32.const 0x7ffc))"),
    }
}

/// A step that adds to `$sum`, `$long` or the memory.
fn step(random: &mut Random, counter: &str) -> String {
    let at = address(random, counter);
    let offset = random.of(&[0, 4, 64, 1024]);
    match random.below(10) {
        9 => interpreting(random, counter),
        6 => branching(random, counter),
        7 => reversing(&at),
        8 => masking(random),
        0 => format!("(i32.store offset={offset} {at} (local.get $sum))"),
        1 => format!("(local.set $sum (i32.add (local.get $sum) (i32.load offset={offset} {at})))"),
        // A number that is an index as well.
        2 => format!(
            "(local.set $k (i32.load offset={offset} {at}))
            (local.set $sum (i32.add (i32.xor (local.get $k) (local.get $sum))
                (i32.load8_u (i32.and (local.get $k) (i32.const 0x7fff)))))
            (if (i32.lt_u (local.get $k) (i32.const 30000))
                (then (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $k))))))"
        ),
        3 => format!("(local.set $sum (call $mix (local.get $sum) (i32.load16_s {at})))"),
        4 => format!(
            "(local.set $long (i64.add (call $high (local.get $long) (i64.load {at}))
                (i64.extend_i32_u (local.get {counter}))))"
        ),
        _ => format!(
            "(local.set $sum (i32.add (local.get $sum) (call ${} (local.get {counter}))))",
            random.of(&["ways", "far"])
        ),
    }
}

/// The bytes of a number in reverse order.
fn reversing(at: &str) -> String {
    format!(
        "(local.set $k (i32.xor (local.get $sum) (i32.load {at})))
        (local.set $sum (i32.add (local.get $sum) (i32.xor
            (i32.shr_u
                (i32.and (i32.xor (local.get $k) (i32.rotl (local.get $k) (i32.const 16))) (i32.const 0xff00ff00))
                (i32.const 8))
            (i32.rotr (local.get $k) (i32.const 8)))))"
    )
}

/// The low parts of numbers, as an address and as a term.
fn masking(random: &mut Random) -> String {
    let (narrow, wide) = (random.of(&[0xff, 0xffff]), random.of(&[0xff, 0xffff, 0xffff_ffff_u32]));
    format!(
        "(local.set $sum (i32.add (local.get $sum)
            (i32.load8_u (i32.and (local.get $sum) (i32.const {narrow})))))
        (local.set $long (i64.rotl
            (i64.add (local.get $long) (i64.and (local.get $long) (i64.const {wide}))) (i64.const 9)))"
    )
}

/// A branch through a table, some of whose entries are the same, and whose index may be beyond it.
fn branching(random: &mut Random, counter: &str) -> String {
    let entries: String =
        (0..random.below(8) + 2).map(|_| format!("{} ", random.of(&[0, 0, 0, 1, 2]))).collect();
    let before = random.of(&[0, 0, 2, 5]);
    format!(
        "(block (block (block
            (br_table {entries} (i32.sub (local.get {counter}) (i32.const {before}))))
            (local.set $sum (i32.add (local.get $sum) (i32.const 3)))
            (br 1))
            (local.set $sum (i32.rotl (local.get $sum) (i32.const 7))))"
    )
}

/// An interpreter of a few instructions: the next one is made of the sum, and so many are left.
fn interpreting(random: &mut Random, counter: &str) -> String {
    let instructions: String = (0..6)
        .map(|_| {
            let number = random.below(1000) + 1;
            let does = random.of(&["i32.add", "i32.mul", "i32.xor", "i32.rotl"]);
            format!("(local.set $sum ({does} (local.get $sum) (i32.const {number}))) (br $next))")
        })
        .collect();
    format!(
        "(local.set $k (i32.and (local.get {counter}) (i32.const 15)))
        (block $end (loop $next
            (br_if $end (i32.eqz (local.get $k)))
            (local.set $k (i32.sub (local.get $k) (i32.const 1)))
            (block (block (block (block (block (block
                (br_table 0 1 2 3 4 5 3 1 (i32.and (local.get $sum) (i32.const 7))))
            {instructions})"
    )
}

/// A loop that counts a local up or down, with these steps inside.
fn counting(random: &mut Random, counter: &str, body: &str) -> String {
    let rounds = random.below(40) + 1;
    let (start, by, goes_on) = match random.below(4) {
        0 => (0, 1, format!("(i32.ne (local.get {counter}) (i32.const {rounds}))")),
        1 => (0, 1, format!("(i32.lt_u (local.get {counter}) (i32.const {rounds}))")),
        2 => (0, 2, format!("(i32.lt_s (local.get {counter}) (local.get $p))")),
        _ => (rounds, -1, format!("(local.get {counter})")),
    };
    format!(
        "(local.set {counter} (i32.const {start}))
        (loop {body}
            (local.set {counter} (i32.add (local.get {counter}) (i32.const {by})))
            (br_if 0 {goes_on}))"
    )
}

/// The program of a seed.
pub(crate) fn text(seed: u64) -> String {
    let mut random = Random::new(seed);
    let random = &mut random;
    let mut code = String::new();
    for _ in 0..random.below(3) + 2 {
        let inner: String = (0..random.below(3) + 1).map(|_| step(random, "$j")).collect();
        let inner = counting(random, "$j", &inner);
        let outer = format!("{}{inner}{}", step(random, "$i"), step(random, "$i"));
        let body = if random.below(2) == 0 { outer } else { step(random, "$i") };
        let _ = writeln!(code, "{}", counting(random, "$i", &body));
    }
    format!(
        "(module (memory (export \"memory\") 1 1) (data (i32.const 0) \"{data}\") {FUNCTIONS}
            (func $run (param $p i32) (result i32)
                (local $i i32) (local $j i32) (local $k i32) (local $sum i32) (local $long i64)
                (local.set $long (i64.const {long}))
                {code}
                (i32.add (local.get $sum) (i32.wrap_i64 (call $high (local.get $long)
                    (i64.const 0x1234567890abcdef)))))
            (func (export \"run\") (result i32)
                (i32.add (call $run (i32.const {few})) (call $run (i32.const {more})))))",
        data = "quick \\01\\02\\00\\00 brown \\ff\\7f fox ".repeat(40),
        long = random.next().cast_signed(),
        few = random.below(9),
        more = random.below(60),
    )
}
