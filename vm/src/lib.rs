//! The VM of wfaas: loads artifacts, gives every request a pristine instance, turns faults into
//! traps and ends calls at their deadline.
//!
//! * an [`Engine`] holds the configuration and is shared by all;
//! * a [`Module`] is an artifact mapped into the process;
//! * a [`Linker`] names what modules import: host functions, or exports of other instances;
//! * a [`Store`] holds [`Instance`]s that know each other, and the embedder's data;
//! * a [`Func`], [`TypedFunc`], [`Memory`], [`Table`] or [`Global`] is a handle to something in a
//!   store;
//! * a [`SharedMemory`] belongs to no store; instances in many can use it at the same time;
//! * a [`Trap`] says why a guest stopped, and where;
//! * [`Instance::capture`] makes the image of a *Proto-Faaslet*; a [`Pool`] restores it for every
//!   [`Faaslet`] it hands out.
//!
//! The way of a call, each step a file: `linker` resolves the imports, `instance` maps the image
//! and writes the host context, `init` runs what is left of the initialisation, `call` prepares
//! the thread, `entry` switches to the guest's stack; compiled code comes back through
//! `hostcalls` and `host_func`, or through `faults`; `store` turns what it left into a result.
//!
//! ```
//! use wfaas_vm::{Config, Engine, Linker, Module, Store};
//!
//! let wat = r#"(module (import "host" "twice" (func $twice (param i32) (result i32)))
//!     (func (export "run") (param i32) (result i32) local.get 0 call $twice))"#;
//! let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default())?;
//!
//! let engine = Engine::new(Config::default())?;
//! let module = Module::from_bytes(&engine, &compiled.artifact)?;
//! let mut linker = Linker::new(&engine);
//! linker.func_wrap("host", "twice", |_: wfaas_vm::Caller<'_, ()>, n: i32| n * 2);
//! let mut store = Store::new(&engine, ());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let run = instance.get_typed_func::<i32, i32>(&mut store, "run")?;
//! assert_eq!(run.call(&mut store, 21)?, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod backtrace;
mod bulk;
mod call;
mod caller;
mod capture;
mod code;
mod control;
mod engine;
mod entry;
mod error;
mod exception;
mod faults;
mod foreign;
mod func;
mod global;
mod host_context;
mod host_func;
mod hostcalls;
mod idle;
mod init;
mod instance;
mod linker;
mod memory;
mod module;
mod parking;
mod pool;
mod profile;
mod shared;
mod slots;
mod stack;
mod store;
mod table;
mod trap;
mod typed;
mod types;
mod values;

pub use caller::Caller;
pub use capture::Capture;
pub use control::CancelHandle;
pub use engine::{Config, Engine};
pub use error::{BoxError, Error};
pub use exception::{Exception, Tag, Uncaught};
pub use func::Func;
pub use global::Global;
pub use host_func::{HostParams, HostResults, IntoHostFunc};
pub use instance::{Extern, Instance};
pub use linker::Linker;
pub use memory::{Memory, OutOfBounds};
pub use module::{Module, available_cpu_features};
pub use pool::{Faaslet, Pool, PoolFunc};
pub use profile::working_sets;
pub use shared::SharedMemory;
pub use store::{AsContext, AsContextMut, Store, StoreInner};
pub use table::Table;
pub use trap::{Frame, HostError, MAX_FRAMES, Trap};
pub use typed::TypedFunc;
pub use types::{ExternType, GlobalType, Limits, MemoryType, TableType};
pub use values::{ExternRef, Val, WasmList, WasmTy};
pub use wfaas_snapshot::{Missing, Tracking, WorkingSet, cost, userfaultfd};
