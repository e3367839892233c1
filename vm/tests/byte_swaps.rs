//! Bytes of a number in reverse order, written with shifts, rotations and masks, in every way that the compiler replaces by one
//! instruction, and in ways that only look alike.

mod common;
use common::{engine, module};
use proptest::prelude::*;
use std::fmt::Write;
use wfaas_vm::{Linker, Store};

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    W32,
    W64,
}

impl Width {
    fn name(self) -> &'static str {
        ["i32", "i64"][usize::from(self == Width::W64)]
    }

    fn bytes(self) -> u32 {
        [4, 8][usize::from(self == Width::W64)]
    }

    fn cut(self, number: u64) -> u64 {
        number & u64::MAX >> (64 - 8 * self.bytes())
    }

    fn swapped(self, number: u64) -> u64 {
        number.swap_bytes() >> (64 - 8 * self.bytes())
    }

    fn rotated(self, number: u64, count: u32) -> u64 {
        match self {
            Width::W32 => (number as u32).rotate_left(count).into(),
            Width::W64 => number.rotate_left(count),
        }
    }
}

/// One step of a function; numbers are the places of values, of which the first one is the argument.
#[derive(Debug, Clone, Copy)]
enum Step {
    Shl(usize, u32),
    Shr(usize, u32),
    Rotl(usize, u32),
    Rotr(usize, u32),
    And(usize, u64),
    Or(usize, usize),
    Xor(usize, usize),
    Add(usize, usize),
}

#[derive(Debug, Clone)]
struct Program {
    width: Width,
    steps: Vec<Step>,
}

impl Program {
    fn step(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len()
    }

    fn wat(&self) -> String {
        let ty = self.width.name();
        let mut wat = format!("(module (func (export \"f\") (param {ty}) (result {ty}) (local");
        (0..self.steps.len()).for_each(|_| wat += &format!(" {ty}"));
        wat += ")";
        for (place, step) in self.steps.iter().enumerate() {
            let two = |name: &str, a: usize, b: usize| {
                format!("({ty}.{name} (local.get {a}) (local.get {b}))")
            };
            let by = |name: &str, a: usize, number: u64| {
                format!("({ty}.{name} (local.get {a}) ({ty}.const {number}))")
            };
            let value = match *step {
                Step::Shl(of, count) => by("shl", of, count.into()),
                Step::Shr(of, count) => by("shr_u", of, count.into()),
                Step::Rotl(of, count) => by("rotl", of, count.into()),
                Step::Rotr(of, count) => by("rotr", of, count.into()),
                Step::And(of, mask) => by("and", of, mask),
                Step::Or(a, b) => two("or", a, b),
                Step::Xor(a, b) => two("xor", a, b),
                Step::Add(a, b) => two("add", a, b),
            };
            let _ = write!(wat, "\n(local.set {} {value})", place + 1);
        }
        let _ = write!(wat, "\n(local.get {})))", self.steps.len());
        wat
    }

    /// What WebAssembly says that it returns.
    fn run(&self, argument: u64) -> u64 {
        let width = self.width;
        let bits = 8 * width.bytes();
        let mut values = vec![width.cut(argument)];
        for step in &self.steps {
            let at = |place: usize| values[place];
            values.push(width.cut(match *step {
                Step::Shl(of, count) => at(of) << (count % bits),
                Step::Shr(of, count) => at(of) >> (count % bits),
                Step::Rotl(of, count) => width.rotated(at(of), count),
                Step::Rotr(of, count) => width.rotated(at(of), bits - count % bits),
                Step::And(of, mask) => at(of) & mask,
                Step::Or(a, b) => at(a) | at(b),
                Step::Xor(a, b) => at(a) ^ at(b),
                Step::Add(a, b) => at(a).wrapping_add(at(b)),
            }));
        }
        values[self.steps.len()]
    }

    /// What it returns in the VM.
    fn compiled(&self, arguments: &[u64]) -> Vec<u64> {
        let engine = engine();
        let module = module(&engine, &self.wat());
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        match self.width {
            Width::W32 => {
                let f = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
                let mut call = |number: &u64| f.call(&mut store, *number as i32).unwrap();
                arguments.iter().map(|number| u64::from(call(number) as u32)).collect()
            }
            Width::W64 => {
                let f = instance.get_typed_func::<i64, i64>(&mut store, "f").unwrap();
                let mut call = |number: &u64| f.call(&mut store, number.cast_signed()).unwrap();
                arguments.iter().map(|number| call(number).cast_unsigned()).collect()
            }
        }
    }

    /// How many instructions of the compiled program swap bytes, and how many others move some.
    fn instructions(&self) -> [usize; 2] {
        let assembly =
            wfaas_compiler::assembly(self.wat().as_bytes(), 0, &Default::default()).unwrap();
        let count = |names: &[&str]| {
            let is_it = |line: &&str| names.iter().any(|name| line.trim().starts_with(name));
            assembly.lines().filter(is_it).count()
        };
        [count(&["bswap"]), count(&["shl", "shr", "ro", "or", "xor", "and"])]
    }
}

/// Decisions, one after the other.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % limit
    }
}

/// Each byte of the argument brought to its place by itself, and all of them put together.
fn byte_by_byte(width: Width, choices: u64) -> Program {
    let mut choices = Choices(choices);
    let mut p = Program { width, steps: Vec::new() };
    let bytes = width.bytes();
    let mut terms: Vec<usize> = (0..bytes)
        .map(|from| {
            let to = bytes - 1 - from;
            let up = 8 * ((bytes + to - from) % bytes);
            let way = choices.below(4);
            let masked = |place: u32| 0xff_u64 << (8 * place);
            let moved = |p: &mut Program, of: usize| {
                p.step(match way {
                    0 if to > from => Step::Shl(of, up),
                    0 => Step::Shr(of, 8 * bytes - up),
                    1 => Step::Rotl(of, up + 8 * bytes),
                    _ => Step::Rotr(of, 8 * bytes - up),
                })
            };
            match choices.below(2) {
                0 => {
                    let byte = p.step(Step::And(0, masked(from)));
                    moved(&mut p, byte)
                }
                _ => {
                    let all = moved(&mut p, 0);
                    p.step(Step::And(all, masked(to)))
                }
            }
        })
        .collect();
    while terms.len() > 1 {
        let at = choices.below(terms.len());
        let one = terms.swap_remove(at);
        let at = choices.below(terms.len());
        let other = terms.swap_remove(at);
        let sum = match choices.below(3) {
            0 => Step::Or(one, other),
            1 => Step::Xor(one, other),
            _ => Step::Add(one, other),
        };
        terms.push(p.step(sum));
    }
    p
}

/// As LLVM 22 writes it for 32 bits: `(x ^ rotl(x, 16)) & 0xff00ff00`, shifted, with the rest by a rotation.
fn with_rotations() -> Program {
    let mut p = Program { width: Width::W32, steps: Vec::new() };
    let half = p.step(Step::Rotl(0, 16));
    let both = p.step(Step::Xor(0, half));
    let masked = p.step(Step::And(both, 0xff00_ff00));
    let shifted = p.step(Step::Shr(masked, 8));
    let turned = p.step(Step::Rotr(0, 8));
    p.step(Step::Xor(shifted, turned));
    p
}

fn widths() -> impl Strategy<Value = Width> {
    prop::sample::select(vec![Width::W32, Width::W64])
}

#[test]
fn rotations_and_a_mask_are_one_instruction() {
    let program = with_rotations();
    assert_eq!(program.run(0x0102_0304), 0x0403_0201);
    assert_eq!(program.compiled(&[0x0102_0304, 0xfeff_0180]), [0x0403_0201, 0x8001_fffe]);
    assert_eq!(program.instructions(), [1, 0], "{}", program.wat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One instruction is left, and it is right.
    #[test]
    fn reversed_bytes_are_one_instruction(
        width in widths(),
        choices in any::<u64>(),
        arguments in prop::collection::vec(any::<u64>(), 8),
    ) {
        let program = byte_by_byte(width, choices);
        let expected: Vec<u64> = arguments.iter().map(|number| width.swapped(width.cut(*number))).collect();
        prop_assert_eq!(&program.compiled(&arguments), &expected, "{}", program.wat());
        prop_assert_eq!(program.instructions(), [1, 0], "{}", program.wat());
    }

    /// A step that is another one makes it something else, which it stays.
    #[test]
    fn what_only_looks_alike_is_kept(
        width in widths(),
        choices in any::<u64>(),
        arguments in prop::collection::vec(any::<u64>(), 8),
        at in any::<prop::sample::Index>(),
        kind in 0..8,
        operands in any::<[prop::sample::Index; 2]>(),
        count in prop_oneof![0_u32..70, (0_u32..9).prop_map(|bytes| 8 * bytes)],
        mask in prop_oneof![any::<u64>(), Just(0xff00), Just(0xff00_ff00), Just(0xff_ffff), Just(0)],
    ) {
        let mut program = byte_by_byte(width, choices);
        let at = at.index(program.steps.len());
        let [one, other] = operands.map(|operand| operand.index(at + 1));
        program.steps[at] = match kind {
            0 => Step::Shl(one, count),
            1 => Step::Shr(one, count),
            2 => Step::Rotl(one, count),
            3 => Step::Rotr(one, count),
            4 => Step::And(one, width.cut(mask)),
            5 => Step::Or(one, other),
            6 => Step::Xor(one, other),
            _ => Step::Add(one, other),
        };
        let expected: Vec<u64> = arguments.iter().map(|number| program.run(*number)).collect();
        prop_assert_eq!(program.compiled(&arguments), expected, "{}", program.wat());
    }
}

/// Bytes of two numbers, each where a reversed number has it.
#[test]
fn bytes_of_two_numbers_are_not_one_reversed() {
    let wat = "(module (func (export \"f\") (param i32 i32) (result i32)
        (i32.or
            (i32.or (i32.shl (local.get 0) (i32.const 24))
                (i32.shl (i32.and (local.get 0) (i32.const 0xff00)) (i32.const 8)))
            (i32.or (i32.and (i32.shr_u (local.get 1) (i32.const 8)) (i32.const 0xff00))
                (i32.shr_u (local.get 1) (i32.const 24))))))";
    let engine = engine();
    let module = module(&engine, wat);
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(i32, i32), i32>(&mut store, "f").unwrap();
    assert_eq!(f.call(&mut store, (0x0102_0304, 0x1112_1314)).unwrap(), 0x0403_1211);
    assert_eq!(f.call(&mut store, (0x0102_0304, 0x0102_0304)).unwrap(), 0x0403_0201);
}
