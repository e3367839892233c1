//! Everything about a module that is not code, as the records of an artifact.

use crate::Effort;
use crate::artifact::elf;
use crate::artifact::image::{Initial, Step};
use crate::artifact::link::{Linked, Piece};
use crate::continuation::Plan;
use crate::front::index::{DefinedFunc, FuncIndex};
use crate::front::layout::Layout;
use crate::front::module::{Const, Expr, ImportType, Limits, Memory, Module};
use crate::front::names;
use crate::symbol::Symbol;
use cranelift_codegen::entity::PrimaryMap;
use wfaas_abi::artifact::records::*;
use wfaas_abi::artifact::{SectionId, Sections};
use wfaas_abi::{FuncType, ValType, memories};
use zerocopy::little_endian::{U32, U64};

/// Fills all sections; with the symbol table, in the order of the text.
pub(crate) fn sections(
    module: &Module<'_>,
    layout: &Layout,
    linked: &Linked,
    initial: &Initial,
    bodies: &PrimaryMap<DefinedFunc, u32>,
    plan: Option<&Plan>,
) -> (Sections, Vec<elf::Symbol>) {
    let names = names::of_functions(module);
    let mut sections = Sections::default();
    sections.set(SectionId::Text, linked.text.clone());
    functions(&mut sections, module, linked, bodies, &names);
    types(&mut sections, module, linked);
    imports(&mut sections, module);
    exports(&mut sections, module, plan);
    if let Some(plan) = plan {
        continuation(&mut sections, linked, plan);
    }
    globals(&mut sections, module, layout);
    tables(&mut sections, module, layout);
    memories(&mut sections, module, layout);
    tags(&mut sections, module);
    for step in &initial.steps {
        init_step(&mut sections, step);
    }
    elements(&mut sections, module, initial);
    data(&mut sections, module, initial);
    sections.push(SectionId::Handlers, &linked.handlers);
    sections.push(SectionId::StackMaps, &linked.stack_maps);
    sections.push(SectionId::SiteBlocks, linked.sites.blocks());
    sections.push(SectionId::Sites, linked.sites.bytes());
    sections.set_image(&initial.image);
    let symbols = symbols(&mut sections, module, linked, &names);
    (sections, symbols)
}

fn symbols(
    sections: &mut Sections,
    module: &Module<'_>,
    linked: &Linked,
    names: &PrimaryMap<FuncIndex, Option<String>>,
) -> Vec<elf::Symbol> {
    let pieces = linked.pieces.iter();
    let symbols = pieces.map(|piece| elf::Symbol {
        name: sections.string(&piece.symbol.name(module, names)).start.get(),
        offset: piece.offset,
        size: piece.size,
    });
    symbols.collect()
}

fn functions(
    sections: &mut Sections,
    module: &Module<'_>,
    linked: &Linked,
    bodies: &PrimaryMap<DefinedFunc, u32>,
    names: &PrimaryMap<FuncIndex, Option<String>>,
) {
    // Functions come first in the text, in the order of the index space.
    for ((index, ty), piece) in module.funcs.iter().zip(&linked.pieces) {
        let body = module.defined_func(index).map(|defined| bodies[defined]);
        let record = FunctionRecord {
            text_offset: piece.offset.into(),
            text_size: piece.size.into(),
            type_index: ty.as_u32().into(),
            wasm_offset: body.unwrap_or(NONE).into(),
            name: sections.string(names[index].as_deref().unwrap_or_default()),
        };
        sections.push(SectionId::Functions, &[record]);
    }
}

/// The function that continues a program, behind all others: its code, and all twins.
fn continuation(sections: &mut Sections, linked: &Linked, plan: &Plan) {
    let is_part = |piece: &&Piece| matches!(piece.symbol, Symbol::Continue(_) | Symbol::Twin(_));
    let mut pieces = linked.pieces.iter().filter(is_part);
    let Some(first) = pieces.next() else { return };
    let last = pieces.next_back().unwrap_or(first);
    let record = FunctionRecord {
        text_offset: first.offset.into(),
        text_size: (last.offset + last.size - first.offset).into(),
        type_index: plan.ty.as_u32().into(),
        wasm_offset: CONTINUED.into(),
        name: sections.string(&plan.export),
    };
    sections.push(SectionId::Functions, &[record]);
    let twin = |piece: &Piece| match piece.symbol {
        Symbol::Twin(function) if plan.twins.contains_key(&function) => Some(TwinRecord {
            function: function.as_u32().into(),
            allocator: (allocator(piece.effort) as u32).into(),
        }),
        _ => None,
    };
    let twins: Vec<TwinRecord> = linked.pieces.iter().filter_map(twin).collect();
    sections.push(SectionId::Twins, &twins);
}

fn allocator(effort: Effort) -> Allocator {
    match effort {
        Effort::Usual | Effort::Unmapped => Allocator::Backtracking,
        Effort::Linear | Effort::Least => Allocator::SinglePass,
        Effort::Frame => Allocator::Frame,
    }
}

fn types(sections: &mut Sections, module: &Module<'_>, linked: &Linked) {
    for (index, ty) in module.types.iter() {
        let trampoline = linked.offset(Symbol::Trampoline(module.first_equal[index]));
        let record = TypeRecord {
            params: val_types(sections, module, ty.params()),
            results: val_types(sections, module, ty.results()),
            hash: FuncType::hash(ty).0,
            id: module.type_id(index).into(),
            trampoline: trampoline.unwrap_or(NONE).into(),
        };
        sections.push(SectionId::Types, &[record]);
    }
}

fn val_types(sections: &mut Sections, module: &Module<'_>, types: &[ValType]) -> Range {
    let codes: Vec<U32> = types.iter().map(|ty| module.type_code(*ty).into()).collect();
    sections.push(SectionId::ValTypes, &codes)
}

fn imports(sections: &mut Sections, module: &Module<'_>) {
    for import in &module.imports {
        let record = ImportRecord {
            module: sections.string(import.module),
            name: sections.string(import.name),
            ty: extern_type(module, import.ty),
        };
        sections.push(SectionId::Imports, &[record]);
    }
}

/// The export that continues a program names the function behind the module's own.
fn exports(sections: &mut Sections, module: &Module<'_>, plan: Option<&Plan>) {
    for export in &module.exports {
        let continues = plan.is_some_and(|plan| plan.continues(export));
        let index = if continues { module.funcs.len() as u32 } else { export.index };
        let record = ExportRecord {
            name: sections.string(export.name),
            kind: (export.kind as u32).into(),
            index: index.into(),
        };
        sections.push(SectionId::Exports, &[record]);
    }
}

fn extern_type(module: &Module<'_>, ty: ImportType) -> ExternType {
    match ty {
        ImportType::Func(ty) => ExternType {
            kind: (ExternKind::Func as u32).into(),
            ty: ty.as_u32().into(),
            ..ExternType::default()
        },
        ImportType::Table(table) => ExternType {
            kind: (ExternKind::Table as u32).into(),
            ty: module.type_code(table.ty).into(),
            minimum: table.limits.minimum.into(),
            maximum: maximum(table.limits).into(),
            limits: limit_bits(table.limits).into(),
            ..ExternType::default()
        },
        ImportType::Memory(memory) => ExternType {
            kind: (ExternKind::Memory as u32).into(),
            minimum: memory.limits.minimum.into(),
            maximum: maximum(memory.limits).into(),
            limits: memory_bits(memory).into(),
            ..ExternType::default()
        },
        ImportType::Global(global) => ExternType {
            kind: (ExternKind::Global as u32).into(),
            ty: module.type_code(global.ty).into(),
            mutable: u32::from(global.mutable).into(),
            ..ExternType::default()
        },
        ImportType::Tag(ty) => ExternType {
            kind: (ExternKind::Tag as u32).into(),
            ty: ty.as_u32().into(),
            ..ExternType::default()
        },
    }
}

fn maximum(limits: Limits) -> u64 {
    limits.maximum.unwrap_or(NO_MAXIMUM)
}

fn limit_bits(limits: Limits) -> u32 {
    if limits.index64 { limits::INDEX64 } else { 0 }
}

fn memory_bits(memory: Memory) -> u32 {
    limit_bits(memory.limits) | if memory.shared { limits::SHARED } else { 0 }
}

fn globals(sections: &mut Sections, module: &Module<'_>, layout: &Layout) {
    let defined = &module.globals.as_values_slice()[module.counts.globals as usize..];
    for (global, offset) in defined.iter().zip(&layout.state.globals) {
        let record = GlobalRecord {
            ty: module.type_code(global.ty).into(),
            mutable: u32::from(global.mutable).into(),
            offset: (*offset).into(),
            ..GlobalRecord::default()
        };
        sections.push(SectionId::Globals, &[record]);
    }
}

fn tables(sections: &mut Sections, module: &Module<'_>, layout: &Layout) {
    for index in module.table_values.keys() {
        let table = module.table(index);
        let record = TableRecord {
            ty: module.type_code(table.ty).into(),
            size_offset: layout.table_size(index).into(),
            elements_offset: layout.table_elements(index).into(),
            minimum: table.limits.minimum.into(),
            maximum: maximum(table.limits).into(),
            capacity: table.capacity().into(),
            limits: limit_bits(table.limits).into(),
        };
        sections.push(SectionId::Tables, &[record]);
    }
}

fn memories(sections: &mut Sections, module: &Module<'_>, layout: &Layout) {
    for memory in module.defined_memories() {
        let record = MemoryRecord {
            minimum: memory.limits.minimum.into(),
            maximum: maximum(memory.limits).into(),
            limits: memory_bits(*memory).into(),
            ..MemoryRecord::default()
        };
        sections.push(SectionId::Memories, &[record]);
    }
    let mut sizes = vec![U64::ZERO; memories::place_count(layout.places.as_values_slice())];
    for (memory, place) in module.defined_memories().iter().zip(layout.places.values()) {
        sizes[*place] = memory.limits.minimum.into();
    }
    sections.push(SectionId::MemorySizes, &sizes);
    sections.push(SectionId::ProfileSizes, &vec![U64::ZERO; sizes.len()]);
}

fn tags(sections: &mut Sections, module: &Module<'_>) {
    for ty in module.tags.values().skip(module.counts.tags as usize) {
        sections.push(SectionId::Tags, &[TagRecord { ty: ty.as_u32().into() }]);
    }
}

fn init_step(sections: &mut Sections, step: &Step) {
    let expr = const_ops(sections, &step.value);
    let record = InitStep {
        kind: (step.kind as u32).into(),
        target: step.target.into(),
        segment: step.segment.into(),
        expr,
        ..InitStep::default()
    };
    sections.push(SectionId::InitSteps, &[record]);
}

fn elements(sections: &mut Sections, module: &Module<'_>, initial: &Initial) {
    for (segment, keep) in module.elements.values().zip(up_to_the_last(&initial.keep_elements)) {
        let items: &[Expr] = if *keep { &segment.items } else { &[] };
        // Operations that make references are whole expressions by themselves.
        let items = items.iter().flat_map(Expr::operations);
        let items: Vec<ConstOp> = items.map(|item| const_op(*item)).collect();
        let items = sections.push(SectionId::ConstOps, &items);
        let record = ElemSegment { items, ty: module.type_code(segment.ty).into() };
        sections.push(SectionId::ElemSegments, &[record]);
    }
}

/// The segments up to the last that is kept.
fn up_to_the_last(keep: &[bool]) -> &[bool] {
    let end = keep.iter().rposition(|keep| *keep).map_or(0, |last| last + 1);
    &keep[..end]
}

fn data(sections: &mut Sections, module: &Module<'_>, initial: &Initial) {
    for (segment, keep) in module.data.values().zip(up_to_the_last(&initial.keep_data)) {
        let bytes = sections.push(SectionId::Data, if *keep { segment.bytes } else { &[] });
        sections.push(SectionId::DataSegments, &[DataSegment { bytes }]);
    }
}

fn const_ops(sections: &mut Sections, expr: &Expr) -> Range {
    let operations: Vec<ConstOp> = expr.operations().iter().map(|op| const_op(*op)).collect();
    sections.push(SectionId::ConstOps, &operations)
}

fn const_op(value: Const) -> ConstOp {
    let (opcode, bits) = match value {
        Const::I32(value) => (ConstOpcode::I32Const, u128::from(value.cast_unsigned())),
        Const::I64(value) => (ConstOpcode::I64Const, u128::from(value.cast_unsigned())),
        Const::F32(bits) => (ConstOpcode::F32Const, u128::from(bits)),
        Const::F64(bits) => (ConstOpcode::F64Const, u128::from(bits)),
        Const::V128(bits) => (ConstOpcode::V128Const, bits),
        Const::RefNull => (ConstOpcode::RefNull, 0),
        Const::RefFunc(index) => (ConstOpcode::RefFunc, u128::from(index.as_u32())),
        Const::GlobalGet(index) => (ConstOpcode::GlobalGet, u128::from(index.as_u32())),
        Const::Calculate(opcode) => (opcode, 0),
    };
    ConstOp {
        opcode: (opcode as u32).into(),
        low: (bits as u64).into(),
        high: ((bits >> 64) as u64).into(),
        ..ConstOp::default()
    }
}
