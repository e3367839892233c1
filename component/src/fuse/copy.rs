//! Copies the definitions of a core instance with the indices of the fused module.

use super::offsets::{Places, in_code};
use super::slots::{Slots, signatures};
use super::spaces::{Constant, Global, InstanceSpaces, Spaces};
use crate::bind::Signature;
use crate::error::{ComponentError, invalid};
use crate::parse::{Kind, Module};
use std::collections::BTreeSet;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{Function, GlobalSection, Instruction};
use wasmparser::{FunctionBody, Operator};

/// The copier of a core instance.
pub(super) struct Copier<'s> {
    spaces: &'s InstanceSpaces,
    slots: &'s Slots,
    /// The function types of the module, if calls of it may become direct.
    signatures: Option<Vec<Option<Signature>>>,
    /// Functions that `ref.func` refers to, by index in the module.
    referenced: BTreeSet<u32>,
}

type Result<T> = std::result::Result<T, Error<ComponentError>>;

impl<'s> Copier<'s> {
    pub(super) fn new(
        spaces: &'s Spaces,
        slots: &'s Slots,
        instance: usize,
        module: &Module<'_>,
    ) -> std::result::Result<Copier<'s>, ComponentError> {
        let concerned = slots.concern(spaces, instance);
        let signatures = concerned.then(|| signatures(module)).transpose()?;
        let referenced = BTreeSet::new();
        Ok(Copier { spaces: &spaces.instances[instance], slots, signatures, referenced })
    }

    /// The indices of the core instance's items.
    pub(super) fn spaces(&self) -> &'s InstanceSpaces {
        self.spaces
    }

    /// The function that a call through a table calls, if the index is `slot`.
    fn direct(&self, call: &Operator<'_>, slot: i32) -> Option<u32> {
        let Operator::CallIndirect { type_index, table_index } = *call else { return None };
        let signature = self.signatures.as_ref()?.get(type_index as usize)?.as_ref()?;
        self.slots.target(self.spaces.tables.get(table_index)?, slot.cast_unsigned(), signature)
    }

    /// Copies a function, and notes the places of its instructions.
    pub(super) fn function(
        &mut self,
        body: &FunctionBody<'_>,
        module: &Module<'_>,
        mut places: Option<Places>,
    ) -> std::result::Result<(Function, Option<Places>), ComponentError> {
        let mut function = self.new_function_with_parsed_locals(body)?;
        let mut operators = body.get_operators_reader()?;
        // A constant that may be the index of the call right behind it.
        let mut held = None;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            match held.take().map(|slot| (slot, self.direct(&operator, slot))) {
                Some((_, Some(func))) => {
                    function.instruction(&Instruction::Call(func));
                    continue;
                }
                Some((slot, None)) => {
                    function.instruction(&Instruction::I32Const(slot));
                }
                None => {}
            }
            if let Some(places) = &mut places {
                places.note(function.byte_len(), in_code(module, offset));
            }
            match operator {
                Operator::I32Const { value } if self.signatures.is_some() => held = Some(value),
                operator => {
                    function.instruction(&self.instruction(operator)?);
                }
            }
        }
        Ok((function, places))
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

    /// The functions that `ref.func` may refer to because the module exports them, out of those that it refers to.
    pub(super) fn declared_by_exports(
        &mut self,
        module: &Module<'_>,
    ) -> std::result::Result<Vec<u32>, ComponentError> {
        if self.referenced.is_empty() {
            return Ok(Vec::new());
        }
        let functions = module.exports.values().filter(|(kind, _)| Kind::from(*kind) == Kind::Func);
        let exported: BTreeSet<u32> = functions.map(|(_, index)| *index).collect();
        let declared = exported.intersection(&self.referenced);
        declared.map(|index| Ok(found(self.spaces.funcs.get(*index))?)).collect()
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
        if let Operator::RefFunc { function_index } = operator {
            self.referenced.insert(function_index);
        }
        utils::instruction(self, operator)
    }
}
