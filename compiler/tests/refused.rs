//! What is not supported is refused by name; what is invalid is refused with its place.

use wfaas_abi::cpu::CpuFeatures;
use wfaas_compiler::{CompileError, Options, compile};

fn error(module: &str) -> CompileError {
    compile(module.as_bytes(), &Options::default()).map(|_| ()).unwrap_err()
}

#[test]
fn proposals_are_refused_by_name() {
    let mut wrong = Vec::new();
    for (module, proposal) in [
        ("(func (drop (i32x4.splat (i32.const 1))))", "SIMD"),
        ("(func (param v128))", "SIMD"),
        ("(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))", "SIMD"),
        ("(func $f (return_call $f))", "the tail-call proposal"),
        ("(tag)", "exception handling"),
        ("(func (throw_ref (unreachable)))", "exception handling"),
        ("(global i32 (i32.add (i32.const 1) (i32.const 2)))", "the extended-const proposal"),
        ("(type (struct))", "garbage collection"),
        ("(type $f (func)) (func (param (ref $f)))", "the function-references proposal"),
        ("(memory 1 (pagesize 1))", "the custom-page-sizes proposal"),
        (
            "(func (drop (drop (i64.add128 (i64.const 1) (i64.const 1) (i64.const 1) (i64.const 1)))))",
            "wide arithmetic",
        ),
    ] {
        match error(&format!("(module {module})")) {
            CompileError::Unsupported { proposal: found, offset } => {
                if found != proposal || offset == 0 {
                    wrong.push(format!("{module}: {found} at {offset}"));
                }
            }
            other => wrong.push(format!("{module}: {other}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    match error("(component)") {
        CompileError::Unsupported { proposal, .. } => assert_eq!(proposal, "the component model"),
        other => panic!("{other}"),
    }
}

#[test]
fn messages_name_the_place() {
    let text = error("(module (func (drop (i32x4.splat (i32.const 1)))))").to_string();
    // Magic and version are 8 bytes, the type section 6, the function section 4, the head of the
    // code section 3, of the body 2, the constant 2.
    assert_eq!(text, "SIMD is not supported yet (at offset 0x19)");
    let text = error("(module (func (result i32)))").to_string();
    assert!(text.starts_with("invalid module: type mismatch"), "{text}");
    assert!(text.ends_with("(at offset 0x18)"), "{text}");
}

#[test]
fn other_files_are_refused() {
    for input in [&b"\x7fELF\x02\x01"[..], b"", b"hello", &[0xff, 0xfe]] {
        let error = compile(input, &Options::default()).unwrap_err();
        assert!(matches!(error, CompileError::Text(_)), "{error}");
    }
}

#[test]
fn a_cpu_without_rounding_instructions_is_refused() {
    let cpu = CpuFeatures(CpuFeatures::X86_64_V3.0 & !(1 << 2));
    let error = compile(b"(module)", &Options { cpu, ..Options::default() }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the CPU features lack sse4.1, which generated code needs; use x86-64-v2 or newer"
    );
}

#[test]
fn every_known_cpu_compiles_all_float_operators() {
    let module = b"(module (func (param f32 f64) (result f64)
        (f64.add (f64.promote_f32 (f32.nearest (f32.ceil (local.get 0))))
                 (f64.floor (f64.trunc (local.get 1))))))";
    for cpu in ["x86-64-v2", "x86-64-v3", "x86-64-v3+avx512f+avx512vl+avx512dq"] {
        let cpu = wfaas_compiler::parse_cpu(cpu).unwrap();
        let options = Options { cpu, ..Options::default() };
        let compiled = compile(module, &options).unwrap();
        let artifact = wfaas_abi::Artifact::parse(&compiled.artifact).unwrap();
        assert_eq!(artifact.cpu_features(), cpu);
    }
}

#[test]
fn a_memory_that_no_slot_has_room_for_is_refused() {
    let text = error("(module (memory i64 0x10001))").to_string();
    assert_eq!(
        text,
        "module too large: the minimum of a memory in WebAssembly pages is 65537, the limit is 65536"
    );
    let text = error("(module (table i64 0xffffffffffffffff funcref))").to_string();
    assert!(text.starts_with("tables, globals and segments need"), "{text}");
    for fits in ["(memory i64 1 0x1000000000000)", "(table i64 1 0xffffffffffffffff funcref)"] {
        compile(format!("(module {fits})").as_bytes(), &Options::default()).expect(fits);
    }
}
