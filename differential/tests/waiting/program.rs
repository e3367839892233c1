//! Random programs of functions that call each other, and wait in imports at any depth.

use std::fmt::Write;
use wfaas_differential::Random;

/// Calls of functions that a run makes together at most: each answers zeros from then on.
const CALLS: i32 = 60;

/// Deepest expression.
const DEPTH: usize = 4;

/// A type of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ty {
    I32,
    I64,
    F64,
    V128,
}
use Ty::{F64, I32, I64, V128};

const TYPES: [Ty; 4] = [I32, I64, F64, V128];

/// The types of functions: the first parameter is how many calls deep they may still go.
const SIGNATURES: [(&[Ty], &[Ty]); 5] = [
    (&[I32], &[I32]),
    (&[I32, I64], &[I64]),
    (&[I32, F64], &[I32, I64]),
    (&[I32, V128, I32], &[V128, I32]),
    (&[I32, I64, F64], &[F64]),
];

/// Locals of each type that a function has besides its parameters, and one for its loops.
const LOCALS_EACH: usize = 2;

/// The module with a number.
pub(crate) fn text(number: u64) -> String {
    let mut random = Random::new(number);
    let functions: Vec<usize> =
        (0..2 + random.below(4)).map(|_| random.below(SIGNATURES.len())).collect();
    let mut writer = Writer { random, text: String::new(), functions, of: 0, loops: 0 };
    writer.module();
    writer.text
}

struct Writer {
    random: Random,
    text: String,
    /// The signature of each function.
    functions: Vec<usize>,
    /// The function that is being written.
    of: usize,
    /// Loops around.
    loops: usize,
}

impl Writer {
    fn put(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{text}");
    }

    fn module(&mut self) {
        self.put("(module");
        self.put("(import \"host\" \"wait\" (func $wait (param i32) (result i32)))");
        self.put(
            "(import \"host\" \"wait_for\" (func $wait_for (param i64 f64) (result f64 i64)))",
        );
        for (index, (params, results)) in SIGNATURES.iter().enumerate() {
            self.put(format!(
                "(type $s{index} (func (param {}) (result {})))",
                names(params),
                names(results)
            ));
        }
        let count = self.functions.len();
        let list: Vec<String> = (0..count).map(|index| format!("$f{index}")).collect();
        self.put(format!(
            "(table {} funcref) (elem (i32.const 0) {} $wait)",
            count + 1,
            list.join(" ")
        ));
        self.put("(memory (export \"memory\") 1) (tag $e (param i32 i64))");
        self.put("(global $trace (export \"trace\") (mut i64) (i64.const 7))");
        self.put(format!("(global $calls (mut i32) (i32.const {CALLS}))"));
        self.put(
            "(func $note (param i32) (global.set $trace (i64.add
               (i64.mul (global.get $trace) (i64.const 31)) (i64.extend_i32_s (local.get 0)))))",
        );
        for index in 0..count {
            self.of = index;
            self.function();
        }
        self.put("(func (export \"run\") (result i64)");
        let signature = self.functions[0];
        self.put("i32.const 5");
        for ty in &SIGNATURES[signature].0[1..] {
            self.constant(*ty);
        }
        self.put("call $f0");
        self.put_together(SIGNATURES[signature].1, I64);
        self.put(")");
        self.put("(func $via (param i32) (result i32) (return_call $wait (local.get 0))))");
    }

    fn signature(&self) -> (&'static [Ty], &'static [Ty]) {
        SIGNATURES[self.functions[self.of]]
    }

    fn function(&mut self) {
        let (_, results) = self.signature();
        let (index, ty) = (self.of, self.functions[self.of]);
        self.put(format!("(func $f{index} (type $s{ty})"));
        for ty in TYPES {
            let names = [name(ty); LOCALS_EACH].join(" ");
            self.put(format!("(local {names})"));
        }
        self.put("(local i32 i32 i32)");
        self.put("(global.set $calls (i32.sub (global.get $calls) (i32.const 1)))");
        self.put("(i32.lt_s (global.get $calls) (i32.const 0)) if");
        results.iter().for_each(|ty| self.zero(*ty));
        self.put("return end");
        self.put("(i32.eqz (local.get 0)) if");
        self.wait(I32, 1);
        self.put("call $note");
        results.iter().for_each(|ty| self.expression(*ty, 1));
        self.put("return end");
        for _ in 0..1 + self.random.below(4) {
            self.statement();
        }
        match self.random.below(4) {
            0 => self.tail_call(),
            _ => results.iter().for_each(|ty| self.expression(*ty, DEPTH)),
        }
        self.put(")");
    }

    fn statement(&mut self) {
        match self.random.below(8) {
            0 | 1 if self.loops < 3 => self.repeat(),
            2 => {
                self.expression(I32, 2);
                self.put("i32.const 65532 i32.and");
                self.expression(I32, DEPTH);
                self.put("i32.store");
            }
            3 => {
                self.expression(I32, 2);
                self.put("i32.const 7 i32.and i32.eqz if");
                self.expression(I32, 1);
                self.expression(I64, 1);
                self.put("throw $e end");
            }
            4 => {
                self.expression(I32, DEPTH);
                self.put("call $note");
            }
            _ => {
                let ty = TYPES[self.random.below(TYPES.len())];
                self.expression(ty, DEPTH);
                let local = self.local(ty);
                self.put(format!("local.set {local}"));
            }
        }
    }

    /// A loop of two or three rounds.
    fn repeat(&mut self) {
        let counter = self.signature().0.len() + LOCALS_EACH * TYPES.len() + self.loops;
        let rounds = 2 + self.random.below(2);
        self.put(format!("i32.const {rounds} local.set {counter} loop"));
        self.loops += 1;
        for _ in 0..1 + self.random.below(2) {
            self.statement();
        }
        self.loops -= 1;
        self.put(format!(
            "local.get {counter} i32.const 1 i32.sub local.tee {counter} br_if 0 end"
        ));
    }

    /// A local of this type, parameters included but for the first.
    fn local(&mut self, ty: Ty) -> usize {
        let params = self.signature().0;
        let own = params.len() + LOCALS_EACH * TYPES.iter().position(|one| *one == ty).unwrap_or(0);
        let params = (1..params.len()).filter(|index| params[*index] == ty);
        let all: Vec<usize> = params.chain(own..own + LOCALS_EACH).collect();
        all[self.random.below(all.len())]
    }

    /// Pushes a value.
    fn expression(&mut self, ty: Ty, depth: usize) {
        let Some(less) = depth.checked_sub(1) else { return self.leaf(ty) };
        match self.random.below(16) {
            0..3 => self.leaf(ty),
            3..6 => {
                self.expression(ty, less);
                self.expression(ty, less);
                self.put(operation(ty));
            }
            6 => {
                self.expression(I32, less);
                self.put(format!("if (result {})", name(ty)));
                self.expression(ty, less);
                self.put("else");
                self.expression(ty, less);
                self.put("end");
            }
            7 => {
                // Operands of the block stay below, and one goes through.
                self.expression(ty, less);
                self.put(format!("block (param {0}) (result {0})", name(ty)));
                self.expression(ty, less);
                self.put(operation(ty));
                self.expression(I32, 1);
                self.put("br_if 0");
                self.expression(ty, less);
                self.put(operation(ty));
                self.put("end");
            }
            8..10 => self.wait(ty, less),
            10 | 11 => self.catching(ty, less),
            _ => self.call(ty, less),
        }
    }

    fn leaf(&mut self, ty: Ty) {
        if self.random.below(3) == 0 {
            return self.constant(ty);
        }
        let local = self.local(ty);
        self.put(format!("local.get {local}"));
    }

    fn constant(&mut self, ty: Ty) {
        let number = self.random.below(1000);
        self.put(match ty {
            I32 => format!("i32.const {number}"),
            I64 => format!("i64.const {number}"),
            F64 => format!("f64.const {number}"),
            V128 => format!("v128.const i32x4 {number} 2 3 {number}"),
        });
    }

    fn zero(&mut self, ty: Ty) {
        self.put(match ty {
            I32 => "i32.const 0",
            I64 => "i64.const 0",
            F64 => "f64.const 0",
            V128 => "v128.const i64x2 0 0",
        });
    }

    fn wait(&mut self, ty: Ty, depth: usize) {
        if self.random.below(3) == 0 {
            self.expression(I64, depth);
            self.expression(F64, depth);
            self.put("call $wait_for");
            return self.put_together(&[F64, I64], ty);
        }
        self.expression(I32, depth);
        match self.random.below(3) {
            0 => self.put(format!("i32.const {} call_indirect (type $s0)", self.functions.len())),
            1 => self.put("call $via"),
            _ => self.put("call $wait"),
        }
        self.put_together(&[I32], ty);
    }

    /// An expression in a block that catches what it throws.
    fn catching(&mut self, ty: Ty, depth: usize) {
        self.put("block (result i32 i64)");
        self.put("try_table (catch $e 0)");
        self.expression(ty, depth);
        let local = self.local(ty);
        self.put(format!("local.set {local} end"));
        self.put("i32.const 1 i64.const 2 end");
        self.put_together(&[I32, I64], ty);
    }

    fn call(&mut self, ty: Ty, depth: usize) {
        let callee = self.random.below(self.functions.len());
        let results = self.arguments(callee, depth);
        self.call_to("call", callee);
        self.put_together(results, ty);
    }

    /// A call in the place of the function's own frame, to one with the same results.
    fn tail_call(&mut self) {
        let same = |index: &usize| SIGNATURES[self.functions[*index]].1 == self.signature().1;
        let callees: Vec<usize> = (0..self.functions.len()).filter(same).collect();
        let callee = callees[self.random.below(callees.len())];
        self.arguments(callee, 2);
        self.call_to("return_call", callee);
    }

    fn call_to(&mut self, call: &str, callee: usize) {
        match self.random.below(3) {
            0 => {
                let ty = self.functions[callee];
                self.put(format!("i32.const {callee} {call}_indirect (type $s{ty})"));
            }
            _ => self.put(format!("{call} $f{callee}")),
        }
    }

    /// Arguments of a call; the types of its results.
    fn arguments(&mut self, callee: usize, depth: usize) -> &'static [Ty] {
        let (params, results) = SIGNATURES[self.functions[callee]];
        self.put("local.get 0 i32.const 1 i32.sub");
        for ty in &params[1..] {
            self.expression(*ty, depth);
        }
        results
    }

    /// Makes one value of several, the last on top.
    fn put_together(&mut self, values: &[Ty], ty: Ty) {
        let Some((last, others)) = values.split_last() else { return };
        self.put(convert(*last, I32));
        self.put("call $note");
        match others {
            [] => self.put("global.get $trace i32.wrap_i64"),
            others => {
                let (last, others) = (others[others.len() - 1], &others[..others.len() - 1]);
                self.put(convert(last, I32));
                others.iter().for_each(|_| self.put("drop"));
            }
        }
        self.put(convert(I32, ty));
    }
}

fn operation(ty: Ty) -> &'static str {
    match ty {
        I32 => "i32.xor",
        I64 => "i64.add",
        F64 => "f64.sub",
        V128 => "i32x4.add",
    }
}

fn convert(from: Ty, to: Ty) -> &'static str {
    match (from, to) {
        (I64, I32) => "i32.wrap_i64",
        (F64, I32) => "i32.trunc_sat_f64_s",
        (V128, I32) => "i32x4.extract_lane 3",
        (I32, I64) => "i64.extend_i32_s",
        (I32, F64) => "f64.convert_i32_s",
        (I32, V128) => "i32x4.splat",
        _ => "",
    }
}

fn name(ty: Ty) -> &'static str {
    match ty {
        I32 => "i32",
        I64 => "i64",
        F64 => "f64",
        V128 => "v128",
    }
}

fn names(types: &[Ty]) -> String {
    types.iter().map(|ty| name(*ty)).collect::<Vec<_>>().join(" ")
}
