//! Limits that keep clients from taking a server from each other.

use crate::network::Network;
use std::net::IpAddr;
use std::time::Duration;

/// How much one client may take, and how it is told from others. All shares are in percent of the
/// units that other holders leave, so that some is left for the next one to come.
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// Share of one connection in the bytes of bodies and answers.
    pub connection_share: u8,
    /// Share of one address in connections, in requests under way, and in the bytes of bodies
    /// and answers.
    pub address_share: u8,
    /// Share of one function in requests under way, and in the bytes of bodies and answers.
    pub function_share: u8,
    /// Share of one tenant in requests under way, and in the bytes of bodies and answers. It holds
    /// for clients with next to nothing too.
    pub tenant_share: u8,
    /// Connections beyond the others for health and management: other requests on them get 503.
    /// Part of `max_connections`, at most a quarter of it.
    pub reserve: usize,
    /// Least bytes a second that a client has to send of a body, or take of an answer.
    pub min_rate: u64,
    /// Longest time that bytes of an answer wait for a client that takes none.
    pub send_timeout: Duration,
    /// Proxies whose word about a client's address is taken. They are not limited themselves, but
    /// for what their clients have together.
    pub trusted_proxies: Vec<Network>,
    /// How a trusted proxy tells the address of a client.
    pub client_address: ClientAddress,
}

/// How a trusted proxy tells the address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// Not at all: the address of the connection's other end is the client's.
    #[default]
    Peer,
    /// At the start of each connection, by the PROXY protocol, version 1 or 2. Connections of a
    /// trusted proxy that do not start with it are closed.
    ProxyProtocol,
    /// In each request, by the header `forwarded` (RFC 7239).
    Forwarded,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            connection_share: 25,
            address_share: 50,
            function_share: 75,
            tenant_share: 75,
            reserve: 32,
            min_rate: 8 << 10,
            send_timeout: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            client_address: ClientAddress::default(),
        }
    }
}

impl ClientLimits {
    /// Whether a proxy of this address is trusted.
    pub(crate) fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}
