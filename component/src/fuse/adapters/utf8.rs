//! A function that checks whether bytes are UTF-8, by the table of well-formed sequences of the Unicode Standard, 3.9.

use super::body::{Body, memory_arg};
use crate::error::ComponentError;
use wasm_encoder::{BlockType, Function, Instruction, ValType};

/// The places of parameters and locals.
struct Locals {
    at: u32,
    end: u32,
    byte: u32,
    /// Bytes of the character that are still to come.
    left: u32,
    /// The bounds of its second byte.
    low: u32,
    high: u32,
}

/// `(i32, i32)`: an address in a memory, and bytes. The program ends if these are not UTF-8.
pub(in crate::fuse) fn check(memory: u32) -> Result<Function, ComponentError> {
    let mut body = Body::new(&[ValType::I32, ValType::I32]);
    let [byte, left, low, high] = [(); 4].map(|()| body.local(ValType::I32));
    let locals = Locals { at: 0, end: 1, byte, left, low, high };
    body.all([
        Instruction::LocalGet(locals.at),
        Instruction::LocalGet(locals.end),
        Instruction::I32Add,
        Instruction::LocalSet(locals.end),
        Instruction::Block(BlockType::Empty),
        Instruction::Loop(BlockType::Empty),
        // Out at the end.
        Instruction::LocalGet(locals.at),
        Instruction::LocalGet(locals.end),
        Instruction::I32Eq,
        Instruction::BrIf(1),
    ]);
    skip_ascii(&mut body, &locals, memory);
    next_byte(&mut body, &locals, memory);
    // An ASCII character is whole.
    body.all([
        Instruction::LocalGet(byte),
        Instruction::I32Const(0x80),
        Instruction::I32LtU,
        Instruction::BrIf(0),
    ]);
    lead(&mut body, &locals);
    rest(&mut body, &locals, memory);
    body.all([Instruction::Br(0), Instruction::End, Instruction::End]);
    body.finish()
}

/// Skips eight characters of ASCII, as often as there are as many.
fn skip_ascii(body: &mut Body, locals: &Locals, memory: u32) {
    body.all([
        Instruction::LocalGet(locals.end),
        Instruction::LocalGet(locals.at),
        Instruction::I32Sub,
        Instruction::I32Const(8),
        Instruction::I32GeU,
        Instruction::If(BlockType::Empty),
        Instruction::LocalGet(locals.at),
        Instruction::I64Load(memory_arg(memory, 0, 1)),
        Instruction::I64Const(0x8080_8080_8080_8080_u64.cast_signed()),
        Instruction::I64And,
        Instruction::I64Eqz,
        Instruction::If(BlockType::Empty),
        Instruction::LocalGet(locals.at),
        Instruction::I32Const(8),
        Instruction::I32Add,
        Instruction::LocalSet(locals.at),
        Instruction::Br(2),
        Instruction::End,
        Instruction::End,
    ]);
}

/// Takes a byte.
fn next_byte(body: &mut Body, locals: &Locals, memory: u32) {
    body.all([
        Instruction::LocalGet(locals.at),
        Instruction::I32Load8U(memory_arg(memory, 0, 1)),
        Instruction::LocalSet(locals.byte),
        Instruction::LocalGet(locals.at),
        Instruction::I32Const(1),
        Instruction::I32Add,
        Instruction::LocalSet(locals.at),
    ]);
}

/// Reads the first byte of a longer character: how many follow, and the bounds of the second one.
fn lead(body: &mut Body, locals: &Locals) {
    // C2 to F4 are first bytes.
    body.all([
        Instruction::LocalGet(locals.byte),
        Instruction::I32Const(0xC2),
        Instruction::I32Sub,
        Instruction::I32Const(0xF4 - 0xC2),
        Instruction::I32GtU,
    ]);
    body.trap_if();
    body.all([
        Instruction::I32Const(1),
        Instruction::LocalGet(locals.byte),
        Instruction::I32Const(0xE0),
        Instruction::I32GeU,
        Instruction::I32Add,
        Instruction::LocalGet(locals.byte),
        Instruction::I32Const(0xF0),
        Instruction::I32GeU,
        Instruction::I32Add,
        Instruction::LocalSet(locals.left),
    ]);
    bound(body, locals, locals.low, 0x80, [(0xE0, 0xA0), (0xF0, 0x90)]);
    bound(body, locals, locals.high, 0xBF, [(0xED, 0x9F), (0xF4, 0x8F)]);
    // The whole character is there.
    body.all([
        Instruction::LocalGet(locals.end),
        Instruction::LocalGet(locals.at),
        Instruction::I32Sub,
        Instruction::LocalGet(locals.left),
        Instruction::I32LtU,
    ]);
    body.trap_if();
}

/// A bound: `usual`, but another one behind two of the first bytes.
fn bound(body: &mut Body, locals: &Locals, bound: u32, usual: i32, others: [(i32, i32); 2]) {
    body.all([Instruction::I32Const(usual), Instruction::LocalSet(bound)]);
    for (byte, other) in others {
        body.all([
            Instruction::I32Const(other),
            Instruction::LocalGet(bound),
            Instruction::LocalGet(locals.byte),
            Instruction::I32Const(byte),
            Instruction::I32Eq,
            Instruction::Select,
            Instruction::LocalSet(bound),
        ]);
    }
}

/// Reads the bytes behind the first one. The bounds of the second one are wider for all others.
fn rest(body: &mut Body, locals: &Locals, memory: u32) {
    body.push(Instruction::Loop(BlockType::Empty));
    next_byte(body, locals, memory);
    body.all([
        Instruction::LocalGet(locals.byte),
        Instruction::LocalGet(locals.low),
        Instruction::I32LtU,
        Instruction::LocalGet(locals.byte),
        Instruction::LocalGet(locals.high),
        Instruction::I32GtU,
        Instruction::I32Or,
    ]);
    body.trap_if();
    body.all([
        Instruction::I32Const(0x80),
        Instruction::LocalSet(locals.low),
        Instruction::I32Const(0xBF),
        Instruction::LocalSet(locals.high),
        Instruction::LocalGet(locals.left),
        Instruction::I32Const(1),
        Instruction::I32Sub,
        Instruction::LocalTee(locals.left),
        Instruction::BrIf(0),
        Instruction::End,
    ]);
}
