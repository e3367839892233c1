//! Lists and strings between two sides.

use super::Writer;
use crate::error::{ComponentError, invalid};
use wasm_encoder::{BlockType, Instruction, ValType};
use wfaas_abi::component::TypeIndex;

impl Writer<'_> {
    /// Allocates so many bytes, which are in a local, where values go to; the local of the address.
    pub(super) fn allocate(&mut self, bytes: u32, align: u32) -> Result<u32, ComponentError> {
        let realloc = self.to.realloc.ok_or(invalid("a function of lists without realloc"))?;
        let new = self.body.local(ValType::I32);
        // Old address and size, alignment, size.
        self.body.number(0);
        self.body.number(0);
        self.body.number(align);
        self.body.get(bytes);
        self.body.push(Instruction::Call(realloc));
        self.body.set(new);
        self.body.check_aligned(new, align);
        self.check_range(self.to.memory()?, new, bytes);
        Ok(new)
    }

    /// Copies a string; the locals of its new address and its length.
    pub(super) fn string(&mut self, [ptr, len]: [u32; 2]) -> Result<[u32; 2], ComponentError> {
        let utf8 = self.to.utf8.ok_or(invalid("a string without a memory"))?;
        let new = self.copied(ptr, len, 1, |writer, new| {
            writer.body.get(new);
            writer.body.get(ptr);
            writer.body.get(len);
            writer.memory_copy()?;
            // The copy is checked: nobody changes it meanwhile.
            writer.body.get(new);
            writer.body.get(len);
            writer.body.push(Instruction::Call(utf8));
            Ok(())
        })?;
        Ok([new, len])
    }

    /// Copies a list; the locals of its new address and its length.
    pub(super) fn list(
        &mut self,
        element: TypeIndex,
        [ptr, len]: [u32; 2],
    ) -> Result<[u32; 2], ComponentError> {
        let layout = self.layout(element);
        let bytes = self.bytes(len, layout.size);
        let is_plain = self.is_plain(element);
        let new = self.copied(ptr, bytes, layout.align, |writer, new| {
            if is_plain {
                writer.body.get(new);
                writer.body.get(ptr);
                writer.body.get(bytes);
                return writer.memory_copy();
            }
            writer.elements(element, (ptr, new), bytes)
        })?;
        Ok([new, len])
    }

    /// The local of the bytes of so many elements. The program ends if no memory has as many.
    fn bytes(&mut self, len: u32, size: u32) -> u32 {
        let (wide, bytes) = (self.body.local(ValType::I64), self.body.local(ValType::I32));
        self.body.get(len);
        self.body.all([
            Instruction::I64ExtendI32U,
            Instruction::I64Const(size.into()),
            Instruction::I64Mul,
            Instruction::LocalTee(wide),
            Instruction::I64Const(32),
            Instruction::I64ShrU,
            Instruction::I32WrapI64,
        ]);
        self.body.trap_if();
        self.body.get(wide);
        self.body.push(Instruction::I32WrapI64);
        self.body.set(bytes);
        bytes
    }

    /// Allocates for a range of bytes that was checked, and copies it; the local of the new address. An empty range has
    /// one that is aligned, and not null.
    fn copied(
        &mut self,
        ptr: u32,
        bytes: u32,
        align: u32,
        copy: impl FnOnce(&mut Self, u32) -> Result<(), ComponentError>,
    ) -> Result<u32, ComponentError> {
        self.body.check_aligned(ptr, align);
        // Nobody is asked to allocate for a range that is not there.
        self.check_range(self.from.memory()?, ptr, bytes);
        let new = self.body.constant(align);
        self.body.get(bytes);
        self.body.push(Instruction::If(BlockType::Empty));
        let allocated = self.allocate(bytes, align)?;
        self.body.get(allocated);
        self.body.set(new);
        copy(self, new)?;
        self.body.push(Instruction::End);
        Ok(new)
    }

    /// Ends the program if a range is outside of a memory. Two locals have its address and its bytes.
    pub(super) fn check_range(&mut self, memory: u32, ptr: u32, bytes: u32) {
        self.body.get(ptr);
        self.body.push(Instruction::I64ExtendI32U);
        self.body.get(bytes);
        self.body.all([
            Instruction::I64ExtendI32U,
            Instruction::I64Add,
            Instruction::MemorySize(memory),
            Instruction::I64ExtendI32U,
            Instruction::I64Const(16),
            Instruction::I64Shl,
            Instruction::I64GtU,
        ]);
        self.body.trap_if();
    }

    /// Copies elements one by one: from and to addresses in locals, and so many bytes of them, which are some.
    pub(super) fn elements(
        &mut self,
        element: TypeIndex,
        (from, to): (u32, u32),
        bytes: u32,
    ) -> Result<(), ComponentError> {
        let size = self.layout(element).size;
        if size == 0 {
            return Ok(()); // values that are all the same
        }
        let [at, new, end] = [(); 3].map(|()| self.body.local(ValType::I32));
        for (from, to) in [(from, at), (to, new)] {
            self.body.get(from);
            self.body.set(to);
        }
        self.body.get(from);
        self.body.get(bytes);
        self.body.push(Instruction::I32Add);
        self.body.set(end);
        self.body.push(Instruction::Loop(BlockType::Empty));
        self.copy(element, (at, 0), (new, 0))?;
        for address in [at, new] {
            self.body.get(address);
            self.body.number(size);
            self.body.push(Instruction::I32Add);
            self.body.set(address);
        }
        self.body.get(at);
        self.body.get(end);
        self.body.all([Instruction::I32Ne, Instruction::BrIf(0), Instruction::End]);
        Ok(())
    }
}
