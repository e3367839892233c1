//! The parser: from the bytes of a module to plain data. Everything but function bodies is validated
//! here; each body has a validator with it, so that they are validated in parallel.

mod constant;
mod types;

use crate::front::escape::references_escape;
use crate::front::hints::BranchHints;
use crate::front::index::*;
use crate::front::module::*;
use crate::front::names;
use crate::front::proposals::features;
use crate::{CompileError, Proposals};
use constant::constant;
use cranelift_codegen::entity::PrimaryMap;
use std::borrow::Cow;
use types::memory_type;
use wasmparser::{
    DataKind, ElementItems, ElementKind, ExternalKind, FuncToValidate, FunctionBody, KnownCustom,
    Parser, Payload, TableInit, TypeRef, ValidPayload, Validator, ValidatorResources,
};
use wfaas_abi::ValType;
use wfaas_abi::artifact::records::ExternKind;

/// Largest module taken, in bytes. Offsets into it must fit 32 bits everywhere.
pub(crate) const MAX_MODULE_BYTES: usize = 1 << 30;

/// A function body that is not yet validated.
pub(crate) struct Body<'a> {
    pub(crate) validation: FuncToValidate<ValidatorResources>,
    pub(crate) body: FunctionBody<'a>,
}

impl Body<'_> {
    /// The function that it is the body of.
    pub(crate) fn func(&self) -> FuncIndex {
        FuncIndex::from_u32(self.validation.index)
    }
}

impl Clone for Body<'_> {
    fn clone(&self) -> Self {
        let FuncToValidate { resources, index, ty, features } = &self.validation;
        let (resources, index, ty, features) = (resources.clone(), *index, *ty, *features);
        let validation = FuncToValidate { resources, index, ty, features };
        Body { validation, body: self.body.clone() }
    }
}

/// The offset of each body in the module.
pub(crate) fn starts(bodies: &[Body<'_>]) -> PrimaryMap<DefinedFunc, u32> {
    // Modules are smaller than 4 GiB.
    bodies.iter().map(|body| body.body.range().start as u32).collect()
}

/// The binary of a module or a component: `input` itself, or translated from text.
///
/// # Errors
/// [`CompileError::TooLarge`], or [`CompileError::Text`] for what is neither.
pub fn binary(input: &[u8]) -> Result<Cow<'_, [u8]>, CompileError> {
    if input.len() > MAX_MODULE_BYTES {
        return Err(CompileError::TooLarge {
            what: "the module's size in bytes",
            actual: input.len() as u64,
            limit: MAX_MODULE_BYTES as u64,
        });
    }
    if input.starts_with(b"\0asm") {
        return Ok(Cow::Borrowed(input));
    }
    let text = std::str::from_utf8(input).map_err(|error| CompileError::Text(error.to_string()))?;
    let binary = wat::parse_str(text).map_err(|error| CompileError::Text(error.to_string()))?;
    Ok(Cow::Owned(binary))
}

/// Parses and validates a binary module, except for the function bodies.
pub(crate) fn parse(
    wasm: &[u8],
    proposals: Proposals,
) -> Result<(Module<'_>, Vec<Body<'_>>), CompileError> {
    let mut module = Module { bytes: wasm.len(), ..Module::default() };
    let mut bodies = Vec::new();
    let mut validator = Validator::new_with_features(features(proposals));
    let mut parser = Parser::new(0);
    parser.set_features(features(proposals));
    for payload in parser.parse_all(wasm) {
        let payload = payload?;
        if let ValidPayload::Func(validation, body) = validator.payload(&payload)? {
            bodies.push(Body { validation, body });
        }
        section(&mut module, payload)?;
    }
    module.references_escape = references_escape(&module);
    Ok((module, bodies))
}

/// Adds a section to the module: types and declarations by type.
fn section<'a>(module: &mut Module<'a>, payload: Payload<'a>) -> Result<(), CompileError> {
    match payload {
        Payload::TypeSection(types) => {
            for group in types.into_iter_with_offsets() {
                let (offset, group) = group?;
                module.add_types(group, offset)?;
            }
        }
        Payload::ImportSection(imports) => {
            for import in imports.into_imports_with_offsets() {
                let (offset, import) = import?;
                add_import(module, import, offset)?;
            }
        }
        Payload::FunctionSection(functions) => {
            for ty in functions {
                module.funcs.push(TypeIndex::from_u32(ty?));
            }
        }
        Payload::TableSection(tables) => {
            for table in tables.into_iter_with_offsets() {
                let (offset, table) = table?;
                module.tables.push(module.table_type(&table.ty, offset)?);
                module.table_values.push(match &table.init {
                    TableInit::RefNull => None,
                    TableInit::Expr(value) => Some(constant(value)?),
                });
            }
        }
        Payload::MemorySection(memories) => {
            for memory in memories {
                module.memories.push(memory_type(&memory?));
            }
        }
        Payload::GlobalSection(globals) => {
            for global in globals.into_iter_with_offsets() {
                let (offset, global) = global?;
                module.globals.push(module.global_type(&global.ty, offset)?);
                module.global_values.push(constant(&global.init_expr)?);
            }
        }
        Payload::TagSection(tags) => {
            for tag in tags {
                module.tags.push(TypeIndex::from_u32(tag?.func_type_idx));
            }
        }
        payload => contents(module, payload)?,
    }
    Ok(())
}

/// Adds a section of exports, contents or names.
fn contents<'a>(module: &mut Module<'a>, payload: Payload<'a>) -> Result<(), CompileError> {
    match payload {
        Payload::ExportSection(exports) => {
            for export in exports {
                let export = export?;
                let kind = export_kind(export.kind)?;
                module.exports.push(Export { name: export.name, kind, index: export.index });
            }
        }
        Payload::StartSection { func, .. } => module.start = Some(FuncIndex::from_u32(func)),
        Payload::ElementSection(elements) => {
            for element in elements.into_iter_with_offsets() {
                let (offset, element) = element?;
                module.elements.push(module.element_segment(&element, offset)?);
            }
        }
        Payload::DataSection(segments) => {
            for segment in segments {
                module.data.push(data_segment(&segment?)?);
            }
        }
        Payload::CustomSection(custom) => match custom.as_known() {
            KnownCustom::Name(names) => module.func_names = names::from_section(names),
            KnownCustom::BranchHints(hints) => {
                module.branch_hints = BranchHints::from_section(hints);
            }
            _ => {}
        },
        _ => {}
    }
    Ok(())
}

fn add_import<'a>(
    module: &mut Module<'a>,
    import: wasmparser::Import<'a>,
    offset: u64,
) -> Result<(), CompileError> {
    let ty = match import.ty {
        TypeRef::Func(ty) => {
            let ty = TypeIndex::from_u32(ty);
            module.funcs.push(ty);
            module.counts.funcs += 1;
            ImportType::Func(ty)
        }
        TypeRef::Table(table) => {
            let table = module.table_type(&table, offset)?;
            module.tables.push(table);
            module.counts.tables += 1;
            ImportType::Table(table)
        }
        TypeRef::Memory(memory) => {
            module.memories.push(memory_type(&memory));
            module.counts.memories += 1;
            ImportType::Memory(memory_type(&memory))
        }
        TypeRef::Global(global) => {
            let global = module.global_type(&global, offset)?;
            module.globals.push(global);
            module.counts.globals += 1;
            ImportType::Global(global)
        }
        TypeRef::Tag(tag) => {
            let ty = TypeIndex::from_u32(tag.func_type_idx);
            module.tags.push(ty);
            module.counts.tags += 1;
            ImportType::Tag(ty)
        }
        TypeRef::FuncExact(_) => return Err(unexpected("kind of import")),
    };
    module.imports.push(Import { module: import.module, name: import.name, ty });
    Ok(())
}

fn export_kind(kind: ExternalKind) -> Result<ExternKind, CompileError> {
    match kind {
        ExternalKind::Func => Ok(ExternKind::Func),
        ExternalKind::Table => Ok(ExternKind::Table),
        ExternalKind::Memory => Ok(ExternKind::Memory),
        ExternalKind::Global => Ok(ExternKind::Global),
        ExternalKind::Tag => Ok(ExternKind::Tag),
        ExternalKind::FuncExact => Err(unexpected("kind of export")),
    }
}

impl Module<'_> {
    fn element_segment(
        &self,
        element: &wasmparser::Element<'_>,
        offset: u64,
    ) -> Result<ElementSegment, CompileError> {
        let mode = match &element.kind {
            ElementKind::Passive => SegmentMode::Passive,
            ElementKind::Declared => SegmentMode::Declared,
            ElementKind::Active { table_index, offset_expr } => SegmentMode::Active {
                target: TableIndex::from_u32(table_index.unwrap_or(0)),
                offset: constant(offset_expr)?,
            },
        };
        let mut items = Vec::new();
        let ty = match &element.items {
            ElementItems::Functions(functions) => {
                for function in functions.clone() {
                    items.push(Expr::One(Const::RefFunc(FuncIndex::from_u32(function?))));
                }
                ValType::FUNCREF
            }
            ElementItems::Expressions(ty, expressions) => {
                for expression in expressions.clone() {
                    items.push(constant(&expression?)?);
                }
                self.val_type((*ty).into(), offset)?
            }
        };
        Ok(ElementSegment { mode, ty, items })
    }
}

fn data_segment<'a>(segment: &wasmparser::Data<'a>) -> Result<DataSegment<'a>, CompileError> {
    let mode = match &segment.kind {
        DataKind::Passive => SegmentMode::Passive,
        DataKind::Active { memory_index, offset_expr } => {
            let target = MemoryIndex::from_u32(*memory_index);
            SegmentMode::Active { target, offset: constant(offset_expr)? }
        }
    };
    Ok(DataSegment { mode, bytes: segment.data })
}

/// An error for something that validation lets through only if a proposal is accepted that this
/// file does not know.
fn unexpected(what: &str) -> CompileError {
    CompileError::Internal(format!("a validated module has an unexpected {what}"))
}
