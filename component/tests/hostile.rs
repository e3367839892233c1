//! Components that ask for much: refused before it is made.

use wfaas_component::ComponentError;

#[test]
fn hostile_components_are_refused() {
    let deep = |levels: usize| format!("{}{}", "(component ".repeat(levels), ")".repeat(levels));
    assert!(
        wfaas_component::fuse(&wat::parse_str(deep(50)).unwrap()).is_ok(),
        "never instantiated"
    );
    // Each component instantiates the one before twice.
    let mut text = "(component $c0)".to_owned();
    for level in 1..40 {
        text += &format!(
            "(component $c{level} (alias outer 1 $c{} (component $c))
                (instance (instantiate $c)) (instance (instantiate $c)))",
            level - 1
        );
    }
    let doubling = format!("(component {text} (instance (instantiate $c39)))");
    let refused = wfaas_component::fuse(&wat::parse_str(doubling).unwrap()).unwrap_err();
    assert!(matches!(refused, ComponentError::Unsupported(_)), "{refused}");
    for bytes in [&b"\0asm\x0d\0\x01\0"[..], b"\0asm\x01\0\0\0", b"", b"\0asm\x0d\0\x01\0\x01\x08"]
    {
        assert!(wfaas_component::fuse(bytes).is_err() || bytes.len() == 8);
    }
}

/// The thing that a component has too many of.
fn too_large(component: &str) -> &'static str {
    let component = wat::parse_str(component).unwrap();
    match wfaas_component::fuse(&component) {
        Err(ComponentError::TooLarge { what, .. }) => what,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("a component that is too large was fused"),
    }
}

/// `part` once for each number below `count`, with the number in the place of `{}`.
fn repeated(part: &str, count: usize) -> String {
    (0..count).map(|number| part.replace("{}", &number.to_string())).collect()
}

/// 20 KB that each of 1,000 functions or types has in its name, beyond 16 MiB in all.
#[test]
fn names_that_many_items_share_are_refused() {
    let name = format!("test:host/{}", "a".repeat(20_000));
    let imports = |items: String| format!(r#"(component (import "{name}" (instance {items})))"#);
    let exports = format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $all {})
            (export "{name}" (instance $all)))"#,
        repeated(r#"(export "f{}" (func $f))"#, 1000)
    );
    let components = [
        imports(repeated(r#"(export "f{}" (func))"#, 1000)),
        imports(repeated(r#"(export "r{}" (type (sub resource)))"#, 1000)),
        exports,
    ];
    for component in components {
        assert_eq!(too_large(&component), "the size in bytes of all names");
    }
}

/// 20,000 items in each of 60 instances, beyond 2^20 in all.
#[test]
fn items_of_inner_instances_count_as_definitions() {
    let exports = repeated(r#"(export "a{}" (func $f))"#, 20_000);
    let args = repeated(r#"(with "a{}" (func $f))"#, 20_000);
    for instance in [format!("(instance {exports})"), format!("(instance (instantiate $e {args}))")]
    {
        let component = format!(
            r#"(component
                (import "f" (func $f))
                (component $c (component $e) (import "f" (func $f)) {instance})
                {})"#,
            r#"(instance (instantiate $c (with "f" (func $f))))"#.repeat(60)
        );
        assert_eq!(too_large(&component), "the number of definitions");
    }
}

/// 10,000 items in each of 110 instances, beyond 1,000,000 (of imports 2^20) in all.
#[test]
fn items_of_core_instances_are_limited() {
    let component = |items: &str, args: &str| {
        format!(
            r#"(component
                (core module $first (func $f) {})
                (core instance $first (instantiate $first))
                (core module $m {})
                {})"#,
            repeated(r#"(export "f{}" (func $f))"#, 10_000),
            repeated(items, 10_000),
            format!("(core instance (instantiate $m {args}))").repeat(110)
        )
    };
    let items = [
        "(func)",
        "(type (func))",
        "(table 0 funcref)",
        "(global i32 (i32.const 0))",
        "(global (mut i32) (i32.const 0))",
        "(tag)",
        "(elem func)",
        "(data \"\")",
    ];
    for item in items {
        let what = "the number of functions, or of other items of a kind,";
        assert_eq!(too_large(&component(item, "")), what, "{item}");
    }
    let imports = component(r#"(import "m" "f{}" (func))"#, r#"(with "m" (instance $first))"#);
    assert_eq!(too_large(&imports), "the number of imports of all core instances");
}

/// A type of few definitions whose values have more parts than can be copied one by one: each level has the one before
/// twice.
#[test]
fn calls_between_components_are_limited() {
    let call = |types: &str, ty: &str, core: &str| {
        let memory = r#"(core module $m (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable) CALL)
            (core instance $i (instantiate $m))"#;
        let options = r#"(memory (core memory $i "memory")) (realloc (core func $i "realloc"))"#;
        format!(
            r#"(component
                (component $provider {types} {provider}
                    (func (export "call") (param "v" {ty})
                        (canon lift (core func $i "call") {options})))
                (component $consumer {types} (import "call" (func $call (param "v" {ty}))) {memory}
                    (core func $call (canon lower (func $call) {options}))
                    (core module $main (import "" "call" (func (param {core}))))
                    (core instance (instantiate $main (with "" (instance
                        (export "call" (func $call)))))))
                (instance $provider (instantiate $provider))
                (instance (instantiate $consumer (with "call" (func $provider "call")))))"#,
            provider = memory.replace("CALL", &format!(r#"(func (export "call") (param {core}))"#)),
            memory = memory.replace("CALL", ""),
        )
    };
    let doubling = |levels: usize, first: &str, level: &str| {
        let mut types = format!("(type $t0 {first})");
        for number in 1..=levels {
            let before = format!("$t{}", number - 1);
            types += &format!("(type $t{number} {})", level.replace("$t", &before));
        }
        types
    };
    let locals = "the number of locals of a call between components";
    // Refused at the first value that is too much. Deeper types are the validator's to refuse.
    let results = doubling(18, "bool", "(result $t (error $t))");
    assert_eq!(too_large(&call(&results, "(list $t18)", "i32 i32")), locals);
    let strings = doubling(15, "string", "(tuple $t $t)");
    let lists = format!("(list (tuple {}))", "(list $t15)".repeat(4));
    assert_eq!(too_large(&call(&strings, &lists, "i32 i32")), locals);
    let strings = doubling(16, "string", "(tuple $t $t)");
    let strings = wat::parse_str(call(&strings, "(list $t16)", "i32 i32")).unwrap();
    assert_eq!(
        wfaas_component::fuse(&strings).unwrap_err().to_string(),
        "the component's interfaces are too large: a type has too many bytes, core values or levels"
    );
    // As core values: one for each level of cases.
    let results = doubling(14, "bool", "(result $t (error $t))");
    let cores = "i32 ".repeat(15);
    assert_eq!(too_large(&call(&results, "$t14", &cores)), locals);
    let few = doubling(6, "bool", "(result $t (error $t))");
    assert!(
        wfaas_component::fuse(
            &wat::parse_str(call(&few, "$t6", "i32 i32 i32 i32 i32 i32 i32")).unwrap()
        )
        .is_ok()
    );
}

/// A tree of results with 2,047 definitions, the first of which is `$t1` and has 12 core values. About 1,000 of them are
/// different types.
fn tree() -> String {
    let numbers = ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "char"];
    let child = |number: usize| match number {
        2048.. => {
            // The last digits, in base 8, of the place of four leaves.
            let (place, leaf) = ((number - 2048) / 4, number % 4);
            numbers[if leaf == 3 { place % 8 } else { (place >> (3 * (leaf + 1))) & 7 }].to_owned()
        }
        _ => format!("$t{number}"),
    };
    let definition = |number: usize| {
        let (ok, err) = (child(2 * number), child(2 * number + 1));
        format!("(type $t{number} (result {ok} (error {err})))")
    };
    (1..2048).rev().map(definition).collect()
}

/// 4,095 types in each of 300 instances, beyond 2^20 in all.
#[test]
fn types_of_inner_instances_are_limited() {
    let component = format!(
        r#"(component
            {}
            (import "f" (func $f (param "v" $t1)))
            (component $c
                (import "f" (func $f (param "v" $t1)))
                (core func $f (canon lower (func $f)))
                (core module $m (import "" "f" (func (param {}))))
                (core instance (instantiate $m (with "" (instance (export "f" (func $f)))))))
            {})"#,
        tree(),
        "i32 ".repeat(12),
        r#"(instance (instantiate $c (with "f" (func $f))))"#.repeat(300)
    );
    assert_eq!(too_large(&component), "the number of types of all instances");
}

/// A component that calls `count` functions, each of a type of its own, of each of so many instances of another.
fn many_calls(instances: usize, count: usize) -> String {
    let cores = "i32 ".repeat(12);
    let export = r#"(func (export "f{}") (param "v{}" $t1) (canon lift (core func $i "call")))"#;
    let import = r#"(import "f{}" (func $f{} (param "v{}" $t1)))
        (core func $f{} (canon lower (func $f{})))"#;
    let core_import = format!(r#"(import "" "f{{}}" (func (param {cores})))"#);
    let with = repeated(r#"(with "f{}" (func $p# "f{}"))"#, count);
    let calls =
        format!("(instance $p# (instantiate $provider)) (instance (instantiate $consumer {with}))");
    format!(
        r#"(component
            {}
            (component $provider
                (core module $m (func (export "call") (param {cores})))
                (core instance $i (instantiate $m))
                {})
            (component $consumer
                {}
                (core module $m {})
                (core instance (instantiate $m (with "" (instance {})))))
            {})"#,
        tree(),
        repeated(export, count),
        repeated(import, count),
        repeated(&core_import, count),
        repeated(r#"(export "f{}" (func $f{}))"#, count),
        (0..instances).map(|number| calls.replace('#', &number.to_string())).collect::<String>()
    )
}

/// Adapters that are small, each: 4,095 values in 100 of them are beyond 2^18, and 2,000 types in 800 beyond 2^20.
#[test]
fn many_calls_between_components_are_limited() {
    assert!(wfaas_component::fuse(&wat::parse_str(many_calls(1, 10)).unwrap()).is_ok());
    assert_eq!(too_large(&many_calls(1, 100)), "the number of values in calls between components");
    assert_eq!(too_large(&many_calls(8, 100)), "the number of types in calls between components");
}
