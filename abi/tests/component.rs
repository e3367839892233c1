//! The bindings of components: bytes and back, sizes of types, damaged bytes.

use wfaas_abi::component::*;

/// One of everything.
fn bindings() -> Bindings {
    let name = |name: &str| name.to_owned();
    let (byte, text) = (TypeIndex(0), TypeIndex(1));
    let field = |name: &str, ty| Field { name: name.to_owned(), ty };
    let types = vec![
        Type::U8,
        Type::String,
        Type::List(byte),
        Type::Record(vec![field("a", byte), field("b", text)]),
        Type::Tuple(vec![byte, byte]),
        Type::Variant(vec![
            Case { name: name("none"), ty: None },
            Case { name: name("some"), ty: Some(text) },
        ]),
        Type::Enum(vec![name("x"), name("y")]),
        Type::Option(text),
        Type::Result { ok: None, err: Some(byte) },
        Type::Flags(vec![name("read"), name("write")]),
        Type::Own(ResourceIndex(0)),
        Type::Borrow(ResourceIndex(1)),
        Type::FixedList(byte, 4),
        Type::Stream(None),
        Type::Future(Some(text)),
    ];
    let params = vec![Param { name: name("self"), ty: TypeIndex(11) }];
    let functions = vec![Function { params, result: Some(TypeIndex(8)), is_async: false }];
    let resources = vec![
        Resource::Imported { interface: name("wasi:io/streams@0.2.6"), name: name("input-stream") },
        Resource::Defined { destructor: Some(name("dtor")) },
        Resource::Defined { destructor: None },
    ];
    let interface = name("wasi:io/streams@0.2.6");
    let lowered = ImportKind::Lowered {
        name: FunctionName { interface: interface.clone(), name: name("read") },
        ty: FunctionIndex(0),
        encoding: StringEncoding::Latin1OrUtf16,
        realloc: true,
        is_async: false,
    };
    let import = |field: &str, kind| Import {
        module: interface.clone(),
        field: name(field),
        kind,
        memory: 2,
    };
    let imports = vec![
        import("read", lowered),
        import("next", ImportKind::ReallocNext),
        import("new", ImportKind::ResourceNew(ResourceIndex(1))),
        import("rep", ImportKind::ResourceRep(ResourceIndex(1))),
        import("drop", ImportKind::ResourceDrop(ResourceIndex(0))),
    ];
    let imports = imports.into_iter().chain(builtins()).collect();
    let exports = vec![Export {
        name: FunctionName { interface: name("wasi:cli/run@0.2.6"), name: name("run") },
        ty: FunctionIndex(0),
        core: name("wasi:cli/run@0.2.6#run"),
        encoding: StringEncoding::Utf8,
        realloc: Some(name("realloc")),
        post_return: None,
        callback: None,
    }];
    let realloc = Some(name("realloc"));
    Bindings { types, functions, resources, imports, exports, realloc }
}

/// Each of the built-ins.
fn builtins() -> impl Iterator<Item = Import> {
    let (ty, encoding) = (FunctionIndex(0), StringEncoding::Utf16);
    let operations = [
        CopyOperation::New,
        CopyOperation::Read,
        CopyOperation::Write,
        CopyOperation::CancelRead,
        CopyOperation::CancelWrite,
        CopyOperation::DropReadable,
        CopyOperation::DropWritable,
    ];
    let copies = (13..).zip(operations).map(move |(ty, operation)| {
        let ty = TypeIndex(13 + ty % 2);
        let (allocates, is_async) = (operation == CopyOperation::Read, ty.0 == 13);
        Builtin::Copy(CopyBuiltin { operation, ty, encoding, allocates, is_async })
    });
    let plain = [
        Builtin::TaskReturn { ty, encoding },
        Builtin::TaskCancel,
        Builtin::ContextGet(1),
        Builtin::ContextSet(0),
        Builtin::BackpressureInc,
        Builtin::BackpressureDec,
        Builtin::ThreadYield,
        Builtin::SubtaskCancel,
        Builtin::SubtaskDrop,
        Builtin::WaitableSetNew,
        Builtin::WaitableSetWait { allocates: true },
        Builtin::WaitableSetPoll { allocates: false },
        Builtin::WaitableSetDrop,
        Builtin::WaitableJoin,
    ];
    plain.into_iter().chain(copies).enumerate().map(|(number, builtin)| Import {
        module: "canon".to_owned(),
        field: number.to_string(),
        kind: ImportKind::Builtin(builtin),
        memory: 0,
    })
}

#[test]
fn bindings_survive_their_bytes() {
    let bindings = bindings();
    let bytes = bindings.encode().unwrap();
    assert_eq!(Bindings::parse(&bytes).unwrap(), bindings);
    assert!(bytes.starts_with(b"WFAASCO\0\x03\0\0\0\x0f\0\0\0"));
}

#[test]
fn damaged_bytes_are_refused_or_other_bindings() {
    let bytes = bindings().encode().unwrap();
    for at in 0..bytes.len() {
        assert!(Bindings::parse(&bytes[..at]).is_err(), "truncated at {at}");
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            if let Ok(other) = Bindings::parse(&damaged) {
                assert_eq!(Bindings::parse(&other.encode().unwrap()).unwrap(), other);
            }
        }
    }
}

#[test]
fn an_export_is_found_by_its_version() {
    let bindings = bindings();
    for interface in ["wasi:cli/run@0.2", "wasi:cli/run@0.2.6"] {
        assert!(bindings.export(interface, "run").is_some(), "{interface}");
    }
    for interface in ["wasi:cli/run@0.3", "wasi:cli/run@0.2.", "wasi:cli/ru", "wasi:cli/run@0.2.61"]
    {
        assert!(bindings.export(interface, "run").is_none(), "{interface}");
    }
}

/// Sizes by the formulas of `CanonicalABI.md`, calculated by hand.
#[test]
fn sizes_are_those_of_the_canonical_abi() {
    let names = |count: usize| (0..count).map(|name| name.to_string()).collect::<Vec<_>>();
    let [u8, u16, u64, text] = [0, 1, 2, 3].map(TypeIndex);
    let field = |ty| Field { name: String::new(), ty };
    let case = |ty| Case { name: String::new(), ty };
    // (type, size, align, flat, payload)
    let cases = [
        (Type::Record(vec![field(u8), field(u64), field(u16)]), 24, 8, 3, 0),
        (Type::Tuple(vec![u8, u8, u16]), 4, 2, 3, 0),
        (Type::Option(u8), 2, 1, 2, 1),
        (Type::Option(u64), 16, 8, 2, 8),
        (Type::Result { ok: None, err: None }, 1, 1, 1, 1),
        (Type::Result { ok: Some(u16), err: Some(text) }, 12, 4, 3, 4),
        (Type::Variant(vec![case(Some(text)), case(None), case(Some(u64))]), 16, 8, 3, 8),
        (Type::Enum(names(256)), 1, 1, 1, 1),
        (Type::Enum(names(257)), 2, 2, 1, 2),
        (Type::Flags(names(8)), 1, 1, 1, 0),
        (Type::Flags(names(9)), 2, 2, 1, 0),
        (Type::Flags(names(17)), 4, 4, 1, 0),
        (Type::FixedList(u16, 3), 6, 2, 3, 0),
        (Type::List(u64), 8, 4, 2, 0),
    ];
    for (ty, size, align, flat, payload) in cases {
        let layouts = layouts(&[Type::U8, Type::U16, Type::U64, Type::String, ty.clone()]).unwrap();
        let found = layouts[4];
        assert_eq!(found, Layout { size, align, flat, payload, depth: found.depth }, "{ty:?}");
    }
}

#[test]
fn types_that_grow_with_every_level_are_refused() {
    let doubled = |levels: u32| {
        let tuple = |level| Type::Tuple(vec![TypeIndex(level), TypeIndex(level)]);
        [Type::U8].into_iter().chain((0..levels).map(tuple)).collect::<Vec<_>>()
    };
    assert!(layouts(&doubled(16)).is_some());
    assert!(layouts(&doubled(17)).is_none());
    let options = |levels: u32| {
        let option = |level| Type::Option(TypeIndex(level));
        [Type::U8].into_iter().chain((0..levels).map(option)).collect::<Vec<_>>()
    };
    assert!(layouts(&options(99)).is_some());
    assert!(layouts(&options(100)).is_none());
    assert!(layouts(&[Type::List(TypeIndex(0))]).is_none(), "a type of itself");
    assert!(layouts(&[Type::Flags(vec![String::new(); 33])]).is_none());
}

#[test]
fn names_count_each_time_they_are_used() {
    let long = "x".repeat(1 << 20);
    let params = vec![Param { name: long, ty: TypeIndex(0) }; 17];
    let function = Function { params, result: None, is_async: false };
    let bindings =
        Bindings { types: vec![Type::U8], functions: vec![function], ..Bindings::default() };
    assert!(bindings.encode().is_err());
}

#[test]
fn functions_are_shown_as_wit_writes_them() {
    let bindings = bindings();
    let shown = bindings.text(&bindings.functions[0]).to_string();
    assert_eq!(shown, "func(self: borrow<resource>) -> result<_, u8>");
    let params =
        [3, 4, 5, 6, 9, 10, 12].map(TypeIndex).map(|ty| Param { name: "p".to_owned(), ty });
    let all = Function { params: params.to_vec(), result: None, is_async: false };
    assert_eq!(
        bindings.text(&all).to_string(),
        "func(p: record { a: u8, b: string }, p: tuple<u8, u8>, p: variant { none, some: string }, \
         p: enum { x, y }, p: flags { read, write }, p: input-stream, p: list<u8, 4>)"
    );
}
