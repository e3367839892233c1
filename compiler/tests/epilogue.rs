//! Epilogues put the stack pointer to its place once.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use wfaas_abi::Artifact;
use wfaas_compiler::{Options, Passes, compile};

/// Functions without a frame of their own, with saved registers, with arguments on the stack, with a handler, and with
/// a tail call that takes more room than the function has.
const MODULE: &str = r#"(module
    (import "m" "f" (func $f (param i64) (result i64)))
    (tag $oops (param i32))
    (func (export "leaf") (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
    (func (export "saves") (param i64) (result i64)
        (i64.add (call $f (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
    (func $many (export "many") (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
        (i64.xor (call $f (local.get 9)) (local.get 7)))
    (func (export "passes") (param i64) (result i64)
        (i64.add (local.get 0) (call $many (local.get 0) (local.get 0) (local.get 0) (local.get 0)
            (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0))))
    (func $tail (export "tail") (param i64) (result i64)
        (return_call $many (local.get 0) (local.get 0) (local.get 0) (local.get 0)
            (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0) (local.get 0)))
    (func (export "catches") (param i64) (result i32)
        (block $caught (result i32)
            (try_table (catch $oops $caught) (drop (call $tail (local.get 0))))
            (i32.const 7))))"#;

/// Whether an epilogue has `add rsp, N`, and whether it has `mov rsp, rbp`.
type Restores = (bool, bool);

/// The epilogues before returns, and those before jumps.
fn ends(passes: Passes) -> (Vec<Restores>, Vec<Restores>) {
    let artifact = compile(MODULE.as_bytes(), &Options { passes, ..Options::default() });
    let bytes = artifact.expect("compiles").artifact;
    let artifact = Artifact::parse(&bytes).unwrap();
    let (mut returns, mut jumps) = (Vec::new(), Vec::new());
    for function in artifact.functions() {
        let start = function.text_offset.get() as usize;
        let text = &artifact.text()[start..];
        let mut code: Vec<Instruction> = Decoder::new(64, text, DecoderOptions::NONE)
            .into_iter()
            .take_while(|instruction| instruction.mnemonic() != Mnemonic::Int3)
            .collect();
        while let Some(pop) = code.iter().rposition(|it| it.mnemonic() == Mnemonic::Pop) {
            let changes = |at: usize, mnemonic| {
                code[at].mnemonic() == mnemonic && code[at].op0_register() == Register::RSP
            };
            let moves = changes(pop - 1, Mnemonic::Mov);
            let adds = changes(pop - 1 - usize::from(moves), Mnemonic::Add);
            let returns_here = code[pop + 1].mnemonic() == Mnemonic::Ret;
            if returns_here { &mut returns } else { &mut jumps }.push((adds, moves));
            code.truncate(pop);
        }
    }
    (returns, jumps)
}

#[test]
fn a_function_that_returns_restores_its_stack_pointer_once() {
    let (returns, jumps) = ends(Passes::ALL);
    let (old_returns, old_jumps) = ends(Passes::ALL.without("epilogue").unwrap());
    assert!(old_returns.contains(&(true, true)) && old_returns.contains(&(false, true)));
    // Those with a frame keep the one, those without need neither.
    let expected: Vec<_> =
        old_returns.iter().map(|(adds, moves)| (false, *adds && *moves)).collect();
    assert_eq!(returns, expected);
    // A tail call finds its caller by the instructions before.
    assert!(!jumps.is_empty() && jumps.iter().all(|(_, moves)| *moves));
    assert_eq!(jumps, old_jumps);
}
