//! Random programs.
#![allow(dead_code)] // each test binary uses a part

/// A random program over a few locals, memory and the host; ends after a bounded number of steps.
pub(crate) struct Program {
    state: u64,
    text: String,
}

impl Program {
    fn next(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    fn int(&mut self) -> String {
        match self.next(7) {
            0 => format!("(i64.const {})", self.next(1 << 40) as i64 - (1 << 39)),
            1 => {
                let (local, at) = (self.next(6), self.next(60_000));
                format!(
                    "(i64.load (i32.add (i32.const {at}) (i32.and (i32.wrap_i64 (local.get $i{local})) (i32.const 1023))))"
                )
            }
            2 => format!("(call $host (local.get $i{}))", self.next(6)),
            3 => format!("(i64.trunc_sat_f64_s (local.get $f{}))", self.next(3)),
            4 => format!("(i64x2.extract_lane 1 (local.get $v{}))", self.next(2)),
            _ => format!("(local.get $i{})", self.next(6)),
        }
    }

    fn statement(&mut self, depth: u32) {
        let (a, b, to) = (self.int(), self.int(), self.next(6));
        let text = match self.next(if depth == 0 { 11 } else { 13 }) {
            0 => format!("(local.set $i{to} (i64.add {a} {b}))"),
            1 => format!("(local.set $i{to} (i64.mul (i64.xor {a} (i64.const 5)) {b}))"),
            2 => format!("(local.set $i{to} (i64.rotl {a} {b}))"),
            3 => {
                let f = self.next(3);
                format!(
                    "(local.set $f{f} (f64.add (f64.convert_i64_s {a}) (local.get $f{})))",
                    self.next(3)
                )
            }
            4 => format!("(i64.store (i32.and (i32.wrap_i64 {a}) (i32.const 0xfff8)) {b})"),
            5 => {
                let v = self.next(2);
                format!(
                    "(local.set $v{v} (i64x2.add (i64x2.splat {a}) (local.get $v{})))",
                    self.next(2)
                )
            }
            6 => format!(
                "(local.set $i{to} (call $many (local.get $f0) {a} {b} (local.get $v1) (local.get $i{})))",
                self.next(6)
            ),
            7 => format!(
                "(memory.fill (i32.and (i32.wrap_i64 {a}) (i32.const 0xffff)) (i32.wrap_i64 {b}) (i32.const {}))",
                self.next(60_000)
            ),
            8 => format!(
                "(memory.copy (i32.and (i32.wrap_i64 {a}) (i32.const 0x7fff)) (i32.and (i32.wrap_i64 {b}) (i32.const 0x7fff)) (i32.const {}))",
                self.next(90_000)
            ),
            9 => format!(
                "(local.set $i{to} (block $c (result i64) (try_table (catch $e $c) (call $throw {a})) {b}))"
            ),
            10 => format!("(local.set $i{to} (i64.sub {a} (call $few {b})))"),
            11 => {
                self.text.push_str(&format!("(if (i64.gt_s {a} {b}) (then\n"));
                (0..2).for_each(|_| self.statement(depth - 1));
                "))".to_owned()
            }
            _ => {
                let (n, label) = (2 + self.next(4), self.next(1 << 40));
                self.text
                    .push_str(&format!("(local.set $n{depth} (i64.const {n}))\n(loop $l{label}\n"));
                (0..2).for_each(|_| self.statement(depth - 1));
                let count =
                    format!("(local.tee $n{depth} (i64.sub (local.get $n{depth}) (i64.const 1)))");
                format!("(br_if $l{label} (i64.ne {count} (i64.const 0))))")
            }
        };
        self.text.push_str(&text);
        self.text.push('\n');
    }

    pub(crate) fn wat(seed: u64) -> String {
        let mut program = Program { state: seed | 1, text: String::new() };
        (0..25).for_each(|_| program.statement(3));
        let locals: String = (0..6).map(|n| format!("(local $i{n} i64)")).collect::<String>()
            + "(local $f0 f64) (local $f1 f64) (local $f2 f64) (local $v0 v128) (local $v1 v128)"
            + "(local $n1 i64) (local $n2 i64) (local $n3 i64)";
        let hash = (1..6).fold("(local.get $i0)".to_owned(), |all, n| {
            format!("(i64.add (i64.rotl {all} (i64.const 9)) (local.get $i{n}))")
        });
        let text = program.text;
        let lots = ["(local.get 0)"; 11].join(" ");
        format!(
            r#"(module
            (import "host" "host" (func $host (param i64) (result i64)))
            (import "host" "many" (func $many (param f64 i64 i64 v128 i64) (result i64)))
            (memory (export "memory") 2)
            (tag $e (param i64))
            (type $lots (func (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)))
            (table funcref (elem $lots))
            (func $throw (param i64)
                (if (i64.lt_s (local.get 0) (i64.const 0))
                    (then (throw $e (i64.mul (local.get 0) (i64.const 3))))))
            (func $end (param i64) (result i64) (i64.xor (local.get 0) (i64.const 77)))
            (func $lots (type $lots)
                (return_call $end (i64.add (local.get 0) (local.get 10))))
            (func $few (param i64) (result i64)
                {lots}
                (return_call_indirect (type $lots) (i32.const 0)))
            (func (export "run") (param $seed i64) (result i64) {locals}
                (local.set $i0 (local.get $seed))
                {text}
                (i64.add {hash} (i64.reinterpret_f64 (local.get $f0)))))"#
        )
    }
}

pub(crate) fn many(f: f64, a: i64, b: i64, v: u128, c: i64) -> i64 {
    (f as i64).wrapping_add(a).rotate_left(3).wrapping_sub(b) ^ (v as i64) ^ c
}

pub(crate) fn host(n: i64) -> i64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64).rotate_left(17)
}
