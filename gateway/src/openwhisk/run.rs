//! `/run`: one activation of a container's action.

use super::Asked;
use super::few::Few;
use super::init::text;
use super::log::Activation;
use crate::http::{self, Answer, BoxResponse, Incoming, Problem, blocking, json, receive};
use crate::registry::Deployed;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::time::{Duration, Instant, SystemTime};
use wfaas_function::{Body, Exchange, InvokeError};

/// The request, as it is written: `value` has the parameters, everything else is the activation's
/// context, which the guest finds in its environment.
type Run<'a> = Few<&'a RawValue>;

/// The end of an activation: the status and the action's result, a JSON text.
pub(super) struct Ended {
    status: StatusCode,
    response: BoxResponse,
}

impl Ended {
    /// As OpenWhisk has it: the result.
    pub(super) fn into_response(self) -> BoxResponse {
        let Ended { status, mut response } = self;
        *response.status_mut() = status;
        response
    }

    /// As an executor of WebAssembly-flavored OpenWhisk has it: an activation's response around it.
    pub(super) fn into_wow_response(self) -> BoxResponse {
        let Ended { status, response } = self;
        let (_, answer) = response.into_parts();
        let Answer { bytes, lease, .. } = answer;
        let text = std::str::from_utf8(&bytes).ok();
        let result = text.and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
        let success = status == StatusCode::OK && !is_error(&bytes);
        let (word, code) = if success { ("success", 0) } else { ("application error", 1) };
        let body = WowResponse { status: word, status_code: code, success, result };
        let mut response = json(StatusCode::OK, &body);
        response.body_mut().lease = lease;
        response
    }
}

#[derive(serde::Serialize)]
struct WowResponse<'a> {
    status: &'a str,
    status_code: u8,
    success: bool,
    result: Option<&'a RawValue>,
}

/// Whether a result is an object with `error`.
fn is_error(result: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Failed {
        #[serde(rename = "error")]
        _error: serde::de::IgnoredAny,
    }
    // A struct is read from an array, too.
    result.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<Failed>(result).is_ok()
}

/// Runs the action of a container.
pub(super) async fn handle(
    asked: Asked<'_>,
    container: &str,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Ended, Problem> {
    let Asked { shared, containers, caller, id } = asked;
    let deployed = containers.find(shared, container)?;
    let changes = shared.deployer.registry.changes();
    let target = caller.learn(head.uri.path(), changes, deployed.clone());
    let lease = caller.bytes(&target, head)?;
    let limit = shared.config.max_body;
    let received = receive(body, limit, u64::MAX, lease, caller.exchange).await?;
    let mut lease = received.lease;
    lease.grow(received.bytes.len() as u64).map_err(|_| Problem::too_much())?;
    let log = Activation::default();
    let exchange = exchange(&received.bytes, &deployed, &log, id)?;
    drop(received.bytes);
    let (place, deadline) = (caller.place(&target)?, exchange.deadline);
    let guest = Box::pin(http::guest(deployed.clone(), Box::new(exchange), lease));
    let outcome = http::run(shared, &deployed, place, deadline, guest).await;
    let ended = match outcome {
        Ok(Ok(Some(response))) => Ok(Ended { status: response.status(), response }),
        Ok(Ok(None)) => Err(Problem::too_much()),
        Ok(Err(error)) => Ok(failed(&log, &error)),
        Err(problem) => Err(problem),
    };
    let host = containers.host.clone();
    blocking(shared, move |_| log.end(&*host)).await?;
    ended
}

/// The exchange of an activation.
fn exchange(
    body: &[u8],
    deployed: &Deployed,
    log: &Activation,
    id: &str,
) -> Result<Exchange, Problem> {
    let bad = |reason: &str| {
        let message = format!("Error unmarshaling request: {reason}");
        Problem::new(StatusCode::BAD_REQUEST, message)
    };
    let Few(mut run): Run<'_> =
        serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
    let value = run.remove("value").map_or("{}", RawValue::get);
    if !value.starts_with(['{', '[']) {
        return Err(bad("`value` has to be an object or an array"));
    }
    let limit = Instant::now().checked_add(deployed.function.time_limit());
    let deadline = match run.get("deadline").and_then(|value| instant(value)) {
        Some(asked) => Some(limit.map_or(asked, |limit| limit.min(asked))),
        None => limit,
    };
    let exchange = Exchange::new(Request::new(Body::complete(value)));
    let variables = run.into_iter().filter_map(|(name, value)| variable(&name, value)).collect();
    let log: Option<Box<dyn wfaas_function::LogSink>> = Some(Box::new(log.clone()));
    Ok(Exchange { id: id.into(), deadline, variables, log, ..exchange })
}

/// A value of the context as an environment variable of the guest.
fn variable(name: &str, value: &RawValue) -> Option<(String, String)> {
    let value = text(value);
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let fits = is_word && !name.is_empty() && !value.contains('\0');
    fits.then(|| (format!("__OW_{}", name.to_ascii_uppercase()), value))
}

/// The time that milliseconds since 1970 are.
fn instant(deadline: &RawValue) -> Option<Instant> {
    let millis = text(deadline).parse().ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let left = Duration::from_millis(millis).saturating_sub(now);
    Instant::now().checked_add(left)
}

/// The answer to an activation that its guest did not bring to an end.
fn failed(log: &Activation, error: &InvokeError) -> Ended {
    log.say(error);
    let (status, message) = match error {
        InvokeError::Deadline(_) | InvokeError::CpuLimit(_) => {
            (StatusCode::GATEWAY_TIMEOUT, "The action exceeded its time limit.")
        }
        InvokeError::OutputLimit(_) => {
            (StatusCode::BAD_GATEWAY, "The action wrote too much. See logs for details.")
        }
        _ => (StatusCode::BAD_GATEWAY, "The action failed. See logs for details."),
    };
    Ended { status, response: json(status, &json!({ "error": message })) }
}
