//! Arbitrary bytes: an error or a result, never a panic.

use wfaas_abi::Artifact;
use wfaas_abi::artifact::bundle::{Bundle, BundleWriter, set_bundle};
use wfaas_abi::artifact::{Proto, SectionId, seal};
use wfaas_abi::component::Bindings;
use wfaas_vm::{Config, Engine, Module};

/// Compiles the bytes as a module; what comes of it can be loaded.
///
/// # Panics
/// If anything else happens.
pub fn compile(bytes: &[u8]) {
    if let Ok(compiled) = wfaas_compiler::compile(bytes, &Default::default()) {
        let engine = Engine::new(Config::default()).expect("an engine");
        Module::from_bytes(&engine, &compiled.artifact).expect("what was compiled can be loaded");
    }
}

/// Reads the bytes as an artifact and as a proto; then uses them to damage a valid artifact, which
/// is sealed again, so that the damage is not noticed by its hash.
///
/// # Panics
/// If anything panics.
pub fn artifact(bytes: &[u8]) {
    if let Some(artifact) = Artifact::view(bytes) {
        read(&artifact);
    }
    let parsed = Artifact::parse(bytes).and_then(|artifact| artifact.verify());
    assert!(parsed.is_err(), "nobody guesses a hash");
    assert!(Proto::parse(bytes).is_err(), "nobody guesses a hash");
    let mut damaged = valid();
    for change in bytes.as_chunks::<5>().0 {
        let at = u32::from_le_bytes([change[0], change[1], change[2], change[3]]) as usize;
        let at = at % damaged.len();
        damaged[at] ^= change[4];
    }
    seal(&mut damaged);
    load(&damaged);
}

/// Reads the bytes as a bundle, then uses them to damage a valid one.
///
/// # Panics
/// If anything panics, or a way down a tree does not end.
pub fn bundle(bytes: &[u8]) {
    read_bundle(bytes);
    let mut damaged = valid_bundle();
    for change in bytes.as_chunks::<3>().0 {
        let at = u16::from_le_bytes([change[0], change[1]]) as usize % damaged.len();
        damaged[at] ^= change[2];
    }
    read_bundle(&damaged);
}

/// Fuses the bytes as a component, then a valid component that they damage. A fused module compiles or is
/// refused, since bodies of functions are not validated before; its bindings survive their bytes.
///
/// # Panics
/// If anything panics, or bindings change.
pub fn component(bytes: &[u8]) {
    fuse(bytes);
    let mut damaged = valid_component();
    for change in bytes.as_chunks::<3>().0 {
        let at = u16::from_le_bytes([change[0], change[1]]) as usize % damaged.len();
        damaged[at] ^= change[2];
    }
    fuse(&damaged);
}

fn fuse(bytes: &[u8]) {
    let Ok(fused) = wfaas_component::fuse(bytes) else { return };
    let Ok(section) = fused.bindings.encode() else { return };
    let read = Bindings::parse(&section).expect("bindings that were written can be read");
    assert_eq!(read, fused.bindings);
    compile(&fused.module);
}

/// A small component with something of each kind.
fn valid_component() -> Vec<u8> {
    let text = r#"(component
        (import "a:b/c@0.2.1" (instance $host
            (export "thing" (type $thing (sub resource)))
            (export "get" (func (param "self" (borrow $thing)) (result (tuple string u8))))
            (export "put" (func (param "list" (list (option u64)))))))
        (alias export $host "thing" (type $thing)) (alias export $host "get" (func $get))
        (alias export $host "put" (func $put))
        (core module $libc (memory (export "memory") 1) (table (export "table") 2 funcref)
            (global (export "base") i32 (i32.const 8)) (global (export "sp") (mut i32) (i32.const 9))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get 1))
            (func $start) (start $start))
        (core instance $libc (instantiate $libc))
        (alias core export $libc "memory" (core memory $memory))
        (alias core export $libc "realloc" (core func $realloc))
        (core func $get (canon lower (func $get) (memory $memory) (realloc $realloc)))
        (core func $put (canon lower (func $put) (memory $memory)))
        (core func $drop (canon resource.drop $thing))
        (core module $main
            (import "env" "memory" (memory 1)) (import "env" "table" (table 2 funcref))
            (import "env" "base" (global i32)) (import "env" "sp" (global (mut i32)))
            (import "host" "get" (func $get (param i32 i32)))
            (import "host" "put" (func $put (param i32 i32)))
            (import "host" "drop" (func $drop (param i32)))
            (elem (i32.const 0) $get $run) (data (global.get 0) "data")
            (func $run (export "run") (param i32 i32) (result i32)
                (call $get (local.get 0) (local.get 1)) (call $drop (local.get 0))
                (call_indirect (param i32 i32) (local.get 0) (local.get 1) (i32.const 0))
                (global.get 1))
            (func (export "post") (param i32)))
        (core instance $main (instantiate $main (with "env" (instance $libc))
            (with "host" (instance (export "get" (func $get)) (export "put" (func $put))
                (export "drop" (func $drop))))))
        (func (export "run") (param "text" string) (result (list u8)) (canon lift
            (core func $main "run") (memory $memory) (realloc $realloc)
            (post-return (core func $main "post")))))"#;
    wat::parse_str(text).expect("a valid component")
}

/// Calls every reader of a bundle.
fn read_bundle(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else { return };
    std::hint::black_box((bundle.stats(), bundle.check().is_ok()));
    for node in bundle.nodes() {
        assert!(node.children().all(|child| child.index() > node.index()), "an endless way down");
        assert!(node.index() == 0 || node.parent().index() < node.index(), "an endless way up");
        let known = (node.name().len(), node.content().len(), node.target().is_some());
        std::hint::black_box((known, node.child("a").is_some(), node.child_at(u32::MAX).is_some()));
    }
}

/// A bundle with something of each kind.
fn valid_bundle() -> Vec<u8> {
    let mut writer = BundleWriter::default();
    let added = [
        writer.file("lib/a", 1, b"content".to_vec()),
        writer.file("lib/sub/b", 2, Vec::new()),
        writer.link("lib/c", 3, "sub/b"),
        writer.directory("empty", 4),
    ];
    assert!(added.iter().all(Result::is_ok), "{added:?}");
    writer.finish()
}

/// Loads what may be an artifact and asks for all that can be known without running it.
fn load(bytes: &[u8]) {
    let engine = Engine::new(Config::default()).expect("an engine");
    let Ok(module) = Module::from_bytes(&engine, bytes) else { return };
    let known = module.exports().count() + module.imports().count();
    std::hint::black_box((known, module.get_export("run")));
    read(&module.artifact());
}

/// Calls every reader.
fn read(artifact: &Artifact<'_>) {
    let _ = artifact.verify();
    let sections = SectionId::ALL.iter().map(|id| artifact.section(*id).len());
    std::hint::black_box(sections.sum::<usize>());
    for import in artifact.imports() {
        let _ = (artifact.string(import.name), artifact.func_type(import.ty.ty.get()));
    }
    for export in artifact.exports() {
        let _ = artifact.string(export.name);
    }
    for step in artifact.init_steps() {
        let _ = artifact.const_ops(step.expr);
    }
    let image = artifact.image();
    std::hint::black_box((image.runs.len(), image.bytes.len()));
    std::hint::black_box(artifact.sites().iter().count());
    for offset in [0, 1, 0x40, u32::MAX] {
        std::hint::black_box((artifact.function_at(offset), artifact.trap_at(offset)));
        std::hint::black_box((artifact.site_at(offset), artifact.sites().last_to(offset)));
    }
    read_bundle(artifact.section(SectionId::Bundle));
    std::hint::black_box((artifact.start(), artifact.bounds_stats(), artifact.is_initialised()));
}

/// A small artifact with something in each section.
fn valid() -> Vec<u8> {
    let module = r#"(module
        (import "host" "f" (func $f (param i32) (result i64)))
        (import "host" "g" (global $g i32))
        (memory (export "memory") 1 2) (table (export "table") 4 funcref)
        (global (export "global") (mut i32) (global.get $g))
        (data (i32.const 16) "image") (data $d "passive") (data (global.get $g) "late")
        (elem (i32.const 1) $run) (elem $e func $run)
        (func $run (export "run") (param i32) (result i64)
          (memory.init $d (i32.const 0) (i32.const 0) (i32.const 4))
          (table.init $e (i32.const 0) (i32.const 0) (i32.const 1))
          (i32.store (local.get 0) (i32.div_u (i32.const 1) (local.get 0)))
          (call $f (local.get 0))))"#;
    let compiled = wfaas_compiler::compile(module.as_bytes(), &Default::default());
    let artifact = compiled.expect("a valid module").artifact;
    let parsed = Artifact::parse(&artifact).expect("an artifact");
    set_bundle(&parsed, &valid_bundle()).expect("a valid bundle")
}
