//! Modules that no text can spell: well-formed sections with contents that may make no sense.
//! Each gives an error or a valid artifact, and never a panic.

use proptest::prelude::*;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    Instruction, MemorySection, MemoryType, Module, RefType, StartSection, TableSection, TableType,
    TypeSection, ValType,
};
use wfaas_abi::Artifact;
use wfaas_compiler::compile;

fn val_type() -> impl Strategy<Value = ValType> {
    prop::sample::select(vec![
        ValType::I32,
        ValType::I64,
        ValType::F32,
        ValType::F64,
        ValType::FUNCREF,
        ValType::EXTERNREF,
    ])
}

fn instruction() -> impl Strategy<Value = Instruction<'static>> {
    prop_oneof![
        any::<i32>().prop_map(Instruction::I32Const),
        (0..6u32).prop_map(Instruction::LocalGet),
        (0..6u32).prop_map(Instruction::LocalSet),
        (0..4u32).prop_map(Instruction::GlobalGet),
        (0..6u32).prop_map(Instruction::Call),
        (0..4u32).prop_map(Instruction::RefFunc),
        (0..3u32).prop_map(Instruction::TableGet),
        (0..3u32).prop_map(Instruction::TableSize),
        (0..3u32, 0..3u32)
            .prop_map(|(table, elem)| Instruction::TableInit { table, elem_index: elem }),
        (0..3u32).prop_map(Instruction::DataDrop),
        (0..3u32).prop_map(Instruction::Br),
        Just(Instruction::I32Add),
        Just(Instruction::I64DivS),
        Just(Instruction::Drop),
        Just(Instruction::Unreachable),
        Just(Instruction::Return),
        Just(Instruction::Select),
    ]
}

#[derive(Debug, Clone)]
struct Shape {
    types: Vec<(Vec<ValType>, Vec<ValType>)>,
    imports: Vec<u32>,
    functions: Vec<(u32, Vec<Instruction<'static>>)>,
    memory: Option<(u64, Option<u64>)>,
    table: Option<(u64, Option<u64>)>,
    global: Option<(ValType, bool, i32)>,
    exports: Vec<(u8, u32)>,
    start: Option<u32>,
    data_at: Option<i32>,
    elem_at: Option<(i32, Vec<u32>)>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let types = (prop::collection::vec(val_type(), 0..3), prop::collection::vec(val_type(), 0..3));
    let limits = || prop::option::of((0..100_000u64, prop::option::of(0..100_000u64)));
    let function = (0..4u32, prop::collection::vec(instruction(), 0..12));
    (
        prop::collection::vec(types, 0..4),
        prop::collection::vec(0..4u32, 0..3),
        prop::collection::vec(function, 0..4),
        (limits(), limits()),
        prop::option::of((val_type(), any::<bool>(), any::<i32>())),
        prop::collection::vec((0..4u8, 0..5u32), 0..3),
        prop::option::of(0..5u32),
        prop::option::of(any::<i32>()),
        prop::option::of((any::<i32>(), prop::collection::vec(0..6u32, 0..4))),
    )
        .prop_map(
            |(
                types,
                imports,
                functions,
                (memory, table),
                global,
                exports,
                start,
                data_at,
                elem_at,
            )| {
                Shape {
                    types,
                    imports,
                    functions,
                    memory,
                    table,
                    global,
                    exports,
                    start,
                    data_at,
                    elem_at,
                }
            },
        )
}

fn encode(shape: &Shape) -> Vec<u8> {
    let (mut types, mut imports, mut functions) =
        (TypeSection::new(), ImportSection::new(), FunctionSection::new());
    for (params, results) in &shape.types {
        types.ty().function(params.iter().copied(), results.iter().copied());
    }
    for ty in &shape.imports {
        imports.import("env", "f", EntityType::Function(*ty));
    }
    for (ty, _) in &shape.functions {
        functions.function(*ty);
    }
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    declare(&mut module, shape);
    define(&mut module, shape);
    module.finish()
}

/// Adds table, memory, global, exports and start function.
fn declare(module: &mut Module, shape: &Shape) {
    if let Some((minimum, maximum)) = shape.table {
        let mut tables = TableSection::new();
        let element_type = RefType::FUNCREF;
        tables.table(TableType { element_type, minimum, maximum, table64: false, shared: false });
        module.section(&tables);
    }
    if let Some((minimum, maximum)) = shape.memory {
        let mut memories = MemorySection::new();
        let page_size_log2 = None;
        memories.memory(MemoryType {
            minimum,
            maximum,
            memory64: false,
            shared: false,
            page_size_log2,
        });
        module.section(&memories);
    }
    if let Some((val_type, mutable, value)) = shape.global {
        let mut globals = GlobalSection::new();
        let ty = GlobalType { val_type, mutable, shared: false };
        globals.global(ty, &ConstExpr::i32_const(value));
        module.section(&globals);
    }
    let mut exports = ExportSection::new();
    let kinds = [ExportKind::Func, ExportKind::Table, ExportKind::Memory, ExportKind::Global];
    for (number, (kind, index)) in shape.exports.iter().enumerate() {
        exports.export(&format!("e{number}"), kinds[usize::from(*kind)], *index);
    }
    module.section(&exports);
    if let Some(function_index) = shape.start {
        module.section(&StartSection { function_index });
    }
}

/// Adds elements, code and data.
fn define(module: &mut Module, shape: &Shape) {
    if let Some((at, items)) = &shape.elem_at {
        let mut elements = ElementSection::new();
        elements.active(
            None,
            &ConstExpr::i32_const(*at),
            Elements::Functions(items.as_slice().into()),
        );
        module.section(&elements);
    }
    let mut code = CodeSection::new();
    for (_, body) in &shape.functions {
        let mut function = Function::new([(2, ValType::I32)]);
        for instruction in body {
            function.instruction(instruction);
        }
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    module.section(&code);
    if let Some(at) = shape.data_at {
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(at), *b"data");
        module.section(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_module_is_compiled_or_refused(shape in shape()) {
        if let Ok(compiled) = compile(&encode(&shape), &Default::default()) {
            let artifact = Artifact::parse(&compiled.artifact).unwrap();
            artifact.verify().unwrap();
            prop_assert_eq!(artifact.exports().len(), shape.exports.len());
            prop_assert_eq!(artifact.imports().len(), shape.imports.len());
        }
    }
}

#[test]
fn some_of_them_are_valid() {
    let shape = Shape {
        types: vec![(vec![], vec![])],
        imports: vec![0],
        functions: vec![(0, vec![Instruction::Call(0)])],
        memory: Some((1, Some(2))),
        table: Some((3, None)),
        global: Some((ValType::I32, true, 5)),
        exports: vec![(0, 1), (2, 0)],
        start: None,
        data_at: Some(-4),
        elem_at: Some((1, vec![0, 1])),
    };
    compile(&encode(&shape), &Default::default()).unwrap();
}
