//! Programs from WAT, run by an embedder that has nothing but WASI.
#![allow(dead_code)] // every test file uses a part of it

pub(crate) mod errnos;
pub(crate) mod executor;
pub(crate) mod exports;

use std::time::{Duration, Instant};
use wfaas_vm::{Config, Engine, Error, Linker, Module, Store, TypedFunc};
use wfaas_wasi::{Exit, HasWasi, Input, Output, Wasi, WasiBuilder};
use wfaas_wasi::{add_to_linker, add_to_linker_async};

/// The data of an embedder's store.
pub(crate) struct Data {
    wasi: Wasi,
    variables: &'static [(&'static str, &'static str)],
}

impl HasWasi for Data {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }

    fn variables(&self, each: &mut dyn FnMut(&str, &str)) {
        self.variables.iter().for_each(|(name, value)| each(name, value));
    }
}

/// A program and what it is run with.
pub(crate) struct Program {
    wat: String,
    wasi: WasiBuilder,
    /// Longest time it may take.
    pub(crate) time: Duration,
    /// Environment variables of its call alone.
    pub(crate) variables: &'static [(&'static str, &'static str)],
}

pub(crate) fn program(wat: &str) -> Program {
    let wasi = Wasi::builder().arg("test").stdout(Output::capture(8 << 20)).stderr(Output::log(64));
    Program { wat: wat.to_owned(), wasi, time: Duration::from_secs(10), variables: &[] }
}

impl Program {
    /// The program with more of WASI.
    pub(crate) fn with(self, more: impl FnOnce(WasiBuilder) -> WasiBuilder) -> Program {
        Program { wasi: more(self.wasi), ..self }
    }

    /// What it writes to stdout. An exit with code 0 is success.
    pub(crate) fn run(self) -> Result<Vec<u8>, Error> {
        let mut ready = self.ready(&engine(), add_to_linker)?;
        let result = ready.start.call(&mut ready.store, ());
        ready.outcome(result)
    }

    /// The same, called where it can be suspended.
    pub(crate) fn run_async(self) -> Result<Vec<u8>, Error> {
        let mut ready = self.ready(&engine(), add_to_linker_async)?;
        let result = executor::block_on(ready.start.call_async(&mut ready.store, ()));
        ready.outcome(result)
    }

    /// The program in a store of its own.
    pub(crate) fn ready(
        self,
        engine: &Engine,
        add: impl FnOnce(&mut Linker<Data>),
    ) -> Result<Ready, Error> {
        let options = Default::default();
        let compiled = wfaas_compiler::compile(self.wat.as_bytes(), &options).expect("it compiles");
        let module = Module::from_bytes(engine, &compiled.artifact)?;
        self.ready_of(engine, &module, add)
    }

    /// The same of a module that was made of its text.
    pub(crate) fn ready_of(
        self,
        engine: &Engine,
        module: &Module,
        add: impl FnOnce(&mut Linker<Data>),
    ) -> Result<Ready, Error> {
        let mut linker = Linker::new(engine);
        add(&mut linker);
        let wasi = self.wasi.build().expect("an environment");
        let mut store = Store::new(engine, Data { wasi, variables: self.variables });
        store.set_deadline(Some(Instant::now() + self.time));
        let instance = linker.instantiate(&mut store, module)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        Ok(Ready { store, start })
    }
}

pub(crate) fn engine() -> Engine {
    Engine::new(Config::default()).expect("an engine")
}

/// A program that can be started.
pub(crate) struct Ready {
    pub(crate) store: Store<Data>,
    pub(crate) start: TypedFunc<(), ()>,
}

impl Ready {
    /// What the program has written to stdout, if it has not failed.
    pub(crate) fn outcome(&mut self, result: Result<(), Error>) -> Result<Vec<u8>, Error> {
        match result {
            Err(error) if exit_code(&error) != Some(0) => Err(error),
            _ => Ok(self.store.data_mut().wasi.take_captured()),
        }
    }
}

/// What the program makes of this on stdin.
pub(crate) fn answer(wat: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
    program(wat).with(|wasi| wasi.stdin(Input::bytes(body))).run()
}

/// The code a program exited with, if it did.
pub(crate) fn exit_code(error: &Error) -> Option<u32> {
    error.downcast_ref::<Exit>().map(|exit| exit.code)
}

/// Whether the deadline has ended a program.
pub(crate) fn is_late(error: &Error) -> bool {
    error.trap().is_some_and(|trap| trap.code == wfaas_vm::TrapCode::DeadlineExceeded)
}
