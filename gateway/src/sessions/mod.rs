//! Sessions of a function: the state after an answer, kept for a later request of the same client.
//!
//! ```text
//!  request with an id ──→ busy? ──→ faaslet = image + pages ──→ answer, and its pages under the id
//!           without one ──────────→ faaslet = image         ──→ answer with a new id
//! ```
//!
//! * An id is 128 random bits of the kernel. A deployed function has a table of its own, so that an id means
//!   nothing to another function, another tenant, or the function's next deployment.
//! * A state is the pages that differ from the function's image, and what else a guest goes on with
//!   ([`SessionState`](wfaas_function::SessionState)). It is bounded by
//!   the function's specification, and all states of a server together by
//!   [`Config::session_bytes`](crate::Config::session_bytes), of which a tenant has half at most.
//! * The state of a program that was captured where it waits is its next wait. A session ends with its program.
//! * One request of a session runs at a time: others are refused. A request that fails leaves the state as it
//!   was.

mod carrier;
mod table;

use crate::budget::Lease;
use crate::http::{Outcome, json, leased};
use crate::kept::Share;
use hyper::StatusCode;
use std::sync::Arc;
use table::{Claim, Table};
use wfaas_function::{Exchange, Function, InvokeError, PlainFields, Session};
use wfaas_vm::Fault;

/// The sessions of one deployed function.
#[derive(Debug)]
pub(crate) struct Sessions {
    spec: Session,
    table: Arc<Table>,
}

impl Sessions {
    /// None yet, of a function whose tenant has this share.
    pub(crate) fn new(spec: Session, share: Share) -> Sessions {
        let table = Arc::new(Table::new(spec.max as usize, spec.idle.0, share));
        Sessions { spec, table }
    }

    /// Ends the sessions that were idle for too long.
    pub(crate) fn end_idle(&self) {
        self.table.end_idle();
    }

    /// Has a function answer a request of a session, or of a new one. The state is kept if there is room for
    /// the answer: a client that is told to ask again has to find it as it was.
    ///
    /// # Errors
    /// As [`Function::handle_session`]. Refusals are answers.
    pub(crate) async fn answer(
        &self,
        function: &Function,
        exchange: Box<Exchange>,
        lease: Lease,
    ) -> Outcome {
        let asked = carrier::id(&self.spec.carrier, exchange.request.headers());
        let request_id = exchange.id.clone();
        let held = match self.table.claim(asked) {
            Claim::Held(held) => held,
            Claim::Busy => {
                let message = "another request of this session is under way";
                return refusal(StatusCode::CONFLICT, message, &request_id);
            }
            Claim::Full => {
                let message = "all sessions of the function are in use";
                return refusal(StatusCode::SERVICE_UNAVAILABLE, message, &request_id);
            }
        };
        let most = usize::try_from(self.spec.bytes.0).unwrap_or(usize::MAX);
        let ran = function.handle_session(exchange, held.state(), most).await;
        let (answer, state) = match ran {
            Ok(ran) => ran,
            Err(InvokeError::State(error)) if error.fault() == Fault::Module => {
                tracing::warn!(request = request_id.as_str(), "{}", InvokeError::State(error));
                let message = "the state of the session takes more than it may, or cannot be kept";
                return refusal(StatusCode::INSUFFICIENT_STORAGE, message, &request_id);
            }
            Err(error) => return Err(error),
        };
        let Some(mut answer) = leased(answer, PlainFields::default(), lease) else {
            return Ok(None);
        };
        let Some(state) = state else {
            let had_state = held.end();
            let function = function.spec().name();
            tracing::warn!(
                function,
                request = request_id.as_str(),
                had_state,
                "the program ended, or closed its standard output, instead of waiting for its next request: its session ends"
            );
            return Ok(Some(answer));
        };
        let Some(id) = held.keep(state) else {
            let message = "the server has no room for the state of the session";
            return refusal(StatusCode::INSUFFICIENT_STORAGE, message, &request_id);
        };
        carrier::add(&self.spec, id, function.spec().route().as_str(), answer.headers_mut());
        Ok(Some(answer))
    }
}

/// An answer that says why a session could not go on.
fn refusal(status: StatusCode, message: &str, request_id: &str) -> Outcome {
    let body = serde_json::json!({ "error": message, "request_id": request_id });
    Ok(Some(json(status, &body)))
}
