//! Copies the definitions of a core instance with the indices of the fused module.

use super::spaces::{Constant, Global, InstanceSpaces, Spaces};
use crate::error::{ComponentError, invalid};
use crate::parse::{Kind, Module};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{GlobalSection, Instruction};
use wasmparser::Operator;

/// The copier of a core instance.
pub(super) struct Copier<'s> {
    spaces: &'s InstanceSpaces,
}

type Result<T> = std::result::Result<T, Error<ComponentError>>;

impl<'s> Copier<'s> {
    pub(super) fn new(spaces: &'s Spaces, instance: usize) -> Copier<'s> {
        Copier { spaces: &spaces.instances[instance] }
    }

    /// Copies the globals of the core instance that are not constants.
    pub(super) fn globals(
        &mut self,
        section: &mut GlobalSection,
        module: &Module<'_>,
    ) -> std::result::Result<(), ComponentError> {
        let defined = self.spaces.globals.iter().skip(module.imports_of(Kind::Global).len());
        for (copied, global) in defined.zip(module.globals.clone().into_iter().flatten()) {
            if let Global::Index(_) = copied {
                self.parse_global(section, global?)?;
            }
        }
        Ok(())
    }
}

/// The index that was found.
fn found(index: Option<u32>) -> Result<u32> {
    index.ok_or(Error::UserError(invalid("an index is outside of its index space")))
}

impl Reencode for Copier<'_> {
    type Error = ComponentError;

    fn function_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.funcs.get(index))
    }

    fn table_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.tables.get(index))
    }

    fn memory_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.memories.get(index))
    }

    fn tag_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.tags.get(index))
    }

    fn type_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.types.get(index))
    }

    fn element_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.elements.get(index))
    }

    fn data_index(&mut self, index: u32) -> Result<u32> {
        found(self.spaces.data.get(index))
    }

    fn global_index(&mut self, index: u32) -> Result<u32> {
        match self.spaces.globals.get(index as usize) {
            Some(Global::Index(index)) => Ok(*index),
            _ => found(None),
        }
    }

    fn type_index_unpacked(&mut self, index: wasmparser::UnpackedIndex) -> Result<u32> {
        match index {
            wasmparser::UnpackedIndex::Module(index) => self.type_index(index),
            _ => Err(Error::CanonicalizedHeapTypeReference),
        }
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>> {
        if let Operator::GlobalGet { global_index } = operator
            && let Some(Global::Constant(constant)) = self.spaces.globals.get(global_index as usize)
        {
            return Ok(match *constant {
                Constant::I32(value) => Instruction::I32Const(value),
                Constant::I64(value) => Instruction::I64Const(value),
            });
        }
        utils::instruction(self, operator)
    }
}
