//! A toy: `shout_room` gives the address of a buffer, `shout` is called with the length of a name
//! that was put there, as often as it wants, and answers how many bytes are in the buffer then.

use wfaas_function::{
    About, Body, Conversation, Entry, GuestMemory, InvokeError, Next, Protocol, Required, Resolver,
    Streams, Turn,
};
use wfaas_vm::ValType::I32;

pub(crate) struct Shout;

static ABOUT: About = About {
    name: "shout",
    description: "a toy: a name goes into a buffer, a greeting comes out of it",
    guest: "shouter",
    exports: &[
        Required::func("shout_room", &[], &[I32]),
        Required::func("shout", &[I32], &[I32]),
        Required::memory("memory"),
    ],
    imports: &[],
    lifted: &[],
    body: "buffer",
    answer: "buffer",
    example: r#"(func (export "shout_room") (result i32) (i32.const 64))
        (func (export "shout") (param i32) (result i32) (call $run (local.get 0)))"#,
    example_imports: "",
};

/// Greets with the number of the call, which is that of a pristine instance: 1.
pub(crate) const GUEST: &str = r#"(module (memory (export "memory") 1)
    (data (i32.const 58) "HELLO ") (global $calls (mut i32) (i32.const 0))
    (func (export "shout_room") (result i32) (i32.const 64))
    (func (export "shout") (param $len i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i64.store (i32.add (i32.const 64) (local.get $len)) (i64.const 0x206c_6c61_6320_2c))
        (i32.store8 (i32.add (i32.const 71) (local.get $len))
            (i32.add (i32.const 48) (global.get $calls)))
        (i32.add (local.get $len) (i32.const 8))))"#;

impl Protocol for Shout {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        Ok(Box::new(Prepared {
            room: resolver.func("shout_room")?,
            shout: resolver.func("shout")?,
            memory: resolver.memory("memory")?,
        }))
    }
}

struct Prepared {
    room: Entry<(), u32>,
    shout: Entry<u32, u32>,
    memory: GuestMemory,
}

/// What a guest says before the name.
const GREETING: &str = "HELLO ";

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        match turn.number() {
            0 => Ok(turn.call(&self.room, ())),
            1 => {
                let room = turn.results::<u32>()? as usize;
                let name = turn.exchange().request.body_mut().take();
                if name.is_empty() {
                    return Err(InvokeError::protocol("there is nothing to shout"));
                }
                turn.memory(&self.memory)[room..room + name.len()].copy_from_slice(&name);
                Ok(turn.call(&self.shout, name.len() as u32))
            }
            _ => {
                let (start, len) = (64 - GREETING.len(), turn.results::<u32>()? as usize);
                let end = start + GREETING.len() + len;
                let answer = turn.memory(&self.memory)[start..end].to_vec();
                let answer_to = &mut turn.exchange().answer;
                *answer_to.body_mut() = Body::complete(answer);
                *answer_to.status_mut() = http::StatusCode::CREATED;
                answer_to.headers_mut().insert("x-volume", http::HeaderValue::from_static("11"));
                Ok(Next::Done)
            }
        }
    }
}
