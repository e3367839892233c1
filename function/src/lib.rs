//! Functions: modules that answer requests, in the way of their guest ABI.
//!
//! * a **[`Spec`]** is everything about a function but its code: name, route, arguments, environment,
//!   [`Limits`]; it comes in layers, from the server's defaults to the command line;
//! * an **[`Exchange`]** is one request and the answer being made for it, in the types of the crate
//!   `http`; where the guest makes it piece by piece, it goes to a **[`Reply`]** as it is made;
//! * a **[`Protocol`]** is a guest ABI, one file in `protocols/` and one line of a table: how it is
//!   recognised from the exports, what it looks up once, and what it calls for an exchange;
//! * a **[`Function`]** is a module with its specification and protocol; [`Function::handle`] answers
//!   one request in a pristine faaslet, and looks nothing up by name;
//! * an **[`Outgoing`]** sends requests of guests to other servers, by an [`HttpClient`] of the embedder's;
//! * **[`sockets`]** connect guests to other machines, by a [`SocketProvider`](sockets::SocketProvider) of the
//!   embedder's;
//! * **[`stores`]** keep values of guests for later requests, by a [`StoreBackend`](stores::StoreBackend) of the
//!   embedder's;
//! * a **[`Parking`]** of the embedder's says for how long guests that wait without a stack keep their slots;
//! * a function that is a [program](Function::run_program) can be run to its end with [`Stdio`] of the
//!   embedder's;
//! * [`run`] executes a module once, with the streams of the process, by the same protocols.
//!
//! The way of a request, each step a file: `function` makes the `state` of an instance and takes a
//! faaslet, a `target`; `driver` makes the calls that the `protocol` asks for, to entry points that the
//! `resolver` has looked up; `invoke` says what went wrong.
//! Everything that a guest can make the host do is bounded by its limits.
//!
//! ```no_run
//! use wfaas_function::{Exchange, Function, Spec};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = wfaas_vm::Engine::new(wfaas_vm::Config::default())?;
//! let module = wfaas_vm::Module::from_file(&engine, "hello.faas".as_ref())?;
//! let hello = Function::new(&engine, &module, Spec::named("hello".parse()?))?;
//! let answer = hello.handle(Exchange::with_body("world"))?;
//! println!("{}: {} bytes", answer.status(), answer.body().len());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod captured;
mod cells;
mod driver;
mod exchange;
mod function;
mod head;
mod id;
mod invoke;
mod numbers;
mod outgoing;
mod parking;
mod plain_fields;
mod program;
mod protocol;
pub mod protocols;
mod records;
mod reply;
mod request;
mod resolver;
pub mod run;
mod session;
pub mod sockets;
mod spare;
mod spec;
mod state;
pub mod stores;
mod target;
mod trailers;
mod trees;
mod waiting;

pub use cells::Numbers;
pub use exchange::{Body, Exchange, LogSink};
pub use function::{Function, FunctionError};
pub use head::{HeadError, LocalRedirect, MAX_HEAD_BYTES, MAX_HEADERS, content_length};
pub use id::ExchangeId;
pub use invoke::{GuestFault, InvokeError};
pub use numbers::{ArgumentError, ShowValue};
pub use outgoing::{HttpClient, MAX_REQUESTS, Outgoing, OutgoingError, Sending, Timeouts};
pub use parking::{BySlots, Parking};
pub use plain_fields::PlainFields;
pub use program::{Ran, Stdio, Usage};
pub use protocol::{
    AbiError, About, Conversation, Finish, Next, Opening, Outcome, Protocol, Protocols, Ready,
    Replies, Required, RequiredType, Streams, Turn,
};
pub use reply::{BrokenOff, Reply, WINDOW};
pub use request::{PlainHead, Request};
pub use resolver::{Entry, GuestMemory, ListEntry, Resolver};
pub use session::{Redirected, SessionState};
pub use spec::{
    Abi, AllowedDirs, AtInit, ByteSize, Carrier, Coding, Dir, Fields, FunctionName, Key, Limits,
    NameError, OnDisconnect, Route, RouteError, Session, Span, Spec, SpecError, TenantName,
    TenantNameError,
};
pub use state::State;
pub use target::{Background, LongReset, Reset};
pub use trailers::{TrailerNames, Trailers};
pub use trees::{trees, trees_at_init};
pub use wfaas_wasi::files::BlockingPool;
pub use wfaas_wasi::preview1::Support;
pub use wfaas_wasi::preview3::Waited;
pub use wfaas_wasi::{ByteStream, LogEvent};
