//! `wasm-bindgen` functions of strings: an export of a module for `wasm32-unknown-unknown` takes and
//! returns strings, as that tool passes them to JavaScript.
//!
//! A string is two numbers, address and length, of memory from `__wbindgen_malloc`; the callee owns
//! it. A string that is returned is two results, or, in older modules and in those that the tool has
//! not been run on, two words at an address that the caller gives as the first argument. That address
//! is on the guest's stack if the module lets the caller take room there, otherwise allocated.

mod conversation;
mod glue;
mod strings;

pub(super) use conversation::OfStrings;
pub use strings::BadString;
pub(super) use strings::StringFunc;

use crate::protocol::{About, Required};
use crate::request::Request;
use crate::resolver::Resolver;
use wfaas_vm::Error;

/// The protocol. It is asked for by name: that a module has such strings does not say which of its
/// functions answers.
pub(super) struct Bindgen;

/// Allocates memory for a string: by size, or by size and alignment.
const MALLOC: &str = "__wbindgen_malloc";
/// Holds the strings.
const MEMORY: &str = "memory";
/// The export that is called if the specification names none.
const DEFAULT_EXPORT: &str = "handle";

static ABOUT: About = About {
    name: "bindgen",
    description: "wasm-bindgen function: strings are its arguments, its result the answer",
    guest: "wasm-bindgen function",
    exports: &[Required::memory(MEMORY)],
    imports: &[],
    lifted: &[],
    body: "string, or an array of strings",
    answer: "string",
    example: r#"(func (export "__wbindgen_malloc") (param i32 i32) (result i32) (i32.const 1024))
        (func (export "handle") (param i32 i32) (result i32 i32)
            (drop (call $run (local.get 1))) (i32.const 0) (i32.const 0))"#,
    example_imports: "",
};

impl OfStrings for Bindgen {
    const ABOUT: &'static About = &ABOUT;

    fn resolve(resolver: &mut Resolver<'_>) -> Result<StringFunc, Error> {
        let export = resolver.spec().export.as_deref().unwrap_or(DEFAULT_EXPORT);
        StringFunc::resolve(resolver, export)
    }

    fn arguments(request: &mut Request, strings: usize) -> Result<Vec<String>, &'static str> {
        arguments(request.body_mut().take(), strings)
    }
}

/// The strings of a body for a function of so many: the body itself for one, a JSON array for
/// several.
fn arguments(body: Vec<u8>, strings: usize) -> Result<Vec<String>, &'static str> {
    match strings {
        0 => Ok(Vec::new()),
        1 => match String::from_utf8(body) {
            Ok(text) => Ok(vec![text]),
            Err(_) => Err("the body has to be text in UTF-8"),
        },
        _ => match array(&body, strings) {
            Some(arguments) => Ok(arguments),
            None => Err("the body has to be a JSON array with a string for each argument"),
        },
    }
}

/// The strings of a JSON array with so many. No longer one is read to its end.
fn array(json: &[u8], strings: usize) -> Option<Vec<String>> {
    struct Reader(usize);
    impl<'de> serde::de::Visitor<'de> for Reader {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "an array of {} strings", self.0)
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut array: A,
        ) -> Result<Vec<String>, A::Error> {
            let mut strings = Vec::new();
            while let Some(string) = array.next_element()? {
                strings.push(string);
                if strings.len() > self.0 {
                    break;
                }
            }
            match strings.len() == self.0 {
                true => Ok(strings),
                false => Err(serde::de::Error::invalid_length(strings.len(), &self)),
            }
        }
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    let array = serde::Deserializer::deserialize_seq(&mut json, Reader(strings)).ok()?;
    json.end().ok().map(|()| array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_string_or_an_array() {
        let strings = |body: &str, strings| arguments(body.into(), strings);
        assert_eq!(strings("x", 0), Ok(vec![]));
        assert_eq!(strings("[\"x\"]", 1), Ok(vec!["[\"x\"]".to_owned()]));
        assert_eq!(strings("[\"x\", \"\"]", 2), Ok(vec!["x".to_owned(), String::new()]));
        for wrong in ["", "x", "[\"x\"]", "[\"x\", 1]", "[\"x\", \"y\", \"z\"]", "{}"] {
            assert!(strings(wrong, 2).is_err(), "{wrong}");
        }
        assert!(arguments(vec![0xff], 1).is_err());
    }
}
