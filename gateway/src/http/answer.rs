//! Answers: a function's, management's, and problems.

use super::body::{Answer, BoxResponse};
use crate::deploy::DeployError;
use crate::store::StoreError;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::fmt::Display;
use std::time::Duration;
use wfaas_abi::untrusted;
use wfaas_function::FunctionName;
use wfaas_vm::Fault;

/// Why a request did not get what it asked for: a status, and words for who sent it.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(super) status: StatusCode,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Most bytes of a problem's words.
const MAX_MESSAGE: usize = 1 << 10;

/// The body of a problem.
#[derive(Serialize)]
struct ProblemBody<'a> {
    error: &'a str,
    request_id: &'a str,
}

impl Problem {
    /// A problem in words that may hold text of a client or of a module.
    pub(crate) fn new(status: StatusCode, message: impl Display) -> Problem {
        // Nobody counts the bytes of a refusal, and its words may be the client's.
        let message = untrusted::text(message).within(MAX_MESSAGE).to_string();
        Problem { status, message, header: None }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Problem {
        self.header = Some((name, HeaderValue::from_static(value)));
        self
    }

    pub(crate) fn not_found(message: impl Display) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn method(allowed: &'static str) -> Problem {
        let message = format!("this method is not supported here, use one of: {allowed}");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, message).with(ALLOW, allowed)
    }

    pub(super) fn too_large(what: &str, limit: u64) -> Problem {
        let message = format!("{what} is larger than {limit} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(super) fn slow_body() -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")
    }

    pub(super) fn broken_body(error: &hyper::Error) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, format!("the body could not be read: {error}"))
    }

    pub(crate) fn busy(message: &str) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, message).with(RETRY_AFTER, "1")
    }

    pub(super) fn is_busy(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    pub(super) fn busy_server() -> Problem {
        Problem::busy("too many requests at the same time")
    }

    pub(super) fn busy_tenant() -> Problem {
        Problem::busy("the function's tenant has too many requests at the same time")
    }

    pub(crate) fn too_much() -> Problem {
        Problem::busy("too many large requests and answers at the same time")
    }

    pub(super) fn unauthorized(message: &str) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, message).with(WWW_AUTHENTICATE, "Bearer")
    }

    pub(super) fn forbidden(message: &str) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, message)
    }

    /// A failure of a function or of the server, and words for it if they are for the client.
    pub(super) fn of_fault(fault: Fault, details: &str) -> Problem {
        let separator = if details.is_empty() { "" } else { ": " };
        let message = |words: &str| format!("{words}{separator}{details}");
        match fault {
            Fault::Module => Problem::internal(&message("the function failed")),
            Fault::Exhausted => Problem::busy(&message("the server has no room for this now")),
            Fault::Host => Problem::internal(&message("the server failed")),
        }
    }

    /// A function that is stored and could not be loaded; when it will be tried again.
    pub(super) fn not_loaded(name: &FunctionName, left: Duration) -> Problem {
        let message = format!("the function {name} is stored, but could not be loaded");
        let seconds = left.as_secs().max(1);
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, message);
        Problem { header: Some((RETRY_AFTER, seconds.into())), ..problem }
    }

    /// What went wrong on our side or the guest's is in the log; the client gets the id.
    pub(super) fn internal(message: &str) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn into_response(self, id: &str) -> BoxResponse {
        let body = ProblemBody { error: &self.message, request_id: id };
        let mut response = json(self.status, &body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<DeployError> for Problem {
    fn from(error: DeployError) -> Problem {
        let status = match error {
            DeployError::Store(error) => return error.into(),
            DeployError::Spec(_) | DeployError::Environment(_) => StatusCode::BAD_REQUEST,
            DeployError::Route(_) => StatusCode::CONFLICT,
            DeployError::OtherTenant(_) => StatusCode::FORBIDDEN,
            DeployError::Artifact(_) | DeployError::Function(_) | DeployError::UnsafeBounds => {
                if error.fault() != Fault::Module {
                    tracing::error!("{error}");
                    return Problem::of_fault(error.fault(), &error.to_string());
                }
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Problem::new(status, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!("{error}");
        match error {
            StoreError::Full { .. } => {
                let message = "the store's disk is full: nothing was deployed";
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, message)
            }
            StoreError::Unsynced { .. } => Problem::internal(
                "the change was made, but may be lost if the machine loses power: make it again",
            ),
            _ => Problem::of_fault(error.fault(), "its log says how"),
        }
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> BoxResponse {
    let text = serde_json::to_vec(body).expect("strings, numbers and lists are JSON");
    let mut response = Box::new(Response::new(Answer::from(text)));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
