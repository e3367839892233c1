//! The operand stack of a translation.
//!
//! An operand is a value of the intermediate code. A translation that keeps operands in the frame
//! ([`Storage::Frame`]) or in variables ([`Storage::Variables`]) stores those that a block leaves
//! behind, each in the home of its place on the stack, and loads them where they are used. No value
//! is alive in more than the blocks of one operator then.

use super::FuncEmitter;
use super::home::Home;
use cranelift_codegen::ir::{Block, Type, Value};
use std::collections::HashMap;

/// Where a translation keeps locals and operands from one block to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In values: the code generator finds places for them.
    Values,
    /// In values, and operands in variables as locals are: control may enter the function behind any
    /// of its calls.
    Variables,
    /// In the frame.
    Frame,
}

/// An operand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Value(Value),
    /// In the home of its place on the stack.
    Stored(Type),
}

/// Operands, bottom first.
#[derive(Default)]
pub(super) struct Operands {
    stack: Vec<Operand>,
    /// How many at the bottom are stored.
    stored: usize,
    /// Homes by place, and the type of the value in each: any of its size for a slot.
    homes: HashMap<(usize, Type), Home>,
    /// The block in which the others are values.
    block: Option<Block>,
}

impl Operands {
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, value: Value) {
        self.stack.push(Operand::Value(value));
    }

    pub(super) fn extend(&mut self, values: impl IntoIterator<Item = Value>) {
        self.stack.extend(values.into_iter().map(Operand::Value));
    }

    /// Pushes operands that were at the same place before.
    pub(super) fn restore(&mut self, operands: Vec<Operand>) {
        self.stack.extend(operands);
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.stack.truncate(len);
        self.stored = self.stored.min(len);
    }

    /// The uppermost operands.
    pub(super) fn top(&self, count: usize) -> Vec<Operand> {
        self.stack[self.stack.len() - count..].to_vec()
    }
}

impl FuncEmitter<'_> {
    pub(super) fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    /// Pops an operand; validation has seen to it that there is one.
    pub(super) fn pop(&mut self) -> Value {
        let place = self.stack.len() - 1;
        let value = self.operand(place);
        self.stack.truncate(place);
        value
    }

    /// Pops two operands, in the order in which they were pushed.
    pub(super) fn pop2(&mut self) -> (Value, Value) {
        let second = self.pop();
        (self.pop(), second)
    }

    /// Pops three operands, in the order in which they were pushed.
    pub(super) fn pop3(&mut self) -> (Value, Value, Value) {
        let third = self.pop();
        let (first, second) = self.pop2();
        (first, second, third)
    }

    /// Pops `count` operands, in the order in which they were pushed.
    pub(super) fn pop_many(&mut self, count: usize) -> Vec<Value> {
        let values = self.peek_many(count);
        self.stack.truncate(self.stack.len() - count);
        values
    }

    /// The uppermost `count` operands, in the order in which they were pushed.
    pub(super) fn peek_many(&mut self, count: usize) -> Vec<Value> {
        let len = self.stack.len();
        (len - count..len).map(|place| self.operand(place)).collect()
    }

    /// Stores the operands that are not yet, before a branch after which they are needed.
    pub(super) fn store_operands(&mut self) {
        if self.storage == Storage::Values {
            return;
        }
        for place in self.stack.stored..self.stack.len() {
            let Operand::Value(value) = self.stack.stack[place] else { continue };
            let ty = self.code.type_of(value);
            let home = self.operand_home(place, ty);
            self.write(home, value);
            self.stack.stack[place] = Operand::Stored(ty);
        }
        self.stack.stored = self.stack.len();
    }

    /// After an operator: stores the operands that it found, if it has begun a block.
    pub(super) fn leave_operator(&mut self) {
        if self.storage == Storage::Values || !self.reachable {
            return;
        }
        let block = self.code.blocks().current_block();
        if self.stack.block != block {
            self.store_operands();
            self.stack.block = block;
        }
    }

    /// The operand at a place, in the current block.
    pub(super) fn operand(&mut self, place: usize) -> Value {
        match self.stack.stack[place] {
            Operand::Value(value) => value,
            Operand::Stored(ty) => {
                let home = self.operand_home(place, ty);
                self.read(home, ty)
            }
        }
    }

    /// The types of all operands, bottom first.
    pub(super) fn operand_types(&self) -> Vec<Type> {
        let dfg = &self.code.function_so_far().dfg;
        let types = self.stack.stack.iter().map(|operand| match operand {
            Operand::Value(value) => dfg.value_type(*value),
            Operand::Stored(ty) => *ty,
        });
        types.collect()
    }

    pub(super) fn operand_home(&mut self, place: usize, ty: Type) -> Home {
        let key = match self.storage {
            Storage::Frame => Type::int_with_byte_size(ty.bytes() as u16).unwrap_or(ty),
            Storage::Values | Storage::Variables => ty,
        };
        if let Some(home) = self.stack.homes.get(&(place, key)) {
            return *home;
        }
        let home = match (self.storage, self.recorded) {
            (_, Some(slots)) => self.recorded_operand(slots, place),
            (Storage::Frame, None) => self.frame_home(ty),
            (Storage::Values | Storage::Variables, None) => self.variable_home(ty),
        };
        self.stack.homes.insert((place, key), home);
        home
    }
}
