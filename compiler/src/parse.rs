//! From the bytes of a module to plain data. Everything but function bodies is validated here;
//! bodies come with what is needed to validate them in parallel.

use crate::module::*;
use crate::proposals::FEATURES;
use crate::{CompileError, names};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FuncToValidate, FunctionBody,
    KnownCustom, Operator, Parser, Payload, RefType, TypeRef, ValidPayload, Validator,
    ValidatorResources,
};
use wfaas_abi::artifact::records::ExternKind;
use wfaas_abi::{FuncType, ValType};

/// Largest module taken, in bytes. Offsets into it must fit 32 bits everywhere.
const MAX_MODULE_BYTES: usize = 1 << 30;

/// A function body that is not yet validated.
pub(crate) struct Body<'a> {
    pub(crate) validation: FuncToValidate<ValidatorResources>,
    pub(crate) body: FunctionBody<'a>,
}

/// Of each body, its offset in the module.
pub(crate) fn starts(bodies: &[Body<'_>]) -> Vec<u32> {
    // Modules are smaller than 4 GiB.
    bodies.iter().map(|body| body.body.range().start as u32).collect()
}

/// The binary module: `input` itself, or what its text stands for.
pub(crate) fn binary(input: &[u8]) -> Result<Cow<'_, [u8]>, CompileError> {
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
pub(crate) fn parse(wasm: &[u8]) -> Result<(Module<'_>, Vec<Body<'_>>), CompileError> {
    let mut module = Module { bytes: wasm.len(), ..Module::default() };
    let mut bodies = Vec::new();
    let mut validator = Validator::new_with_features(FEATURES);
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    for payload in parser.parse_all(wasm) {
        let payload = payload?;
        if let ValidPayload::Func(validation, body) = validator.payload(&payload)? {
            bodies.push(Body { validation, body });
        }
        section(&mut module, payload)?;
    }
    find_equal_types(&mut module)?;
    Ok((module, bodies))
}

fn section<'a>(module: &mut Module<'a>, payload: Payload<'a>) -> Result<(), CompileError> {
    match payload {
        Payload::TypeSection(types) => {
            for ty in types.into_iter_err_on_gc_types() {
                module.types.push(func_type(&ty?)?);
            }
        }
        Payload::ImportSection(imports) => {
            for import in imports.into_imports() {
                add_import(module, import?)?;
            }
        }
        Payload::FunctionSection(functions) => {
            for ty in functions {
                module.funcs.push(ty?);
            }
        }
        Payload::TableSection(tables) => {
            for table in tables {
                module.tables.push(table_type(&table?.ty)?);
            }
        }
        Payload::MemorySection(memories) => {
            for memory in memories {
                module.memories.push(memory_type(&memory?));
            }
        }
        Payload::GlobalSection(globals) => {
            for global in globals {
                let global = global?;
                module.globals.push(global_type(&global.ty)?);
                module.global_values.push(constant(&global.init_expr)?);
            }
        }
        Payload::ExportSection(exports) => {
            for export in exports {
                let export = export?;
                let kind = export_kind(export.kind)?;
                module.exports.push(Export { name: export.name, kind, index: export.index });
            }
        }
        Payload::StartSection { func, .. } => module.start = Some(func),
        Payload::ElementSection(elements) => {
            for element in elements {
                module.elements.push(element_segment(&element?)?);
            }
        }
        Payload::DataSection(segments) => {
            for segment in segments {
                module.data.push(data_segment(&segment?)?);
            }
        }
        Payload::CustomSection(custom) => {
            if let KnownCustom::Name(reader) = custom.as_known() {
                module.func_names = names::from_section(reader);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Fills in ids, and for each type the first equal one.
fn find_equal_types(module: &mut Module<'_>) -> Result<(), CompileError> {
    let mut first_with_id: HashMap<u32, u32> = HashMap::new();
    for (index, ty) in module.types.iter().enumerate() {
        let id = ty.id();
        let first = match first_with_id.entry(id) {
            Entry::Vacant(entry) => *entry.insert(index as u32),
            Entry::Occupied(entry) => *entry.get(),
        };
        let other = &module.types[first as usize];
        if other != ty {
            return Err(CompileError::TypeIdCollision {
                first: other.to_string(),
                second: ty.to_string(),
            });
        }
        module.type_ids.push(id);
        module.first_equal.push(first);
    }
    Ok(())
}

fn add_import<'a>(
    module: &mut Module<'a>,
    import: wasmparser::Import<'a>,
) -> Result<(), CompileError> {
    let ty = match import.ty {
        TypeRef::Func(ty) => {
            module.funcs.push(ty);
            module.counts.funcs += 1;
            ImportType::Func(ty)
        }
        TypeRef::Table(table) => {
            module.tables.push(table_type(&table)?);
            module.counts.tables += 1;
            ImportType::Table(table_type(&table)?)
        }
        TypeRef::Memory(memory) => {
            module.memories.push(memory_type(&memory));
            module.counts.memories += 1;
            ImportType::Memory(memory_type(&memory))
        }
        TypeRef::Global(global) => {
            module.globals.push(global_type(&global)?);
            module.counts.globals += 1;
            ImportType::Global(global_type(&global)?)
        }
        TypeRef::Tag(_) | TypeRef::FuncExact(_) => return Err(unexpected("kind of import")),
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
        ExternalKind::Tag | ExternalKind::FuncExact => Err(unexpected("kind of export")),
    }
}

/// The value type of ours that is `ty`.
pub(crate) fn val_type(ty: wasmparser::ValType) -> Result<ValType, CompileError> {
    match ty {
        wasmparser::ValType::I32 => Ok(ValType::I32),
        wasmparser::ValType::I64 => Ok(ValType::I64),
        wasmparser::ValType::F32 => Ok(ValType::F32),
        wasmparser::ValType::F64 => Ok(ValType::F64),
        wasmparser::ValType::V128 => Ok(ValType::V128),
        wasmparser::ValType::Ref(ty) if ty == RefType::FUNCREF => Ok(ValType::FuncRef),
        wasmparser::ValType::Ref(ty) if ty == RefType::EXTERNREF => Ok(ValType::ExternRef),
        wasmparser::ValType::Ref(_) => Err(unexpected("reference type")),
    }
}

fn func_type(ty: &wasmparser::FuncType) -> Result<FuncType, CompileError> {
    let list = |types: &[wasmparser::ValType]| -> Result<Vec<ValType>, CompileError> {
        types.iter().map(|ty| val_type(*ty)).collect()
    };
    Ok(FuncType::new(list(ty.params())?, list(ty.results())?))
}

fn table_type(table: &wasmparser::TableType) -> Result<Table, CompileError> {
    Ok(Table {
        ty: val_type(table.element_type.into())?,
        limits: Limits { minimum: table.initial, maximum: table.maximum, index64: table.table64 },
    })
}

fn memory_type(memory: &wasmparser::MemoryType) -> Memory {
    let limits =
        Limits { minimum: memory.initial, maximum: memory.maximum, index64: memory.memory64 };
    Memory { limits, shared: memory.shared }
}

fn global_type(global: &wasmparser::GlobalType) -> Result<GlobalType, CompileError> {
    Ok(GlobalType { ty: val_type(global.content_type)?, mutable: global.mutable })
}

fn constant(expr: &ConstExpr<'_>) -> Result<Const, CompileError> {
    let value = match expr.get_operators_reader().read()? {
        Operator::I32Const { value } => Const::I32(value),
        Operator::I64Const { value } => Const::I64(value),
        Operator::F32Const { value } => Const::F32(value.bits()),
        Operator::F64Const { value } => Const::F64(value.bits()),
        Operator::RefNull { .. } => Const::RefNull,
        Operator::RefFunc { function_index } => Const::RefFunc(function_index),
        Operator::GlobalGet { global_index } => Const::GlobalGet(global_index),
        _ => return Err(unexpected("constant expression")),
    };
    Ok(value)
}

fn element_segment(element: &wasmparser::Element<'_>) -> Result<ElementSegment, CompileError> {
    let mode = match &element.kind {
        ElementKind::Passive => SegmentMode::Passive,
        ElementKind::Declared => SegmentMode::Declared,
        ElementKind::Active { table_index, offset_expr } => {
            SegmentMode::Active { target: table_index.unwrap_or(0), offset: constant(offset_expr)? }
        }
    };
    let mut items = Vec::new();
    let ty = match &element.items {
        ElementItems::Functions(functions) => {
            for function in functions.clone() {
                items.push(Const::RefFunc(function?));
            }
            ValType::FuncRef
        }
        ElementItems::Expressions(ty, expressions) => {
            for expression in expressions.clone() {
                items.push(constant(&expression?)?);
            }
            val_type((*ty).into())?
        }
    };
    Ok(ElementSegment { mode, ty, items })
}

fn data_segment<'a>(segment: &wasmparser::Data<'a>) -> Result<DataSegment<'a>, CompileError> {
    let mode = match &segment.kind {
        DataKind::Passive => SegmentMode::Passive,
        DataKind::Active { memory_index, offset_expr } => {
            SegmentMode::Active { target: *memory_index, offset: constant(offset_expr)? }
        }
    };
    Ok(DataSegment { mode, bytes: segment.data })
}

/// An error for what validation lets through only if a proposal is accepted that this file does
/// not know.
fn unexpected(what: &str) -> CompileError {
    CompileError::Internal(format!("a validated module has an unexpected {what}"))
}
