//! OpenWhisk: the gateway as the proxy of an action's container.
//!
//! The platform sends the code of one action to `/init`, once, and parameters to `/run`, as often as it
//! wants; the interface is that of OpenWhisk's `docs/actions-new.md`. An executor of
//! WebAssembly-flavored OpenWhisk has many containers in one process: `/start` says that there is one
//! more, and `/ID/init`, `/ID/run` and `/ID/destroy` are about the one called `ID`.
//!
//! The action's part is a guest ABI like any other. An [`ActionHost`] compiles code, since the gateway
//! knows no compiler, and writes the logs of activations.

mod code;
mod containers;
mod few;
mod init;
mod log;
mod run;

pub(crate) use containers::Containers;

use crate::http::{BoxResponse, Caller, Incoming, Problem, discard, json};
use crate::server::Shared;
use hyper::header::ORIGIN;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use wfaas_function::Spec;

/// The part of an action's container that is not the gateway's.
pub trait ActionHost: fmt::Debug + Send + Sync {
    /// The artifact of a module, a binary or text. Blocks; has to be bounded in time and memory.
    ///
    /// # Errors
    /// In words for the action's author.
    fn compile(&self, module: &[u8], spec: &Spec) -> Result<Vec<u8>, String>;

    /// Whether native artifacts are taken as they come, from whoever may initialise an action.
    fn takes_native(&self) -> bool;

    /// Writes what an activation has for the container's stdout and stderr, its end included. Blocks.
    fn log(&self, stdout: &str, stderr: &str);
}

/// Answers a request to the container.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    containers: &Arc<Containers>,
    caller: &Caller<'_>,
    head: Parts,
    body: &mut Incoming,
    id: &str,
) -> BoxResponse {
    let asked = Asked { shared, containers, caller, id };
    let answer = route(asked, head, body).await;
    discard(body).await;
    answer.unwrap_or_else(|problem| error(problem.status(), problem.message()))
}

/// A request, besides its head and body.
#[derive(Clone, Copy)]
struct Asked<'a> {
    shared: &'a Arc<Shared>,
    containers: &'a Arc<Containers>,
    caller: &'a Caller<'a>,
    id: &'a str,
}

async fn route(asked: Asked<'_>, head: Parts, body: &mut Incoming) -> Result<BoxResponse, Problem> {
    let path = head.uri.path().to_owned();
    let words: Vec<&str> = path.split('/').skip(1).take(3).collect();
    if head.method != Method::POST {
        return Err(Problem::method("POST"));
    }
    if head.headers.contains_key(ORIGIN) {
        // The platform sends none. A page in a browser must not bring code here.
        return Err(Problem::new(StatusCode::FORBIDDEN, "requests of web pages are refused"));
    }
    match words[..] {
        ["init"] => init::handle(asked, "", &head, body).await,
        ["run"] => Ok(run::handle(asked, "", &head, body).await?.into_response()),
        ["start"] => {
            let container = asked.containers.start()?;
            let port = asked.shared.config.listen.port();
            Ok(json(StatusCode::OK, &json!({ "containerId": container, "port": port })))
        }
        [container, "init"] if !container.is_empty() => {
            init::handle(asked, container, &head, body).await
        }
        [container, "run"] if !container.is_empty() => {
            Ok(run::handle(asked, container, &head, body).await?.into_wow_response())
        }
        [container, "destroy"] if !container.is_empty() => {
            asked.containers.destroy(asked.shared, container).await?;
            Ok(json(StatusCode::OK, &json!({ "ok": true })))
        }
        _ => Err(Problem::not_found("there is nothing here; see /init and /run")),
    }
}

/// An error as the platform wants it: an object with one field.
fn error(status: StatusCode, message: &str) -> BoxResponse {
    json(status, &json!({ "error": message }))
}
