//! WASI for guests of `wfaas-vm`: all of preview1, linked into stores with data of the embedder's.
//!
//! * a [`Wasi`] is the state of one instance: its [`Environment`] and its **descriptor table**, in
//!   which standard streams are entries like any other;
//! * [`HasWasi`] is the trait that the data of a store implements, so that guests reach its [`Wasi`];
//! * an [`Input`] and an [`Output`] say where a stream comes from and goes to: memory, the process,
//!   a [`ByteStream`] whose bytes arrive piece by piece, a [`ByteSink`] that takes them so, or the
//!   log, line by line;
//! * [`preview1`] has the functions. None of them blocks: a function that cannot go on returns a
//!   *wait*, and is called again when that is over (`wait.rs` is the only place where a thread
//!   sleeps for a guest). With [`add_to_linker_async`] a waiting guest is suspended, and holds none.
//!
//! A guest's pointers are allegations until checked (`preview1/guest.rs`).
//!
//! ```
//! use wfaas_vm::{Config, Engine, Linker, Module, Store};
//! use wfaas_wasi::{HasWasi, Output, Wasi};
//!
//! struct State { wasi: Wasi, requests: u32 }
//!
//! impl HasWasi for State {
//!     fn wasi(&mut self) -> &mut Wasi { &mut self.wasi }
//! }
//!
//! let wat = r#"(module
//!     (import "wasi_snapshot_preview1" "fd_write"
//!         (func $write (param i32 i32 i32 i32) (result i32)))
//!     (memory (export "memory") 1)
//!     (data (i32.const 0) "\10\00\00\00\02\00\00\00") (data (i32.const 16) "hi")
//!     (func (export "_start")
//!         (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
//! let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default())?;
//!
//! let engine = Engine::new(Config::default())?;
//! let module = Module::from_bytes(&engine, &compiled.artifact)?;
//! let mut linker = Linker::new(&engine);
//! wfaas_wasi::add_to_linker(&mut linker);
//! let wasi = Wasi::builder().arg("greeter").stdout(Output::capture(1024)).build()?;
//! let mut store = Store::new(&engine, State { wasi, requests: 1 });
//! let instance = linker.instantiate(&mut store, &module)?;
//! instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
//! assert_eq!(store.data_mut().wasi.take_captured(), b"hi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod canonical;
mod checkpoint;
mod context;
mod environment;
pub mod files;
pub mod preview1;
pub mod preview2;
pub mod preview3;
pub mod sockets;
mod sources;
mod stdio;
mod table;
mod timer;
mod wait;
mod work;

pub use checkpoint::{RestoreError, Restored, Saved, SavedTree, Unsaved};
pub use context::{HasWasi, Wasi, WasiBuilder};
pub use environment::{Environment, EnvironmentError};
pub use preview1::{Exit, add_to_linker, add_to_linker_async};
pub use sources::{Rerun, Source, fill_random};
pub use stdio::{ByteSink, ByteStream, Input, LogEvent, Output, OutputLimit, SharedSink};
pub use timer::sleep_until;

/// The export that a module with WASI wants called once, before any other.
pub const INITIALIZE: &str = "_initialize";
