//! Segments and the start function.
//!
//! Core instances take effect one after the other, but a module applies all of its active segments before its
//! start function. So segments stay active up to the first core instance with a start function; later ones are
//! passive, and applied by a start function that also calls those of the core instances.

use super::copy::Copier;
use super::spaces::Spaces;
use super::{Sections, function};
use crate::bind::Signature;
use crate::error::ComponentError;
use crate::parse::Module;
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{Elements, Function, Instruction};
use wasmparser::{ConstExpr, DataKind, ElementKind};

/// The start function while it is collected.
pub(super) struct Start {
    body: Function,
    /// The start functions that it calls.
    calls: Vec<u32>,
    /// Number of segments that it applies.
    segments: usize,
}

impl Start {
    pub(super) fn new() -> Start {
        Start { body: function(&[]), calls: Vec::new(), segments: 0 }
    }

    /// Adds the segments and the start function of a core instance.
    pub(super) fn segments(
        &mut self,
        copier: &mut Copier<'_>,
        module: &Module<'_>,
        sections: &mut Sections,
    ) -> Result<(), ComponentError> {
        for element in module.elements.clone().into_iter().flatten() {
            self.element(copier, element?, sections)?;
        }
        for data in module.data.clone().into_iter().flatten() {
            self.data(copier, data?, sections)?;
        }
        if let Some(start) = module.start {
            let start = copier.function_index(start)?;
            self.body.instruction(&Instruction::Call(start));
            self.calls.push(start);
        }
        Ok(())
    }

    /// Whether a start function runs before the segments that come now.
    fn deferred(&self) -> bool {
        !self.calls.is_empty()
    }

    fn element(
        &mut self,
        copier: &mut Copier<'_>,
        element: wasmparser::Element<'_>,
        sections: &mut Sections,
    ) -> Result<(), ComponentError> {
        let ElementKind::Active { table_index, offset_expr } = element.kind.clone() else {
            copier.parse_element(&mut sections.elements, element)?;
            return Ok(());
        };
        if !self.deferred() {
            copier.parse_element(&mut sections.elements, element)?;
            return Ok(());
        }
        let segment = sections.elements.len();
        let table = copier.table_index(table_index.unwrap_or(0))?;
        let items = copier.element_items(element.items)?;
        let len = match &items {
            Elements::Functions(functions) => functions.len(),
            Elements::Expressions(_, expressions) => expressions.len(),
        };
        sections.elements.passive(items);
        self.offset(copier, offset_expr, len)?;
        self.body.instruction(&Instruction::TableInit { elem_index: segment, table });
        self.body.instruction(&Instruction::ElemDrop(segment));
        Ok(())
    }

    fn data(
        &mut self,
        copier: &mut Copier<'_>,
        data: wasmparser::Data<'_>,
        sections: &mut Sections,
    ) -> Result<(), ComponentError> {
        let DataKind::Active { memory_index, offset_expr } = data.kind.clone() else {
            copier.parse_data(&mut sections.data, data)?;
            return Ok(());
        };
        if !self.deferred() {
            copier.parse_data(&mut sections.data, data)?;
            return Ok(());
        }
        let segment = sections.data.len();
        let memory = copier.memory_index(memory_index)?;
        sections.data.passive(data.data.iter().copied());
        self.offset(copier, offset_expr, data.data.len())?;
        self.body.instruction(&Instruction::MemoryInit { mem: memory, data_index: segment });
        self.body.instruction(&Instruction::DataDrop(segment));
        Ok(())
    }

    /// Pushes the operands that copy a whole segment of `len` items.
    fn offset(
        &mut self,
        copier: &mut Copier<'_>,
        offset: ConstExpr<'_>,
        len: usize,
    ) -> Result<(), ComponentError> {
        self.segments += 1;
        let mut operators = offset.get_operators_reader();
        while !operators.is_end_then_eof() {
            self.body.instruction(&copier.parse_instruction(&mut operators)?);
        }
        self.body.instruction(&Instruction::I32Const(0));
        self.body.instruction(&Instruction::I32Const((len as u32).cast_signed()));
        Ok(())
    }

    /// The index of the start function, if there is one.
    pub(super) fn finish(mut self, sections: &mut Sections, spaces: &Spaces) -> Option<u32> {
        match self.calls[..] {
            [] => return None,
            [only] if self.segments == 0 => return Some(only),
            _ => {}
        }
        self.body.instruction(&Instruction::End);
        sections.functions.function(spaces.signatures.index(&Signature::new(&[], &[])));
        sections.code.function(&self.body);
        sections.names.add(spaces.next_function(), || "instantiate".to_owned());
        Some(spaces.next_function())
    }
}
