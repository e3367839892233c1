//! The body of a generated function while it is written.

use crate::error::ComponentError;
use wasm_encoder::{BlockType, Function, Instruction, MemArg, MemArgTarget, ValType};

/// Most locals of a function: engines take 50 000 with its parameters.
const MAX_LOCALS: usize = 49_000;

/// Instructions, and the locals that they use.
pub(super) struct Body {
    params: u32,
    locals: Vec<ValType>,
    code: Vec<Instruction<'static>>,
}

impl Body {
    pub(super) fn new(params: &[ValType]) -> Body {
        Body { params: params.len() as u32, locals: Vec::new(), code: Vec::new() }
    }

    /// A new local.
    pub(super) fn local(&mut self, ty: ValType) -> u32 {
        self.locals.push(ty);
        self.params + self.locals.len() as u32 - 1
    }

    pub(super) fn push(&mut self, instruction: Instruction<'static>) {
        self.code.push(instruction);
    }

    pub(super) fn all<const N: usize>(&mut self, instructions: [Instruction<'static>; N]) {
        self.code.extend(instructions);
    }

    pub(super) fn get(&mut self, local: u32) {
        self.push(Instruction::LocalGet(local));
    }

    pub(super) fn set(&mut self, local: u32) {
        self.push(Instruction::LocalSet(local));
    }

    pub(super) fn number(&mut self, value: u32) {
        self.push(Instruction::I32Const(value.cast_signed()));
    }

    /// A local that holds this number.
    pub(super) fn constant(&mut self, value: u32) -> u32 {
        let local = self.local(ValType::I32);
        self.number(value);
        self.set(local);
        local
    }

    /// Ends the program if the number on the stack is not zero.
    pub(super) fn trap_if(&mut self) {
        self.all([Instruction::If(BlockType::Empty), Instruction::Unreachable, Instruction::End]);
    }

    /// Ends the program unless an address is a multiple of the alignment.
    pub(super) fn check_aligned(&mut self, address: u32, align: u32) {
        if align > 1 {
            self.get(address);
            self.number(align - 1);
            self.push(Instruction::I32And);
            self.trap_if();
        }
    }

    /// Ends the program unless the number in a local is less than `limit`.
    pub(super) fn check_below(&mut self, local: u32, limit: u32) {
        self.get(local);
        self.number(limit);
        self.push(Instruction::I32GeU);
        self.trap_if();
    }

    /// Converts the number on the stack from a type to one that has room for it, or back.
    pub(super) fn convert(&mut self, from: ValType, to: ValType) {
        match (from, to) {
            (ValType::I32, ValType::F32) => self.push(Instruction::F32ReinterpretI32),
            (ValType::F32, ValType::I32) => self.push(Instruction::I32ReinterpretF32),
            (ValType::I64, ValType::I32) => self.push(Instruction::I32WrapI64),
            (ValType::I32, ValType::I64) => self.push(Instruction::I64ExtendI32U),
            (ValType::I64, ValType::F64) => self.push(Instruction::F64ReinterpretI64),
            (ValType::F64, ValType::I64) => self.push(Instruction::I64ReinterpretF64),
            (ValType::I64, ValType::F32) => {
                self.all([Instruction::I32WrapI64, Instruction::F32ReinterpretI32]);
            }
            (ValType::F32, ValType::I64) => {
                self.all([Instruction::I32ReinterpretF32, Instruction::I64ExtendI32U]);
            }
            _ => {}
        }
    }

    /// Refuses more locals than a function may have. It is asked before each value, which has some locals and
    /// instructions: memory stays within the limit, too.
    pub(super) fn check_locals(&self) -> Result<(), ComponentError> {
        let (what, limit) = ("the number of locals of a call between components", MAX_LOCALS);
        match self.locals.len() <= limit {
            true => Ok(()),
            false => Err(ComponentError::TooLarge { what, limit }),
        }
    }

    /// The function.
    ///
    /// # Errors
    /// [`ComponentError::TooLarge`] if it has more locals than a function may have.
    pub(super) fn finish(self) -> Result<Function, ComponentError> {
        self.check_locals()?;
        let mut function = super::super::function(&self.locals);
        self.code.iter().for_each(|instruction| {
            function.instruction(instruction);
        });
        function.instruction(&Instruction::End);
        Ok(function)
    }
}

/// The operand of a load or a store of so many bytes.
pub(super) fn memory_arg(memory: u32, offset: u32, bytes: u32) -> MemArg {
    let target = MemArgTarget::Memory(memory);
    MemArg { offset: offset.into(), align: bytes.trailing_zeros(), target, ordering: None }
}

/// The core type that has room for both.
pub(super) fn join(one: ValType, other: ValType) -> ValType {
    match (one, other) {
        (one, other) if one == other => one,
        (ValType::I32, ValType::F32) | (ValType::F32, ValType::I32) => ValType::I32,
        _ => ValType::I64,
    }
}
