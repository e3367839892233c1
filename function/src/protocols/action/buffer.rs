//! Actions with a buffer, of WebAssembly-flavored OpenWhisk: the guest gives room for the parameters,
//! its program runs with their length as an argument, and leaves the result in the room.

use super::{answer, fail, result};
use crate::exchange::Exchange;
use crate::invoke::InvokeError;
use crate::protocol::{Conversation, Next, Outcome, Streams, Turn};
use crate::resolver::{Entry, GuestMemory, Resolver};
use std::borrow::Cow;

/// Makes room for so many bytes.
const ALLOCATE: &str = "wasm_memory_buffer_allocate_space";
/// The address of the room.
const ADDRESS: &str = "get_wasm_memory_buffer_pointer";
/// Bytes in it.
const LENGTH: &str = "get_wasm_memory_buffer_len";

/// The exports of a buffer.
pub(super) struct Buffer {
    allocate: Entry<u32, ()>,
    address: Entry<(), u32>,
    length: Entry<(), u32>,
    memory: GuestMemory,
}

impl Buffer {
    /// The exports, if the guest has a buffer.
    pub(super) fn resolve(resolver: &mut Resolver<'_>) -> Result<Option<Buffer>, wfaas_vm::Error> {
        if !resolver.has(ALLOCATE) {
            return Ok(None);
        }
        Ok(Some(Buffer {
            allocate: resolver.func(ALLOCATE)?,
            address: resolver.func(ADDRESS)?,
            length: resolver.func(LENGTH)?,
            memory: resolver.memory("memory")?,
        }))
    }
}

/// A guest with a buffer.
pub(super) struct Prepared {
    pub(super) program: Entry<(), ()>,
    pub(super) buffer: Buffer,
}

/// The buffer is not in the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the buffer of {bytes} bytes at {ptr:#x} is outside of the guest's memory")]
pub struct BadBuffer {
    /// Its address.
    pub ptr: u32,
    /// Its bytes.
    pub bytes: usize,
}

/// Bytes of the result, between two calls.
#[derive(Default)]
struct Length(u32);

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn begin(&self, exchange: &mut Exchange) -> Result<(), InvokeError> {
        let bytes = exchange.request.body().len();
        exchange.arguments.push(bytes.to_string());
        Ok(())
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        let Buffer { allocate, address, length, .. } = &self.buffer;
        match turn.number() {
            0 => {
                let bytes = turn.exchange().request.body().len();
                let bad = BadBuffer { ptr: 0, bytes };
                let bytes = u32::try_from(bytes).map_err(|_| InvokeError::protocol(bad))?;
                Ok(turn.call(allocate, bytes))
            }
            1 => {
                turn.results::<()>()?;
                Ok(turn.call(address, ()))
            }
            2 => {
                let ptr = turn.results()?;
                let parameters = turn.exchange().request.body_mut().take();
                self.place(turn, ptr, parameters.len())?.copy_from_slice(&parameters);
                Ok(turn.call(&self.program, ()))
            }
            3 => {
                if let Outcome::Exited(code @ 1..) = turn.outcome() {
                    fail(
                        turn,
                        &format!("The action exited with code {code}. See logs for details."),
                    );
                    return Ok(Next::Done);
                }
                Ok(turn.call(length, ()))
            }
            4 => {
                *turn.local() = Length(turn.results()?);
                Ok(turn.call(address, ()))
            }
            _ => {
                let ptr = turn.results()?;
                let Length(bytes) = *turn.local::<Length>();
                turn.check_output(u64::from(bytes))?;
                let buffer = self.place(turn, ptr, bytes as usize)?;
                let result = result::parse_ok_or_err(buffer).map(Cow::into_owned);
                answer(turn, result.as_deref());
                Ok(Next::Done)
            }
        }
    }
}

impl Prepared {
    /// The bytes of the buffer.
    fn place<'a>(
        &self,
        turn: &'a mut Turn<'_>,
        ptr: u32,
        bytes: usize,
    ) -> Result<&'a mut [u8], InvokeError> {
        let start = ptr as usize;
        let place = turn.memory(&self.buffer.memory).get_mut(start..start + bytes);
        place.ok_or_else(|| InvokeError::protocol(BadBuffer { ptr, bytes }))
    }
}
