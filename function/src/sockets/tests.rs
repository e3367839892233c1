//! Grants, and the addresses that they give.

use super::*;
use std::task::{Context, Poll, Waker};

/// A provider that knows one name, and opens nothing.
#[derive(Debug)]
struct Names;

impl SocketProvider for Names {
    fn look_up(&self, name: String) -> LookUp {
        let found = match name.as_str() {
            "db.example" => Ok(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])]),
            _ => Err(SocketError::NameUnresolvable),
        };
        Box::pin(std::future::ready(found))
    }

    fn open(&self, _: Transport, _: Family, _: Place) -> Result<Box<dyn Socket>> {
        Err(SocketError::NotSupported)
    }
}

fn network(grants: &[&str]) -> Box<dyn Network> {
    let grants: Vec<SocketGrant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    let sockets = Sockets::new(Some(Arc::new(Names)), SocketCount::default(), &grants);
    sockets.network().expect("there are grants")
}

fn look_up(network: &mut Box<dyn Network>, name: &str) -> Result<Vec<IpAddr>> {
    let mut look_up = network.look_up(name)?;
    match look_up.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found,
        Poll::Pending => panic!("it waits"),
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn grants_are_written_as_they_are_read() {
    for text in [
        "tcp://db.example.com:5432",
        "udp://*:53",
        "tcp://*.example.com:*",
        "tcp://10.0.0.1:80",
        "tcp://[2001:db8::1]:443",
        "tcp://[2001:db8:*]:443",
    ] {
        assert_eq!(text.parse::<SocketGrant>().unwrap().to_string(), text);
    }
    let long = "tcp://[2001:0db8:0:0::1]:443".parse::<SocketGrant>().unwrap();
    assert_eq!(long.to_string(), "tcp://[2001:db8::1]:443");
    for wrong in [
        "",
        "db.example.com:5432",
        "http://a:80",
        "tcp://a",
        "tcp://a:",
        "tcp://a:0",
        "tcp://a:65536",
        "tcp://:80",
        "tcp://::1:80",
        "tcp://[::1:80",
        "tcp://[a]:80",
        "tcp://a b:80",
        "tcp://user@a:80",
    ] {
        let error = wrong.parse::<SocketGrant>().unwrap_err();
        assert!(error.to_string().contains("write tcp://HOST:PORT"), "{wrong}");
    }
}

#[test]
fn an_address_is_granted_with_its_port_and_protocol() {
    let some = network(&["tcp://10.0.0.*:80", "udp://[2001:db8::1]:53"]);
    for (transport, text, expected) in [
        (Transport::Tcp, "10.0.0.7:80", true),
        (Transport::Tcp, "10.0.0.7:81", false),
        (Transport::Udp, "10.0.0.7:80", false),
        (Transport::Tcp, "10.0.1.7:80", false),
        (Transport::Udp, "[2001:db8::1]:53", true),
        (Transport::Udp, "[2001:db8::2]:53", false),
    ] {
        assert_eq!(some.allows(transport, address(text)), expected, "{text}");
    }
}

#[test]
fn a_name_grants_the_addresses_that_were_looked_up() {
    let mut some = network(&["tcp://*.example:5432", "tcp://db.example:80"]);
    assert!(!some.allows(Transport::Tcp, address("10.0.0.1:5432")), "it was not looked up");
    assert_eq!(look_up(&mut some, "db.example").unwrap().len(), 2);
    for (transport, text, expected) in [
        (Transport::Tcp, "10.0.0.1:5432", true),
        (Transport::Tcp, "10.0.0.2:80", true),
        (Transport::Tcp, "10.0.0.1:443", false),
        (Transport::Udp, "10.0.0.1:5432", false),
        (Transport::Tcp, "10.0.0.3:80", false),
    ] {
        assert_eq!(some.allows(transport, address(text)), expected, "{text}");
    }
    assert_eq!(look_up(&mut some, "other.test"), Err(SocketError::AccessDenied));
    assert_eq!(look_up(&mut some, "no.example"), Err(SocketError::NameUnresolvable));
    let another = network(&["tcp://*.example:5432"]);
    assert!(!another.allows(Transport::Tcp, address("10.0.0.1:5432")), "another instance");
}

#[test]
fn names_that_look_like_addresses_are_none() {
    let mut some = network(&["tcp://10.0.0.*:80", "tcp://fe80*:80"]);
    for name in ["10.0.0.evil.example", "10.0.0."] {
        assert_eq!(look_up(&mut some, name), Err(SocketError::AccessDenied), "{name}");
    }
    assert!(!some.allows(Transport::Tcp, address("[fe80::1]:80")), "a pattern of names");
    assert!(network(&["tcp://*:80"]).allows(Transport::Tcp, address("[fe80::1]:80")));
}

#[test]
fn there_is_no_network_without_grants_or_provider() {
    let grant = ["tcp://a:80".parse().unwrap()];
    assert!(Sockets::new(None, SocketCount::default(), &grant).network().is_none());
    assert!(Sockets::new(Some(Arc::new(Names)), SocketCount::default(), &[]).network().is_none());
}

#[test]
fn sockets_are_counted_until_they_are_closed() {
    let count = SocketCount::default();
    let mut places: Vec<Place> = (0..MAX_SOCKETS).map(|_| count.take().unwrap()).collect();
    assert_eq!(count.clone().take().err(), Some(SocketError::NewSocketLimit));
    places.pop();
    assert!(count.take().is_ok());
}
