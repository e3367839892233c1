//! Guests from WAT, as functions.
#![allow(dead_code)] // every test file uses a part of it

use wfaas_function::{Exchange, Function, FunctionError, InvokeError, Spec};
use wfaas_vm::{Config, Engine, Module};

/// An artifact of the module, not initialised.
pub(crate) fn compile(wat: &str) -> Vec<u8> {
    wfaas_compiler::compile(wat.as_bytes(), &Default::default()).expect("it compiles").artifact
}

/// An artifact of the module, initialised.
pub(crate) fn build(wat: &str) -> Vec<u8> {
    let options = wfaas_build::Options::default();
    wfaas_build::build(wat.as_bytes(), &spec(), &options, &()).expect("it builds").artifact
}

pub(crate) fn engine() -> Engine {
    Engine::new(Config::default()).expect("an engine")
}

pub(crate) fn try_function(wat: &str, spec: Spec) -> Result<Function, FunctionError> {
    let engine = engine();
    let module = Module::from_bytes(&engine, &build(wat)).expect("it loads");
    Function::new(&engine, &module, spec)
}

pub(crate) fn function(wat: &str, spec: Spec) -> Function {
    try_function(wat, spec).expect("it is a function")
}

pub(crate) fn spec() -> Spec {
    Spec::named("test".parse().expect("a name"))
}

/// What a function answers to a request with this body.
pub(crate) fn handle(
    function: &Function,
    body: impl Into<Vec<u8>>,
) -> Result<Vec<u8>, InvokeError> {
    function.handle(Exchange::with_body(body)).map(|answer| answer.into_body().into_bytes())
}

/// What the module answers to a request with this body.
pub(crate) fn answer(wat: &str, body: &[u8]) -> Result<Vec<u8>, InvokeError> {
    handle(&function(wat, spec()), body)
}
