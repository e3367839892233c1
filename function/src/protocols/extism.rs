//! Extism plug-ins: an export without parameters reads its input from the *kernel*, a second memory
//! that the host keeps, and leaves its output there.
//!
//! The kernel's functions are imports of `extism:host/env`. An address of its memory is an `i64` that
//! means nothing in the guest's own. It begins empty with each exchange, and so do the variables.

mod arena;
mod functions;
mod http;
mod kernel;

use crate::exchange::Body;
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Protocol, Streams, Turn};
use crate::resolver::{ListEntry, Resolver};
use crate::spec::{ByteSize, Spec};
use crate::state::State;
use arena::PIECE;
use kernel::{Kernel, MAX_VARIABLES, Terms};
use std::sync::Arc;
use wfaas_vm::ValType::I32;
use wfaas_vm::{Error, FuncType, Linker, Module, Val, untrusted};

/// The protocol.
pub(super) struct Extism;

/// The module of the kernel's functions.
const KERNEL: &str = "extism:host/env";

/// The export of several that is called if the specification names none.
const DEFAULT_EXPORT: &str = "call";

/// Most bytes of the kernel's memory, if the function's limit is not lower.
const MAX_KERNEL_BYTES: u64 = 64 << 20;

static ABOUT: About = About {
    name: "extism",
    description: "Extism plug-in: input and output are in a memory of the host's",
    guest: "plug-in of Extism",
    exports: &[],
    imports: &[KERNEL],
    lifted: &[],
    body: "input",
    answer: "output",
    example: r#"(func (export "call") (result i32)
            (drop (call $run (i32.const 1))) (i32.const 0))"#,
    example_imports: r#"(import "extism:host/env" "input_length" (func (result i64)))"#,
};

impl Protocol for Extism {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        let name = export(resolver)?;
        let func = resolver.list_func(&name)?;
        if !is_entry(func.ty()) {
            let reason = format!("{}, it has to be a function () -> (i32)", func.ty());
            return Err(Error::Export { name, reason });
        }
        let terms = terms(resolver.spec());
        // The body of an answer to a request is there twice while the kernel takes it.
        let received = if resolver.spec().allowed_hosts.is_empty() { 0 } else { terms.memory };
        let more_bytes = terms.memory + received + MAX_VARIABLES as u64;
        Ok(Box::new(Prepared { func, terms: Arc::new(terms), more_bytes }))
    }

    fn link(&self, linker: &mut Linker<State>, _module: &Module) {
        functions::link(linker);
    }

    fn provides(&self, module: &str, name: &str, ty: &FuncType) -> bool {
        module == KERNEL && functions::provides(name, ty)
    }
}

/// Whether a function can be a plug-in's.
fn is_entry(ty: &FuncType) -> bool {
    ty.params().is_empty() && matches!(ty.results(), [] | [I32])
}

/// The name of the export to call: that of the specification, the only one there is, or `call`.
fn export(resolver: &Resolver<'_>) -> Result<String, Error> {
    if let Some(name) = &resolver.spec().export {
        return Ok(name.clone());
    }
    let funcs = resolver.funcs().into_iter().filter(|(name, ty)| {
        ty.params().is_empty() && ty.results() == [I32] && !name.starts_with('_')
    });
    let mut names: Vec<String> = funcs.map(|(name, _)| name).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        _ if names.iter().any(|name| name == DEFAULT_EXPORT) => Ok(DEFAULT_EXPORT.to_owned()),
        _ => {
            let names = names.iter().take(50).map(|name| untrusted::name(name).to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            let reason = format!("not there, and `export` does not name one of: {names}");
            Err(Error::Export { name: DEFAULT_EXPORT.to_owned(), reason })
        }
    }
}

fn terms(spec: &Spec) -> Terms {
    let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, |ByteSize(bytes)| bytes);
    Terms {
        config: spec.config.clone(),
        memory: bytes(spec.limits.memory).min(MAX_KERNEL_BYTES),
        log: bytes(spec.limits.log),
    }
}

struct Prepared {
    func: ListEntry,
    terms: Arc<Terms>,
    more_bytes: u64,
}

/// The plug-in failed, by its own account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plug-in returned {code}: {message}")]
pub struct PluginError {
    /// The code it returned; 0 if it set an error only.
    pub code: i32,
    /// The error it set.
    pub message: String,
}

/// The input does not fit in the kernel's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an input of {bytes} bytes does not fit in the plug-in's kernel memory of {limit} bytes")]
pub struct NoRoom {
    /// Bytes of the input.
    pub bytes: usize,
    /// Most bytes of the memory.
    pub limit: u64,
}

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn more_bytes(&self) -> u64 {
        self.more_bytes
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            return self.give_input(turn);
        }
        let code = match turn.list_results()? {
            [Val::I32(code)] => *code,
            _ => 0,
        };
        if let Some(message) = turn.local::<Kernel>().failure(code) {
            return Err(InvokeError::protocol(PluginError { code, message }));
        }
        take_output(turn)
    }
}

impl Prepared {
    /// Copies a piece of the request's body to the kernel, then calls the guest after the last one.
    fn give_input(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        let input = turn.exchange().request.body_mut().take();
        let kernel = turn.local::<Kernel>();
        if !kernel.is_of(&self.terms) {
            let (bytes, limit) = (input.len(), self.terms.memory);
            let new = Kernel::new(self.terms.clone(), bytes);
            *kernel = new.ok_or(InvokeError::protocol(NoRoom { bytes, limit }))?;
        }
        if kernel.fill(&input) {
            return Ok(turn.call_list(&self.func, Vec::new()));
        }
        *turn.exchange().request.body_mut() = Body::complete(input);
        Ok(Next::Again)
    }
}

/// Copies a piece of the output to the answer.
fn take_output(turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
    let bytes = turn.local::<Kernel>().output().len();
    turn.check_output(bytes as u64)?;
    let mut answer = turn.exchange().answer.body_mut().take();
    answer.reserve_exact(bytes - answer.len());
    let output = turn.local::<Kernel>().output();
    answer.extend_from_slice(&output[answer.len()..bytes.min(answer.len() + PIECE)]);
    let is_complete = answer.len() == bytes;
    *turn.exchange().answer.body_mut() = Body::complete(answer);
    Ok(if is_complete { Next::Done } else { Next::Again })
}
