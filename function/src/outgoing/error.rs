//! Why there is no answer to a request.

use super::MAX_REQUESTS;
use crate::head;
use http::Method;
use std::time::Duration;
use wfaas_vm::untrusted;

/// Why there is no answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutgoingError {
    /// Not an absolute `http` or `https` URL, or one with a user.
    #[error(
        "{0:?} is not the URL of a request: it has to begin with http:// or https:// and a host"
    )]
    Url(String),
    /// `CONNECT`, which makes a tunnel.
    #[error("the method {0} is not for requests of guests")]
    Method(Method),
    /// The function's specification does not have the host.
    #[error("the host {0} is not in `allowed_hosts`")]
    Host(String),
    /// The head has too many headers, or too large ones.
    #[error("the request's head: {0}")]
    Head(head::HeadError),
    /// Nobody sends requests here: as while an image is made.
    #[error("there is no network here")]
    NoNetwork,
    /// The function has too many requests under way.
    #[error("there are {MAX_REQUESTS} requests of this function already")]
    TooMany,
    /// The host has no address.
    #[error("{host} has no address: {reason}")]
    Resolve {
        /// Name of the host.
        host: String,
        /// The reason.
        reason: String,
    },
    /// All addresses of the host are in private networks, which this server keeps from guests.
    #[error("{0} is in a private network, which this server keeps from guests")]
    Private(String),
    /// There is no connection to the host, or none that is secure.
    #[error("no connection to {host}: {reason}")]
    Connect {
        /// Name of the host.
        host: String,
        /// The reason.
        reason: String,
    },
    /// The other server was too slow.
    #[error("the server did not answer in time: {0:?}")]
    Timeout(Duration),
    /// The connection broke, or the other server does not speak HTTP.
    #[error("the request broke off: {0}")]
    Broken(String),
}

impl OutgoingError {
    /// For a guest's text that is not the URL of a request.
    pub fn no_url(text: &str) -> OutgoingError {
        OutgoingError::Url(shown(text))
    }
}

/// A guest's text in a message.
pub(super) fn shown(text: &str) -> String {
    untrusted::name(text).to_string()
}
