//! Addresses that a function may talk to, as its specification has them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use wfaas_wasi::sockets::Transport;

use crate::outgoing::matches;

/// Addresses that a function may talk to: `tcp://HOST:PORT` or `udp://HOST:PORT`. The host is a name or an address, as
/// `[2001:db8::1]`, where `*` stands for any characters; the port is a number, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SocketGrant {
    pub(super) transport: Transport,
    /// An address is as the standard library writes it, without brackets.
    pub(super) host: String,
    /// `None` for every port.
    pub(super) port: Option<u16>,
}

/// Text that is no [`SocketGrant`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of a socket: write tcp://HOST:PORT or udp://HOST:PORT, with * for any characters of the host, \
     or for any port"
)]
pub struct SocketGrantError(String);

impl SocketGrant {
    /// Whether it has an address, which is written in the grant.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        let is_for_addresses = is_everything(&self.host) || is_address(&self.host);
        is_for_addresses && matches(&self.host, &address.to_string())
    }

    /// Whether it has a name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        !is_address(&self.host) && matches(&self.host, name.strip_suffix('.').unwrap_or(name))
    }

    /// Whether it has such addresses, if their host is the grant's.
    pub(super) fn has_port(&self, transport: Transport, address: SocketAddr) -> bool {
        self.transport == transport && self.port.is_none_or(|port| port == address.port())
    }
}

impl FromStr for SocketGrant {
    type Err = SocketGrantError;

    fn from_str(text: &str) -> Result<SocketGrant, SocketGrantError> {
        let error = || SocketGrantError(text.to_owned());
        let (transport, rest) = match text.split_once("://") {
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            Some(("udp", rest)) => (Transport::Udp, rest),
            _ => return Err(error()),
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(error)?;
        let port = match port {
            "*" => None,
            port => Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?),
        };
        let host = host_of(host).ok_or_else(error)?;
        Ok(SocketGrant { transport, host, port })
    }
}

/// Whether a host stands for every name and every address.
fn is_everything(host: &str) -> bool {
    host.bytes().all(|byte| byte == b'*')
}

/// Whether a host is an address, or a pattern of them. Such a pattern is of no name, which others may choose:
/// `10.0.0.evil.example` is none of `10.0.0.*`.
fn is_address(host: &str) -> bool {
    let is_v4 = host.bytes().all(|byte| byte.is_ascii_digit() || b".*".contains(&byte));
    host.contains(':') || is_v4 && host.bytes().any(|byte| byte.is_ascii_digit())
}

/// The host; an address of IPv6 has brackets.
fn host_of(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        return match inner.parse::<IpAddr>() {
            Ok(address) => Some(address.to_string()),
            Err(_) => (inner.contains('*') && inner.contains(':')).then(|| inner.to_owned()),
        };
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    let is_host = !text.is_empty() && text.len() <= 253 && text.bytes().all(plain);
    is_host.then(|| text.to_owned())
}

impl fmt::Display for SocketGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        match self.host.contains(':') {
            true => write!(f, "{transport}://[{}]:", self.host)?,
            false => write!(f, "{transport}://{}:", self.host)?,
        }
        match self.port {
            Some(port) => write!(f, "{port}"),
            None => f.write_str("*"),
        }
    }
}

impl TryFrom<String> for SocketGrant {
    type Error = SocketGrantError;

    fn try_from(text: String) -> Result<SocketGrant, SocketGrantError> {
        text.parse()
    }
}

impl From<SocketGrant> for String {
    fn from(grant: SocketGrant) -> String {
        grant.to_string()
    }
}
