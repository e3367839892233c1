//! Guest ABIs on a function of strings: all but its name, its arguments and the form of its answer.

use super::glue;
use super::strings::StringFunc;
use crate::exchange::Body;
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Protocol, Streams, Turn};
use crate::request::Request;
use crate::resolver::Resolver;
use crate::state::State;
use http::{Response, StatusCode};
use std::marker::PhantomData;
use wfaas_vm::{Error, FuncType, Linker, Module};

/// A guest ABI that calls one function of strings.
pub(in crate::protocols) trait OfStrings: Send + Sync + 'static {
    /// Its name and all there is to say about it.
    const ABOUT: &'static About;

    /// Looks the function up.
    ///
    /// # Errors
    /// [`Error::Export`] if it is none of this ABI.
    fn resolve(resolver: &mut Resolver<'_>) -> Result<StringFunc, Error>;

    /// The arguments of a request, for a function of so many strings.
    ///
    /// # Errors
    /// A request that the function cannot be given, in words for the client.
    fn arguments(request: &mut Request, strings: usize) -> Result<Vec<String>, &'static str>;

    /// Makes the answer of the function's result.
    fn answer(result: Vec<u8>, answer: &mut Response<Body>) {
        *answer.body_mut() = Body::complete(result);
    }
}

impl<S: OfStrings> Protocol for S {
    fn about(&self) -> &'static About {
        S::ABOUT
    }

    fn prepare(&self, resolver: &mut Resolver<'_>) -> Result<Box<dyn Conversation>, Error> {
        Ok(Box::new(Prepared::<S>(S::resolve(resolver)?, PhantomData)))
    }

    fn link(&self, linker: &mut Linker<State>, module: &Module) {
        glue::link(linker, module);
    }

    fn provides(&self, module: &str, name: &str, ty: &FuncType) -> bool {
        glue::provides(module, name, ty)
    }
}

struct Prepared<S>(StringFunc, PhantomData<S>);

impl<S: OfStrings> Conversation for Prepared<S> {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        let Prepared(func, _) = self;
        if turn.number() == 0 {
            return match S::arguments(&mut turn.exchange().request, func.strings()) {
                Ok(arguments) => func.begin(turn, arguments),
                Err(reason) => Ok(refuse(turn, reason)),
            };
        }
        if let Some(next) = func.proceed(turn)? {
            return Ok(next);
        }
        let result = func.take(turn)?;
        S::answer(result, &mut turn.exchange().answer);
        Ok(Next::Done)
    }
}

/// Answers 400 for a request that the function cannot be given.
fn refuse(turn: &mut Turn<'_>, reason: &str) -> Next {
    let answer = &mut turn.exchange().answer;
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    *answer.body_mut() = Body::complete(reason);
    Next::Done
}
