//! Requests that wait: to a command, each with its stack, and to a service, each by its callback.

use super::{Density, fill};
use std::task::{Context, Waker};
use std::time::Duration;
use wfaas_function::{Exchange, Function, Limits, Span, Spec};
use wfaas_vm::{Config, Engine, Linker, Module, Pool};
use wfaas_wasi::Wasi;

/// Sleeps for an hour.
const SLEEPER: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\01") (data (i32.const 24) "\00\a0\b8\30\46\03")
    (func (export "_start")
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#;

/// The same by a callback.
const SERVICE: &str = include_str!("waiting.wat");

fn module(engine: &Engine, text: &str) -> anyhow::Result<Module> {
    let options = wfaas_build::Options::default();
    let built = wfaas_build::build(text.as_bytes(), &Spec::default(), &options, &())?;
    Ok(Module::from_bytes(engine, &built.artifact)?)
}

/// Requests to a command, each suspended in `poll_oneoff`.
pub(super) fn asleep(count: u64) -> anyhow::Result<Density> {
    let engine = Engine::new(Config { max_suspended: count as usize, ..Config::default() })?;
    let module = module(&engine, SLEEPER)?;
    let mut linker = Linker::<Wasi>::new(&engine);
    wfaas_wasi::add_to_linker_async(&mut linker);
    let pool = Pool::new(&linker, &module)?;
    let start = pool.typed_func::<(), ()>("_start")?;
    fill("asleep", count, |_| {
        let mut faaslet = pool.acquire(Wasi::default())?;
        let mut call = Box::pin(async move { faaslet.call_async(&start, ()).await });
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        anyhow::ensure!(polled.is_pending(), "it does not sleep");
        Ok(call)
    })
}

/// Requests to a service of WASI 0.3, as the gateway runs them.
pub(super) fn by_callback(count: u64) -> anyhow::Result<Density> {
    let engine = Engine::new(Config::default())?;
    let module = module(&engine, SERVICE)?;
    let time = Some(Span(Duration::from_secs(7200)));
    let spec = Spec { limits: Limits { time, ..Limits::default() }, ..Spec::default() };
    let function = Function::new(&engine, &module, spec)?;
    fill("callback", count, |_| {
        let mut answer = Box::pin(function.handle_async(Exchange::default()));
        let polled = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        anyhow::ensure!(polled.is_pending(), "it does not wait");
        Ok(answer)
    })
}
