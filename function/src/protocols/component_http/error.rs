//! `error-code` of `wasi:http`.

use crate::outgoing::OutgoingError;
use wfaas_wasi::preview2::{Host, IoError, Stop, Value, args};

/// The names of its cases, in order.
const NAMES: [&str; 39] = [
    "DNS-timeout",
    "DNS-error",
    "destination-not-found",
    "destination-unavailable",
    "destination-IP-prohibited",
    "destination-IP-unroutable",
    "connection-refused",
    "connection-terminated",
    "connection-timeout",
    "connection-read-timeout",
    "connection-write-timeout",
    "connection-limit-reached",
    "TLS-protocol-error",
    "TLS-certificate-error",
    "TLS-alert-received",
    "HTTP-request-denied",
    "HTTP-request-length-required",
    "HTTP-request-body-size",
    "HTTP-request-method-invalid",
    "HTTP-request-URI-invalid",
    "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size",
    "HTTP-request-header-size",
    "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size",
    "HTTP-response-incomplete",
    "HTTP-response-header-section-size",
    "HTTP-response-header-size",
    "HTTP-response-body-size",
    "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size",
    "HTTP-response-transfer-coding",
    "HTTP-response-content-coding",
    "HTTP-response-timeout",
    "HTTP-upgrade-failed",
    "HTTP-protocol-error",
    "loop-detected",
    "configuration-error",
    "internal-error",
];

/// `HTTP-request-URI-invalid`
pub(super) const URI_INVALID: u32 = 19;

/// The error of a request to another server.
pub(super) fn of_outgoing(error: &OutgoingError) -> Value {
    Value::case(match error {
        OutgoingError::Resolve { .. } => 2,
        OutgoingError::Private(_) => 4,
        OutgoingError::Connect { .. } => 6,
        OutgoingError::Broken(_) => 7,
        OutgoingError::TooMany => 11,
        OutgoingError::Host(_) | OutgoingError::NoNetwork => 15,
        OutgoingError::Method(_) => 18,
        OutgoingError::Url(_) => URI_INVALID,
        OutgoingError::Timeout(_) => 33,
        OutgoingError::Head(error) => return internal(&error.to_string()),
    })
}

/// `internal-error`
const INTERNAL: u32 = 38;

/// `internal-error`, with a message.
pub(super) fn internal(message: &str) -> Value {
    let message = Value::some(Value::String(message.to_owned()));
    Value::Case(INTERNAL, Some(Box::new(message)))
}

/// The name of an error, and its message if it has one.
pub(super) fn name(error: &Value) -> Result<String, Stop> {
    let (case, value) = error.variant()?;
    let name = NAMES.get(case as usize).copied().unwrap_or("unknown");
    let message = match value.map(Value::optional) {
        Some(Ok(Some(message))) => message.text().ok(),
        _ => None,
    };
    Ok(match message {
        Some(message) => {
            format!("{name}: {}", wfaas_vm::untrusted::text(message))
        }
        None => name.to_owned(),
    })
}

/// No stream here fails with one: those that break end the call.
pub(super) fn http_error_code(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [error] = args(values)?;
    host.resources().get::<IoError>(error.handle()?)?;
    Ok(Value::none())
}
