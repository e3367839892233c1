//! Text bots: `text_received` gets a message, its sender and the state of the conversation, and
//! returns the reply. The ABI is that of WasmEdge's serverless reactor, on `wasm-bindgen`'s strings.

mod message;

use super::bindgen::{StringFunc, link, provides, refuse};
use crate::driver::Resolver;
use crate::exchange::Body;
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Protocol, Required, Streams, Turn};
use crate::state::State;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use message::Message;
use wfaas_vm::{FuncType, Linker, Module};

/// The protocol.
pub(super) struct Bot;

/// Answers a message.
const TEXT_RECEIVED: &str = "text_received";

static ABOUT: About = About {
    name: "bot",
    description: "text bot: `text_received` gets a message, its result is the reply",
    guest: "text bot",
    exports: &[Required::any_func(TEXT_RECEIVED), Required::memory("memory")],
    imports: &[],
    body: "JSON, a form, or text",
    answer: "string",
    example: r#"(func (export "__wbindgen_malloc") (param i32 i32) (result i32) (i32.const 1024))
        (func (export "text_received") (param i32 i32 i32 i32 i32 i32) (result i32 i32)
            (drop (call $run (local.get 1))) (i32.const 0) (i32.const 0))"#,
    example_imports: "",
};

impl Protocol for Bot {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(
        &self,
        resolver: &mut Resolver<'_>,
    ) -> Result<Box<dyn Conversation>, wfaas_vm::Error> {
        let func = StringFunc::resolve(resolver, TEXT_RECEIVED)?;
        if !(1..=3).contains(&func.strings()) {
            let reason = format!("a function of {} strings, it has to be of 3", func.strings());
            return Err(wfaas_vm::Error::Export { name: TEXT_RECEIVED.to_owned(), reason });
        }
        Ok(Box::new(Prepared(func)))
    }

    fn link(&self, linker: &mut Linker<State>, module: &Module) {
        link(linker, module);
    }

    fn provides(&self, module: &str, name: &str, ty: &FuncType) -> bool {
        provides(module, name, ty)
    }
}

struct Prepared(StringFunc);

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            return match Message::of(&mut turn.exchange().request) {
                Ok(Message { text, user, step }) => {
                    let mut strings = vec![text, user, step];
                    strings.truncate(self.0.strings());
                    self.0.begin(turn, strings)
                }
                Err(reason) => Ok(refuse(turn, reason)),
            };
        }
        if let Some(next) = self.0.proceed(turn)? {
            return Ok(next);
        }
        let reply = self.0.take(turn)?;
        let answer = &mut turn.exchange().answer;
        if is_object(&reply) {
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, json);
        }
        *answer.body_mut() = Body::complete(reply);
        Ok(Next::Done)
    }
}

/// Whether a reply is a JSON object: one with `result`, `step` and so on for the bot's server.
fn is_object(reply: &[u8]) -> bool {
    reply.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(reply).is_ok()
}
