//! Guests from WAT, as functions.
#![allow(dead_code)] // every test file uses a part of it

use wfaas_host::init::{InitConfig, Initialised, initialise};
use wfaas_host::{Function, FunctionConfig, FunctionError, InvokeError, Request};
use wfaas_vm::{Config, Engine, Module};

/// An artifact of the module, not initialised.
pub(crate) fn compile(wat: &str) -> Vec<u8> {
    wfaas_compiler::compile(wat.as_bytes(), &Default::default()).expect("it compiles").artifact
}

/// An artifact of the module, initialised.
pub(crate) fn build(engine: &Engine, wat: &str) -> Vec<u8> {
    match initialise(engine, &compile(wat), &InitConfig::default()).expect("it initialises") {
        Initialised::Artifact(bytes) => bytes,
        Initialised::Kept { reason } => panic!("not initialised: {reason}"),
    }
}

pub(crate) fn engine() -> Engine {
    Engine::new(Config::default()).expect("an engine")
}

pub(crate) fn try_function(wat: &str, config: FunctionConfig) -> Result<Function, FunctionError> {
    let engine = engine();
    let module = Module::from_bytes(&engine, &build(&engine, wat)).expect("it loads");
    Function::new(&engine, &module, config)
}

pub(crate) fn function(wat: &str, config: FunctionConfig) -> Function {
    try_function(wat, config).expect("it is a function")
}

pub(crate) fn named() -> FunctionConfig {
    FunctionConfig::named("test")
}

/// What the module answers to a request with this body.
pub(crate) fn answer(wat: &str, body: &[u8]) -> Result<Vec<u8>, InvokeError> {
    function(wat, named()).handle(Request::with_body(body))
}
