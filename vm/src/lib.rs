//! The VM of wfaas: loads artifacts, gives every request a pristine instance, turns faults into
//! traps and ends calls at their deadline.
//!
//! * an [`Engine`] holds the configuration and is shared by all;
//! * a [`Module`] is an artifact mapped into the process;
//! * a [`Linker`] names the imports of modules: host functions, or exports of other instances;
//! * a [`Store`] holds [`Instance`]s that know each other, and the embedder's data;
//! * a [`Func`], [`TypedFunc`], [`Memory`], [`Table`] or [`Global`] is a handle to something in a
//!   store;
//! * a [`SharedMemory`] belongs to no store; instances in many can use it at the same time;
//! * a [`Trap`] says why a guest stopped, and where;
//! * a guest called with [`TypedFunc::call_async`] or its likes is suspended, without a thread, while a
//!   host function of [`Linker::func_wrap_async`] waits;
//! * [`Instance::capture`] makes the image of a *Proto-Faaslet*; a [`Pool`] restores it for every
//!   [`Faaslet`] it hands out;
//! * [`Faaslet::fork`] makes a second faaslet identical to a live one; a [`Snapshot`] is the pages by which an
//!   instance differs from its image, to make faaslets of later.
//!
//! Anything that takes `&mut impl AsContextMut` takes a [`Store`] or, in a host function, its
//! [`Caller`]: host functions can call, make and link things as the embedder does.
//!
//! ```
//! use wfaas_vm::{Caller, Config, Engine, Func, Linker, Module, Pool, Val};
//!
//! let wat = r#"(module (import "host" "twice" (func $twice (param i32) (result i32)))
//!     (memory (export "memory") 1)
//!     (func (export "run") (param i32) (result i32)
//!         (i32.store (i32.const 0) (call $twice (local.get 0)))
//!         (i32.load (i32.const 0))))"#;
//! let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default())?;
//!
//! // Once: an engine, a module, and the host's functions over data of the embedder's own.
//! #[derive(Default)]
//! struct Request {
//!     calls: u32,
//! }
//! let engine = Engine::new(Config::default())?;
//! let module = Module::from_bytes(&engine, &compiled.artifact)?;
//! let mut linker = Linker::<Request>::new(&engine);
//! linker.func_wrap("host", "twice", |mut caller: Caller<'_, Request>, n: i32| {
//!     caller.data_mut().calls += 1;
//!     n * 2
//! });
//! let pool = Pool::new(&linker, &module)?;
//! let run = pool.typed_func::<i32, i32>("run")?;
//!
//! // For each request: a pristine instance, data, and a deadline.
//! let mut faaslet = pool.acquire(Request::default())?;
//! let soon = std::time::Instant::now() + std::time::Duration::from_secs(1);
//! faaslet.store().set_deadline(Some(soon));
//! assert_eq!(faaslet.call(&run, 21)?, 42);
//!
//! // Handles look into the store while the faaslet lives.
//! let instance = faaslet.instance();
//! let memory = instance.get_memory(faaslet.store(), "memory").ok_or("no memory")?;
//! assert_eq!(memory.data(faaslet.store())[0], 42);
//! let host = Func::wrap(faaslet.store(), |n: Caller<'_, Request>| n.data().calls);
//! assert!(matches!(host.call(faaslet.store(), &[])?[..], [Val::I32(1)]));
//! assert_eq!(faaslet.release().calls, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Inside, the crate is in layers; none uses a higher one (`tests/layers.rs`):
//!
//! | folder | holds |
//! |---|---|
//! | `api/` | handles, and everything that is generic over the embedder's data |
//! | `pool/` | slots and idle stores, lent and taken back |
//! | `runtime/` | the objects of a store, instantiation, hostcalls |
//! | `call/` | entering and leaving guest code, stacks, faults, deadlines |
//! | `arch/` | the lines that are written for one processor |
//! | `sys.rs` | system calls |
//!
//! The way of a call: `api::linker` resolves the imports, `runtime::instantiate` maps the image and
//! `runtime::init` finishes it, `call::enter` prepares the thread, `arch` switches to the guest's
//! stack; compiled code comes back through `runtime::hostcalls` and `api::host_func`, or through
//! `call::faults`; `runtime::invoke` turns the outcome into a result.

mod api;
mod arch;
mod call;
mod pool;
mod runtime;
mod sys;

pub use api::caller::Caller;
pub use api::cancel::CancelHandle;
pub use api::diagnostics;
pub use api::engine::{Config, Engine, trim_allocator};
pub use api::exception::Tag;
pub use api::externs::Extern;
pub use api::func::Func;
pub use api::global::Global;
pub use api::host_func::{HostParams, HostResults, IntoHostFunc};
pub use api::instance::Instance;
pub use api::linker::Linker;
pub use api::maybe_future::MaybeFuture;
pub use api::memory::Memory;
pub use api::parked::Parked;
pub use api::pool::{Faaslet, PendingReset, Pool, PoolFunc};
pub use api::pool_cells::PoolCellsFunc;
pub use api::pool_memory::PoolMemory;
pub use api::store::{AsContext, AsContextMut, Store};
pub use api::table::Table;
pub use api::typed::TypedFunc;
pub use api::val::{ExternRef, Val};
pub use api::wasm_ty::{WasmList, WasmTy};
pub use arch::available_cpu_features;
pub use call::backtrace::MAX_FRAMES;
pub use call::ticks::{Ticks, thread_processor_time};
pub use runtime::bundle::MappedBundle;
pub use runtime::capture::Capture;
pub use runtime::code::Frame;
pub use runtime::error::{Error, OutOfBounds};
pub use runtime::fault::Fault;
pub use runtime::module::Module;
pub use runtime::shared::SharedMemory;
pub use runtime::snapshot::Snapshot;
pub use runtime::thrown::{Exception, Uncaught};
pub use runtime::trap::{BoxError, HostError, Trap};
pub use runtime::types::{ExternType, GlobalType, Limits, MemoryType, TableType};
pub use wfaas_abi::artifact::bundle;
pub use wfaas_abi::checkpoint;
pub use wfaas_abi::component;
pub use wfaas_abi::cpu::CpuFeatures;
pub use wfaas_abi::untrusted;
pub use wfaas_abi::{Artifact, ArtifactError, artifact::Profile, image::SparseImage};
pub use wfaas_abi::{FuncType, HeapType, RefType, TrapCode, TypeHash, ValType};
pub use wfaas_snapshot::{Error as SlotError, Tracking, WorkingSet};
pub use wfaas_symbolize::Line;
