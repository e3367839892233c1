//! Artifacts and functions.
#![allow(dead_code)] // every test file uses a part of it

use wfaas_build::{Options, build};
use wfaas_function::{Exchange, Function, InvokeError, Spec};
use wfaas_vm::{Config, Engine};

/// An artifact of the module, not initialised.
pub(crate) fn compile(wat: &str) -> Vec<u8> {
    wfaas_compiler::compile(wat.as_bytes(), &Default::default()).expect("it compiles").artifact
}

/// An artifact of the module, initialised.
pub(crate) fn built(wat: &str) -> Vec<u8> {
    let built = build(wat.as_bytes(), &spec(), &Options::default(), &()).expect("it builds");
    assert_eq!(built.report.notes, [""; 0], "it is initialised");
    built.artifact
}

pub(crate) fn engine() -> Engine {
    Engine::new(Config::default()).expect("an engine")
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
