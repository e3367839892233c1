//! What a guest sees of the world: WASI preview1, and the two ways a function answers a request.
//!
//! * a **guest ABI** ([`GuestAbi`]) says how a request reaches the guest: a *WASI command* reads
//!   it from stdin and answers on stdout, a *reactor* gets it as an argument; the kind follows
//!   from the module's exports;
//! * a **function** ([`Function`]) is a module with its ABI, environment and [`Limits`];
//!   [`Function::handle`] answers one request in a pristine faaslet;
//! * the **host state** ([`HostState`]) is what one instance has outside of its memory:
//!   arguments, environment, and the three standard streams ([`stdio`]);
//! * [`wasi`] links all of preview1: what is not there answers `ENOSYS`;
//! * [`init`] runs a module's initialisation once and captures the image every faaslet starts
//!   from;
//! * [`run`] executes a module once, with the streams of the process.
//!
//! A guest's pointers are allegations until checked (`wasi::guest`), and everything a guest can
//! make the host do is bounded by its [`Limits`].
//!
//! ```no_run
//! use wfaas_host::{Function, FunctionConfig, Request};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = wfaas_vm::Engine::new(wfaas_vm::Config::default())?;
//! let module = wfaas_vm::Module::from_file(&engine, "hello.faas".as_ref())?;
//! let hello = Function::new(&engine, &module, FunctionConfig::named("hello"))?;
//! let answer = hello.handle(Request::with_body("world"))?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod abi;
mod config;
mod function;
pub mod init;
mod invoke;
mod numbers;
mod reactor;
pub mod run;
mod state;
pub mod stdio;
pub mod warm_up;
pub mod wasi;

pub use abi::{AbiError, GuestAbi};
pub use config::{Environment, EnvironmentError, FunctionConfig, Limits};
pub use function::{Function, FunctionError};
pub use invoke::{InvokeError, Request, RequestInfo};
pub use numbers::{ArgumentError, ShowValue};
pub use state::HostState;
