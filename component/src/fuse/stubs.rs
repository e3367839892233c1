//! Stubs: functions between core modules and imports, so that no host function is ever below guest code. The
//! imports' side is described at [`ImportKind`](wfaas_abi::component::ImportKind).

use super::adapters::{self, Adapters};
use super::function;
use super::spaces::Spaces;
use crate::bind::Stub;
use crate::error::ComponentError;
use crate::graph::Def;
use wasm_encoder::{BlockType, Function, Instruction, ValType};

impl Stub {
    /// The import that it calls, if it is one's stub.
    pub(super) fn import(&self) -> Option<usize> {
        match self {
            Stub::Realloc { import, .. } | Stub::Drop { import, .. } => Some(*import),
            Stub::Adapt(_) | Stub::Utf8(_) => None,
        }
    }

    /// The code of the stub.
    pub(super) fn body(&self, adapters: &mut Adapters<'_>) -> Result<Function, ComponentError> {
        let spaces = adapters.spaces;
        match self {
            Stub::Realloc { import, next, realloc, params, returns } => {
                let calls = [*import as u32, *next as u32, spaces.func(*realloc)?];
                Ok(allocate(calls, params.len() as u32, *returns))
            }
            Stub::Drop { import, destructor } => drop(*import as u32, *destructor, spaces),
            Stub::Adapt(adapter) => adapters.body(adapter),
            Stub::Utf8(memory) => adapters::utf8(*memory),
        }
    }
}

/// Calls `import` with all parameters, then `realloc` and `next` for each request that has an alignment.
fn allocate([import, next, realloc]: [u32; 3], params: u32, returns: bool) -> Function {
    let request = params;
    let mut body = function(&[ValType::I64]);
    for param in 0..params {
        body.instruction(&Instruction::LocalGet(param));
    }
    body.instruction(&Instruction::Call(import));
    body.instruction(&Instruction::LocalSet(request));
    body.instruction(&Instruction::Block(BlockType::Empty));
    body.instruction(&Instruction::Loop(BlockType::Empty));
    body.instruction(&Instruction::LocalGet(request));
    body.instruction(&Instruction::I64Const(32));
    body.instruction(&Instruction::I64ShrU);
    body.instruction(&Instruction::I64Eqz);
    body.instruction(&Instruction::BrIf(1));
    // Old address and size, alignment, size.
    body.instruction(&Instruction::I32Const(0));
    body.instruction(&Instruction::I32Const(0));
    body.instruction(&Instruction::LocalGet(request));
    body.instruction(&Instruction::I64Const(32));
    body.instruction(&Instruction::I64ShrU);
    body.instruction(&Instruction::I32WrapI64);
    body.instruction(&Instruction::LocalGet(request));
    body.instruction(&Instruction::I32WrapI64);
    body.instruction(&Instruction::Call(realloc));
    body.instruction(&Instruction::Call(next));
    body.instruction(&Instruction::LocalSet(request));
    body.instruction(&Instruction::Br(0));
    body.instruction(&Instruction::End);
    body.instruction(&Instruction::End);
    if returns {
        body.instruction(&Instruction::LocalGet(request));
        body.instruction(&Instruction::I32WrapI64);
    }
    body.instruction(&Instruction::End);
    body
}

/// Calls `import` with the handle, then the destructor with the representation if there is one.
fn drop(import: u32, destructor: Def, spaces: &Spaces) -> Result<Function, ComponentError> {
    let (handle, representation) = (0, 1);
    let mut body = function(&[ValType::I64]);
    body.instruction(&Instruction::LocalGet(handle));
    body.instruction(&Instruction::Call(import));
    body.instruction(&Instruction::LocalTee(representation));
    body.instruction(&Instruction::I64Const(0));
    body.instruction(&Instruction::I64GeS);
    body.instruction(&Instruction::If(BlockType::Empty));
    body.instruction(&Instruction::LocalGet(representation));
    body.instruction(&Instruction::I32WrapI64);
    body.instruction(&Instruction::Call(spaces.func(destructor)?));
    body.instruction(&Instruction::End);
    body.instruction(&Instruction::End);
    Ok(body)
}
