//! Laying machine code out anew changes its form and its places, and nothing else.
//!
//! Both forms of a module's code are read side by side, from the start of every function along all
//! jumps and calls, and compared instruction by instruction.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wfaas_abi::Artifact;
use wfaas_abi::cpu::CpuFeatures;
use wfaas_compiler::{Options, Passes, compile};

/// Entries of every `br_table` here, with the default.
const ENTRIES: usize = 5;

const LINE: u64 = 32;

/// A module's code, once as the code generator made it and once laid out anew.
struct Pair {
    old: Vec<u8>,
    new: Vec<u8>,
}

/// What was found by reading side by side: where each instruction went, and where those did that stand in the place of jumps
/// to them.
#[derive(Default)]
struct Places(BTreeMap<u64, u64>, BTreeSet<(u64, u64)>);

impl Pair {
    fn new(wat: &str, cpu: CpuFeatures) -> Pair {
        let build = |passes| {
            let options = Options { passes, cpu, ..Options::default() };
            compile(wat.as_bytes(), &options).expect("compiles").artifact
        };
        Pair { old: build(Passes::ALL.without("relax").unwrap()), new: build(Passes::ALL) }
    }

    /// Reads both sides along all paths.
    fn compare(&self) -> Places {
        let (old, new) = (Artifact::parse(&self.old).unwrap(), Artifact::parse(&self.new).unwrap());
        let mut places = Places::default();
        let starts = old.functions().iter().zip(new.functions());
        let mut open: Vec<(u64, u64)> = starts
            .map(|(old, new)| (old.text_offset.get().into(), new.text_offset.get().into()))
            .collect();
        let mut handlers: Vec<_> = old.handlers().iter().collect();
        loop {
            while let Some((from, to)) = open.pop() {
                follow(old.text(), new.text(), from, to, &mut places, &mut open);
            }
            // A call's return address is the end of its instruction.
            let Some(handler) = handlers.pop() else { break };
            let return_offset = u64::from(handler.return_offset.get());
            let (_, call) = places.0.range(..return_offset).next_back().expect("a call");
            let end = call + decode(new.text(), *call).len() as u64;
            let moved = new.handler_at(end as u32).expect("a handler for the call");
            assert_eq!(moved.frame_bytes, handler.frame_bytes);
            open.push((handler.handler_offset.get().into(), moved.handler_offset.get().into()));
        }
        let copies = places.1.iter().map(|(from, to)| (from, to));
        for (from, to) in places.0.iter().chain(copies) {
            let (from, to) = (*from as u32, *to as u32);
            assert_eq!(old.trap_at(from), new.trap_at(to), "trap at {from:#x}, {to:#x}");
        }
        assert_eq!(old.handlers().len(), new.handlers().len());
        places
    }
}

fn decode(text: &[u8], at: u64) -> Instruction {
    Decoder::with_ip(64, &text[at as usize..], at, DecoderOptions::NONE).decode()
}

/// Compares from one pair of places on, up to where nothing follows or all has been seen.
fn follow(
    old: &[u8],
    new: &[u8],
    mut from: u64,
    mut to: u64,
    places: &mut Places,
    open: &mut Vec<(u64, u64)>,
) {
    let mut tables = (0, 0);
    let mut is_copy = false;
    loop {
        while decode(new, to).mnemonic() == Mnemonic::Nop {
            to = decode(new, to).next_ip();
        }
        let (left, right) = (decode(old, from), decode(new, to));
        let jumps = |one: &Instruction| one.flow_control() == FlowControl::UnconditionalBranch;
        if jumps(&left) && !jumps(&right) && !is_copy {
            (from, is_copy) = (left.near_branch_target(), true);
            continue;
        }
        if is_copy {
            places.1.insert((from, to));
        } else if let Some(known) = places.0.insert(from, to) {
            assert_eq!(known, to, "two places for {from:#x}");
            return;
        }
        if is_spare(old, from) && left.mnemonic() != right.mnemonic() {
            from = left.next_ip();
            continue;
        }
        let same = same(&left, &right, old, new);
        assert!(same, "{from:#x}: {left:?}\n{to:#x}: {right:?}");
        if left.is_ip_rel_memory_operand() {
            tables = (left.ip_rel_memory_address(), right.ip_rel_memory_address());
        }
        match left.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::Call => {
                open.push((left.near_branch_target(), right.near_branch_target()));
            }
            FlowControl::UnconditionalBranch => {
                open.push((left.near_branch_target(), right.near_branch_target()));
                return;
            }
            // A copy shares the table.
            FlowControl::IndirectBranch
                if tables.0 == left.next_ip() && (is_copy || tables.1 == right.next_ip()) =>
            {
                for entry in 0..ENTRIES {
                    let distance = |text: &[u8], table: u64| {
                        let at = table as usize + 4 * entry;
                        i32::from_le_bytes(text[at..at + 4].try_into().unwrap())
                    };
                    open.push((
                        tables.0.wrapping_add_signed(distance(old, tables.0).into()),
                        tables.1.wrapping_add_signed(distance(new, tables.1).into()),
                    ));
                }
                return;
            }
            FlowControl::IndirectBranch | FlowControl::Return | FlowControl::Exception => return,
            _ => {}
        }
        (from, to) = (left.next_ip(), right.next_ip());
    }
}

/// Whether a function can end without the instruction there: `add rsp, N` before `mov rsp, rbp`, or that one, if `pop rbp`
/// and `ret` follow.
fn is_spare(text: &[u8], at: u64) -> bool {
    let code: Vec<Instruction> =
        Decoder::with_ip(64, &text[at as usize..], at, DecoderOptions::NONE)
            .iter()
            .take(4)
            .collect();
    let is = |index: usize, mnemonic| code.get(index).is_some_and(|it| it.mnemonic() == mnemonic);
    let restores = |index: usize| {
        is(index, Mnemonic::Mov)
            && (code[index].op0_register(), code[index].op1_register())
                == (Register::RSP, Register::RBP)
            && is(index + 1, Mnemonic::Pop)
            && is(index + 2, Mnemonic::Ret)
    };
    restores(0) || (is(0, Mnemonic::Add) && code[0].op0_register() == Register::RSP && restores(1))
}

/// Whether two instructions do the same, wherever they are.
fn same(left: &Instruction, right: &Instruction, old: &[u8], new: &[u8]) -> bool {
    let is_number = |kind| {
        matches!(
            kind,
            OpKind::Immediate8to32
                | OpKind::Immediate8to64
                | OpKind::Immediate32
                | OpKind::Immediate32to64
        )
    };
    let operands = (0..left.op_count()).all(|index| {
        match (left.op_kind(index), right.op_kind(index)) {
            (OpKind::NearBranch64, OpKind::NearBranch64) => true,
            (one, other) if is_number(one) && is_number(other) => {
                left.immediate(index) as i32 == right.immediate(index) as i32
            }
            (OpKind::Memory, OpKind::Memory) if left.is_ip_rel_memory_operand() => {
                let bytes = left.memory_size().size();
                let (one, other) = (left.ip_rel_memory_address(), right.ip_rel_memory_address());
                if bytes >= 16 {
                    assert_eq!(one % 16, other % 16, "{right:?} may have to be aligned");
                }
                // A table's address is not read from.
                left.mnemonic() == Mnemonic::Lea
                    || old[one as usize..][..bytes] == new[other as usize..][..bytes]
            }
            (OpKind::Memory, OpKind::Memory) => {
                (left.memory_base(), left.memory_index(), left.memory_index_scale())
                    == (right.memory_base(), right.memory_index(), right.memory_index_scale())
                    && left.memory_displacement64() == right.memory_displacement64()
                    && left.memory_size() == right.memory_size()
            }
            (OpKind::Register, OpKind::Register) => {
                left.op_register(index) == right.op_register(index)
            }
            (one, other) => one == other && left.immediate(index) == right.immediate(index),
        }
    });
    let prefixes = |one: &Instruction| {
        (one.has_lock_prefix(), one.has_rep_prefix(), one.has_repne_prefix(), one.op_mask())
    };
    let is_plain =
        |one: &Instruction| matches!(one.segment_prefix(), Register::None | Register::CS);
    left.mnemonic() == right.mnemonic()
        && left.op_count() == right.op_count()
        && prefixes(left) == prefixes(right)
        && is_plain(right)
        && operands
}

impl Places {
    /// Checks where jumps and loops are in the new code, and that it is short.
    fn check(&self, artifact: &Artifact<'_>) {
        let text = artifact.text();
        let starts: BTreeSet<u64> =
            artifact.functions().iter().map(|function| function.text_offset.get().into()).collect();
        let copies = self.1.iter().map(|(_, at)| *at);
        let offsets: BTreeSet<u64> = self.0.values().copied().chain(copies).collect();
        let mut before: Option<Instruction> = None;
        let mut back: Vec<(u64, u64)> = Vec::new();
        let mut calls = BTreeSet::new();
        for at in &offsets {
            let instruction = decode(text, *at);
            let flow = instruction.flow_control();
            if !matches!(flow, FlowControl::Next | FlowControl::Exception) {
                let compares = before.filter(|before| {
                    flow == FlowControl::ConditionalBranch
                        && before.next_ip() == *at
                        && matches!(before.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
                });
                let start = compares.map_or(*at, |compares| compares.ip());
                let end = instruction.next_ip();
                assert_eq!(start / LINE, end / LINE, "{start:#x} to {end:#x} cross a line");
            }
            if matches!(flow, FlowControl::Call | FlowControl::IndirectCall) {
                calls.insert(*at);
            }
            // Tail calls keep four bytes.
            let jumps =
                matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch)
                    && !starts.contains(&instruction.near_branch_target());
            if jumps {
                let distance = instruction.near_branch_target().abs_diff(instruction.next_ip());
                assert!(instruction.len() == 2 || distance > 64, "{at:#x} is long");
            }
            let last = instruction.op_count().saturating_sub(1);
            if instruction.mnemonic() == Mnemonic::Add
                && instruction.op_kind(last) == OpKind::Immediate32
            {
                let number = instruction.immediate32() as i32;
                assert!(i8::try_from(number).is_err(), "{at:#x} adds {number} with four bytes");
            }
            if jumps && instruction.near_branch_target() <= *at {
                back.push((instruction.near_branch_target(), *at));
            }
            before = Some(instruction);
        }
        for (start, end) in &back {
            let inner = |(other, _): &&(u64, u64)| other > start && other <= end;
            let longer = |(other, last): &&(u64, u64)| other == start && last > end;
            if back.iter().any(|jump| inner(&jump) || longer(&jump)) {
                continue;
            }
            if calls.range(start..end).next().is_none() {
                assert_eq!(start % LINE, 0, "a loop starts at {start:#x}");
            }
        }
    }
}

fn check(wat: &str) {
    // The older one reads constants of vectors with instructions that need them aligned.
    for cpu in ["x86-64-v3", "x86-64-v2"] {
        let pair = Pair::new(wat, wfaas_compiler::parse_cpu(cpu).unwrap());
        let places = pair.compare();
        places.check(&Artifact::parse(&pair.new).unwrap());
    }
}

#[test]
fn code_with_exceptions_tables_and_constants_stays_the_same() {
    check(
        r#"(module
            (memory 1)
            (tag $oops (param i32))
            (func $throw (param i32) (throw $oops (local.get 0)))
            (func (export "run") (param i32 f64) (result f64)
                (local $i i32)
                (loop $again
                    (block $caught (result i32)
                        (try_table (catch $oops $caught)
                            (call $throw (local.get $i)))
                        (i32.const 1))
                    (local.set $i (i32.add (local.get $i)))
                    (block $a (block $b (block $c
                        (br_table $a $b $c $a $b (local.get $i)))
                        (local.set 1 (f64.mul (local.get 1) (f64.const 1.5))))
                        (f64.store (local.get $i) (local.get 1)))
                    (br_if $again (i32.lt_u (local.get $i) (i32.const 100000))))
                (f64.add (local.get 1) (f64.load offset=8 (local.get 0)))))"#,
    );
}

/// An interpreter with so many instructions that go on with the next one, and one that ends it.
fn interpreter(instructions: usize) -> String {
    let blocks = "(block ".repeat(instructions + 1);
    let labels: String = (0..=instructions).map(|label| format!(" {label}")).collect();
    let instruction = |n: usize| {
        format!(") (global.set $sum (i64.mul (global.get $sum) (i64.const {}))) (br $next)", n + 3)
    };
    let code: String = (0..instructions).map(instruction).collect();
    format!(
        r#"(module (memory 1) (global $sum (mut i64) (i64.const 1))
            (func (export "run") (param $pc i32) (result i64) (local $op i32)
                (loop $next
                    (local.set $op (i32.load8_u (local.get $pc)))
                    (local.set $pc (i32.add (local.get $pc) (i32.const 1)))
                    {blocks} (br_table{labels} (local.get $op)) {code} ))
                (global.get $sum)))"#
    )
}

/// How many jumps through a table there are.
fn jumps_through_tables(wat: &str, passes: Passes) -> usize {
    let options = Options { passes, ..Options::default() };
    let bytes = compile(wat.as_bytes(), &options).expect("compiles").artifact;
    let artifact = Artifact::parse(&bytes).unwrap();
    let text = artifact.text();
    let (mut jumps, mut at) = (0, artifact.functions()[0].text_offset.get().into());
    // Tables are not code, but lead to none of the shape of these jumps.
    while (at as usize) < text.len() {
        let instruction = decode(text, at);
        jumps += usize::from(instruction.flow_control() == FlowControl::IndirectBranch);
        at += instruction.len().max(1) as u64;
    }
    jumps
}

#[test]
fn instructions_of_an_interpreter_jump_to_the_next_one_by_themselves() {
    let without = Passes::ALL.without("threaded-dispatch").unwrap();
    let few = interpreter(3);
    assert_eq!(jumps_through_tables(&few, Passes::ALL), jumps_through_tables(&few, without));
    let many = interpreter(9);
    assert_eq!(jumps_through_tables(&many, Passes::ALL), jumps_through_tables(&many, without) + 9);
    check(&few);
    check(&many);
}

/// Statements of a function with locals $x, $y (i32), $w (i64), $d (f64) and $v (v128).
fn statement() -> impl Strategy<Value = String> {
    let number = prop_oneof![-140..140i32, any::<i32>()];
    let leaf = prop_oneof![
        number
            .clone()
            .prop_map(|n| format!("(local.set $x (i32.add (local.get $y) (i32.const {n})))")),
        number
            .clone()
            .prop_map(|n| format!("(local.set $y (i32.mul (local.get $x) (i32.const {n})))")),
        number.prop_map(|n| format!("(i32.store (local.get $y) (i32.const {n}))")),
        Just("(local.set $x (i32.div_u (local.get $x) (local.get $y)))".to_owned()),
        Just("(local.set $d (f64.add (local.get $d) (f64.const 0.3)))".to_owned()),
        Just("(local.set $x (i32.trunc_f64_s (local.get $d)))".to_owned()),
        Just("(local.set $v (i8x16.add (local.get $v) (v128.const i64x2 81 9)))".to_owned()),
        Just("(local.set $w (i64.xor (local.get $w) (i64.const 0x123456789abcdef1)))".to_owned()),
        Just(
            "(local.set $v (i8x16.shuffle 3 0 7 1 5 6 2 9 9 9 9 9 0 0 0 1
                (local.get $v) (local.get $v)))"
                .to_owned()
        ),
        Just("(i32.store16 (local.get $x) (local.get $y))".to_owned()),
        Just("(local.set $x (i32.atomic.rmw.add (local.get $y) (local.get $x)))".to_owned()),
        Just("(local.set $w (i64.atomic.rmw.or (local.get $x) (local.get $w)))".to_owned()),
        Just("(return_call $last (local.get $y))".to_owned()),
        Just("(call $other (local.get $x) (local.get $y))".to_owned()),
        Just("(return)".to_owned()),
        Just("(if (local.get $x) (then (unreachable)))".to_owned()),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let body = prop::collection::vec(inner, 1..8).prop_map(|body| body.join("\n"));
        prop_oneof![
            body.clone().prop_map(|body| format!(
                "(loop $l {body} (br_if $l (i32.lt_s (local.get $x) (local.get $y))))"
            )),
            body.clone().prop_map(|body| format!("(loop $l {body} (br_if $l (local.get $y)))")),
            (body.clone(), body.clone()).prop_map(|(one, other)| format!(
                "(if (i32.ge_u (local.get $x) (i32.const 77)) (then {one}) (else {other}))"
            )),
            (body.clone(), body).prop_map(|(one, other)| format!(
                "(block $a (block $b (block $c (br_table $c $a $b $b $a (local.get $x))) {one}) {other})"
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_code_stays_the_same(bodies in prop::collection::vec(statement(), 1..6)) {
        let body = bodies.join("\n");
        check(&format!(
            r#"(module (memory 1)
                (func $other (export "other") (param $x i32) (param $y i32)
                    (i32.store (local.get $x) (local.get $y)))
                (func $last (export "last") (param i32))
                (func (export "run")
                    (param $x i32) (param $y i32) (param $d f64) (param $v v128) (param $w i64)
                    {body}
                    (i64.store (i32.const 8) (local.get $w))
                    (v128.store (i32.const 16) (local.get $v))))"#
        ));
    }
}
