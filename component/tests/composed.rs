//! Components of several components, each with a memory of its own: calls between them copy values. Written by hand, run
//! in the VM.

use wfaas_abi::component::ImportKind;
use wfaas_component::Fused;
use wfaas_vm::{Config, Engine, Instance, Linker, Module, Store};

fn fuse(text: &str) -> Fused {
    let component = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let fused = wfaas_component::fuse(&component).unwrap_or_else(|error| panic!("{error}"));
    let mut validator = wasmparser::Validator::new();
    if let Err(error) = validator.validate_all(&fused.module) {
        panic!("the fused module is invalid: {error}");
    }
    fused
}

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(fused: &Fused, define: impl FnOnce(&mut Linker<()>)) -> Guest {
        let engine = Engine::new(Config::default()).unwrap();
        let artifact = wfaas_compiler::compile(&fused.module, &Default::default()).unwrap();
        let module = Module::from_bytes(&engine, &artifact.artifact).unwrap();
        let mut linker = Linker::new(&engine);
        define(&mut linker);
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Guest { store, instance }
    }

    /// Calls a lifted function of the world with one number; `None` if the guest traps.
    fn call(&mut self, name: &str, argument: i32) -> Option<i32> {
        let export = format!("#{name}");
        let function = self.instance.get_typed_func::<i32, i32>(&mut self.store, &export).unwrap();
        function.call(&mut self.store, argument).ok()
    }
}

/// What a run of the consumer gives for each argument.
fn results<const N: usize>(fused: &Fused, arguments: [i32; N]) -> [Option<i32>; N] {
    // A trap ends an instance.
    arguments.map(|argument| Guest::new(fused, |_| ()).call("run", argument))
}

/// A core module's memory, and an allocator from `$start` on.
fn memory(start: u32) -> String {
    format!(
        r#"(memory (export "memory") 1)
        (global $end (mut i32) (i32.const {start}))
        (func $realloc (export "realloc") (param $old i32) (param $size i32) (param $align i32)
            (param $new i32) (result i32)
            (if (i32.or (local.get $old) (local.get $size)) (then unreachable))
            (global.set $end (i32.and
                (i32.add (global.get $end) (i32.sub (local.get $align) (i32.const 1)))
                (i32.sub (i32.const 0) (local.get $align))))
            (global.get $end)
            (global.set $end (i32.add (global.get $end) (local.get $new))))"#
    )
}

/// A provider of `api.call`, of a type, and a consumer that calls it in `run`, which gets a number and gives one. The
/// consumer's memory has 1 at 0, which the provider's has not.
fn composed(types: &str, ty: &str, provider: &str, core: &str, consumer: &str) -> String {
    let (provider_memory, consumer_memory) = (memory(2048), memory(4096));
    format!(
        r#"(component
            (component $provider
                {types}
                (core module $m {provider_memory} {provider})
                (core instance $i (instantiate $m))
                (func $call {ty} (canon lift (core func $i "call") (memory (core memory $i "memory"))
                    (realloc (core func $i "realloc")) (post-return (core func $i "after"))))
                (instance (export "api") (export "call" (func $call))))
            (component $consumer
                {types}
                (import "api" (instance $api (export "call" (func {ty}))))
                (core module $libc {consumer_memory})
                (core instance $libc (instantiate $libc))
                (core func $call (canon lower (func $api "call") (memory (core memory $libc "memory"))
                    (realloc (core func $libc "realloc"))))
                (core module $m
                    (import "env" "memory" (memory 1))
                    (import "api" "call" (func $call {core}))
                    (data (i32.const 0) "\01")
                    {consumer})
                (core instance $i (instantiate $m (with "env" (instance $libc))
                    (with "api" (instance (export "call" (func $call))))))
                (func (export "run") (param "n" s32) (result s32) (canon lift (core func $i "run"))))
            (instance $provider (instantiate $provider))
            (instance $consumer (instantiate $consumer (with "api" (instance $provider "api"))))
            (export "run" (func $consumer "run")))"#
    )
}

#[test]
fn strings_are_copied_from_memory_to_memory() {
    // Gives the string twice. What was returned is freed: `after` says so to the next call.
    let text = composed(
        "",
        r#"(param "s" string) (result string)"#,
        r#"(global $freed (mut i32) (i32.const 0))
        (func (export "call") (param $ptr i32) (param $len i32) (result i32) (local $new i32)
            (if (i32.load8_u (i32.const 0)) (then unreachable))
            (local.set $new (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
                (i32.mul (local.get $len) (i32.const 2))))
            (memory.copy (local.get $new) (local.get $ptr) (local.get $len))
            (memory.copy (i32.add (local.get $new) (local.get $len)) (local.get $ptr) (local.get $len))
            (i32.store (i32.const 64) (local.get $new))
            (i32.store (i32.const 68) (i32.mul (local.get $len) (i32.const 2)))
            (i32.const 64))
        (func (export "after") (param i32)
            (if (i32.ne (local.get 0) (i32.const 64)) (then unreachable)))"#,
        "(param i32 i32 i32)",
        // Calls with `n` bytes at 256, and sums up the bytes of the answer.
        r#"(data (i32.const 256) "abc\c3\a4\e2\82\ac\f0\9d\84\9e0123456789")
        (func (export "run") (param $n i32) (result i32) (local $at i32) (local $end i32) (local $sum i32)
            (call $call (i32.const 256) (local.get $n) (i32.const 128))
            (local.set $at (i32.load (i32.const 128)))
            (local.set $end (i32.add (local.get $at) (i32.load (i32.const 132))))
            (block (loop
                (br_if 1 (i32.eq (local.get $at) (local.get $end)))
                (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br 0)))
            (local.get $sum))"#,
    );
    let fused = fuse(&text);
    assert_eq!(fused.bindings.imports, []);
    let bytes = "abcä€𝄞0123456789".as_bytes();
    let sum = |len: usize| Some(2 * bytes[..len].iter().map(|byte| i32::from(*byte)).sum::<i32>());
    let arguments = [0, 1, 3, 5, 8, 12, 22];
    assert_eq!(results(&fused, arguments), arguments.map(|len| sum(len as usize)));
    // Inside of a character, and outside of the memory.
    assert_eq!(results(&fused, [4, 6, 7, 9, 10, 11, 65_281, -1]), [None; 8]);
}

#[test]
fn strings_that_are_not_well_formed_end_the_guest() {
    let bytes: [(&[u8], bool); 21] = [
        (b"\x7f\xc2\x80\xdf\xbf", true),
        (b"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true),
        (b"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true),
        (b"0123456789abcdef\xc3\xa4", true),
        (b"\x80", false),
        (b"\xc0\x80", false),
        (b"\xc1\xbf", false),
        (b"\xc3", false),
        (b"\xc3\x28", false),
        (b"\xe0\x9f\xbf", false),
        (b"\xe2\x82", false),
        (b"\xe2\x28\xa1", false),
        (b"\xe2\x82\x28", false),
        (b"\xed\xa0\x80", false),
        (b"\xf0\x8f\xbf\xbf", false),
        (b"\xf4\x90\x80\x80", false),
        (b"\xf5\x80\x80\x80", false),
        (b"\xff", false),
        (b"01234567\x80abcdefg", false),
        (b"\xf0\x9d\x84", false),
        (b"\xf0\x9d\x84\x28", false),
    ];
    for (bytes, is_good) in bytes {
        assert_eq!(std::str::from_utf8(bytes).is_ok(), is_good, "{bytes:?}");
        let data: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let fused = fuse(&composed(
            "",
            r#"(param "s" string) (result u32)"#,
            r#"(func (export "call") (param i32 i32) (result i32) (local.get 1))
            (func (export "after") (param i32))"#,
            "(param i32 i32) (result i32)",
            &format!(
                r#"(data (i32.const 256) "{data}")
                (func (export "run") (param $n i32) (result i32)
                    (call $call (i32.const 256) (local.get $n)))"#
            ),
        ));
        let len = bytes.len() as i32;
        assert_eq!(results(&fused, [len]), [is_good.then_some(len)], "{bytes:?}");
    }
}

#[test]
fn lists_inside_of_lists_are_copied() {
    // Sums up: 1 × the bytes of names, 100 × those of values, 10 000 × how many there are.
    let text = composed(
        r#"(type $pair (tuple string (list u8)))"#,
        r#"(param "l" (list (tuple string (list u8)))) (result u32)"#,
        r#"(func $sum (param $at i32) (param $len i32) (result i32) (local $sum i32)
            (block (loop
                (br_if 1 (i32.eqz (local.get $len)))
                (local.set $len (i32.sub (local.get $len) (i32.const 1)))
                (local.set $sum (i32.add (local.get $sum)
                    (i32.load8_u (i32.add (local.get $at) (local.get $len)))))
                (br 0)))
            (local.get $sum))
        (func (export "call") (param $at i32) (param $len i32) (result i32) (local $all i32)
            (block (loop
                (br_if 1 (i32.eqz (local.get $len)))
                (local.set $all (i32.add (local.get $all) (i32.const 10000)))
                (local.set $all (i32.add (local.get $all)
                    (call $sum (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)))))
                (local.set $all (i32.add (local.get $all) (i32.mul (i32.const 100)
                    (call $sum (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at))))))
                (local.set $at (i32.add (local.get $at) (i32.const 16)))
                (local.set $len (i32.sub (local.get $len) (i32.const 1)))
                (br 0)))
            (local.get $all))
        (func (export "after") (param i32))"#,
        "(param i32 i32) (result i32)",
        r#"(data (i32.const 256) "\00\02\00\00\02\00\00\00\10\02\00\00\03\00\00\00")
        (data (i32.const 272) "\01\02\00\00\01\00\00\00\00\00\00\00\00\00\00\00")
        (data (i32.const 512) "\03\04") (data (i32.const 528) "\05\06\ff")
        (func (export "run") (param $n i32) (result i32)
            (call $call (i32.const 256) (local.get $n)))"#,
    );
    let expected = [0, 10_000 + 7 + 100 * 266, 20_000 + 7 + 100 * 266 + 4].map(Some);
    let fused = fuse(&text);
    assert_eq!(results(&fused, [0, 1, 2]), expected);
    // Beyond the memory, and so many that their bytes are beyond 32 bits.
    assert_eq!(results(&fused, [4_081, 0x1000_0000, 0x1000_0001]), [None; 3]);
}

/// Core values of `result<tuple<f32, u64>, string>`, `option<char>` and `bool`: case, float or address, number or length,
/// case, character, truth.
const CASES: &str = r#"(param "r" (result (tuple f32 u64) (error string))) (param "c" (option char))
    (param "b" bool) (result u32)"#;

const CASES_CORE: &str = "(param i32 i32 i64 i32 i32 i32) (result i32)";

/// Gives the sum of what it sees: a trap of its own would not be told apart.
const CASES_PROVIDER: &str = r#"
    (func (export "call") (param $case i32) (param $a i32) (param $b i64) (param $some i32)
        (param $char i32) (param $flag i32) (result i32) (local $sum i32)
        (local.set $sum (i32.add (i32.mul (local.get $flag) (i32.const 1000000))
            (i32.mul (local.get $some) (local.get $char))))
        (if (i32.eqz (local.get $case))
            (then (return (i32.add (local.get $sum) (i32.add
                (i32.trunc_f32_s (f32.reinterpret_i32 (local.get $a)))
                (i32.wrap_i64 (i64.shr_u (local.get $b) (i64.const 32))))))))
        (i32.add (local.get $sum) (i32.add (i32.load8_u (local.get $a)) (i32.wrap_i64 (local.get $b)))))
    (func (export "after") (param i32))"#;

#[test]
fn variants_are_converted_and_checked() {
    let f32_bits = |value: f32| value.to_bits().cast_signed();
    let calls = [
        ([0, f32_bits(12.5), 0, 0, 0, 0], 5_i64 << 32, Some(12 + 5)),
        ([1, 256, 0, 0, 0, 0], 3, Some(i32::from(b'x') + 3)),
        // What is beyond 32 bits of a length is nobody's.
        ([1, 256, 0, 0, 0, 0], (7 << 32) + 3, Some(i32::from(b'x') + 3)),
        ([1, 256, 0, 1, 0x41, 0], 0, Some(0x41)),
        ([0, 0, 0, 1, 0x1F600, 0x100], 0, Some(0x1F600 + 1_000_000)),
        // Of `none` nothing is read.
        ([0, 0, 0, 0, 0xD800, 0], 0, Some(0)),
        ([0, 0, 0, 1, 0xD800, 0], 0, None),
        ([0, 0, 0, 1, 0xDFFF, 0], 0, None),
        ([0, 0, 0, 1, 0xE000, 0], 0, Some(0xE000)),
        ([0, 0, 0, 1, 0x10FFFF, 0], 0, Some(0x10FFFF)),
        ([0, 0, 0, 1, 0x110000, 0], 0, None),
        ([2, 0, 0, 0, 0, 0], 0, None),
        ([-1, 0, 0, 0, 0, 0], 0, None),
        ([0, 0, 0, 2, 0, 0], 0, None),
    ];
    for ([case, a, _, some, char, flag], b, expected) in calls {
        let consumer = format!(
            r#"(data (i32.const 256) "xyz")
            (func (export "run") (param i32) (result i32)
                (call $call (i32.const {case}) (i32.const {a}) (i64.const {b}) (i32.const {some})
                    (i32.const {char}) (i32.const {flag})))"#
        );
        let fused = fuse(&composed("", CASES, CASES_PROVIDER, CASES_CORE, &consumer));
        assert_eq!(results(&fused, [0]), [expected], "{case} {a} {b} {some} {char} {flag}");
    }
}

/// The same in a list: through memory.
#[test]
fn variants_in_memory_are_checked() {
    let ty = r#"(param "l" (list (tuple bool (option char) (result u8 (error (list s16))) s8)))
        (result (tuple bool (option char) (result u8 (error (list s16))) s8))"#;
    // bool at 0; option at 4, char at 8; result at 12, u8 or list at 16; s8 at 24: 28 bytes. Gives the last element.
    let provider = r#"
        (func (export "call") (param $at i32) (param $len i32) (result i32)
            (i32.add (local.get $at) (i32.mul (i32.sub (local.get $len) (i32.const 1)) (i32.const 28))))
        (func (export "after") (param i32))"#;
    let run = |bytes: [u8; 28]| {
        let data: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let consumer = format!(
            r#"(data (i32.const 284) "{data}") (data (i32.const 512) "\01\00\ff\ff")
            (func (export "run") (param $n i32) (result i32) (local $sum i32)
                (call $call (i32.const 256) (i32.const 2) (i32.const 1024))
                ;; By the places of the numbers: bool, char, case, and what the case has.
                (local.set $sum (i32.add
                    (i32.mul (i32.load8_u (i32.const 1024)) (i32.const 1000))
                    (i32.mul (i32.load8_u (i32.const 1028)) (i32.load (i32.const 1032)))))
                (if (i32.load8_u (i32.const 1036))
                    (then (return (i32.add (local.get $sum)
                        (i32.load16_s offset=2 (i32.load (i32.const 1040))))))
                    (else (return (i32.add (local.get $sum) (i32.load8_u (i32.const 1040))))))
                (unreachable))"#
        );
        let core = "(param i32 i32 i32)";
        results(&fuse(&composed("", ty, provider, core, &consumer)), [0])[0]
    };
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = [0; 28];
        changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
        bytes
    };
    assert_eq!(run(with(&[(0, 2), (16, 7)])), Some(1007), "a truth is 1");
    assert_eq!(run(with(&[(4, 1), (8, 0x41)])), Some(0x41));
    assert_eq!(run(with(&[(12, 1), (17, 2), (20, 2)])), Some(-1), "the list at 512");
    assert_eq!(run(with(&[(4, 1), (9, 0xD8)])), None, "a surrogate");
    assert_eq!(run(with(&[(4, 2)])), None, "a case of two");
    assert_eq!(run(with(&[(12, 2)])), None, "a case of two");
    assert_eq!(
        run(with(&[(12, 1), (16, 1), (17, 2), (20, 1)])),
        None,
        "a list that is not aligned"
    );
}

#[test]
fn many_parameters_are_in_a_block() {
    let params: String = (0..17).map(|n| format!("(param \"p{n}\" u64)")).collect();
    let ty = format!("{params} (param \"s\" string) (result (tuple u64 u64 string))");
    let provider = r#"
        (func (export "call") (param $at i32) (result i32)
            (i64.store (i32.const 64) (i64.load (local.get $at)))
            (i64.store (i32.const 72) (i64.load offset=128 (local.get $at)))
            (i64.store (i32.const 80) (i64.load offset=136 (local.get $at)))
            (i32.const 64))
        (func (export "after") (param i32))"#;
    let consumer = r#"(data (i32.const 384) "\09") (data (i32.const 256) "\05")
        (data (i32.const 392) "\00\02\00\00\03\00\00\00") (data (i32.const 512) "abc")
        (func (export "run") (param $n i32) (result i32)
            (call $call (local.get $n) (i32.const 1024))
            (i32.add (i32.add (i32.load (i32.const 1024)) (i32.mul (i32.load (i32.const 1032)) (i32.const 10)))
                (i32.load8_u (i32.load (i32.const 1040)))))"#;
    let fused = fuse(&composed("", &ty, provider, "(param i32 i32)", consumer));
    let expected = 5 + 90 + i32::from(b'a');
    // The block at 256; one that is not aligned; one beyond the memory.
    assert_eq!(results(&fused, [256, 260, 65_400]), [Some(expected), None, None]);
}

/// Blocks of parameters and results end with an option that is none: nothing of its value is read or written.
#[test]
fn blocks_are_in_their_memories_as_a_whole() {
    let params: String = (0..17).map(|n| format!("(param \"p{n}\" u64)")).collect();
    let ty = format!("{params} (param \"o\" (option u64)) (result (tuple u64 (option u64)))");
    // The first parameter is the address of the result, the second one where the next block is allocated.
    let provider = r#"
        (func (export "call") (param $at i32) (result i32)
            (global.set $end (i32.wrap_i64 (i64.load offset=8 (local.get $at))))
            (i32.wrap_i64 (i64.load (local.get $at))))
        (func (export "after") (param i32))"#;
    let run = |[block, result, copy, next]: [u32; 4]| {
        let consumer = format!(
            r#"(func (export "run") (param $n i32) (result i32)
                (i64.store (i32.const {block}) (i64.const {result}))
                (i64.store offset=8 (i32.const {block}) (i64.const {next}))
                (call $call (i32.const {block}) (i32.const {copy}))
                (call $call (i32.const {block}) (i32.const {copy}))
                (i32.const 1))"#
        );
        results(&fuse(&composed("", &ty, provider, "(param i32 i32)", &consumer)), [0])[0]
    };
    // 152 bytes of parameters and 24 of a result, at the end of 64 KiB.
    assert_eq!(run([65_384, 512, 1024, 2048]), Some(1));
    assert_eq!(run([65_392, 512, 1024, 2048]), None, "parameters");
    assert_eq!(run([512, 65_512, 1024, 2048]), Some(1));
    assert_eq!(run([512, 65_520, 1024, 2048]), None, "the result");
    assert_eq!(run([512, 512, 65_512, 2048]), Some(1));
    assert_eq!(run([512, 512, 65_520, 2048]), None, "the copy of the result");
    assert_eq!(run([512, 512, 1024, 65_384]), Some(1));
    assert_eq!(run([512, 512, 1024, 65_392]), None, "the copy of the parameters");
}

/// A provider of counters, whose representations are addresses in its memory, and a consumer.
const COUNTERS: &str = r#"(component
    (component $provider
        (core module $state (memory (export "memory") 1)
            (global $next (mut i32) (i32.const 64))
            (global $dropped (export "dropped") (mut i32) (i32.const 0))
            (func (export "drop") (param i32)
                (global.set $dropped (i32.add (global.get $dropped) (i32.load (local.get 0)))))
            (func (export "new") (param $first i32) (result i32)
                (global.set $next (i32.add (global.get $next) (i32.const 4)))
                (i32.store (global.get $next) (local.get $first))
                (global.get $next)))
        (core instance $state (instantiate $state))
        (type $counter' (resource (rep i32) (dtor (core func $state "drop"))))
        (export $counter "counter" (type $counter'))
        (core func $handle (canon resource.new $counter'))
        (core func $rep (canon resource.rep $counter'))
        (core module $m
            (import "s" "memory" (memory 1)) (import "s" "new" (func $new (param i32) (result i32)))
            (import "s" "dropped" (global $dropped (mut i32)))
            (import "c" "handle" (func $handle (param i32) (result i32)))
            (import "c" "rep" (func $rep (param i32) (result i32)))
            (func (export "new") (param i32) (result i32) (call $handle (call $new (local.get 0))))
            (func (export "add") (param $rep i32) (param $n i32) (result i32)
                (i32.store (local.get $rep) (i32.add (i32.load (local.get $rep)) (local.get $n)))
                (i32.load (local.get $rep)))
            (func (export "value") (param $handle i32) (result i32)
                (i32.load (call $rep (local.get $handle))))
            (func (export "dropped") (result i32) (global.get $dropped)))
        (core instance $i (instantiate $m (with "s" (instance $state))
            (with "c" (instance (export "handle" (func $handle)) (export "rep" (func $rep))))))
        (func (export "new") (param "first" u32) (result (own $counter)) (canon lift (core func $i "new")))
        (func (export "add") (param "c" (borrow $counter)) (param "n" u32) (result u32)
            (canon lift (core func $i "add")))
        (func (export "value") (param "c" (own $counter)) (result u32) (canon lift (core func $i "value")))
        (func (export "dropped") (result u32) (canon lift (core func $i "dropped"))))
    (component $consumer
        (import "counter" (type $counter (sub resource)))
        (import "new" (func $new (param "first" u32) (result (own $counter))))
        (import "add" (func $add (param "c" (borrow $counter)) (param "n" u32) (result u32)))
        (import "value" (func $value (param "c" (own $counter)) (result u32)))
        (import "dropped" (func $dropped (result u32)))
        (core func $new (canon lower (func $new)))
        (core func $add (canon lower (func $add)))
        (core func $value (canon lower (func $value)))
        (core func $dropped (canon lower (func $dropped)))
        (core func $drop (canon resource.drop $counter))
        (core module $m
            (import "c" "new" (func $new (param i32) (result i32)))
            (import "c" "add" (func $add (param i32 i32) (result i32)))
            (import "c" "value" (func $value (param i32) (result i32)))
            (import "c" "drop" (func $drop (param i32)))
            (import "c" "dropped" (func $dropped (result i32)))
            (memory 1)
            (func (export "run") (param $n i32) (result i32) (local $a i32) (local $b i32)
                (local.set $a (call $new (i32.const 100)))
                (local.set $b (call $new (i32.const 7)))
                (drop (call $add (local.get $a) (local.get $n)))
                (drop (call $add (local.get $b) (i32.const 1)))
                (call $drop (local.get $b))
                (i32.add (i32.mul (call $dropped) (i32.const 1000)) (call $value (local.get $a)))))
        (core instance $i (instantiate $m (with "c" (instance (export "new" (func $new))
            (export "add" (func $add)) (export "value" (func $value)) (export "drop" (func $drop))
            (export "dropped" (func $dropped))))))
        (func (export "run") (param "n" s32) (result s32) (canon lift (core func $i "run"))))
    (instance $provider (instantiate $provider))
    (instance $consumer (instantiate $consumer (with "counter" (type $provider "counter"))
        (with "new" (func $provider "new")) (with "add" (func $provider "add"))
        (with "value" (func $provider "value")) (with "dropped" (func $provider "dropped"))))
    (export "run" (func $consumer "run")))"#;

#[test]
fn resources_go_from_component_to_component() {
    let fused = fuse(COUNTERS);
    let kinds: Vec<_> = fused.bindings.imports.iter().map(|import| &import.kind).collect();
    assert_eq!(fused.bindings.resources.len(), 1, "{kinds:?}");
    // A table of handles as the host has one, with a number that is no address.
    let mut guest = Guest::new(&fused, |linker| {
        linker.func_wrap("canon", "resource.new 0", |_: wfaas_vm::Caller<'_, ()>, rep: i32| {
            rep ^ 0x5000
        });
        linker.func_wrap("canon", "resource.rep 0", |_: wfaas_vm::Caller<'_, ()>, handle: i32| {
            handle ^ 0x5000
        });
        linker.func_wrap("canon", "resource.drop 0", |_: wfaas_vm::Caller<'_, ()>, handle: i32| {
            i64::from(handle ^ 0x5000)
        });
    });
    assert_eq!(guest.call("run", 23), Some(8 * 1000 + 123));
}

#[test]
fn a_component_that_is_instantiated_twice_has_two_memories() {
    let fused = fuse(
        r#"(component
            (component $counter
                (core module $m (memory (export "memory") 1)
                    (func (export "next") (result i32)
                        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
                        (i32.load (i32.const 0))))
                (core instance $i (instantiate $m))
                (func (export "next") (result u32) (canon lift (core func $i "next"))))
            (instance $a (instantiate $counter))
            (instance $b (instantiate $counter))
            (alias export $a "next" (func $a))
            (alias export $b "next" (func $b))
            (core func $a (canon lower (func $a)))
            (core func $b (canon lower (func $b)))
            (core module $m
                (import "" "a" (func $a (result i32))) (import "" "b" (func $b (result i32)))
                (func (export "run") (param i32) (result i32)
                    (drop (call $a)) (drop (call $a)) (drop (call $b))
                    (i32.add (i32.mul (call $a) (i32.const 10)) (call $b))))
            (core instance $i (instantiate $m (with "" (instance
                (export "a" (func $a)) (export "b" (func $b))))))
            (func (export "run") (param "n" s32) (result s32) (canon lift (core func $i "run"))))"#,
    );
    assert_eq!(results(&fused, [0]), [Some(32)]);
}

/// An inner component calls the host, which has to find the inner one's memory.
#[test]
fn imports_say_which_memory_their_values_are_in() {
    let inner = |number: u32, code: &str| {
        format!(
            r#"(component $inner{number}
                (import "texts" (instance $texts (export "get" (func (param "s" string) (result string)))))
                (core module $libc {} {code})
                (core instance $libc (instantiate $libc))
                (core func $get (canon lower (func $texts "get") (memory (core memory $libc "memory"))
                    (realloc (core func $libc "realloc"))))
                (core module $m (import "" "get" (func $get (param i32 i32 i32)))
                    (func (export "run") (param i32) (result i32)
                        (call $get (i32.const 1) (i32.const 2) (i32.const 8)) (i32.const {number})))
                (core instance $m (instantiate $m (with "" (instance (export "get" (func $get))))))
                (func (export "run") (param "n" s32) (result s32) (canon lift (core func $m "run"))))"#,
            memory(1024)
        )
    };
    // The larger one has the first memory.
    let large = format!("(data (i32.const 512) \"{}\")", "x".repeat(300));
    let text = format!(
        r#"(component
            (import "test:host/texts@1.0.0" (instance $texts
                (export "get" (func (param "s" string) (result string)))))
            {} {}
            (instance $a (instantiate $inner0 (with "texts" (instance $texts))))
            (instance $b (instantiate $inner1 (with "texts" (instance $texts))))
            (export "a" (func $a "run")) (export "b" (func $b "run")))"#,
        inner(0, ""),
        inner(1, &large),
    );
    let fused = fuse(&text);
    let imports = fused.bindings.imports.iter();
    let memories: Vec<_> = imports.map(|import| (&*import.field, import.memory)).collect();
    assert_eq!(memories, [("get", 1), ("realloc.next", 1), ("get#2", 0), ("realloc.next#2", 0)]);
    assert!(matches!(fused.bindings.imports[2].kind, ImportKind::Lowered { .. }));
    let text = String::from_utf8_lossy(&fused.module).into_owned();
    assert!(text.contains("memory#1") && !text.contains("memory#2"));
}

#[test]
fn what_cannot_go_from_component_to_component_is_refused_by_name() {
    let plain = r#"(func (export "call") (param i32 i32) (result i32) (i32.const 0))
        (func (export "after") (param i32))"#;
    let consumer = r#"(func (export "run") (param i32) (result i32) (i32.const 0))"#;
    let text = composed(
        "",
        r#"(param "s" string) (result u32)"#,
        plain,
        "(param i32 i32) (result i32)",
        consumer,
    );
    let cases = [
        (
            r#"(component
                (core module $m (func (export "f")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (core func $f (canon lower (func $f)))
                (core module $n (import "" "f" (func)))
                (core instance (instantiate $n (with "" (instance (export "f" (func $f)))))))"#
                .to_owned(),
            "components with imports of their own exports are not supported",
        ),
        (
            text.replacen(
                "(canon lift (core func $i \"call\")",
                "(canon lift (core func $i \"call\") string-encoding=utf16",
                1,
            ),
            "components with strings between their components that are not UTF-8 are not supported",
        ),
        (
            format!(
                "(component (core module $m (memory 1)) {})",
                "(core instance (instantiate $m))".repeat(17)
            ),
            "component too large: the number of memories would be more than 16",
        ),
    ];
    for (text, message) in cases {
        let component = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let refused = wfaas_component::fuse(&component).unwrap_err();
        assert_eq!(refused.to_string(), message);
    }
}
