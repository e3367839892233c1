//! Masks of the low part of a number, with all that a function may do with the result.

mod common;
use common::{engine, module};
use proptest::prelude::*;
use std::fmt::Write;
use wfaas_vm::{Linker, Store};

/// What is done with a masked number; the outcome is added to the result, which is then rotated.
#[derive(Debug, Clone, Copy)]
enum Use {
    Number,
    IsZero,
    Branch,
    Select,
    Table,
    Index,
    StoreLow,
    Float,
    /// Behind a branch that is always taken.
    Later,
}

const USES: [Use; 9] = [
    Use::Number,
    Use::IsZero,
    Use::Branch,
    Use::Select,
    Use::Table,
    Use::Index,
    Use::StoreLow,
    Use::Float,
    Use::Later,
];

#[derive(Debug, Clone)]
struct Program {
    is_wide: bool,
    mask: u64,
    /// Whether the mask is the left operand, and whether the number comes from memory.
    is_left: bool,
    is_loaded: bool,
    uses: Vec<Use>,
}

impl Program {
    fn ty(&self) -> &'static str {
        if self.is_wide { "i64" } else { "i32" }
    }

    fn wat(&self) -> String {
        let ty = self.ty();
        let number = match (self.is_loaded, self.is_wide) {
            (true, _) => format!("({ty}.load (i32.const 1024))"),
            (false, true) => "(local.get 0)".to_owned(),
            (false, false) => "(i32.wrap_i64 (local.get 0))".to_owned(),
        };
        let mask = format!("({ty}.const {})", self.mask);
        let masked = match self.is_left {
            true => format!("({ty}.and {mask} {number})"),
            false => format!("({ty}.and {number} {mask})"),
        };
        let uses: String = self.uses.iter().map(|it| self.add(*it)).collect();
        format!(
            "(module (memory 1) (func (export \"f\") (param i64) (result i64) (local $m {ty}) (local $r i64)
            (i64.store (i32.const 1024) (local.get 0)) (local.set $m {masked}) {uses} (local.get $r)))"
        )
    }

    /// The code of a use.
    fn add(&self, of: Use) -> String {
        let ty = self.ty();
        let (narrow, wide) = match self.is_wide {
            true => ("(i32.wrap_i64 (local.get $m))", "(local.get $m)"),
            false => ("(local.get $m)", "(i64.extend_i32_u (local.get $m))"),
        };
        let outcome = match of {
            Use::Number => wide.to_owned(),
            Use::IsZero => format!("(i64.extend_i32_u ({ty}.eqz (local.get $m)))"),
            Use::Branch => format!(
                "(if (result i64) ({ty}.ne (local.get $m) ({ty}.const 0)) (then (i64.const 3)) (else (i64.const 5)))"
            ),
            Use::Select => format!("(select (i64.const 7) (i64.const 9) {narrow})"),
            Use::Table => format!(
                "(block $d (result i64) (block $b (block $a (br_table $a $b $a $b {narrow}))
                    (br $d (i64.const 11))) (i64.const 13))"
            ),
            Use::Index => format!(
                "(i64.load8_u (i32.and {narrow} (i32.const 0xffff)))"
            ),
            Use::StoreLow => format!(
                "(block (result i64) ({ty}.store (i32.const 1024) (local.get $m)) (i64.load32_u (i32.const 1024)))"
            ),
            Use::Float => format!("(i64.trunc_sat_f64_u (f64.convert_{ty}_u (local.get $m)))"),
            Use::Later => format!(
                "(block $l (br_if $l (i64.ne (local.get 0) (i64.const 0x1234567))) (local.set $r (i64.const 1)))
                {wide}"
            ),
        };
        let mut code = String::new();
        let _ = match of {
            Use::Later => {
                let (before, outcome) = outcome.rsplit_once('\n').expect("two lines");
                write!(
                    code,
                    "{before} (local.set $r (i64.rotl (i64.add (local.get $r) {outcome}) (i64.const 9)))"
                )
            }
            _ => write!(
                code,
                "(local.set $r (i64.rotl (i64.add (local.get $r) {outcome}) (i64.const 9)))"
            ),
        };
        code
    }

    /// What WebAssembly says that it returns.
    fn run(&self, argument: u64) -> u64 {
        let cut = |number: u64| if self.is_wide { number } else { number & 0xffff_ffff };
        let masked = cut(argument) & cut(self.mask);
        let narrow = masked & 0xffff_ffff;
        let mut memory = vec![0_u8; 1 << 16];
        memory[1024..1032].copy_from_slice(&argument.to_le_bytes());
        let mut result = 0_u64;
        for of in &self.uses {
            let outcome = match of {
                Use::Number => masked,
                Use::IsZero => u64::from(masked == 0),
                Use::Branch => [5, 3][usize::from(masked != 0)],
                Use::Select => [9, 7][usize::from(narrow != 0)],
                // Case 3 is the default.
                Use::Table => [11, 13, 11, 13][narrow.min(3) as usize],
                Use::Index => {
                    let at = (narrow & 0xffff) as usize;
                    memory[at].into()
                }
                Use::StoreLow => {
                    let bytes = if self.is_wide { 8 } else { 4 };
                    memory[1024..1024 + bytes].copy_from_slice(&masked.to_le_bytes()[..bytes]);
                    narrow
                }
                Use::Float => masked as f64 as u64,
                Use::Later => {
                    if argument == 0x123_4567 {
                        result = 1;
                    }
                    masked
                }
            };
            result = result.wrapping_add(outcome).rotate_left(9);
        }
        result
    }
}

fn programs() -> impl Strategy<Value = Program> {
    let mask = prop_oneof![
        prop::sample::select(vec![0xff, 0xffff, 0xffff_ffff, 0x7f, 0, u64::MAX, 0x1_ffff]),
        any::<u64>(),
    ];
    let uses = prop::collection::vec(prop::sample::select(USES.to_vec()), 1..5);
    (any::<bool>(), mask, any::<bool>(), any::<bool>(), uses).prop_map(
        |(is_wide, mask, is_left, is_loaded, uses)| {
            let mask = if is_wide { mask } else { mask & 0xffff_ffff };
            Program { is_wide, mask, is_left, is_loaded, uses }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn masked_numbers_are_what_they_should_be(
        program in programs(),
        arguments in prop::collection::vec(
            prop_oneof![any::<u64>(), 0_u64..4, any::<u64>().prop_map(|number| number << 16), Just(0x123_4567)],
            8,
        ),
    ) {
        let engine = engine();
        let module = module(&engine, &program.wat());
        let linker = Linker::new(&engine);
        for argument in arguments {
            let mut store = Store::new(&engine, ());
            let instance = linker.instantiate(&mut store, &module).unwrap();
            let f = instance.get_typed_func::<i64, i64>(&mut store, "f").unwrap();
            let ours = f.call(&mut store, argument.cast_signed()).unwrap().cast_unsigned();
            prop_assert_eq!(ours, program.run(argument), "{:#x}: {}", argument, program.wat());
        }
    }
}
