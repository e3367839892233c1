//! Writes the fused module.
//!
//! ```text
//!   functions   imports | stubs | functions of core instance 0 | of 1 | ... | start
//!   other       of core instance 0 | of 1 | ...
//! ```
//!
//! `spaces` gives every item of a core instance its index, `slots` finds tables of known contents, `copy` copies definitions, `stubs` and
//! `start` are the functions that no core instance has.

mod copy;
mod names;
mod slots;
mod spaces;
mod start;
mod stubs;

use crate::bind::{Plan, Signature};
use crate::error::ComponentError;
use crate::graph::Graph;
use copy::Copier;
use names::Names;
use slots::Slots;
use spaces::Spaces;
use start::Start;
use std::collections::{BTreeSet, HashMap};
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    CodeSection, DataCountSection, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection, Module,
    StartSection, TableSection, TagSection, TypeSection, ValType,
};
use wfaas_abi::component::Bindings;

/// The bytes of the fused module.
pub(crate) fn fuse(graph: &Graph<'_>, plan: &Plan) -> Result<Vec<u8>, ComponentError> {
    let spaces = Spaces::new(graph, plan)?;
    let slots = Slots::new(graph, plan, &spaces)?;
    let mut sections = Sections { names: Names::of(graph), ..Sections::default() };
    sections.frame(plan, &spaces)?;
    let mut start = Start::new();
    for (index, instance) in graph.instances.iter().enumerate() {
        let mut copier = Copier::new(&spaces, &slots, index, &instance.module)?;
        sections.declarations(&mut copier, &instance.module)?;
        start.segments(&mut copier, &instance.module, &mut sections)?;
        sections.bodies(&mut copier, &instance.module)?;
        sections.names.instance(&spaces, index, &instance.module);
    }
    sections.exports(plan, &spaces)?;
    let start = start.finish(&mut sections, &spaces);
    Ok(sections.finish(start))
}

/// The sections of the fused module while they are filled.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    tags: TagSection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    /// Functions for `ref.func` that a core module exports, since the fused module may not.
    declared: BTreeSet<u32>,
    code: CodeSection,
    data: DataSection,
    names: Names,
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
        for (place, stub) in plan.stubs.iter().enumerate() {
            self.functions.function(spaces.signatures.index(&stub.signature()));
            self.code.function(&stub.body(spaces)?);
            let import = &plan.bindings.imports[stub.import()];
            let index = (plan.imports.len() + place) as u32;
            self.names.add(index, || format!("stub:{}.{}", import.module, import.field));
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
            copier.parse_memory_section(&mut self.memories, memories.clone())?;
        }
        if let Some(tags) = &module.tags {
            copier.parse_tag_section(&mut self.tags, tags.clone())?;
        }
        copier.globals(&mut self.globals, module)
    }

    fn bodies(
        &mut self,
        copier: &mut Copier<'_>,
        module: &crate::parse::Module<'_>,
    ) -> Result<(), ComponentError> {
        for body in &module.bodies {
            copier.parse_function_body(&mut self.code, body.clone())?;
        }
        self.declared.extend(copier.declared_by_exports(module)?);
        Ok(())
    }

    fn exports(&mut self, plan: &Plan, spaces: &Spaces) -> Result<(), ComponentError> {
        if spaces.memories > 0 {
            self.exports.export(Bindings::MEMORY, ExportKind::Memory, 0);
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
    fn finish(mut self, start: Option<u32>) -> Vec<u8> {
        self.declare();
        let mut module = Module::new();
        module.section(&self.types);
        module.section(&self.imports);
        module.section(&self.functions);
        module.section(&self.tables);
        module.section(&self.memories);
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
