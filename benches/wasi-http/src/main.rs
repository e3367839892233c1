//! The component in wasmtime: for each request a store and an instance of its pool, as its crate for `wasi:http`
//! is used, behind the HTTP of the plain server.
//!
//! `wasi-http-server FILE` prints its address, and its processor time for each line that it reads.

#[path = "../../src/serve/plain.rs"]
mod plain;

use anyhow::Context;
use hyper::body::Incoming;
use hyper::{Request, Response};
use plain::add_headers;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::net::TcpListener;
use std::sync::Arc;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).context("usage: wasi-http-server FILE.wasm")?;
    let wasm = std::fs::read(&file).with_context(|| format!("reading {file}"))?;
    // Compiling takes all processors, and is done before anybody asks: an interpreter takes a minute.
    let component = WasiHttp::new(&wasm)?;
    let mut first = CpuSet::new();
    first.set(0);
    // The one processor is chosen before there are any threads that serve, which have it too.
    sched_setaffinity(None, &first).context("running on the first processor")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(move || {
        // The other end sees the reason and the end of the process.
        eprintln!("{:?}", serve(component, listener));
        std::process::exit(1);
    });
    for line in std::io::stdin().lines() {
        line?;
        let time = clock_gettime(ClockId::ProcessCPUTime);
        println!("{}", time.tv_sec * 1_000_000_000 + time.tv_nsec);
    }
    Ok(())
}

/// Serves until the process ends.
fn serve(component: WasiHttp, listener: TcpListener) -> anyhow::Result<()> {
    let component = Arc::new(component);
    let answer = move |request| {
        let component = component.clone();
        async move { component.answer(request).await.expect("an instance answers") }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(plain::serve(listener, answer))
}

/// Most instances at the same time.
const SLOTS: u32 = 64;

/// Most core instances, and tables, of a component.
const CORES: u32 = 8;

/// The component, compiled, with its imports resolved.
struct WasiHttp(ProxyPre<Data>);

/// The data of a request's store.
struct Data {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Data {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: Default::default() }
    }
}

impl WasiHttp {
    fn new(wasm: &[u8]) -> anyhow::Result<WasiHttp> {
        let engine = engine()?;
        let component = Component::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        Ok(WasiHttp(ProxyPre::new(linker.instantiate_pre(&component)?)?))
    }

    /// The answer, as soon as its head is there. The guest runs in a task: it may have more to say then.
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> anyhow::Result<Response<HyperOutgoingBody>> {
        let data = Data {
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
        };
        let mut store = Store::new(self.0.engine(), data);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let out = store.data_mut().http().new_response_outparam(sender)?;
        let pre = self.0.clone();
        tokio::spawn(async move {
            let proxy = pre.instantiate_async(&mut store).await?;
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
        });
        let mut response = receiver.await.context("the guest has not answered")??;
        add_headers(response.headers_mut());
        Ok(response)
    }
}

/// The tuning of the module's pool in `benches/src/peer/`, with room for components.
fn engine() -> anyhow::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(SLOTS)
        .total_core_instances(CORES * SLOTS)
        .total_memories(SLOTS)
        .total_tables(CORES * SLOTS)
        .total_stacks(SLOTS)
        .max_memory_size(32 << 20)
        .linear_memory_keep_resident(32 << 20)
        .table_keep_resident(1 << 20)
        .async_stack_keep_resident(1 << 20)
        .pagemap_scan(Enabled::Yes);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}
