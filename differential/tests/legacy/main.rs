//! Legacy exceptions: random programs of `try`, `catch`, `rethrow` and `delegate`, among blocks,
//! loops, branches and `try_table`, run as WebAssembly and by an interpreter of their trees. The
//! peer of the other tests has no exceptions, and random modules of the generator no legacy ones.
//!
//! `WFAAS_LEGACY=1000` runs as many, `WFAAS_LEGACY=100..200` these.

mod interpret;
mod program;

use interpret::{Ending, Outcome};
use program::Program;
use wfaas_compiler::{Effort, OptLevel, Options, compile};
use wfaas_differential::hostile;
use wfaas_vm::{Config, Engine, Error, Linker, Module, Store, Val};

/// How many programs an ordinary run tries.
const PROGRAMS: u64 = 300;

/// Each is run with these arguments: programs branch by their bits.
const ARGUMENTS: std::ops::Range<i32> = 0..4;

fn numbers() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("WFAAS_LEGACY") else { return 0..PROGRAMS };
    let number = |text: &str| text.parse().expect("WFAAS_LEGACY is a number or first..last");
    match text.split_once("..") {
        Some((first, last)) => number(first)..number(last),
        None => 0..number(&text),
    }
}

/// The ways of a compilation: values and frame, with and without passes.
fn ways() -> [Options<'static>; 3] {
    let usual = Options::default();
    [
        usual,
        Options { effort: Some(Effort::Frame), ..usual },
        Options { opt: OptLevel::Fast, ..usual },
    ]
}

#[test]
fn programs_do_what_their_trees_say() {
    let engine = Engine::new(Config::default()).unwrap();
    let (mut thrown, mut caught) = (0, 0);
    for number in numbers() {
        let program = Program::of(number);
        let text = program.text();
        for (way, options) in ways().iter().enumerate() {
            let compiled = compile(text.as_bytes(), options);
            let compiled = compiled.unwrap_or_else(|error| panic!("{number}: {error}\n{text}"));
            let module = Module::from_bytes(&engine, &compiled.artifact).unwrap();
            for argument in ARGUMENTS {
                let expected = interpret::run(&program, argument);
                let found = run(&engine, &module, argument);
                assert_eq!(found, expected.outcome, "{number}, way {way}, {argument}:\n{text}");
                thrown += usize::from(found.ending == Ending::Uncaught);
                caught += expected.caught;
            }
        }
    }
    assert!(thrown > 0 && caught > 0, "{thrown} exceptions left programs, {caught} were caught");
}

/// Bodies with an operator of the proposal where another one was are compiled or refused.
#[test]
fn damaged_programs_are_compiled_or_refused() {
    for number in 0..20 {
        let wasm = wat::parse_str(Program::of(number).text()).unwrap();
        let body = wasm.len() / 2..wasm.len();
        for (place, operator) in
            body.step_by(7).zip([0x06, 0x07, 0x09, 0x18, 0x19, 0x0b].iter().cycle())
        {
            let mut damaged = wasm.clone();
            damaged[place] = *operator;
            hostile::compile(&damaged);
        }
    }
}

/// The outcome of the program in `module`.
fn run(engine: &Engine, module: &Module, argument: i32) -> Outcome {
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine).instantiate(&mut store, module).unwrap();
    let function = instance.get_func(&mut store, "run").expect("exported");
    let ending = match function.call(&mut store, &[Val::I32(argument)]) {
        Ok(_) => Ending::Returned,
        Err(Error::Exception(_)) => Ending::Uncaught,
        Err(error) => panic!("{error}"),
    };
    let trace = instance.get_global(&mut store, "trace").expect("exported").get(&store);
    match trace.unwrap() {
        Val::I64(trace) => Outcome { ending, trace },
        other => panic!("{other:?}"),
    }
}

/// Code of a legacy `catch` part is where the module has it, also behind `rethrow` and `delegate`.
#[test]
fn legacy_parts_have_their_places_in_backtraces() {
    let wasm = wat::parse_str(
        r#"(module (tag $t)
        (func $throw (throw $t))
        (func (export "run") (param i32) (result i32)
            try (result i32)
              try (result i32)
                call $throw
                i32.const 1
              delegate 0
            catch $t
              local.get 0
              if
                rethrow 1
              end
              i32.const 77 i32.const 0 i32.div_u
            end))"#,
    )
    .unwrap();
    let place = |bytes: &[u8]| wasm.windows(bytes.len()).position(|found| found == bytes).unwrap();
    let engine = Engine::new(Config::default()).unwrap();
    let compiled = compile(&wasm, &Default::default()).unwrap();
    let module = Module::from_bytes(&engine, &compiled.artifact).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();

    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    let error = run.call(&mut store, 0).unwrap_err();
    let frames = error.trap().unwrap().frames();
    // i32.const 77, i32.const 0, i32.div_u
    let divides = place(&[0x41, 0xcd, 0x00, 0x41, 0x00, 0x6e]) + 5;
    assert_eq!(frames[0].wasm_offset, Some(divides as u32));

    let error = run.call(&mut store, 1).unwrap_err();
    let Error::Exception(uncaught) = error else { panic!("{error}") };
    // rethrow 1
    let rethrows = place(&[0x09, 0x01]);
    assert_eq!(uncaught.frames()[0].wasm_offset, Some(rethrows as u32));
}
