//! `start`: the cost of a request besides its own work, on one thread and on two.

use crate::peer::{Peer, Requests, default_engine, fastest};
use crate::report::{Row, measure, measure_scaling};
use crate::timing::{LONG, on_threads};
use crate::workload::{self, Workload};
use std::hint::black_box;
use wfaas_abi::artifact::replace_image;
use wfaas_function::{Abi, About, Exchange, Function, Protocols, Spec};
use wfaas_vm::{Config, Engine, Linker, Module, Pool, PoolFunc, Store};

/// Measures all workloads whose name contains `only`.
pub(crate) fn run(only: &str, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for workload in workload::all() {
        if workload.name.contains(only) {
            rows.extend(one(&workload, rounds)?);
        }
    }
    for protocol in Protocols::default().iter() {
        let guest = protocol.about().guest.rsplit(' ').next();
        let name = format!("handle_{}", guest.unwrap_or_default());
        // The peer of these rows is the guest without its protocol, and so without the protocol's imports.
        let about = protocol.about();
        let has_peer = !about.example.is_empty() && about.example_imports.is_empty();
        if name.contains(only) && has_peer {
            rows.push(handle(&name, about, rounds)?);
        }
    }
    anyhow::ensure!(!rows.is_empty(), "no workload's name contains {only:?}");
    rows.push(control(rounds)?);
    Ok(rows)
}

/// Arithmetic that shares nothing, on both sides: how far two threads can scale on this machine
/// now. Where this is not near 2, somebody else uses the processors, or there is one only, and the
/// scaling of the other rows says nothing.
fn control(rounds: usize) -> anyhow::Result<Row> {
    let spin = |count: u64| {
        let steps = (0..count * 100).fold(1, |sum: u64, step| black_box(sum.wrapping_add(step)));
        black_box(steps);
        Ok(())
    };
    let two = |count| on_threads(2, count, |_, share| spin(share)).map(drop);
    measure_scaling(
        LONG,
        "control x2",
        rounds,
        [&mut |count| spin(count), &mut |count| two(count)],
        [&mut |count| spin(count), &mut |count| two(count)],
    )
}

/// The rows of one workload: one thread, two threads.
fn one(workload: &Workload, rounds: usize) -> anyhow::Result<[Row; 2]> {
    let wasm = wat::parse_str(&workload.wat)?;
    let ours = Ours::new(&wasm)?;
    let tuned = fastest(&wasm)?;
    let plain = Peer::new(default_engine()?, &wasm)?;
    anyhow::ensure!(ours.request(5)? == tuned.peer.request(5)?, "{} differs", workload.name);
    let mut seed = 0;
    // Other arguments each time: to a workload that is random, they are the seed.
    let mut next = |count: u64| {
        seed += count;
        seed - count
    };
    let one_thread = measure(
        workload.name,
        rounds,
        &mut |count| ours.requests(next(count), count),
        &mut |count| tuned.peer.requests(0, count),
        Some(&mut |count| plain.requests(0, count)),
    )?;
    let two_threads = measure_scaling(
        LONG,
        &format!("{} x2", workload.name),
        rounds,
        [&mut |count| ours.requests(count, count), &mut |count| {
            on_threads(2, count, |thread, share| ours.requests(thread * count, share)).map(drop)
        }],
        [&mut |count| tuned.peer.requests(count, count), &mut |count| {
            on_threads(2, count, |thread, share| tuned.peer.requests(thread * count, share))
                .map(drop)
        }],
    )?;
    Ok([one_thread.with_peer(&tuned.name), two_threads.with_peer(&tuned.name)])
}

/// What a server calls for a request, [`Function::handle`], beside the bare call of the same guest on
/// a faaslet of its own: the difference is the protocol, WASI, and the exchange.
fn handle(name: &str, about: &About, rounds: usize) -> anyhow::Result<Row> {
    let wat = workload::hello_with(about.example);
    let bare = Ours::new(wat.as_bytes())?;
    let spec = Spec { abi: Some(Abi::new(about.name)), ..Spec::named("hello".parse()?) };
    let options = wfaas_build::Options::default();
    let artifact = wfaas_build::build(wat.as_bytes(), &spec, &options, &())?.artifact;
    let engine = Engine::new(Config::default())?;
    let function = Function::new(&engine, &Module::from_bytes(&engine, &artifact)?, spec)?;
    let handle = |count: u64| -> anyhow::Result<()> {
        for _ in 0..count {
            black_box(function.handle(Exchange::with_body(""))?);
        }
        Ok(())
    };
    let row = measure(
        name,
        rounds,
        &mut |count| handle(count),
        &mut |count| bare.requests(0, count),
        None,
    )?;
    Ok(row.with_peer("Faaslet::call"))
}

/// A pool and the function to call.
pub(crate) struct Ours {
    pub(crate) pool: Pool<()>,
    pub(crate) run: PoolFunc<i32, i32>,
}

impl Ours {
    /// Of initialised instances.
    pub(crate) fn new(wasm: &[u8]) -> anyhow::Result<Ours> {
        let engine = Engine::new(Config::default())?;
        let compiled = wfaas_compiler::compile(wasm, &Default::default())?;
        let module = Module::from_bytes(&engine, &compiled.artifact)?;
        let linker = Linker::<()>::new(&engine);
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module)?;
        let capture = instance.capture(&mut store)?;
        let artifact = replace_image(&module.artifact(), &capture.image, &capture.memory_pages)?;
        let pool = Pool::new(&linker, &Module::from_bytes(&engine, &artifact)?)?;
        let run = pool.typed_func("run")?;
        Ok(Ours { pool, run })
    }

    /// One request: a pristine faaslet, a call; reset at the end.
    pub(crate) fn request(&self, argument: i32) -> anyhow::Result<i32> {
        Ok(self.pool.acquire(())?.call(&self.run, argument)?)
    }

    /// `count` requests with different arguments.
    pub(crate) fn requests(&self, first: u64, count: u64) -> anyhow::Result<()> {
        for argument in first..first + count {
            self.request(argument as i32)?;
        }
        Ok(())
    }
}
