//! `ip-address`, `ip-socket-address`, `ip-address-family`.

use super::super::host::Stop;
use crate::canonical::{Value, Violation};
use crate::sockets::{self, Error, Family};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

pub(super) fn family(value: &Value) -> Result<Family, Stop> {
    match value.variant()? {
        (0, None) => Ok(Family::V4),
        (1, None) => Ok(Family::V6),
        _ => Err(Value::mismatch().into()),
    }
}

pub(super) fn family_value(family: Family) -> Value {
    match family {
        Family::V4 => Value::case(0),
        Family::V6 => Value::case(1),
    }
}

/// Four numbers, or eight.
fn numbers<T, const N: usize>(
    value: &Value,
    read: impl Fn(&Value) -> Result<T, Violation>,
) -> Result<[T; N], Violation> {
    let values: &[Value; N] = value.record()?;
    let numbers: Result<Vec<T>, Violation> = values.iter().map(read).collect();
    numbers?.try_into().map_err(|_| Value::mismatch())
}

/// Reads an address with its port.
pub(crate) fn socket_address(value: &Value) -> Result<SocketAddr, Stop> {
    match value.variant()? {
        (0, Some(value)) => {
            let [port, address] = value.record()?;
            let address = Ipv4Addr::from(numbers(address, Value::u8)?);
            Ok(SocketAddrV4::new(address, port.u16()?).into())
        }
        (1, Some(value)) => {
            let [port, flow, address, scope] = value.record()?;
            let address = Ipv6Addr::from(numbers(address, Value::u16)?);
            Ok(SocketAddrV6::new(address, port.u16()?, flow.u32()?, scope.u32()?).into())
        }
        _ => Err(Value::mismatch().into()),
    }
}

fn case(case: u32, value: Value) -> Value {
    Value::Case(case, Some(Box::new(value)))
}

fn v4(address: Ipv4Addr) -> Value {
    Value::Record(address.octets().map(Value::U8).to_vec())
}

fn v6(address: Ipv6Addr) -> Value {
    Value::Record(address.segments().map(Value::U16).to_vec())
}

/// `ip-address`
pub(crate) fn address_value(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(address) => case(0, v4(address)),
        IpAddr::V6(address) => case(1, v6(address)),
    }
}

/// `ip-socket-address`
pub(crate) fn socket_address_value(address: SocketAddr) -> Value {
    let port = Value::U16(address.port());
    match address {
        SocketAddr::V4(address) => case(0, Value::Record(vec![port, v4(*address.ip())])),
        SocketAddr::V6(address) => {
            let (flow, scope) = (Value::U32(address.flowinfo()), Value::U32(address.scope_id()));
            case(1, Value::Record(vec![port, flow, v6(*address.ip()), scope]))
        }
    }
}

/// Refuses an address of the other family, or one of IPv4 in the form of IPv6.
fn check_family(address: SocketAddr, family: Family) -> sockets::Result<()> {
    let is_right = match address {
        SocketAddr::V4(_) => family == Family::V4,
        SocketAddr::V6(address) => family == Family::V6 && address.ip().to_ipv4_mapped().is_none(),
    };
    if is_right { Ok(()) } else { Err(Error::InvalidArgument) }
}

/// Refuses an address that no single machine has, or that has no port.
pub(super) fn check_remote(address: SocketAddr, family: Family) -> sockets::Result<()> {
    check_family(address, family)?;
    let ip = address.ip();
    let is_broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    match ip.is_unspecified() || ip.is_multicast() || is_broadcast || address.port() == 0 {
        true => Err(Error::InvalidArgument),
        false => Ok(()),
    }
}

/// Refuses an address of this machine that a guest may not choose: any port, or an address that tells its networks.
pub(super) fn check_local(address: SocketAddr, family: Family) -> sockets::Result<()> {
    check_family(address, family)?;
    let ip = address.ip();
    match address.port() == 0 && (ip.is_unspecified() || ip.is_loopback()) {
        true => Ok(()),
        false => Err(Error::AccessDenied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_values_and_back() {
        for text in ["1.2.3.4:80", "[2001:db8::1]:443"] {
            let address = address(text);
            assert_eq!(socket_address(&socket_address_value(address)).unwrap(), address);
        }
        let expected = Value::Record(vec![Value::U8(1), Value::U8(2), Value::U8(3), Value::U8(4)]);
        assert_eq!(address_value([1, 2, 3, 4].into()), case(0, expected));
        let wrong = Value::Case(0, Some(Box::new(Value::Record(vec![Value::U16(1)]))));
        assert!(socket_address(&wrong).is_err());
    }

    #[test]
    fn addresses_of_nobody_are_invalid() {
        use Family::{V4, V6};
        for (text, family) in [
            ("1.2.3.4:0", V4),
            ("0.0.0.0:80", V4),
            ("224.0.0.1:80", V4),
            ("255.255.255.255:80", V4),
            ("1.2.3.4:80", V6),
            ("[::1]:80", V4),
            ("[::]:80", V6),
            ("[ff02::1]:80", V6),
            ("[::ffff:1.2.3.4]:80", V6),
        ] {
            assert_eq!(check_remote(address(text), family), Err(Error::InvalidArgument), "{text}");
        }
        assert_eq!(check_remote(address("1.2.3.4:80"), V4), Ok(()));
        assert_eq!(check_remote(address("[2001:db8::1]:80"), V6), Ok(()));
    }

    #[test]
    fn a_guest_chooses_no_port_of_its_own() {
        use Family::V4;
        for (text, expected) in [
            ("0.0.0.0:0", Ok(())),
            ("127.0.0.1:0", Ok(())),
            ("0.0.0.0:80", Err(Error::AccessDenied)),
            ("10.0.0.1:0", Err(Error::AccessDenied)),
            ("[::]:0", Err(Error::InvalidArgument)),
        ] {
            assert_eq!(check_local(address(text), V4), expected, "{text}");
        }
    }
}
