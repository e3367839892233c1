//! Requests that wait: to a command, each with its stack; to a service, each by its callback, in a slot or parked.

use super::{Density, Wake, fill};
use anyhow::Context as _;
use bytes::Bytes;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wfaas_function::{
    Body, BySlots, ByteStream, Exchange, Function, InvokeError, Limits, Span, Spec,
};
use wfaas_vm::{BoxError, Config, Engine, Linker, Module, Pool};
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

/// Waits for four bytes of its body, by a callback.
const READER: &str = include_str!("reading.wat");

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
    .map(|(density, _)| density)
}

/// A service of WASI 0.3, as the gateway has it; its guests keep their slots, or are parked after so long.
fn service(text: &str, park_after: Option<Duration>) -> anyhow::Result<Function> {
    let engine = Engine::new(Config::default())?;
    let module = module(&engine, text)?;
    let time = Some(Span(Duration::from_secs(7200)));
    let spec = Spec { limits: Limits { time, ..Limits::default() }, ..Spec::default() };
    let mut function = Function::new(&engine, &module, spec)?;
    if let Some(after) = park_after {
        function.set_parking(Box::new(BySlots::new(&engine, after)));
    }
    Ok(function)
}

type Answer = Result<hyper::Response<Body>, InvokeError>;
type Answering<'f> = Pin<Box<dyn Future<Output = Answer> + Send + 'f>>;

/// A request that waits.
fn begin(function: &Function, exchange: Exchange) -> anyhow::Result<Answering<'_>> {
    let mut answering: Answering = Box::pin(function.handle_async(exchange));
    anyhow::ensure!(poll(&mut answering).is_pending(), "it does not wait");
    Ok(answering)
}

fn poll(answering: &mut Answering<'_>) -> Poll<Answer> {
    answering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Requests to a service that wait for its clock.
pub(super) fn by_callback(count: u64) -> anyhow::Result<Density> {
    clocks("callback", &service(SERVICE, None)?, count)
}

/// The same, of which some are parked at once: those for which a server of that many slots has few left.
pub(super) fn by_slots(count: u64) -> anyhow::Result<Density> {
    clocks("by slots", &service(SERVICE, Some(PARK_AFTER))?, count)
}

/// As a server has it that is not configured.
const PARK_AFTER: Duration = Duration::from_secs(10);

fn clocks(name: &str, function: &Function, count: u64) -> anyhow::Result<Density> {
    Ok(fill(name, count, |_| begin(function, Exchange::default()))?.0)
}

/// Requests to a service that wait for their bodies, and then are woken.
pub(super) fn for_bodies(count: u64) -> anyhow::Result<Density> {
    woken("body", &service(READER, None)?, count)
}

/// The same, parked.
pub(super) fn parked(count: u64) -> anyhow::Result<Density> {
    woken("parked", &service(READER, Some(Duration::ZERO))?, count)
}

fn woken(name: &str, function: &Function, count: u64) -> anyhow::Result<Density> {
    let (mut density, live) = fill(name, count, |_| {
        let arriving = Arriving::default();
        let body = Body::stream(Box::new(arriving.clone()));
        let exchange = Exchange::new(hyper::Request::new(body));
        Ok((begin(function, exchange)?, arriving))
    })?;
    let mut micros = Vec::with_capacity(live.len());
    // In another order than they came in: nothing of them is in a cache.
    let mut live: Vec<_> = live.into_iter().map(Some).collect();
    for number in 0..live.len() {
        let place = number * STRIDE % live.len();
        let Some((mut answering, arriving)) = live[place].take() else { continue };
        let began = Instant::now();
        arriving.come();
        let Poll::Ready(answer) = poll(&mut answering) else { anyhow::bail!("it does not wake") };
        drop(answering);
        micros.push(began.elapsed().as_nanos() as f64 / 1000.0);
        answer.context("an answer")?;
    }
    density.wake = Some(Wake::of(&micros));
    Ok(density)
}

/// A prime.
const STRIDE: usize = 7919;

/// A body that arrives when it is told to.
#[derive(Clone, Default)]
struct Arriving(Arc<Mutex<(bool, Option<Waker>)>>);

impl Arriving {
    fn come(&self) {
        let mut arriving = self.0.lock().expect("nobody panics");
        arriving.0 = true;
        if let Some(waker) = arriving.1.take() {
            waker.wake();
        }
    }
}

impl ByteStream for Arriving {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut arriving = self.0.lock().expect("nobody panics");
        if arriving.0 {
            return Poll::Ready(Some(Ok(Bytes::from_static(b"four"))));
        }
        arriving.1 = Some(context.waker().clone());
        Poll::Pending
    }
}
