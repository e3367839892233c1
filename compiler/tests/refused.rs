//! Refusals: unsupported parts of a module by name, invalid ones with their place.

use wfaas_abi::cpu::CpuFeatures;
use wfaas_compiler::{CompileError, Options, Proposals, compile};

fn error(module: &str) -> CompileError {
    compile(module.as_bytes(), &Options::default()).map(|_| ()).unwrap_err()
}

#[test]
fn proposals_are_refused_by_name() {
    let mut wrong = Vec::new();
    for (module, proposal) in [
        ("(type (struct))", "garbage collection"),
        ("(type $f (sub (func))) (type (sub $f (func)))", "garbage collection"),
        ("(func (param anyref))", "garbage collection"),
        ("(func (local i31ref))", "garbage collection"),
        ("(func (block (result anyref) unreachable) drop)", "garbage collection"),
        ("(global (ref null any) (ref.null any))", "garbage collection"),
        ("(table 1 eqref)", "garbage collection"),
        ("(func (drop (ref.i31 (i32.const 1))))", "garbage collection"),
        ("(memory 1 (pagesize 1))", "the custom-page-sizes proposal"),
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
fn disabled_proposals_are_refused_by_name() {
    for (name, module) in [
        ("sign-extension-ops", "(func (drop (i32.extend8_s (i32.const 1))))"),
        (
            "nontrapping-float-to-int-conversions",
            "(func (drop (i32.trunc_sat_f32_s (f32.const 1))))",
        ),
        ("multi-value", "(func (result i32 i32) unreachable)"),
        (
            "bulk-memory",
            "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
        ),
        ("reference-types", "(func (drop (ref.null func)))"),
        ("reference-types", "(table 1 funcref) (table 1 funcref)"),
        ("simd", "(func (drop (i32x4.splat (i32.const 1))))"),
        (
            "relaxed-simd",
            "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
        ),
        ("tail-call", "(func $f (return_call $f))"),
        ("extended-const", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
        ("function-references", "(type $f (func)) (func (param (ref $f)))"),
        ("function-references", "(type (sub (func)))"),
        ("exceptions", "(tag)"),
        ("exceptions", "(tag) (func try catch_all end)"),
        ("legacy-exceptions", "(tag) (func try catch_all end)"),
        ("multi-memory", "(memory 1) (memory 1)"),
        ("threads", "(memory 1 1 shared)"),
        ("threads", "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"),
        ("memory64", "(memory i64 1)"),
        ("memory64", "(table i64 1 funcref)"),
        ("wide-arithmetic", "(func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 1)))"),
    ] {
        let text = format!("(module {module})");
        compile(text.as_bytes(), &Options::default()).unwrap();
        let proposals = Proposals::ALL.without(name).unwrap();
        let options = Options { proposals, ..Options::default() };
        match compile(text.as_bytes(), &options).map(|_| ()).unwrap_err() {
            CompileError::Disabled { name: found, offset, .. } => {
                assert_eq!(found, name);
                assert_ne!(offset, 0, "{name}");
            }
            other => panic!("{name}: {other}"),
        }
    }
    let error = Proposals::ALL.without("gc").unwrap_err().to_string();
    assert!(error.starts_with("unknown proposal 'gc'; known are sign-extension-ops"), "{error}");
}

#[test]
fn messages_name_the_place() {
    let text = error("(module (type (func)) (type (struct)))").to_string();
    // Magic and version are 8 bytes, the head of the type section 3, the first type 3.
    assert_eq!(text, "garbage collection is not supported yet (at offset 0xe)");
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
fn a_cpu_without_shuffling_or_rounding_instructions_is_refused() {
    for (bit, name) in [(1, "ssse3"), (2, "sse4.1")] {
        let cpu = CpuFeatures(CpuFeatures::X86_64_V3.0 & !(1 << bit));
        let error = compile(b"(module)", &Options { cpu, ..Options::default() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the CPU features lack {name}, which generated code needs; use x86-64-v2 or newer"
            )
        );
    }
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
    // Of the last one there can be no instance; the specification's tests want it compiled.
    for fits in [
        "(memory i64 1 0x1000000000000)",
        "(table i64 1 0xffffffffffffffff funcref)",
        "(table i64 0xffffffffffffffff funcref)",
    ] {
        compile(format!("(module {fits})").as_bytes(), &Options::default()).expect(fits);
    }
}
