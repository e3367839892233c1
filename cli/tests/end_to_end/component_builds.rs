//! Components as they are built: from text to the interfaces that an artifact lists.

use super::support::{run, scratch, write};

/// A component with an import and an export, as text.
const GREETER: &str = r#"(component
    (import "test:host/names@1.0.0" (instance $names
        (export "thing" (type $thing (sub resource)))
        (export "name-of" (func (param "thing" (borrow $thing)) (result string)))))
    (core module $libc (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
    (core instance $libc (instantiate $libc))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))
    (alias export $names "name-of" (func $name_of))
    (core func $name_of (canon lower (func $name_of) (memory $memory) (realloc $realloc)))
    (core module $main
        (import "names" "name-of" (func $name_of (param i32 i32)))
        (func (export "greet") (result i32)
            (call $name_of (i32.const 1) (i32.const 0)) (i32.const 0)))
    (core instance $main (instantiate $main
        (with "names" (instance (export "name-of" (func $name_of))))))
    (func $greet (result (list u8)) (canon lift (core func $main "greet") (memory $memory)))
    (instance $api (export "greet" (func $greet)))
    (export "test:guest/api@1.0.0" (instance $api)))"#;

#[test]
fn inspect_lists_the_interfaces_of_a_component() {
    let folder = scratch();
    let source = write(folder.path(), "greeter.wat", GREETER);
    let built = run(&["build", source.to_str().unwrap(), "--json"]).expect(0, &[]).json();
    let artifact = built["artifact"].as_str().unwrap();
    let note = built["notes"][0].as_str().unwrap();
    assert!(note.contains("not supported") && note.contains("test:host/names@1.0.0 (1)"), "{note}");
    let inspected = run(&["inspect", artifact, "--json"]).expect(0, &[]).json();
    let support = |name: &str| {
        let mut imports = inspected["imports"].as_array().unwrap().iter();
        imports.find(|import| import["name"] == name).map(|import| import["support"].clone())
    };
    assert_eq!(support("name-of"), Some("missing".into()));
    assert_eq!(
        inspected["component"],
        serde_json::json!({
            "imports": [{
                "interface": "test:host/names@1.0.0",
                "name": "name-of",
                "type": "func(thing: borrow<thing>) -> string",
            }],
            "exports": [{
                "interface": "test:guest/api@1.0.0",
                "name": "greet",
                "type": "func() -> list<u8>",
            }],
            "resources": ["test:host/names@1.0.0/thing"],
        })
    );
    let text = run(&["inspect", artifact]).expect(0, &[]).stdout;
    assert!(text.contains("  test:guest/api@1.0.0/greet: func() -> list<u8>\n"), "{text}");
}

#[test]
fn a_function_of_a_component_is_disassembled() {
    let folder = scratch();
    let source = write(folder.path(), "greeter.wat", GREETER);
    let shown = run(&["inspect", source.to_str().unwrap(), "--disassemble", "api@1.0.0#greet"]);
    assert!(shown.expect(0, &[]).stdout.contains("call"), "the call of the stub");
}

#[test]
fn a_component_that_cannot_be_fused_is_refused_by_name() {
    let folder = scratch();
    let source = write(
        folder.path(),
        "wide.wat",
        "(component (core module $m (memory i64 1)) (core instance (instantiate $m)))",
    );
    run(&["build", source.to_str().unwrap()])
        .expect(1, &["components with a 64-bit memory are not supported"]);
}
