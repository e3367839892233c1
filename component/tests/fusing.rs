//! Fused modules behave as the component would: written by hand, run in the VM with a host of a few closures.

use std::sync::{Arc, Mutex};
use wfaas_abi::component::{Builtin, ImportKind};
use wfaas_component::Fused;
use wfaas_vm::{Caller, Config, Engine, Instance, Linker, Module, Store};

fn fuse(text: &str) -> Fused {
    let component = wat::parse_str(text).unwrap();
    let fused = wfaas_component::fuse(&component).unwrap_or_else(|error| panic!("{error}"));
    let mut validator = wasmparser::Validator::new();
    if let Err(error) = validator.validate_all(&fused.module) {
        panic!("the fused module is invalid: {error}");
    }
    fused
}

fn refused(text: &str) -> String {
    let component = wat::parse_str(text).unwrap();
    wfaas_component::fuse(&component).unwrap_err().to_string()
}

/// An instance of a fused module. Its store's data is what the host functions have noted.
struct Guest {
    store: Store<Vec<String>>,
    instance: Instance,
}

impl Guest {
    fn new(fused: &Fused, define: impl FnOnce(&mut Linker<Vec<String>>)) -> Guest {
        let engine = Engine::new(Config::default()).unwrap();
        let artifact = wfaas_compiler::compile(&fused.module, &Default::default()).unwrap();
        let module = Module::from_bytes(&engine, &artifact.artifact).unwrap();
        let mut linker = Linker::new(&engine);
        define(&mut linker);
        let mut store = Store::new(&engine, Vec::new());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Guest { store, instance }
    }

    /// Calls the lifted function `name` of the world, without parameters.
    fn call(&mut self, name: &str) -> i32 {
        let export = format!("#{name}");
        let function = self.instance.get_typed_func::<(), i32>(&mut self.store, &export).unwrap();
        function.call(&mut self.store, ()).unwrap()
    }
}

#[test]
fn modules_of_one_memory_call_each_other_and_share() {
    let fused = fuse(
        r#"(component
            (core module $libc
                (memory (export "memory") 1)
                (global $sp (export "sp") (mut i32) (i32.const 100))
                (global (export "base") i32 (i32.const 64))
                (table (export "table") 4 funcref)
                (func (export "bump") (result i32)
                    (global.set $sp (i32.add (global.get $sp) (i32.const 1)))
                    (global.get $sp)))
            (core module $main
                (import "env" "memory" (memory 1))
                (import "env" "sp" (global $sp (mut i32)))
                (import "env" "base" (global $base i32))
                (import "env" "bump" (func $bump (result i32)))
                (import "env" "table" (table 4 funcref))
                (type $f (func (result i32)))
                (elem (i32.const 2) $bump)
                (data (offset (global.get $base)) "\2a")
                (func (export "run") (result i32)
                    (drop (call $bump))
                    (drop (call_indirect (type $f) (i32.const 2)))
                    (i32.add (i32.load8_u (i32.const 64)) (global.get $sp))))
            (core instance $libc (instantiate $libc))
            (core instance $main (instantiate $main (with "env" (instance $libc))))
            (func (export "run") (result u32) (canon lift (core func $main "run"))))"#,
    );
    assert_eq!(fused.bindings.imports, []);
    // 42 of the data, 100 of the stack pointer, and two bumps.
    assert_eq!(Guest::new(&fused, |_| ()).call("run"), 42 + 100 + 2);
}

#[test]
fn instances_take_effect_one_after_the_other() {
    let fused = fuse(
        r#"(component
            (core module $first
                (memory (export "memory") 1)
                (table (export "table") 2 funcref)
                (global $seen (mut i32) (i32.const -1))
                (data (i32.const 0) "\07")
                (func $start
                    (global.set $seen (i32.add (i32.load8_u (i32.const 0)) (i32.load8_u (i32.const 1)))))
                (start $start)
                (func (export "seen") (result i32) (global.get $seen)))
            (core module $second
                (import "env" "memory" (memory 1))
                (import "env" "table" (table 2 funcref))
                (type $f (func (result i32)))
                (data (i32.const 1) "\64")
                (elem (i32.const 1) $hundred)
                (global $mine (mut i32) (i32.const 0))
                (func $hundred (result i32) (i32.load8_u (i32.const 1)))
                (func $start (global.set $mine (call_indirect (type $f) (i32.const 1))))
                (start $start)
                (func (export "mine") (result i32) (global.get $mine)))
            (core instance $first (instantiate $first))
            (core instance $second (instantiate $second (with "env" (instance $first))))
            (func (export "seen") (result u32) (canon lift (core func $first "seen")))
            (func (export "mine") (result u32) (canon lift (core func $second "mine"))))"#,
    );
    let mut guest = Guest::new(&fused, |_| ());
    // The first start function ran before the second module's data were there.
    assert_eq!((guest.call("seen"), guest.call("mine")), (7, 100));
}

#[test]
fn a_module_that_is_instantiated_twice_has_two_states() {
    let fused = fuse(
        r#"(component
            (core module $counter
                (global $n (mut i32) (i32.const 0))
                (func (export "count") (result i32)
                    (global.set $n (i32.add (global.get $n) (i32.const 1)))
                    (global.get $n)))
            (core instance $a (instantiate $counter))
            (core instance $b (instantiate $counter))
            (func (export "a") (result u32) (canon lift (core func $a "count")))
            (func (export "b") (result u32) (canon lift (core func $b "count"))))"#,
    );
    let mut guest = Guest::new(&fused, |_| ());
    assert_eq!((guest.call("a"), guest.call("a"), guest.call("b")), (1, 2, 1));
}

#[test]
fn references_to_functions_that_only_an_export_declares_stay_valid() {
    let fused = fuse(
        r#"(component
            (core module $first (func (export "seven") (result i32) (i32.const 7)))
            (core module $second
                (import "first" "seven" (func $seven (result i32)))
                (type $f (func (result i32)))
                (table $table 2 funcref)
                (func $ten (export "ten") (result i32) (i32.const 10))
                (export "seven" (func $seven))
                (func (export "run") (result i32)
                    (table.set (i32.const 0) (ref.func $seven))
                    (table.set (i32.const 1) (ref.func $ten))
                    (i32.add
                        (call_indirect (type $f) (i32.const 0))
                        (call_indirect (type $f) (i32.const 1)))))
            (core instance $first (instantiate $first))
            (core instance $second (instantiate $second (with "first" (instance $first))))
            (func (export "run") (result u32) (canon lift (core func $second "run"))))"#,
    );
    assert_eq!(Guest::new(&fused, |_| ()).call("run"), 7 + 10);
}

/// A component with the shim and the fixup that `wit-component` makes, and an allocator in the memory that the
/// shim is there for.
const SHIM: &str = include_str!("shim.wat");

#[test]
fn results_are_stored_in_memory_that_the_guest_allocates() {
    let fused = fuse(SHIM);
    let kinds: Vec<_> = fused.bindings.imports.iter().map(|import| &import.kind).collect();
    let [
        ImportKind::Lowered { realloc: true, .. },
        ImportKind::ReallocNext,
        ImportKind::Lowered { realloc: false, .. },
    ] = kinds[..]
    else {
        panic!("{kinds:#?}");
    };
    let retptr = Arc::new(Mutex::new(0));
    let mut guest = Guest::new(&fused, |linker| {
        let begin = retptr.clone();
        let (module, texts) = ("canon", "test:host/texts@1.2.3");
        linker.func_wrap(texts, "get", move |_: Caller<'_, Vec<String>>, n: i32, ptr: i32| {
            *begin.lock().unwrap() = ptr as usize;
            i64::from(n) | 2 << 32
        });
        linker.func_wrap(
            module,
            "realloc.next",
            move |mut caller: Caller<'_, Vec<String>>, ptr: i32| {
                let memory = caller.memory().unwrap();
                memory.write(&mut caller, ptr as usize, b"hello").unwrap();
                let result = [ptr.to_le_bytes(), 5_i32.to_le_bytes()].concat();
                memory.write(&mut caller, *retptr.lock().unwrap(), &result).unwrap();
                0_i64
            },
        );
        linker.func_wrap(
            texts,
            "put",
            |mut caller: Caller<'_, Vec<String>>, ptr: i32, len: i32| {
                let memory = caller.memory().unwrap();
                let mut text = vec![0; len as usize];
                memory.read(&caller, ptr as usize, &mut text).unwrap();
                caller.data_mut().push(String::from_utf8(text).unwrap());
            },
        );
    });
    assert_eq!(guest.call("run"), 12, "one call of the allocator, for an alignment of 2");
    assert_eq!(guest.store.data(), &["hello"]);
}

/// Number of calls through tables.
fn indirect_calls(module: &[u8]) -> usize {
    let bodies = wasmparser::Parser::new(0).parse_all(module).map(Result::unwrap);
    let operators = bodies.flat_map(|payload| match payload {
        wasmparser::Payload::CodeSectionEntry(body) => {
            let operators = body.get_operators_reader().unwrap().into_iter();
            operators.map(Result::unwrap).collect()
        }
        _ => Vec::new(),
    });
    operators
        .filter(|operator| matches!(operator, wasmparser::Operator::CallIndirect { .. }))
        .count()
}

#[test]
fn calls_through_tables_of_known_contents_are_direct() {
    assert_eq!(indirect_calls(&fuse(SHIM).module), 0);
    // A function of another type traps, so its call stays.
    let other_type = SHIM.replace(
        "(type $two (func (param i32 i32)))",
        "(type $two (func (param i32 i32))) (type $one (func (param i32)))
        (func (call_indirect (type $one) (i32.const 0) (i32.const 1)))",
    );
    assert_eq!(indirect_calls(&fuse(&other_type).module), 1);
    // As all do if the table is written to, by whichever module.
    let written = SHIM.replace(
        "(elem (i32.const 0) 0 1))",
        "(elem (i32.const 0) 0 1) (func (table.set (i32.const 0) (ref.null func))))",
    );
    assert_eq!(indirect_calls(&fuse(&written).module), 2);
}

#[test]
fn destructors_are_called_by_the_guest_if_the_host_says_so() {
    let fused = fuse(
        r#"(component
            (core module $state
                (global $dropped (export "dropped") (mut i32) (i32.const 0))
                (func (export "dtor") (param i32) (global.set $dropped (local.get 0))))
            (core instance $state (instantiate $state))
            (type $thing (resource (rep i32) (dtor (core func $state "dtor"))))
            (core func $new (canon resource.new $thing))
            (core func $rep (canon resource.rep $thing))
            (core func $drop (canon resource.drop $thing))
            (core module $main
                (import "" "new" (func $new (param i32) (result i32)))
                (import "" "rep" (func $rep (param i32) (result i32)))
                (import "" "drop" (func $drop (param i32)))
                (import "" "dropped" (global $dropped (mut i32)))
                (func (export "run") (result i32)
                    (local $handle i32)
                    (local.set $handle (call $new (i32.const 77)))
                    (call $drop (local.get $handle))
                    (global.get $dropped))
                (func (export "borrowed") (result i32)
                    (global.set $dropped (i32.const -5))
                    (call $drop (i32.const 3))
                    (i32.add (global.get $dropped) (call $rep (i32.const 9)))))
            (core instance $main (instantiate $main (with "" (instance
                (export "new" (func $new)) (export "rep" (func $rep)) (export "drop" (func $drop))
                (export "dropped" (global $state "dropped"))))))
            (export $exported "thing" (type $thing))
            (func (export "run") (result s32) (canon lift (core func $main "run")))
            (func (export "borrowed") (result s32) (canon lift (core func $main "borrowed"))))"#,
    );
    let mut guest = Guest::new(&fused, |linker| {
        linker.func_wrap("canon", "resource.new 0", |_: Caller<'_, Vec<String>>, rep: i32| rep + 1);
        linker.func_wrap("canon", "resource.rep 0", |_: Caller<'_, Vec<String>>, h: i32| h - 1);
        linker.func_wrap("canon", "resource.drop 0", |_: Caller<'_, Vec<String>>, handle: i32| {
            if handle == 78 { i64::from(handle - 1) } else { -1 }
        });
    });
    assert_eq!(guest.call("run"), 77);
    assert_eq!(guest.call("borrowed"), -5 + 8, "the destructor was not called");
}

/// A component that lowers `get` with `async`, and waits for it.
const ASYNC: &str = r#"(component
    (import "test:host/texts@1.2.3" (instance $texts
        (export "get" (func async (param "length" u32) (result string)))))
    (core module $main
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
    (core instance $main (instantiate $main))
    (core func $get (canon lower (func $texts "get") async (memory (core memory $main "memory"))
        (realloc (core func $main "realloc"))))
    (core func $wait (canon waitable-set.wait (memory (core memory $main "memory"))))
    (core module $caller
        (import "" "get" (func $get (param i32 i32) (result i32)))
        (import "" "wait" (func $wait (param i32 i32) (result i32)))
        (func (export "run") (result i32) (call $get (i32.const 5) (i32.const 16)))
        (func (export "wait") (result i32) (call $wait (i32.const 1) (i32.const 16))))
    (core instance $caller (instantiate $caller (with "" (instance
        (export "get" (func $get)) (export "wait" (func $wait))))))
    (func (export "run") (result s32) (canon lift (core func $caller "run")))
    (func (export "wait") (result s32) (canon lift (core func $caller "wait"))))"#;

#[test]
fn stubs_of_async_functions_return_what_is_left_of_the_last_request() {
    let fused = fuse(ASYNC);
    assert!(fused.bindings.realloc.is_some(), "the host allocates for events");
    let kinds: Vec<_> = fused.bindings.imports.iter().map(|import| &import.kind).collect();
    let [get, ImportKind::ReallocNext, wait] = kinds[..] else { panic!("{kinds:?}") };
    assert!(matches!(get, ImportKind::Lowered { realloc: true, is_async: true, .. }));
    let event = Builtin::WaitableSetWait { allocates: true };
    assert_eq!(*wait, ImportKind::Builtin(event));
    let mut guest = Guest::new(&fused, |linker| {
        // One block of 5 bytes, then the state.
        let ask = |_: Caller<'_, Vec<String>>, _: i32, _: i32| 1_i64 << 32 | 5;
        linker.func_wrap("test:host/texts@1.2.3", "get", ask);
        linker.func_wrap(
            "canon",
            "waitable-set.wait",
            |_: Caller<'_, Vec<String>>, _: i32, _: i32| 1_i64,
        );
        linker.func_wrap("canon", "realloc.next", |_: Caller<'_, Vec<String>>, at: i32| {
            assert_eq!(at, 64);
            2_i64
        });
    });
    assert_eq!(guest.call("run"), 2);
    assert_eq!(guest.call("wait"), 1);
}

#[test]
fn functions_keep_their_names() {
    let component = wat::parse_str(SHIM).unwrap();
    let fused = wfaas_component::fuse(&component).unwrap();
    let text = String::from_utf8_lossy(&fused.module).into_owned();
    assert!(text.contains("stub:test:host/texts@1.2.3.get"));
}

#[test]
fn unsupported_features_are_refused_by_name() {
    let cases = [
        (
            "(component (core module $a (memory i64 1)) (core instance (instantiate $a)))",
            "components with a 64-bit memory are not supported",
        ),
        (
            r#"(component
                (core module $m (func (export "run")) (memory (export "memory") 1))
                (core instance $i (instantiate $m))
                (func async (canon lift (core func $i "run") async)))"#,
            "components with async functions without a callback (stackful) are not supported",
        ),
        (
            r#"(component (import "a" (core module)))"#,
            "the component's import \"a\" is not supported: it is a core module",
        ),
        (
            r#"(component (core module $m) (export "a" (core module $m)))"#,
            "the component's export \"a\" is not supported: it is a core module",
        ),
        (
            "(component (core func (canon error-context.drop)))",
            "components with error contexts are not supported",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(refused(text), message, "{text}");
    }
}
