//! Writes the fused module.
//!
//! ```text
//!   functions   imports | stubs | functions of core instance 0 | of 1 | ... | start
//!   other       of core instance 0 | of 1 | ...
//! ```
//!
//! `spaces` gives every item of a core instance its index, `slots` finds tables of known contents, `copy` copies definitions, `stubs`, `adapters` and
//! `start` are the functions that no core instance has, `names` and `offsets` what people get to see of the code.

mod adapters;
mod copy;
mod names;
mod offsets;
mod slots;
mod spaces;
mod start;
mod stubs;

use crate::bind::{Plan, Signature};
use crate::error::ComponentError;
use crate::graph::Graph;
use adapters::Adapters;
use copy::Copier;
use names::Names;
use offsets::{Offsets, Places};
use slots::Slots;
use spaces::Spaces;
use start::Start;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    CodeSection, DataCountSection, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection, MemoryType,
    Module, StartSection, TableSection, TagSection, TypeSection, ValType,
};
use wfaas_abi::component::Bindings;

/// The bytes of the fused module.
pub(crate) fn fuse(graph: &Graph<'_>, plan: &Plan) -> Result<Vec<u8>, ComponentError> {
    let spaces = Spaces::new(graph, plan)?;
    let slots = Slots::new(graph, plan, &spaces)?;
    let (names, offsets) = (Names::of(graph), Offsets::of(graph));
    let mut sections = Sections { names, offsets, ..Sections::default() };
    sections.frame(plan, &spaces)?;
    let mut start = Start::new();
    for (index, instance) in graph.instances.iter().enumerate() {
        let mut copier = Copier::new(&spaces, &slots, index, &instance.module)?;
        sections.declarations(&mut copier, &instance.module)?;
        start.segments(&mut copier, &instance.module, &mut sections)?;
        sections.bodies(&mut copier, index, &instance.module)?;
        sections.names.instance(&spaces, index, &instance.module);
    }
    sections.exports(plan, &spaces)?;
    let start = start.finish(&mut sections, &spaces);
    Ok(sections.finish(graph, start))
}

/// The sections of the fused module while they are filled.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    /// By their numbers.
    memories: BTreeMap<u32, MemoryType>,
    tags: TagSection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    /// Functions for `ref.func` that a core module exports, since the fused module may not.
    declared: BTreeSet<u32>,
    code: CodeSection,
    data: DataSection,
    names: Names,
    offsets: Offsets,
}

impl Sections {
    /// Imports and stubs. Their types are the first ones.
    fn frame(&mut self, plan: &Plan, spaces: &Spaces) -> Result<(), ComponentError> {
        for signature in spaces.signatures.list() {
            self.types.ty().function(signature.params.clone(), signature.results.clone());
        }
        for (import, signature) in plan.bindings.imports.iter().zip(&plan.imports) {
            let ty = EntityType::Function(spaces.signatures.index(signature));
            self.imports.import(&import.module, &import.field, ty);
        }
        let mut adapters = Adapters::new(plan, spaces)?;
        for (place, stub) in plan.stubs.iter().enumerate() {
            self.functions.function(spaces.signatures.index(&stub.signature()));
            self.code.function(&stub.body(&mut adapters)?);
            let import = stub.import().and_then(|import| plan.bindings.imports.get(import));
            let index = (plan.imports.len() + place) as u32;
            self.names.add(index, || match import {
                Some(import) => format!("stub:{}.{}", import.module, import.field),
                None => format!("adapter:{place}"),
            });
        }
        Ok(())
    }

    /// Everything of a core module but segments, code and exports.
    fn declarations(
        &mut self,
        copier: &mut Copier<'_>,
        module: &crate::parse::Module<'_>,
    ) -> Result<(), ComponentError> {
        if let Some(types) = &module.types {
            copier.parse_type_section(&mut self.types, types.clone())?;
        }
        if let Some(functions) = &module.functions {
            copier.parse_function_section(&mut self.functions, functions.clone())?;
        }
        if let Some(tables) = &module.tables {
            copier.parse_table_section(&mut self.tables, tables.clone())?;
        }
        if let Some(memories) = &module.memories {
            let numbers = copier.spaces().memories.defined();
            for (number, memory) in numbers.zip(memories.clone()) {
                self.memories.insert(number, copier.memory_type(memory?)?);
            }
        }
        if let Some(tags) = &module.tags {
            copier.parse_tag_section(&mut self.tags, tags.clone())?;
        }
        copier.globals(&mut self.globals, module)
    }

    fn bodies(
        &mut self,
        copier: &mut Copier<'_>,
        instance: usize,
        module: &crate::parse::Module<'_>,
    ) -> Result<(), ComponentError> {
        let has_lines = self.offsets.are_of(instance);
        for body in &module.bodies {
            let places = has_lines.then(Places::default);
            let (function, places) = copier.function(body, module, places)?;
            self.code.function(&function);
            if let Some(places) = places {
                let (bytes, end) = (function.byte_len(), self.code.byte_len());
                self.offsets.function(end - bytes, bytes, places);
            }
        }
        self.declared.extend(copier.declared_by_exports(module)?);
        Ok(())
    }

    fn exports(&mut self, plan: &Plan, spaces: &Spaces) -> Result<(), ComponentError> {
        for number in 0..plan.memories.len() {
            self.exports.export(&Bindings::memory_name(number), ExportKind::Memory, number);
        }
        for (name, def) in &plan.exports {
            self.exports.export(name, ExportKind::Func, spaces.func(*def)?);
        }
        Ok(())
    }

    /// Declares functions for `ref.func`, behind all other segments.
    fn declare(&mut self) {
        if !self.declared.is_empty() {
            let declared: Vec<u32> = self.declared.iter().copied().collect();
            self.elements.declared(Elements::Functions(declared.into()));
        }
    }

    /// The bytes of the module.
    fn finish(mut self, graph: &Graph<'_>, start: Option<u32>) -> Vec<u8> {
        self.declare();
        let mut module = Module::new();
        module.section(&self.types);
        module.section(&self.imports);
        module.section(&self.functions);
        module.section(&self.tables);
        let mut memories = MemorySection::new();
        self.memories.values().for_each(|memory| {
            memories.memory(*memory);
        });
        module.section(&memories);
        if !self.tags.is_empty() {
            module.section(&self.tags);
        }
        module.section(&self.globals);
        module.section(&self.exports);
        if let Some(function_index) = start {
            module.section(&StartSection { function_index });
        }
        module.section(&self.elements);
        if !self.data.is_empty() {
            module.section(&DataCountSection { count: self.data.len() });
        }
        module.section(&self.code);
        module.section(&self.data);
        module.section(&self.names.section());
        for section in self.offsets.sections(graph, self.functions.len()) {
            module.section(&section);
        }
        module.finish()
    }
}

/// The types of functions that no core module declares, each once.
#[derive(Default)]
struct Signatures {
    list: Vec<Signature>,
    index: HashMap<Signature, u32>,
}

impl Signatures {
    /// With those of imports, stubs and the start function.
    fn of(plan: &Plan) -> Signatures {
        let mut signatures = Signatures::default();
        plan.imports.iter().for_each(|signature| signatures.add(signature.clone()));
        plan.stubs.iter().for_each(|stub| signatures.add(stub.signature()));
        signatures.add(Signature::new(&[], &[]));
        signatures
    }

    fn add(&mut self, signature: Signature) {
        if !self.index.contains_key(&signature) {
            self.index.insert(signature.clone(), self.list.len() as u32);
            self.list.push(signature);
        }
    }

    fn list(&self) -> &[Signature] {
        &self.list
    }

    fn index(&self, signature: &Signature) -> u32 {
        self.index[signature]
    }
}

/// A function without locals but its parameters and these.
fn function(locals: &[ValType]) -> wasm_encoder::Function {
    wasm_encoder::Function::new_with_locals_types(locals.iter().copied())
}
