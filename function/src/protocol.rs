//! Protocols: how a guest takes part in an exchange.
//!
//! A [`Protocol`] is a guest ABI. It says which exports speak for it, and is [prepared] once for a
//! function: its entry points are looked up. The result, a [`Conversation`], is asked again and
//! again, at each [`Turn`] of an exchange, which entry point to call next and with what; it sees what
//! became of the call before. The calls themselves are made by the driver (`driver.rs`), so that a
//! conversation never blocks, and does not know how long a call takes or on which thread.
//!
//! [prepared]: Protocol::prepare

use crate::cells::{Cells, Numbers};
use crate::driver::Callee;
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::protocols::TABLE;
use crate::resolver::{Entry, GuestMemory, ListEntry, Resolver};
use crate::spec::Abi;
use crate::state::State;
use crate::target::Target;
use std::any::Any;
use std::fmt;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wfaas_vm::component::Bindings;
use wfaas_vm::{ExternType, FuncType, Linker, Module, Val, ValType};
use wfaas_wasi::preview3::Waited;
use wfaas_wasi::{HasWasi, LogEvent, Output, OutputLimit};

/// A guest ABI: one file and one line of a table.
pub trait Protocol: Send + Sync {
    /// Its name and what there is to say about it.
    fn about(&self) -> &'static About;

    /// Looks up its entry points, once for a function that has all its [exports](About::exports).
    ///
    /// # Errors
    /// As those of the VM, if an export cannot be called.
    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error>;

    /// Whether the request is in the environment: a guest that has read that cannot be given another one.
    fn tells_by_environment(&self) -> bool {
        false
    }

    /// The request as the bytes that a guest finds on its stdin, if guests of this protocol answer one
    /// request after another there. Takes the body.
    ///
    /// # Errors
    /// [`InvokeError`] for a request that a guest cannot be given.
    fn record(&self, _exchange: &mut Exchange) -> Option<Result<Vec<u8>, InvokeError>> {
        None
    }

    /// Whether the guest has a stream for results, with descriptor 3 where it has no directories. Otherwise results
    /// go to stdout.
    fn has_results(&self) -> bool {
        false
    }

    /// Defines the host functions that this guest imports besides WASI, once for a function. They
    /// reach the exchange, and the [state](State::local) that they share with the conversation, by
    /// their caller's data.
    fn link(&self, _linker: &mut Linker<State>, _module: &Module) {}

    /// Whether [`Protocol::link`] has a function for an import.
    fn provides(&self, _module: &str, _name: &str, _ty: &FuncType) -> bool {
        false
    }
}

/// What there is to say about a protocol: in listings, documents, messages and benches.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The word in configuration files and listings.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// The kind of program a guest is, as in "a reactor".
    pub guest: &'static str,
    /// What a guest exports.
    pub exports: &'static [Required],
    /// Modules of imports that only guests of this protocol have.
    pub imports: &'static [&'static str],
    /// Functions that only components of this protocol export, each with its interface without patch level.
    /// Exports of the core module that a component was fused to say nothing.
    pub lifted: &'static [(&'static str, &'static str)],
    /// Where a guest finds the body of a request.
    pub body: &'static str,
    /// Where a guest leaves its answer.
    pub answer: &'static str,
    /// WebAssembly text of a small guest, for benches and tests: what makes one of a module with a
    /// function `$run`, `(param i32) (result i32)`, and a memory exported as `memory`.
    pub example: &'static str,
    /// The imports that the example needs, as text: they come first in a module.
    pub example_imports: &'static str,
}

/// An export that a protocol requires.
#[derive(Debug, Clone, Copy)]
pub struct Required {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub ty: RequiredType,
    /// Whether a module that has it speaks this protocol: other exports are common to many.
    pub sign: bool,
}

/// What an export that a protocol requires is.
#[derive(Debug, Clone, Copy)]
pub enum RequiredType {
    /// A function with these parameters and results.
    Func(&'static [ValType], &'static [ValType]),
    /// A function of several types, which the protocol looks at itself.
    AnyFunc,
    /// A memory.
    Memory,
}

impl Required {
    /// A function that only guests of this protocol have.
    pub const fn func(
        name: &'static str,
        params: &'static [ValType],
        results: &'static [ValType],
    ) -> Required {
        Required { name, ty: RequiredType::Func(params, results), sign: true }
    }

    /// A function of any type that only guests of this protocol have.
    pub const fn any_func(name: &'static str) -> Required {
        Required { name, ty: RequiredType::AnyFunc, sign: true }
    }

    /// A memory, as many modules have one.
    pub const fn memory(name: &'static str) -> Required {
        Required { name, ty: RequiredType::Memory, sign: false }
    }
}

impl RequiredType {
    fn fits(self, found: &ExternType) -> bool {
        match (self, found) {
            (RequiredType::Func(params, results), ExternType::Func(ty)) => {
                ty.params() == params && ty.results() == results
            }
            (RequiredType::AnyFunc, ExternType::Func(_))
            | (RequiredType::Memory, ExternType::Memory(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Display for RequiredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequiredType::Func(params, results) => {
                let ty = FuncType::new(params.iter().copied(), results.iter().copied());
                ExternType::Func(ty).fmt(f)
            }
            RequiredType::AnyFunc => f.write_str("a function"),
            RequiredType::Memory => f.write_str("a memory"),
        }
    }
}

/// Why a module is no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AbiError {
    /// No protocol's exports are there.
    #[error("the module is no function: it exports neither {expected}")]
    Neither {
        /// The exports that would speak for a protocol.
        expected: String,
    },
    /// Some exports of a protocol are missing.
    #[error("the module lacks the export `{name}` that a {guest} needs")]
    Missing {
        /// Name of the export.
        name: &'static str,
        /// What the module is taken for.
        guest: &'static str,
    },
    /// An export of the right name and the wrong type.
    #[error("the export `{name}` is {found}, it has to be {expected}")]
    Type {
        /// Name of the export.
        name: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A component with no export that a protocol has.
    #[error("the component is no function: it exports neither {expected}")]
    Component {
        /// The exports that would speak for a protocol.
        expected: String,
    },
    /// There is no protocol of this name.
    #[error("{name:?} is unknown, use one of {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
}

/// A set of protocols. The default is all there are.
#[derive(Clone)]
pub struct Protocols(Vec<&'static dyn Protocol>);

impl Default for Protocols {
    fn default() -> Protocols {
        Protocols(TABLE.to_vec())
    }
}

impl fmt::Debug for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|protocol| protocol.about().name)).finish()
    }
}

impl Protocols {
    /// The set with one more.
    pub fn with(mut self, protocol: &'static dyn Protocol) -> Protocols {
        self.0.push(protocol);
        self
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn Protocol> {
        self.0.iter().copied()
    }

    /// The protocol of this [name](About::name).
    ///
    /// # Errors
    /// [`AbiError::Unknown`] lists the names there are.
    pub fn get(&self, name: &str) -> Result<&'static dyn Protocol, AbiError> {
        let found = self.iter().find(|protocol| protocol.about().name == name);
        found.ok_or_else(|| {
            let known: Vec<String> =
                self.iter().map(|protocol| format!("`{}`", protocol.about().name)).collect();
            AbiError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The protocol of a function: the one that its specification names, or else the one that its
    /// module's exports speak for.
    ///
    /// # Errors
    /// [`AbiError`] names what is missing or has the wrong type.
    pub fn choose(
        &self,
        abi: Option<&Abi>,
        module: &Module,
    ) -> Result<&'static dyn Protocol, AbiError> {
        let Some(abi) = abi else { return self.recognise(module) };
        let protocol = self.get(abi.as_str())?;
        protocol.about().check(&module.exports().collect::<Vec<_>>())?;
        Ok(protocol)
    }

    /// Finds out from the exports which protocol a module speaks: the last one of the set for which
    /// an export speaks.
    ///
    /// # Errors
    /// [`AbiError`] names what is missing or has the wrong type.
    pub fn recognise(&self, module: &Module) -> Result<&'static dyn Protocol, AbiError> {
        // One that is damaged is refused where it is loaded into an instance.
        if let Ok(Some(component)) = module.component() {
            return self.recognise_component(&component);
        }
        let imports: Vec<&str> = module.imports().map(|(module, ..)| module).collect();
        self.recognise_interface(&module.exports().collect::<Vec<_>>(), &imports)
    }

    /// The protocol that a component speaks: the last one of the set for which an export speaks.
    ///
    /// # Errors
    /// [`AbiError::Component`].
    pub fn recognise_component(
        &self,
        component: &Bindings,
    ) -> Result<&'static dyn Protocol, AbiError> {
        let exports =
            |(interface, name): &(&str, &str)| component.export(interface, name).is_some();
        let speaks = |protocol: &&dyn Protocol| protocol.about().lifted.iter().any(exports);
        let found = self.0.iter().copied().rfind(speaks);
        found.ok_or_else(|| AbiError::Component { expected: self.interfaces() })
    }

    /// The functions that speak for a protocol if a component exports them, in words.
    fn interfaces(&self) -> String {
        let of_one = |protocol: &'static dyn Protocol| {
            let About { guest, lifted, .. } = protocol.about();
            lifted.first().map(|(interface, name)| format!("`{interface}` `{name}` (a {guest})"))
        };
        self.iter().filter_map(of_one).collect::<Vec<_>>().join(" nor ")
    }

    /// The same with a list of exports, and the modules of the imports.
    ///
    /// # Errors
    /// As [`Protocols::recognise`].
    pub fn recognise_interface(
        &self,
        exports: &[(&str, ExternType)],
        imports: &[&str],
    ) -> Result<&'static dyn Protocol, AbiError> {
        let speaks = |required: &Required| {
            required.sign && exports.iter().any(|(name, _)| *name == required.name)
        };
        let spoken = |protocol: &&dyn Protocol| {
            let about = protocol.about();
            about.exports.iter().any(speaks)
                || about.imports.iter().any(|module| imports.contains(module))
        };
        let found = self.0.iter().copied().rfind(spoken);
        let protocol = found.ok_or_else(|| AbiError::Neither { expected: self.signs() })?;
        protocol.about().check(exports)?;
        Ok(protocol)
    }

    /// Defines the host functions of all protocols that this module imports.
    pub fn link(&self, linker: &mut Linker<State>, module: &Module) {
        self.iter().for_each(|protocol| protocol.link(linker, module));
    }

    /// Whether a protocol has a host function for an import.
    pub fn provides(&self, module: &str, name: &str, ty: &FuncType) -> bool {
        self.iter().any(|protocol| protocol.provides(module, name, ty))
    }

    /// The exports that speak for a protocol, in words. A protocol without any is asked for by name.
    fn signs(&self) -> String {
        let of_one = |protocol: &'static dyn Protocol| {
            let About { guest, exports, .. } = protocol.about();
            let signs = exports.iter().filter(|required| required.sign);
            let signs: Vec<String> = signs.map(|required| format!("`{}`", required.name)).collect();
            (!signs.is_empty()).then(|| format!("{} (a {guest})", signs.join(" and ")))
        };
        self.iter().filter_map(of_one).collect::<Vec<_>>().join(" nor ")
    }
}

impl About {
    /// The entry point of guests that are programs: they run from there to their end.
    pub fn program(&self) -> Option<&'static str> {
        let is_program = |required: &&Required| matches!(required.ty, RequiredType::Func([], []));
        self.exports.iter().find(is_program).map(|required| required.name)
    }

    /// Checks that all exports are there that a guest needs.
    ///
    /// # Errors
    /// [`AbiError`] names what is missing or has the wrong type.
    pub fn check(&self, exports: &[(&str, ExternType)]) -> Result<(), AbiError> {
        for Required { name, ty, .. } in self.exports {
            let missing = AbiError::Missing { name, guest: self.guest };
            let (_, found) = exports.iter().find(|(found, _)| found == name).ok_or(missing)?;
            if !ty.fits(found) {
                let (expected, found) = (ty.to_string(), found.to_string());
                return Err(AbiError::Type { name, expected, found });
            }
        }
        Ok(())
    }
}

/// A protocol prepared for one function.
pub trait Conversation: Send + Sync {
    /// Where the guest's standard streams lead.
    fn streams(&self) -> Streams;

    /// Whether the guest reads a body that arrives while it runs.
    fn reads_streams(&self) -> bool {
        matches!(self.streams(), Streams::Exchange | Streams::Opened)
    }

    /// Whether the answer goes to the exchange's [reply](Exchange::reply), and not into the exchange.
    fn replies(&self) -> Replies {
        Replies::Never
    }

    /// Whether an answer may be a [local redirect](crate::LocalRedirect).
    fn redirects(&self) -> bool {
        false
    }

    /// Whether a guest can take part in another exchange after one, and go on from its state then.
    fn has_sessions(&self) -> bool {
        false
    }

    /// Whether guests are programs that answer one request after another, if they are let: each reads the next one when
    /// it has answered.
    fn answers_in_turn(&self) -> bool {
        false
    }

    /// Most bytes of the host's that an exchange may take besides request, answer and the guest's own
    /// memory.
    fn more_bytes(&self) -> u64 {
        0
    }

    /// Opens stdout for one exchange, if it is [to be opened](Streams::Opened). The exchange
    /// [has begun](Conversation::begin).
    fn open(&self, _exchange: &Exchange) -> Opening {
        Opening::default()
    }

    /// Prepares an exchange before its guest has an instance: this is the place to give the guest
    /// [variables](Exchange::variables) and [arguments](Exchange::arguments).
    ///
    /// # Errors
    /// [`InvokeError`] for a request that this guest cannot be given.
    fn begin(&self, _exchange: &mut Exchange) -> Result<(), InvokeError> {
        Ok(())
    }

    /// Ready when the wait that [`Next::Wait`] asked for is over, or has taken as long as the
    /// [patience](Turn::patience). Must not block.
    ///
    /// # Errors
    /// As [`Conversation::turn`].
    fn wait(
        &self,
        _turn: &mut Turn<'_>,
        _context: &mut Context<'_>,
    ) -> Poll<Result<Waited, InvokeError>> {
        Poll::Ready(Ok(Waited::Over))
    }

    /// Does the next step of an exchange: reads what became of the call before, and makes the next
    /// one or none. Must not block.
    ///
    /// # Errors
    /// [`InvokeError`] if the guest does not keep to its ABI, or beyond a limit.
    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError>;
}

/// Whether answers are made piece by piece, in the exchange's [reply](Exchange::reply).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// Each is in the exchange when its guest has ended.
    Never,
    /// If the exchange has a reply, an answer [begins](crate::Reply::flush) there once its guest waits, and for
    /// room in the reply as well. Any other is in the exchange when its guest has ended.
    IfGuestWaits,
    /// Each is in the reply.
    Always,
}

/// Where a guest's standard streams lead. stderr goes to the log in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// stdin is the request's body, which may arrive while the guest runs, and stdout becomes the
    /// answer's: by way of the exchange's reply, if it has one and the conversation [uses it](Replies).
    Exchange,
    /// stdin is the request's body, which has to be complete, and stdout is kept for the conversation.
    Captured,
    /// stdin is the request's body, which has to be complete. The first line of [results](Protocol::has_results) is
    /// kept for the conversation, and ends the guest.
    Line,
    /// stdin is empty, and stdout goes to the log. The request's body has to be complete, unless the
    /// conversation [says otherwise](Conversation::reads_streams).
    Log,
    /// stdin is the request's body, which may arrive while the guest runs, and stdout is [opened by the
    /// conversation](Conversation::open).
    Opened,
}

/// What a conversation opens for one exchange.
pub struct Opening {
    /// The guest's stdout.
    pub stdout: Output,
    /// What is left to do for the answer [when the guest has ended](Turn::finish).
    pub finish: Finish,
}

/// Completes an answer.
pub type Finish = Box<dyn FnOnce() -> Result<(), InvokeError> + Send>;

impl Default for Opening {
    fn default() -> Opening {
        Opening { stdout: Output::default(), finish: Box::new(|| Ok(())) }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("stdout", &self.stdout).finish_non_exhaustive()
    }
}

/// How an exchange goes on.
#[derive(Debug)]
#[must_use]
pub enum Next {
    /// With the call that was just [made ready](Turn::call).
    Call(Ready),
    /// With another turn, after [a wait](Conversation::wait). No stack of the guest's waits.
    Wait,
    /// With another turn of the same number, once others had theirs: there is much to do.
    Again,
    /// The answer is complete.
    Done,
}

/// A call that was made ready.
#[derive(Debug)]
pub struct Ready(pub(crate) Callee);

/// What became of a call that did not fail. A trap, an exception or a deadline ends the exchange
/// without asking the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It returned.
    Returned,
    /// The guest exited with this code.
    Exited(u32),
}

/// One step of an exchange, as a [`Conversation`] sees it.
pub struct Turn<'a> {
    pub(crate) number: usize,
    pub(crate) outcome: Outcome,
    pub(crate) cells: Cells,
    pub(crate) list: &'a mut Vec<Val>,
    pub(crate) target: &'a mut dyn Target,
    pub(crate) output_limit: u64,
    pub(crate) patience: Option<Duration>,
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Turn { number, outcome, .. } = self;
        f.debug_struct("Turn")
            .field("number", number)
            .field("outcome", outcome)
            .finish_non_exhaustive()
    }
}

impl Turn<'_> {
    /// Which step it is: the number of calls before it.
    pub fn number(&self) -> usize {
        self.number
    }

    /// What became of the call before.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The results of the call before.
    ///
    /// # Errors
    /// [`InvokeError::Exit`] if the guest exited instead, whatever the code.
    pub fn results<R: Numbers>(&self) -> Result<R, InvokeError> {
        match self.outcome {
            Outcome::Returned => Ok(R::read(&self.cells)),
            Outcome::Exited(code) => Err(InvokeError::Exit(code)),
        }
    }

    /// Makes a call ready.
    pub fn call<P: Numbers, R: Numbers>(&mut self, entry: &Entry<P, R>, params: P) -> Next {
        params.write(&mut self.cells);
        Next::Call(Ready(Callee::Cells(entry.index)))
    }

    /// Makes a call with a list of arguments ready.
    pub fn call_list(&mut self, entry: &ListEntry, arguments: Vec<Val>) -> Next {
        *self.list = arguments;
        Next::Call(Ready(Callee::List(entry.index)))
    }

    /// The results of the call before, which was one with a list.
    ///
    /// # Errors
    /// As [`Turn::results`].
    pub fn list_results(&self) -> Result<&[Val], InvokeError> {
        match self.outcome {
            Outcome::Returned => Ok(self.list),
            Outcome::Exited(code) => Err(InvokeError::Exit(code)),
        }
    }

    /// Request and answer.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.target.state().live().exchange
    }

    /// The state that this conversation shares with the host functions of its protocol; see
    /// [`State::local`].
    pub fn local<T: Any + Default + Send>(&mut self) -> &mut T {
        self.target.state().local()
    }

    /// Gives a line to the log.
    pub fn log(&mut self, event: LogEvent) {
        self.target.state().log(event);
    }

    /// What the guest wrote to stdout, if that [leads to the exchange](Streams::Exchange)
    /// or is [kept](Streams::Captured), or the line of its [results](Streams::Line).
    pub fn take_stdout(&mut self) -> Vec<u8> {
        self.target.state().live().wasi.take_captured()
    }

    /// Makes what the guest wrote to stdout the answer's body, if stdout [leads to the
    /// exchange](Streams::Exchange). An answer that has begun is in the reply.
    pub fn answer_stdout(&mut self) {
        let whole = match &self.exchange().reply {
            Some(reply) => reply.take_unbegun(),
            None => Some(self.take_stdout()),
        };
        if let Some(whole) = whole {
            *self.exchange().answer.body_mut() = Body::complete(whole);
        }
    }

    /// Does what is [left to do](Opening::finish) for the answer.
    ///
    /// # Errors
    /// As the conversation that opened stdout has it.
    pub fn finish(&mut self) -> Result<(), InvokeError> {
        self.target.state().live().finish.take().map_or(Ok(()), |finish| finish())
    }

    /// The bytes of a memory of the guest's.
    pub fn memory(&mut self, memory: &GuestMemory) -> &mut [u8] {
        self.target.memory(memory.index)
    }

    /// The bytes of a memory of the guest's, and its state.
    pub(crate) fn memory_and_state(&mut self, memory: &GuestMemory) -> (&mut [u8], &mut State) {
        self.target.memory_and_state(memory.index)
    }

    /// When the answer has to be there.
    pub fn deadline(&mut self) -> Option<Instant> {
        self.target.deadline()
    }

    /// Has the answer be there at another time, since the guest has waited for others.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.target.set_deadline(deadline);
    }

    /// Checks that an answer may have so many bytes.
    ///
    /// # Errors
    /// [`InvokeError::OutputLimit`].
    pub fn check_output(&self, bytes: u64) -> Result<(), InvokeError> {
        let limit = self.output_limit;
        match bytes <= limit {
            true => Ok(()),
            false => Err(InvokeError::OutputLimit(OutputLimit { bytes: limit })),
        }
    }

    /// How long a [wait](Conversation::wait) may take before it is [long](Waited::Long); `None` for any time.
    pub fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// Most bytes of an answer.
    pub fn output_limit(&self) -> u64 {
        self.output_limit
    }
}
