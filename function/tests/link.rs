//! Host functions of a protocol: linked for its guests, with a state that they share with its
//! conversation, and requests with variables and arguments of their own.

mod common;

use common::{engine, spec};
use std::sync::{Arc, Mutex};
use wfaas_function::{
    About, Body, Conversation, Entry, Exchange, Function, InvokeError, LogEvent, LogSink, Next,
    Protocol, Protocols, Required, Resolver, State, Streams, Turn,
};
use wfaas_vm::ValType::I32;
use wfaas_vm::{Caller, FuncType, Linker, Module};

/// A toy: the guest calls `tally.add`, the answer is the sum.
struct Tally;

/// The sum of an exchange.
#[derive(Default)]
struct Sum(u32);

static ABOUT: About = About {
    name: "tally",
    description: "a toy: adds up",
    guest: "tally",
    exports: &[Required::func("count", &[], &[])],
    imports: &["tally"],
    lifted: &[],
    body: "nowhere",
    answer: "sum",
    example: r#"(func (export "count") (call $add (i32.const 1)))"#,
    example_imports: r#"(import "tally" "add" (func $add (param i32)))"#,
};

impl Protocol for Tally {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        let first = resolver.spec().args.len() as u32;
        Ok(Box::new(Prepared { count: resolver.func("count")?, first }))
    }

    fn link(&self, linker: &mut Linker<State>, _module: &Module) {
        linker.func_wrap("tally", "add", |mut caller: Caller<'_, State>, by: u32| {
            caller.data_mut().local::<Sum>().0 += by;
        });
    }

    fn provides(&self, module: &str, name: &str, ty: &FuncType) -> bool {
        (module, name) == ("tally", "add") && *ty == FuncType::new([I32], [])
    }
}

struct Prepared {
    count: Entry<(), ()>,
    first: u32,
}

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        if exchange.request.body().as_bytes() == b"refuse" {
            return Err(InvokeError::protocol("refused"));
        }
        exchange.arguments.push("more".to_owned());
        exchange.variables.push(("TALLY".to_owned(), "yes".to_owned()));
        Ok(())
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            turn.local::<Sum>().0 += self.first;
            return Ok(turn.call(&self.count, ()));
        }
        turn.results::<()>()?;
        let sum = turn.local::<Sum>().0;
        *turn.exchange().answer.body_mut() = Body::complete(sum.to_string());
        Ok(Next::Done)
    }
}

/// Adds 20, 1 at its initialisation, and says how long arguments and variables are.
const GUEST: &str = r#"(module
    (import "tally" "add" (func $add (param i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get"
        (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "a line")
    (func (export "_initialize") (call $add (i32.const 1)))
    (func (export "count")
        (call $add (i32.const 20))
        (drop (call $args (i32.const 100) (i32.const 104)))
        (call $add (i32.load (i32.const 100)))
        (drop (call $write (i32.const 2) (i32.const 8) (i32.const 1) (i32.const 0)))))"#;

fn tally() -> Function {
    let engine = engine();
    // The set of a build does not have the protocol: every instance initialises itself.
    let module = Module::from_bytes(&engine, &common::build(GUEST)).unwrap();
    let protocols = Protocols::default().with(&Tally);
    assert_eq!(protocols.recognise(&module).unwrap().about().name, "tally");
    let spec = wfaas_function::Spec { args: vec!["one".to_owned()], ..spec() };
    Function::with_protocols(&engine, &module, spec, &protocols).unwrap()
}

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<LogEvent>>>);

impl LogSink for Kept {
    fn take(&self, event: LogEvent) {
        self.0.lock().unwrap().push(event);
    }
}

#[test]
fn host_functions_share_a_state_with_the_conversation() {
    let tally = tally();
    for _ in 0..2 {
        let answer = tally.handle(Exchange::default()).unwrap();
        // 1 of the conversation, 1 of `_initialize`, 20, and 3 arguments: name, `one` and `more`.
        assert_eq!(answer.into_body().into_bytes(), b"25");
    }
    let refused = tally.handle(Exchange::with_body("refuse")).unwrap_err();
    assert_eq!(refused.to_string(), "refused");
}

#[test]
fn lines_go_to_the_log_of_the_exchange() {
    let kept = Kept::default();
    let exchange = Exchange { log: Some(Box::new(kept.clone())), ..Exchange::default() };
    tally().handle(exchange).unwrap();
    assert_eq!(*kept.0.lock().unwrap(), [LogEvent::Line("a line".to_owned())]);
}
