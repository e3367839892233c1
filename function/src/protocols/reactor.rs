//! Reactors: the body goes in through `faas_alloc`, `faas_handle` gives the answer.
//!
//! A reactor may import the rest of the exchange: the request's head, a body that has not
//! arrived yet, and status, headers and body of the answer as it is made.

mod imports;
mod request;
mod response;

use crate::exchange::Body;
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Protocol, Replies, Required, Streams, Turn};
use crate::reply::Reply;
use crate::resolver::{Entry, GuestMemory, Resolver};
use crate::state::State;
use wfaas_vm::ValType::{I32, I64};
use wfaas_vm::{FuncType, Linker, Module};

/// The protocol.
pub(super) struct Reactor;

/// Gives memory for a body.
const ALLOC: &str = "faas_alloc";
/// Answers a request.
const HANDLE: &str = "faas_handle";
/// Holds body and answer.
const MEMORY: &str = "memory";

static ABOUT: About = About {
    name: "reactor",
    description: "reactor: the body is an argument of a function, the answer its result",
    guest: "reactor",
    exports: &[
        Required::func(ALLOC, &[I32], &[I32]),
        Required::func(HANDLE, &[I32, I32], &[I64]),
        Required::memory(MEMORY),
    ],
    imports: &[],
    lifted: &[],
    body: "argument",
    answer: "result",
    example: r#"(func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "faas_handle") (param i32 i32) (result i64)
            (drop (call $run (local.get 1))) (i64.const 0))"#,
    example_imports: "",
};

impl Protocol for Reactor {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        Ok(Box::new(Prepared {
            alloc: resolver.func(ALLOC)?,
            handle: resolver.func(HANDLE)?,
            memory: resolver.memory(MEMORY)?,
            reads_body: imports::imports(resolver.module(), imports::BODY_READ),
            writes: imports::imports(resolver.module(), imports::WRITE),
        }))
    }

    fn link(&self, linker: &mut Linker<State>, _module: &Module) {
        imports::link(linker);
    }

    fn provides(&self, module: &str, name: &str, ty: &FuncType) -> bool {
        imports::provides(module, name, ty)
    }
}

struct Prepared {
    /// Length of a body to an address for it.
    alloc: Entry<u32, u32>,
    /// Address and length of the body to those of the answer.
    handle: Entry<(u32, u32), u64>,
    memory: GuestMemory,
    /// Whether the guest reads the body itself, and is given none.
    reads_body: bool,
    /// Whether the guest can write the answer itself.
    writes: bool,
}

/// `faas_alloc` had no memory for the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{ALLOC}` has no room for a body of {bytes} bytes (it answered {ptr:#x})")]
pub struct NoRoom {
    /// Bytes asked for.
    pub bytes: usize,
    /// The address it answered.
    pub ptr: u32,
}

/// The body is a stream, which only its embedder can [collect](Body::collect).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reactor needs the whole body, and it has not arrived yet")]
pub struct BodyNotComplete;

/// The guest has written its answer, and has another one as its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{HANDLE}` answered {len} bytes after it had written its answer")]
pub struct TwoAnswers {
    /// Bytes of the second answer.
    pub len: u32,
}

/// The answer is not inside the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{HANDLE}` answered {len} bytes at {ptr:#x}, which is outside of its memory")]
pub struct BadAnswer {
    /// Address of the answer.
    pub ptr: u32,
    /// Bytes of the answer.
    pub len: u32,
}

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn reads_streams(&self) -> bool {
        self.reads_body
    }

    fn replies(&self) -> Replies {
        if self.writes { Replies::Always } else { Replies::Never }
    }

    fn has_sessions(&self) -> bool {
        // The head of an answer that is written piece by piece is sent before there is a state.
        !self.writes
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        match turn.number() {
            0 if self.reads_body => Ok(turn.call(&self.alloc, 0)),
            0 => {
                if !turn.exchange().request.body().is_complete() {
                    return Err(InvokeError::protocol(BodyNotComplete));
                }
                let bytes = turn.exchange().request.body().len();
                match u32::try_from(bytes) {
                    Ok(len) if len <= i32::MAX as u32 => Ok(turn.call(&self.alloc, len)),
                    _ => Err(InvokeError::protocol(NoRoom { bytes, ptr: 0 })),
                }
            }
            1 => {
                let ptr = turn.results()?;
                let len = self.put_body(turn, ptr)?;
                Ok(turn.call(&self.handle, (ptr, len)))
            }
            _ => {
                let packed = turn.results()?;
                self.take_answer(turn, packed)?;
                Ok(Next::Done)
            }
        }
    }
}

impl Prepared {
    /// Copies the body to the memory that the guest gave; its length. An empty one goes nowhere.
    fn put_body(&self, turn: &mut Turn<'_>, ptr: u32) -> Result<u32, InvokeError> {
        if self.reads_body {
            return Ok(0);
        }
        let body = turn.exchange().request.body_mut().take();
        let (start, bytes) = (ptr as usize, body.len());
        if bytes > 0 {
            let memory = turn.memory(&self.memory);
            let room = memory.get_mut(start..start + bytes).filter(|_| ptr != 0);
            let room = room.ok_or_else(|| InvokeError::protocol(NoRoom { bytes, ptr }))?;
            room.copy_from_slice(&body);
        }
        Ok(bytes as u32) // it was one when memory was asked for
    }

    /// Copies the answer from where `packed` says: address in the upper half, length in the lower.
    fn take_answer(&self, turn: &mut Turn<'_>, packed: u64) -> Result<(), InvokeError> {
        let (ptr, len) = ((packed >> 32) as u32, packed as u32);
        if self.writes && turn.exchange().reply.as_ref().is_some_and(Reply::is_begun) {
            return match len {
                0 => Ok(()),
                _ => Err(InvokeError::protocol(TwoAnswers { len })),
            };
        }
        turn.check_output(u64::from(len))?;
        if len > 0 {
            let start = ptr as usize;
            let answer = turn.memory(&self.memory).get(start..start + len as usize);
            let answer = answer.ok_or_else(|| InvokeError::protocol(BadAnswer { ptr, len }))?;
            let answer = Body::complete(answer);
            *turn.exchange().answer.body_mut() = answer;
        }
        Ok(())
    }
}
