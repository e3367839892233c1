//! How much one client may take of a server, and how it is told from others.

use wfaas_function::ByteSize;
use wfaas_gateway::{ClientAddress, Config, Network};

/// Limits on clients.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Clients")]
pub(super) struct Clients {
    /// Most open connections; for more, those that wait for their clients make room [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..))]
    max_connections: Option<u32>,

    /// Share of one address in connections, memory and the queue, in percent of what other
    /// addresses leave [default: 50]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    address_share: Option<u8>,

    /// Most bytes of a request's body, as 64MiB; guests that read it as it arrives take no memory for
    /// it [default: 8MiB]
    #[arg(long, value_name = "SIZE")]
    max_body: Option<ByteSize>,

    /// Least bytes a second to send of a body, or to take of an answer [default: 8192]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    min_rate: Option<u64>,

    /// Trust this proxy, or network of proxies, about its clients; it has no limits itself.
    /// Can be repeated
    #[arg(long = "trust-proxy", value_name = "ADDRESS[/BITS]")]
    trusted_proxies: Vec<Network>,

    /// How trusted proxies name a client: at the start of a connection by the PROXY protocol
    /// (version 1 or 2), or in each request by the header `forwarded`
    #[arg(long, value_name = "HOW", requires = "trusted_proxies")]
    client_address: Option<How>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum How {
    ProxyProtocol,
    Forwarded,
}

impl Clients {
    /// Sets the options that were given.
    pub(super) fn configure(&self, config: &mut Config) {
        if let Some(most) = self.max_connections {
            config.max_connections = most as usize;
        }
        if let Some(ByteSize(most)) = self.max_body {
            config.max_body = most;
        }
        let clients = &mut config.clients;
        clients.address_share = self.address_share.unwrap_or(clients.address_share);
        clients.min_rate = self.min_rate.unwrap_or(clients.min_rate);
        clients.trusted_proxies.clone_from(&self.trusted_proxies);
        clients.client_address = match self.client_address {
            None => ClientAddress::Peer,
            Some(How::ProxyProtocol) => ClientAddress::ProxyProtocol,
            Some(How::Forwarded) => ClientAddress::Forwarded,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        clients: Clients,
    }

    fn parse(words: &str) -> Result<Config, clap::Error> {
        let words = std::iter::once("serve").chain(words.split_whitespace());
        let command = Command::try_parse_from(words)?;
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), "unused");
        command.clients.configure(&mut config);
        Ok(config)
    }

    #[test]
    fn flags_set_limits() {
        let config = parse("--max-connections 8 --address-share 90 --min-rate 1").unwrap();
        assert_eq!((config.max_connections, config.clients.address_share), (8, 90));
        assert_eq!((config.clients.min_rate, config.clients.connection_share), (1, 25));
        assert_eq!(
            (config.max_body, parse("--max-body 3GiB").unwrap().max_body),
            (8 << 20, 3 << 30)
        );
        let proxies = "--trust-proxy 10.0.0.0/8 --trust-proxy ::1 --client-address proxy-protocol";
        let clients = parse(proxies).unwrap().clients;
        assert_eq!(clients.trusted_proxies.len(), 2);
        assert_eq!(clients.client_address, ClientAddress::ProxyProtocol);
        assert_eq!(parse("").unwrap().clients.client_address, ClientAddress::Peer);
    }

    #[test]
    fn mistakes_are_refused() {
        for words in [
            "--client-address forwarded",
            "--trust-proxy localhost",
            "--address-share 0",
            "--address-share 101",
            "--min-rate 0",
            "--max-connections 1",
            "--max-body many",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
