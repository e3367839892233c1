//! Addresses that guests may connect to, and names that are resolved to those alone.
//!
//! Whoever deploys a function names the hosts that it may reach. The networks behind the server are not
//! theirs to give: a name may be resolved to an address of any of them.

use super::share::Share;
use hyper_util::client::legacy::connect::dns::Name;
use rustix::io::Errno;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Semaphore;
use tower_service::Service;

/// Most names that are looked up at the same time. Each takes a blocking thread until the system's
/// resolver gives up, whether or not anybody still waits for the answer.
const MOST_LOOKUPS: usize = 32;

/// Networks that connections may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Addresses of the Internet.
    Public,
    /// Private networks and this machine too.
    All,
}

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        self == Reach::All || is_public(address) && !is_own(address)
    }

    /// Whether a URL's host may be connected to as it is; a name is looked up later.
    pub(super) fn allows_host(self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        address.map_or(true, |address| self.allows(address))
    }
}

/// Azure's WireServer, which tells a machine its configuration.
const AZURE_HOST: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Whether an address is of the Internet (the registries of RFC 6890, and multicast).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a == 100 && (64..128).contains(&b) // shared by a provider's customers, RFC 6598
        || a == 192 && b == 0 && c == 0 // of protocols, RFC 6890
        || a == 192 && b == 88 && c == 99 // relays of 6to4, RFC 7526
        || address == AZURE_HOST
        || a == 198 && (18..20).contains(&b) // of benchmarks, RFC 2544
        || a >= 224; // multicast, reserved, broadcast
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = inner_v4(address) {
        return is_public_v4(inner);
    }
    // 2000::/3 is all that is in use of the Internet.
    let [first, second, ..] = address.segments();
    let special = first == 0x2001 && second < 0x200 // of protocols, RFC 2928
        || first == 0x2001 && second == 0xdb8 // of documentation, RFC 3849
        || first == 0x3fff && second < 0x1000; // of documentation, RFC 9637
    first & 0xe000 == 0x2000 && !special
}

/// The address of IPv4 that one of IPv6 stands for: mapped, translated (RFC 6052), or 6to4 (RFC 3056).
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// Whether this machine has an address, or the one inside: services that are there for its own sake
/// listen on its public addresses too.
fn is_own(address: IpAddr) -> bool {
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => inner_v4(address).map(IpAddr::V4),
    };
    binds(address) || inner.is_some_and(binds)
}

/// Whether a socket can be bound to an address, which takes one of this machine's. Systems that let all
/// addresses be bound (`ip_nonlocal_bind` of Linux) take one of documentation as well: they tell nothing.
fn binds(address: IpAddr) -> bool {
    let bind = |address: IpAddr| UdpSocket::bind((address, 0));
    let nobodys: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    match bind(address) {
        Ok(_) => bind(nobodys).is_err(),
        // Any other error, as that there are no descriptors, tells nothing: the address may be one of this machine's.
        Err(error) => {
            !matches!(Errno::from_io_error(&error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
        }
    }
}

/// All addresses of a name are private.
#[derive(Debug, thiserror::Error)]
#[error("its addresses are private")]
pub(super) struct Private;

/// A name has no address.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Unresolved {
    reason: String,
    pub(super) cause: Cause,
}

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nobody has said so: the look-up took too long, or no server of names was reached. It may have one later.
    Temporary,
    /// A server of names cannot answer.
    Permanent,
    /// There is none.
    NoAddress,
}

impl Cause {
    /// Of the error of a look-up. The standard library tells codes of `getaddrinfo(3)` apart by their texts alone: those of
    /// glibc in the locale of programs that choose none, and of musl.
    fn of(error: &io::Error) -> Cause {
        const AGAIN: [&str; 2] = ["Temporary failure in name resolution", "Try again"];
        const FAIL: [&str; 2] =
            ["Non-recoverable failure in name resolution", "Unrecoverable error"];
        let (text, is_systems) = (error.to_string(), error.raw_os_error().is_some());
        let is_one_of = |texts: [&str; 2]| texts.iter().any(|it| text.ends_with(it));
        if error.kind() == io::ErrorKind::TimedOut || is_systems || is_one_of(AGAIN) {
            Cause::Temporary
        } else if is_one_of(FAIL) {
            Cause::Permanent
        } else {
            Cause::NoAddress
        }
    }
}

/// Looks names up as this system does, so many at the same time.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    reach: Reach,
    patience: Duration,
    lookups: Arc<Semaphore>,
}

impl Resolver {
    /// A resolver that waits for an address so long, its turn included.
    pub(super) fn new(reach: Reach, patience: Duration) -> Resolver {
        Resolver { reach, patience, lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)) }
    }

    /// The addresses of a name that may be connected to.
    pub(super) async fn resolve(
        self,
        share: Share,
        name: String,
    ) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let reach = self.reach;
        let found = tokio::time::timeout(self.patience, look_up(self.lookups, share, name)).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let found = found.map_err(|error| {
            let cause = Cause::of(&error);
            io::Error::other(Unresolved { reason: error.to_string(), cause })
        })?;
        let allowed: Vec<_> = found.filter(|address| reach.allows(address.ip())).collect();
        match allowed.is_empty() {
            true => Err(io::Error::other(Private)),
            false => Ok(allowed.into_iter()),
        }
    }
}

/// The addresses of a name. The look-up itself holds its permits: it goes on when nobody waits for it.
async fn look_up(
    lookups: Arc<Semaphore>,
    share: Share,
    name: String,
) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let of_tenant = share.lookups.clone().permit(1).await;
    let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
    let job = move || {
        let _permits = (permit, of_tenant);
        share.charge(|| (name.as_str(), 0).to_socket_addrs())
    };
    tokio::task::spawn_blocking(job).await?
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        // Asked for in the task of the request, which may go on elsewhere from here.
        Box::pin(self.clone().resolve(Share::present(), name.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::share::MOST_OF_TENANT;
    use super::*;

    #[test]
    fn addresses_of_the_internet_are_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "172.32.0.1",
            "223.255.255.255",
            "192.88.98.1",
            "2001:200::1",
            "2606:4700::1",
            "3fff:1000::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "192.0.0.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "3fff::1",
            "3fff:fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn hosts_that_are_addresses_are_looked_at() {
        for host in ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]"] {
            assert!(!Reach::Public.allows_host(host) && Reach::All.allows_host(host), "{host}");
        }
        assert!(Reach::Public.allows_host("localhost"), "its address is looked at later");
    }

    #[test]
    fn addresses_of_this_machine_are_known() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for own in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(is_own(address(own)), "{own}");
        }
        for other in ["192.0.2.1", "1.1.1.1", "2606:4700::1"] {
            assert!(!is_own(address(other)), "{other}");
        }
    }

    #[tokio::test]
    async fn names_wait_for_their_turns_and_not_for_ever() {
        let resolver = Resolver::new(Reach::All, Duration::from_millis(50));
        let name = || "localhost".to_owned();
        let others = resolver.lookups.clone().acquire_many_owned(MOST_LOOKUPS as u32).await;
        let error = resolver.clone().resolve(Share::default(), name()).await.unwrap_err();
        assert!(error.get_ref().unwrap().is::<Unresolved>(), "{error}");
        drop(others.unwrap());
        let patient = Resolver { patience: Duration::from_secs(20), ..resolver };
        let found = patient.resolve(Share::default(), name()).await;
        assert!(found.unwrap().any(|found| found.ip().is_loopback()));
    }

    #[test]
    fn look_ups_fail_for_now_or_for_good() {
        let failed = |text: &str| {
            let text = format!("failed to lookup address information: {text}");
            Cause::of(&io::Error::other(text))
        };
        assert_eq!(failed("Temporary failure in name resolution"), Cause::Temporary);
        assert_eq!(failed("Try again"), Cause::Temporary);
        assert_eq!(failed("Non-recoverable failure in name resolution"), Cause::Permanent);
        assert_eq!(failed("Name or service not known"), Cause::NoAddress);
        assert_eq!(failed("No address associated with hostname"), Cause::NoAddress);
        assert_eq!(Cause::of(&io::ErrorKind::TimedOut.into()), Cause::Temporary);
        // `EMFILE`, as `EAI_SYSTEM` has it.
        assert_eq!(Cause::of(&io::Error::from_raw_os_error(24)), Cause::Temporary);
    }

    #[tokio::test]
    async fn a_tenant_waits_for_its_own_names_alone() {
        let resolver = Resolver::new(Reach::All, Duration::from_secs(20));
        let (one, other) = (Share::default(), Share::default());
        let under_way = one.lookups.clone().permit(MOST_OF_TENANT as u32).await.unwrap();
        let resolve = |share: &Share, patience| {
            let mut resolver = Resolver { patience, ..resolver.clone() };
            share.clone().within(async move { resolver.call("localhost".parse().unwrap()).await })
        };
        assert!(resolve(&one, Duration::from_millis(50)).await.is_err());
        assert!(resolve(&other, resolver.patience).await.is_ok());
        drop(under_way);
        assert!(resolve(&one, resolver.patience).await.is_ok());
    }
}
