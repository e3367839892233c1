//! Services: `wasi:http/handler` of WASI 0.3. The handler is a task that returns its response, and goes on while it
//! writes the body.
//!
//! ```text
//!   exchange ──→ request ──→ handle ──→ callback, with an event ──→ callback ...
//!   reply    ←── response ←── task.return
//!            ←── stream of the body ←── writes of the task
//! ```
//!
//! Between two calls the task waits in tables of the host, and has no stack.

mod answer;
mod client;
mod message;
mod request;
mod response;

pub(in crate::protocols) use answer::Answer;
pub(super) use client::CLIENT;
pub(super) use message::TYPES;

use super::super::component::{self, Course, Granted, Task};
use crate::invoke::InvokeError;
use crate::protocol::{Conversation, Next, Replies, Streams, Turn};
use crate::reply::Reply;
use crate::resolver::Resolver;
use request::ServiceRequest;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_vm::Error;
use wfaas_vm::component::{Bindings, ResourceIndex, Type};
use wfaas_wasi::HasWasi;
use wfaas_wasi::preview2::Violation;
use wfaas_wasi::preview3::Waited;

/// The interface that a service exports.
pub(super) const HANDLE: (&str, &str) = ("wasi:http/handler@0.3", "handle");

/// A service, prepared.
pub(super) struct Service {
    handle: Task<u32>,
    request: ResourceIndex,
    granted: Arc<Granted>,
}

impl Service {
    /// Looks up what the service exports.
    ///
    /// # Errors
    /// [`Error::Export`] if it is not as the interface has it.
    pub(super) fn prepare(resolver: &mut Resolver<'_>) -> Result<Service, Error> {
        let (bindings, export) = component::export(resolver, HANDLE.0, HANDLE.1)?;
        let request = own_param(&bindings, export.ty.index()).ok_or_else(|| Error::Export {
            name: HANDLE.0.to_owned(),
            reason: "its parameter is not that of the interface".to_owned(),
        })?;
        let granted = Granted::new(resolver.spec());
        Ok(Service { handle: Task::prepare(resolver, bindings, &export)?, request, granted })
    }

    /// Makes the request; its handle.
    fn begin(&self, turn: &mut Turn<'_>) -> Result<u32, Violation> {
        let answer = turn.local::<Course>().answer.clone();
        let exchange = turn.exchange();
        let reply = exchange.reply.get_or_insert_with(Reply::collecting).clone();
        let request = ServiceRequest::incoming(exchange);
        self.granted.give_service(turn.target.state(), reply, answer);
        let resources = turn.target.state().wasi().resources();
        resources.begin_task(response::returned);
        let handle = request.insert(resources)?;
        resources.give(handle, self.request)?;
        Ok(handle)
    }
}

/// The resource of a function whose only parameter is an own handle.
fn own_param(bindings: &Bindings, function: usize) -> Option<ResourceIndex> {
    let [param] = &bindings.functions.get(function)?.params[..] else { return None };
    match bindings.types.get(param.ty.index())? {
        Type::Own(resource) => Some(*resource),
        _ => None,
    }
}

impl Conversation for Service {
    fn streams(&self) -> Streams {
        Streams::Log
    }

    fn reads_streams(&self) -> bool {
        true
    }

    fn replies(&self) -> Replies {
        Replies::Always
    }

    fn wait(
        &self,
        turn: &mut Turn<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Waited, InvokeError>> {
        self.handle.wait(turn, context)
    }

    fn turn(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        if turn.number() == 0 {
            let request = self.begin(turn).map_err(InvokeError::protocol)?;
            return Ok(self.handle.start(turn, request));
        }
        if let Some(next) = self.handle.go_on(turn)? {
            return Ok(next);
        }
        let answer = turn.local::<Course>().answer.clone();
        answer.check().map_err(InvokeError::protocol)?;
        Ok(Next::Done)
    }
}
