//! HTTP components: `wasi:http/incoming-handler` gets the request as a resource, and sends its answer through
//! another one. Those of WASI 0.3 are [services](service).
//!
//! ```text
//!   exchange ──→ incoming-request ──→ incoming-body ──→ input-stream
//!   reply    ←── response-outparam ←── outgoing-response, outgoing-body ←── output-stream
//! ```

mod body;
mod error;
mod fields;
mod incoming;
mod options;
mod outgoing;
mod received;
mod response;
mod service;
mod trailers;

use super::component::{self, Granted};
use crate::invoke::InvokeError;
use crate::protocol::{About, Conversation, Next, Protocol, Replies, Streams, Turn};
use crate::reply::Reply;
use crate::resolver::{Entry, Resolver};
use crate::state::State;
use response::ResponseOutparam;
use service::Service;
use std::sync::Arc;
use wfaas_vm::component::{Bindings, Export, Param, ResourceIndex, Type};
use wfaas_vm::{Error, Linker, Module};
use wfaas_wasi::HasWasi;
use wfaas_wasi::preview2::{Direct, DirectFn, Function, Interface, Returns, Takes, Violation};

/// The interfaces of `wasi:http` that a component may import.
pub(super) const INTERFACES: &[&Interface] =
    &[&TYPES, &outgoing::HANDLER, &service::TYPES, &service::CLIENT];

pub(super) use response::Answer;
pub(super) use service::Answer as ServiceAnswer;

const TYPES: Interface = Interface {
    name: "wasi:http/types@0.2",
    functions: &[
        Function { name: "http-error-code", call: error::http_error_code },
        Function { name: "[constructor]fields", call: fields::constructor },
        Function { name: "[static]fields.from-list", call: fields::from_list },
        Function { name: "[method]fields.get", call: fields::get_values },
        Function { name: "[method]fields.has", call: fields::has },
        Function { name: "[method]fields.set", call: fields::set },
        Function { name: "[method]fields.delete", call: fields::delete },
        Function { name: "[method]fields.append", call: fields::append },
        Function { name: "[method]fields.entries", call: fields::entries },
        Function { name: "[method]fields.clone", call: fields::clone },
        Function { name: "[method]incoming-request.method", call: incoming::method },
        Function {
            name: "[method]incoming-request.path-with-query",
            call: incoming::path_with_query,
        },
        Function { name: "[method]incoming-request.scheme", call: incoming::scheme },
        Function { name: "[method]incoming-request.authority", call: incoming::authority },
        Function { name: "[method]incoming-request.headers", call: incoming::headers },
        Function { name: "[method]incoming-request.consume", call: incoming::consume },
        Function { name: "[method]incoming-body.stream", call: body::stream },
        Function { name: "[static]incoming-body.finish", call: body::finish_incoming },
        Function { name: "[method]future-trailers.subscribe", call: trailers::subscribe },
        Function { name: "[method]future-trailers.get", call: trailers::get },
        Function { name: "[constructor]outgoing-response", call: response::constructor },
        Function { name: "[method]outgoing-response.status-code", call: response::status_code },
        Function {
            name: "[method]outgoing-response.set-status-code",
            call: response::set_status_code,
        },
        Function { name: "[method]outgoing-response.headers", call: response::headers },
        Function { name: "[method]outgoing-response.body", call: response::body },
        Function { name: "[static]response-outparam.set", call: response::set },
        Function { name: "[method]outgoing-body.write", call: body::write },
        Function { name: "[static]outgoing-body.finish", call: body::finish_outgoing },
        Function { name: "[constructor]request-options", call: options::constructor },
        Function {
            name: "[method]request-options.connect-timeout",
            call: options::connect_timeout,
        },
        Function {
            name: "[method]request-options.set-connect-timeout",
            call: options::set_connect_timeout,
        },
        Function {
            name: "[method]request-options.first-byte-timeout",
            call: options::first_byte_timeout,
        },
        Function {
            name: "[method]request-options.set-first-byte-timeout",
            call: options::set_first_byte_timeout,
        },
        Function {
            name: "[method]request-options.between-bytes-timeout",
            call: options::between_bytes_timeout,
        },
        Function {
            name: "[method]request-options.set-between-bytes-timeout",
            call: options::set_between_bytes_timeout,
        },
        Function { name: "[method]future-incoming-response.subscribe", call: received::subscribe },
        Function { name: "[method]future-incoming-response.get", call: received::get },
        Function { name: "[method]incoming-response.status", call: received::status },
        Function { name: "[method]incoming-response.headers", call: received::headers },
        Function { name: "[method]incoming-response.consume", call: received::consume },
        Function { name: "[constructor]outgoing-request", call: outgoing::constructor },
        Function { name: "[method]outgoing-request.body", call: outgoing::body },
        Function { name: "[method]outgoing-request.method", call: outgoing::method },
        Function { name: "[method]outgoing-request.set-method", call: outgoing::set_method },
        Function {
            name: "[method]outgoing-request.path-with-query",
            call: outgoing::path_with_query,
        },
        Function {
            name: "[method]outgoing-request.set-path-with-query",
            call: outgoing::set_path_with_query,
        },
        Function { name: "[method]outgoing-request.scheme", call: outgoing::scheme },
        Function { name: "[method]outgoing-request.set-scheme", call: outgoing::set_scheme },
        Function { name: "[method]outgoing-request.authority", call: outgoing::authority },
        Function { name: "[method]outgoing-request.set-authority", call: outgoing::set_authority },
        Function { name: "[method]outgoing-request.headers", call: outgoing::headers },
    ],
};

/// Functions that most answers are made by.
pub(super) const DIRECT: &[Direct] = &[
    direct("[constructor]fields", &[], Returns::Handle, fields::construct_directly),
    direct(
        "[static]fields.from-list",
        &[Takes::Pairs],
        Returns::OkHandle,
        fields::from_list_directly,
    ),
    direct(
        "[constructor]outgoing-response",
        &[Takes::Handle],
        Returns::Handle,
        response::construct_directly,
    ),
    direct(
        "[method]outgoing-response.body",
        &[Takes::Handle],
        Returns::OkHandle,
        response::body_directly,
    ),
    direct(
        "[static]response-outparam.set",
        &[Takes::Handle, Takes::Ok],
        Returns::Nothing,
        response::set_directly,
    ),
    direct(
        "[method]outgoing-body.write",
        &[Takes::Handle],
        Returns::OkHandle,
        body::write_directly,
    ),
    direct(
        "[static]outgoing-body.finish",
        &[Takes::Handle, Takes::None],
        Returns::Ok,
        body::finish_directly,
    ),
];

const fn direct(
    name: &'static str,
    params: &'static [Takes],
    result: Returns,
    call: DirectFn,
) -> Direct {
    Direct { interface: TYPES.name, name, params, result, call }
}

/// The protocol.
pub(super) struct ComponentHttp;

/// The interface that a handler exports.
const HANDLE: (&str, &str) = ("wasi:http/incoming-handler@0.2", "handle");

static ABOUT: About = About {
    name: "component-http",
    description: "HTTP component: the request is a resource, the answer is sent through another one",
    guest: "HTTP component",
    exports: &[],
    imports: &[],
    lifted: &[HANDLE, service::HANDLE],
    body: "incoming-body",
    answer: "outgoing-body",
    example: "",
    example_imports: "",
};

impl Protocol for ComponentHttp {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn prepare(&self, resolver: &mut Resolver<'_>) -> Result<Box<dyn Conversation>, Error> {
        if component::export(resolver, service::HANDLE.0, service::HANDLE.1).is_ok() {
            return Ok(Box::new(Service::prepare(resolver)?));
        }
        let (bindings, export) = component::export(resolver, HANDLE.0, HANDLE.1)?;
        let Some([request, outparam]) = own_params(&bindings, &export) else {
            let reason = "its parameters are not those of the interface".to_owned();
            return Err(Error::Export { name: HANDLE.0.to_owned(), reason });
        };
        let handle = resolver.func(&export.core)?;
        let after = export.post_return.as_deref().map(|name| resolver.func(name)).transpose()?;
        let granted = Granted::new(resolver.spec());
        Ok(Box::new(Prepared { handle, after, request, outparam, granted }))
    }

    fn link(&self, linker: &mut Linker<State>, module: &Module) {
        component::link(linker, module);
    }
}

/// The resources of a function whose two parameters are own handles.
fn own_params(bindings: &Bindings, export: &Export) -> Option<[ResourceIndex; 2]> {
    let function = bindings.functions.get(export.ty.index())?;
    let own = |param: &Param| match bindings.types.get(param.ty.index())? {
        Type::Own(resource) => Some(*resource),
        _ => None,
    };
    let params: Vec<ResourceIndex> = function.params.iter().map(own).collect::<Option<_>>()?;
    params.try_into().ok().filter(|_| function.result.is_none())
}

struct Prepared {
    /// Handles of request and outparam.
    handle: Entry<(u32, u32), ()>,
    /// To be called when it has returned.
    after: Option<Entry<(), ()>>,
    request: ResourceIndex,
    outparam: ResourceIndex,
    granted: Arc<Granted>,
}

/// Why a handler that returned has not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// It has set no answer.
    #[error("the component has not set its answer")]
    NoAnswer,
    /// It has set an error.
    #[error("the component answered with the error {0}")]
    Error(String),
    /// It has not finished the body.
    #[error("the component has not finished the body of its answer")]
    Unfinished,
}

impl Conversation for Prepared {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn reads_streams(&self) -> bool {
        true
    }

    fn replies(&self) -> Replies {
        Replies::Always
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            let handles = self.begin(turn).map_err(InvokeError::protocol)?;
            return Ok(turn.call(&self.handle, handles));
        }
        turn.results::<()>()?;
        match &self.after {
            Some(after) if turn.number() == 1 => Ok(turn.call(after, ())),
            _ => {
                let answer = component::take_answer(turn.target.state().wasi().resources());
                answer.unwrap_or_default().end().map(|()| Next::Done).map_err(InvokeError::protocol)
            }
        }
    }
}

impl Prepared {
    /// Makes the resources that the handler gets; their handles.
    fn begin(&self, turn: &mut Turn<'_>) -> Result<(u32, u32), Violation> {
        let exchange = turn.exchange();
        let reply = exchange.reply.get_or_insert_with(Reply::collecting).clone();
        let state = turn.target.state();
        self.granted.give_handler(state, reply);
        let request = incoming::insert(state)?;
        let resources = state.wasi().resources();
        resources.give(request, self.request)?;
        let outparam = resources.insert(ResponseOutparam)?;
        resources.give(outparam, self.outparam)?;
        Ok((request, outparam))
    }
}
