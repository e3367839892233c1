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
