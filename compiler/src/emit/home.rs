//! Homes of locals and operands: where a translation keeps a value from one block to the next.

use super::FuncEmitter;
use crate::emit::signature::POINTER;
use cranelift_codegen::ir::{
    InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, Type, Value,
};
use cranelift_frontend::Variable;
use wfaas_abi::continuation::{LOCAL_BYTES, OPERAND_BYTES};

/// The place of a local or an operand.
#[derive(Clone, Copy)]
pub(super) enum Home {
    /// Wherever the code generator keeps its value.
    Variable(Variable),
    /// The frame: a slot, and bytes into it.
    Slot(StackSlot, i32),
}

/// The slots of a function of which the frames are to be recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordedSlots {
    pub(crate) locals: StackSlot,
    pub(crate) operands: StackSlot,
}

impl FuncEmitter<'_> {
    pub(super) fn write(&mut self, home: Home, value: Value) {
        match home {
            Home::Variable(variable) => self.code.blocks().def_var(variable, value),
            Home::Slot(slot, offset) => {
                let address = self.code.ins().stack_addr(POINTER, slot, offset);
                let flags = self.slot_flags();
                self.code.ins().store(flags, value, address, 0);
            }
        }
    }

    pub(super) fn read(&mut self, home: Home, ty: Type) -> Value {
        match home {
            Home::Variable(variable) => self.code.blocks().use_var(variable),
            Home::Slot(slot, offset) => {
                let address = self.code.ins().stack_addr(POINTER, slot, offset);
                let flags = self.slot_flags();
                self.code.ins().load(ty, flags, address, 0)
            }
        }
    }

    /// A new variable of the code generator.
    pub(super) fn variable_home(&mut self, ty: Type) -> Home {
        Home::Variable(self.code.blocks().declare_var(ty))
    }

    /// A new slot in the frame.
    pub(super) fn frame_home(&mut self, ty: Type) -> Home {
        let align = ty.bytes().trailing_zeros() as u8;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, ty.bytes(), align);
        Home::Slot(self.code.blocks().create_sized_stack_slot(data), 0)
    }

    /// The place of the next local in a frame that is to be recorded.
    pub(super) fn recorded_local(&mut self, slots: RecordedSlots, ty: Type) -> Home {
        let data = &mut self.code.blocks().func.sized_stack_slots[slots.locals];
        let offset = data.size;
        data.size += local_bytes(ty);
        Home::Slot(slots.locals, offset as i32)
    }

    /// The place of an operand in a frame that is to be recorded.
    pub(super) fn recorded_operand(&mut self, slots: RecordedSlots, place: usize) -> Home {
        // The bodies of functions have fewer bytes than 2^30, and each operand takes one at least.
        let offset = place as u32 * OPERAND_BYTES;
        let data = &mut self.code.blocks().func.sized_stack_slots[slots.operands];
        data.size = data.size.max(offset + OPERAND_BYTES);
        Home::Slot(slots.operands, offset as i32)
    }

    /// Locals in a recorded frame follow each other without gaps, so a vector may lie anywhere.
    fn slot_flags(&self) -> MemFlagsData {
        match self.recorded {
            Some(_) => MemFlagsData::new().with_notrap(),
            None => MemFlagsData::trusted(),
        }
    }
}

/// Bytes of a local in a record.
pub(super) fn local_bytes(ty: Type) -> u32 {
    ty.bytes().max(LOCAL_BYTES)
}
