//! Text bots: `text_received` gets a message, its sender and the state of the conversation, and
//! returns the reply. The ABI is that of WasmEdge's serverless reactor, on `wasm-bindgen`'s strings.

mod message;

use super::bindgen::{OfStrings, StringFunc};
use crate::exchange::Body;
use crate::protocol::{About, Required};
use crate::request::Request;
use crate::resolver::Resolver;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use message::Message;
use wfaas_vm::Error;

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
    lifted: &[],
    body: "JSON, a form, or text",
    answer: "string",
    example: r#"(func (export "__wbindgen_malloc") (param i32 i32) (result i32) (i32.const 1024))
        (func (export "text_received") (param i32 i32 i32 i32 i32 i32) (result i32 i32)
            (drop (call $run (local.get 1))) (i32.const 0) (i32.const 0))"#,
    example_imports: "",
};

impl OfStrings for Bot {
    const ABOUT: &'static About = &ABOUT;

    fn resolve(resolver: &mut Resolver<'_>) -> Result<StringFunc, Error> {
        let func = StringFunc::resolve(resolver, TEXT_RECEIVED)?;
        if !(1..=3).contains(&func.strings()) {
            let reason = format!("a function of {} strings, it has to be of 3", func.strings());
            return Err(Error::Export { name: TEXT_RECEIVED.to_owned(), reason });
        }
        Ok(func)
    }

    fn arguments(request: &mut Request, strings: usize) -> Result<Vec<String>, &'static str> {
        let Message { text, user, step } = Message::of(request)?;
        let mut arguments = vec![text, user, step];
        arguments.truncate(strings);
        Ok(arguments)
    }

    fn answer(reply: Vec<u8>, answer: &mut Response<Body>) {
        if is_object(&reply) {
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, json);
        }
        *answer.body_mut() = Body::complete(reply);
    }
}

/// Whether a reply is a JSON object: one with `result`, `step` and so on for the bot's server.
fn is_object(reply: &[u8]) -> bool {
    reply.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(reply).is_ok()
}
