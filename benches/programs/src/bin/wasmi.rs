//! wasmi: an interpreter of WebAssembly runs a module that sieves primes and multiplies.

use programs::measure;
use wasmi::{Engine, Linker, Module, Store};

const MODULE: &str = r#"(module
    (memory 1)
    (func (export "run") (param $limit i32) (result i64)
        (local $p i32) (local $i i32) (local $sum i64)
        (memory.fill (i32.const 0) (i32.const 0) (local.get $limit))
        (local.set $p (i32.const 2))
        (loop $next
            (if (i32.eqz (i32.load8_u (local.get $p))) (then
                (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31))
                    (i64.extend_i32_u (local.get $p))))
                (local.set $i (i32.mul (local.get $p) (i32.const 2)))
                (block $done (loop $mark
                    (br_if $done (i32.ge_u (local.get $i) (local.get $limit)))
                    (i32.store8 (local.get $i) (i32.const 1))
                    (local.set $i (i32.add (local.get $i) (local.get $p)))
                    (br $mark)))))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $p) (local.get $limit))))
        (local.get $sum)))"#;

fn main() {
    let wasm = wat::parse_str(MODULE).expect("a good module");
    let engine = Engine::default();
    let module = Module::new(&engine, &wasm[..]).expect("a good module");
    let mut store = Store::new(&engine, ());
    let instance = Linker::<()>::new(&engine)
        .instantiate_and_start(&mut store, &module)
        .expect("no imports");
    let run = instance.get_typed_func::<i32, i64>(&store, "run").expect("an export");
    measure(|| {
        let mut sum = 0;
        for _ in 0..4 {
            sum = run.call(&mut store, 60_000).expect("no trap").cast_unsigned();
        }
        sum
    });
}
