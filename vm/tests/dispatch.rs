//! Interpreters: the jump to the next instruction comes in many places, and each of them does what the one in the program does.

mod common;
use common::{instance, trap_of};
use proptest::prelude::*;
use wfaas_abi::TrapCode;
use wfaas_compiler::{Options, Passes};

/// A stack-less machine of one register. Instructions: 0 ends; 1 adds the next byte, 2 multiplies by it, 3 exclusive or, 4 jumps back by it
/// while the rounds last, 5 and what has no meaning rotates; 7 is 1 once more, so that no table of few ranges is enough.
const MACHINE: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "run") (param $pc i32) (param $rounds i32) (result i32)
        (local $op i32) (local $x i32)
        (loop $next
            (local.set $op (i32.load8_u (local.get $pc)))
            (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
            (block $rot (block $jump (block $xor (block $mul (block $add (block $end
                (br_table $end $add $mul $xor $jump $rot $rot $add $rot (local.get $op)))
                (return (local.get $x)))
                (local.set $x (i32.add (local.get $x) (i32.load8_u (local.get $pc))))
                (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
                (br $next))
                (local.set $x (i32.mul (local.get $x) (i32.load8_u (local.get $pc))))
                (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
                (br $next))
                (local.set $x (i32.xor (local.get $x) (i32.load8_u (local.get $pc))))
                (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
                (br $next))
                (if (local.get $rounds)
                    (then
                        (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
                        (local.set $pc (i32.sub (local.get $pc) (i32.load8_u (local.get $pc))))
                        (br $next)))
                (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
                (br $next))
            (local.set $x (i32.rotl (local.get $x) (i32.const 5)))
            (br $next))
        (unreachable)))"#;

/// The end of the memory, where reading the next instruction traps.
const END: usize = 65536;

/// What the machine does with `code`, which lies at the end of the memory: the register, or none if it leaves the memory.
fn interpret(code: &[u8], mut rounds: u32) -> Option<u32> {
    let (mut pc, mut x) = (0_i64, 0_u32);
    // Before the code there are zeros.
    let at = |pc: i64| match usize::try_from(pc) {
        Ok(pc) => code.get(pc).copied(),
        Err(_) => Some(0),
    };
    loop {
        let op = at(pc)?;
        pc += 1;
        match op {
            0 => return Some(x),
            1 | 7 => x = x.wrapping_add(at(pc)?.into()),
            2 => x = x.wrapping_mul(at(pc)?.into()),
            3 => x ^= u32::from(at(pc)?),
            4 if rounds > 0 => {
                rounds -= 1;
                pc -= i64::from(at(pc)?);
                continue;
            }
            4 => {}
            _ => {
                x = x.rotate_left(5);
                continue;
            }
        }
        pc += 1;
    }
}

/// The same by the compiled machine; where it leaves the memory, the place of the instruction that does, in the module.
fn run(code: &[u8], rounds: u32) -> Result<u32, u32> {
    let (mut store, instance) = instance(MACHINE);
    let start = END - code.len();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    memory.write(&mut store, start, code).unwrap();
    let run = instance.get_typed_func::<(u32, u32), u32>(&mut store, "run").unwrap();
    run.call(&mut store, (start as u32, rounds)).map_err(|error| {
        let trap = trap_of(error);
        assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
        trap.frames()[0].wasm_offset.expect("a place")
    })
}

#[test]
fn instructions_have_jumps_of_their_own() {
    let text = |passes: Passes| {
        let options = Options { passes, ..Options::default() };
        let compiled = wfaas_compiler::compile(MACHINE.as_bytes(), &options).unwrap();
        wfaas_abi::Artifact::parse(&compiled.artifact).unwrap().text().to_vec()
    };
    let without = text(Passes::ALL.without("threaded-dispatch").unwrap());
    assert!(text(Passes::ALL).len() > without.len());
}

#[test]
fn each_instruction_finds_the_end_of_the_memory() {
    let mut places = Vec::new();
    for last in [[1, 40], [2, 40], [3, 40], [4, 40], [7, 40], [5, 9]] {
        let code = [&[1, 40][..], &last].concat();
        assert_eq!(interpret(&code, 0), None);
        places.push(run(&code, 0).expect_err("leaves the memory"));
    }
    // All leave it where the next instruction is read, which the program has once.
    places.dedup();
    assert_eq!(places.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_do_what_the_machine_is_described_to_do(
        code in prop::collection::vec(prop_oneof![6 => 0..9_u8, 1 => any::<u8>()], 0..40),
        rounds in 0..50_u32,
    ) {
        prop_assert_eq!(run(&code, rounds).ok(), interpret(&code, rounds));
    }
}
