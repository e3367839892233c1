//! Sockets of guests: the [`SocketProvider`] of functions, on the system's sockets and the runtime that waits for them.
//!
//! The addresses that a guest may talk to are its function's business; this is about those that the server keeps from
//! all guests. Nothing is kept here of bytes on their way: the system's buffers are all there is, and are small.

use super::address::{Cause, Private, Reach, Unresolved};
use super::share::Share;
use super::{NetworkClient, Task, source};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use wfaas_function::sockets::{
    Direction, Family, LookUp, Place, Result, Socket, SocketError, SocketOption, SocketProvider,
    Transport,
};

/// Bytes that the system keeps for one direction of a socket, and most that a guest may ask for. Linux doubles it.
const BUFFER: usize = 128 << 10;

/// Longest time that the system tries to send the bytes of a connection that its guest has left.
const ORPHAN_TIME: Duration = Duration::from_secs(10);

/// Longest time of a connection's keeping alive, in seconds, and most looks: Linux' limits.
const MOST_SECONDS: u64 = 32_767;
const MOST_LOOKS: u32 = 127;

impl SocketProvider for NetworkClient {
    fn look_up(&self, name: String) -> LookUp {
        let client = self.clone();
        Box::pin(async move {
            // Asked for where the guest is polled: the look-up goes on elsewhere.
            let looking = client.resolver.clone().resolve(Share::present(), name);
            let found = Task(client.runtime.spawn(looking)).await;
            let found = found.map_err(|_| SocketError::TemporaryResolverFailure)?;
            let found = found.map_err(|error| failed_look_up(&error))?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn open(&self, transport: Transport, family: Family, place: Place) -> Result<Box<dyn Socket>> {
        let (ty, protocol) = match transport {
            Transport::Tcp => (Type::STREAM, Protocol::TCP),
            Transport::Udp => (Type::DGRAM, Protocol::UDP),
        };
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let of_all = self.sockets.clone().try_acquire_owned();
        let of_all = of_all.map_err(|_| SocketError::NewSocketLimit)?;
        let socket = system(socket2::Socket::new(domain, ty.nonblocking(), Some(protocol)))?;
        if family == Family::V6 {
            system(socket.set_only_v6(true))?;
        }
        system(socket.set_recv_buffer_size(BUFFER))?;
        system(socket.set_send_buffer_size(BUFFER))?;
        if transport == Transport::Tcp {
            system(socket.set_tcp_nodelay(true))?;
        }
        Ok(Box::new(SystemSocket {
            unwatched: Mutex::new(Some(socket)),
            watched: OnceLock::new(),
            transport,
            family,
            reach: self.reach,
            allowed: Mutex::new(None),
            runtime: self.runtime.clone(),
            _places: (place, of_all),
        }))
    }
}

/// Why a name has no address for a guest.
fn failed_look_up(error: &io::Error) -> SocketError {
    if source::<Private>(error).is_some() {
        return SocketError::AccessDenied;
    }
    match source::<Unresolved>(error).map(|unresolved| unresolved.cause) {
        Some(Cause::Temporary) => SocketError::TemporaryResolverFailure,
        Some(Cause::Permanent) => SocketError::PermanentResolverFailure,
        Some(Cause::NoAddress) | None => SocketError::NameUnresolvable,
    }
}

/// The result of a system call, or of one that the runtime knows it would have to wait for.
fn system<T>(result: io::Result<T>) -> Result<T> {
    result.map_err(|error| match Errno::from_io_error(&error) {
        Some(errno) => errno.into(),
        None if error.kind() == io::ErrorKind::WouldBlock => SocketError::WouldBlock,
        None => SocketError::Unknown,
    })
}

/// A socket that the runtime watches.
#[derive(Debug)]
enum Watched {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

#[derive(Debug)]
struct SystemSocket {
    /// The socket until it is watched: until it is connected, or bound if it is for datagrams. The kernel says of a
    /// stream before that, once and for all, that it has ended.
    unwatched: Mutex<Option<socket2::Socket>>,
    watched: OnceLock<Watched>,
    transport: Transport,
    family: Family,
    reach: Reach,
    /// The last address that it may send to.
    allowed: Mutex<Option<SocketAddr>>,
    runtime: Handle,
    _places: (Place, OwnedSemaphorePermit),
}

impl SystemSocket {
    /// Does something that waits for nothing.
    fn system<T>(&self, work: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> Result<T> {
        let unwatched = self.unwatched.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.watched.get(), &*unwatched) {
            (Some(Watched::Stream(socket)), _) => system(work(SockRef::from(socket))),
            (Some(Watched::Datagrams(socket)), _) => system(work(SockRef::from(socket))),
            (None, Some(socket)) => system(work(SockRef::from(socket))),
            (None, None) => Err(SocketError::InvalidState), // watching it has failed
        }
    }

    /// Has the runtime watch it.
    fn watch(&self) -> Result<()> {
        let socket = self.unwatched.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(socket) = socket else { return Ok(()) };
        let _entered = self.runtime.enter();
        let watched = match self.transport {
            Transport::Tcp => TcpStream::from_std(socket.into()).map(Watched::Stream),
            Transport::Udp => UdpSocket::from_std(socket.into()).map(Watched::Datagrams),
        };
        _ = self.watched.set(system(watched)?); // nobody else had the socket
        Ok(())
    }

    fn watched(&self) -> Result<&Watched> {
        self.watched.get().ok_or(SocketError::InvalidState)
    }

    /// Refuses an address that the server keeps from guests.
    fn check(&self, remote: SocketAddr) -> Result<()> {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        if *allowed == Some(remote) {
            return Ok(());
        }
        if !self.reach.allows(remote.ip()) {
            return Err(SocketError::AccessDenied);
        }
        *allowed = Some(remote);
        Ok(())
    }

    /// Bytes of one of the system's buffers, as they were asked for: Linux doubles them.
    fn buffer(&self, bytes: impl FnOnce(SockRef<'_>) -> io::Result<usize>) -> Result<u64> {
        Ok(self.system(bytes)? as u64 / 2)
    }

    fn time(&self, time: impl FnOnce(SockRef<'_>) -> io::Result<Duration>) -> Result<u64> {
        Ok(u64::try_from(self.system(time)?.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Sets a parameter of keeping alive, without switching that on.
    fn keep_alive(&self, parameter: &TcpKeepalive) -> Result<()> {
        self.system(|socket| {
            let is_on = socket.keepalive()?;
            socket.set_tcp_keepalive(parameter)?; // which switches it on
            socket.set_keepalive(is_on)
        })
    }
}

impl Drop for SystemSocket {
    /// The system goes on with bytes that have not left. It gives up soon: nobody counts them any more.
    fn drop(&mut self) {
        if self.transport == Transport::Tcp {
            _ = self.system(|socket| socket.set_tcp_user_timeout(Some(ORPHAN_TIME))); // it may be closed
        }
    }
}

/// Ready when the system takes bytes: the runtime remembers that it once did.
fn poll_writable(socket: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    loop {
        ready!(socket.poll_write_ready(context))?;
        let asked = socket.try_io(Interest::WRITABLE, || match is_writable(socket)? {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()), // which the runtime notes
        });
        match asked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            asked => return Poll::Ready(asked),
        }
    }
}

fn is_writable(socket: &TcpStream) -> io::Result<bool> {
    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(!asked[0].revents().is_empty())
}

impl Socket for SystemSocket {
    fn bind(&self, local: SocketAddr) -> Result<()> {
        self.system(|socket| socket.bind(&local.into()))?;
        match self.transport {
            Transport::Tcp => Ok(()),
            Transport::Udp => self.watch(),
        }
    }

    fn connect(&self, remote: SocketAddr) -> Result<()> {
        self.check(remote)?;
        match self.system(|socket| socket.connect(&remote.into())) {
            Ok(()) | Err(SocketError::WouldBlock) => self.watch(),
            Err(error) => Err(error),
        }
    }

    fn connected(&self) -> Result<()> {
        if let Some(error) = self.system(|socket| socket.take_error())? {
            return system(Err(error));
        }
        match self.remote_address() {
            Ok(_) => Ok(()),
            Err(SocketError::InvalidState) => Err(SocketError::WouldBlock),
            Err(error) => Err(error),
        }
    }

    fn poll_ready(&self, direction: Direction, context: &mut Context<'_>) -> Poll<()> {
        let Some(watched) = self.watched.get() else { return Poll::Ready(()) };
        // An error is that of a runtime that ends: the operation has it too.
        match (watched, direction) {
            (Watched::Stream(socket), Direction::Receive) => socket.poll_read_ready(context),
            (Watched::Stream(socket), Direction::Send) => poll_writable(socket, context),
            (Watched::Datagrams(socket), Direction::Receive) => socket.poll_recv_ready(context),
            (Watched::Datagrams(socket), Direction::Send) => socket.poll_send_ready(context),
        }
        .map(drop)
    }

    fn receive(&self, target: &mut [u8]) -> Result<usize> {
        system(match self.watched()? {
            Watched::Stream(socket) => socket.try_read(target),
            Watched::Datagrams(socket) => socket.try_recv(target),
        })
    }

    fn send(&self, bytes: &[u8]) -> Result<usize> {
        system(match self.watched()? {
            Watched::Stream(socket) => socket.try_write(bytes),
            Watched::Datagrams(socket) => socket.try_send(bytes),
        })
    }

    fn receive_from(&self, target: &mut [u8]) -> Result<(usize, SocketAddr)> {
        match self.watched()? {
            Watched::Stream(_) => Err(SocketError::NotSupported),
            Watched::Datagrams(socket) => system(socket.try_recv_from(target)),
        }
    }

    fn send_to(&self, bytes: &[u8], remote: SocketAddr) -> Result<()> {
        self.check(remote)?;
        match self.watched()? {
            Watched::Stream(_) => Err(SocketError::NotSupported),
            Watched::Datagrams(socket) => system(socket.try_send_to(bytes, remote)).map(drop),
        }
    }

    fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.system(|socket| socket.shutdown(how))
    }

    fn local_address(&self) -> Result<SocketAddr> {
        self.system(|socket| socket.local_addr())?.as_socket().ok_or(SocketError::Unknown)
    }

    fn remote_address(&self) -> Result<SocketAddr> {
        self.system(|socket| socket.peer_addr())?.as_socket().ok_or(SocketError::Unknown)
    }

    fn option(&self, option: SocketOption) -> Result<u64> {
        match option {
            SocketOption::KeepAlive => self.system(|socket| socket.keepalive()).map(u64::from),
            SocketOption::KeepAliveIdle => self.time(|socket| socket.tcp_keepalive_time()),
            SocketOption::KeepAliveInterval => self.time(|socket| socket.tcp_keepalive_interval()),
            SocketOption::KeepAliveCount => {
                self.system(|socket| socket.tcp_keepalive_retries()).map(u64::from)
            }
            SocketOption::HopLimit => self
                .system(|socket| match self.family {
                    Family::V4 => socket.ttl_v4(),
                    Family::V6 => socket.unicast_hops_v6(),
                })
                .map(u64::from),
            SocketOption::ReceiveBuffer => self.buffer(|socket| socket.recv_buffer_size()),
            SocketOption::SendBuffer => self.buffer(|socket| socket.send_buffer_size()),
        }
    }

    fn set_option(&self, option: SocketOption, value: u64) -> Result<()> {
        // The system's times are whole seconds, at most 32 767, and none is no time.
        let time = Duration::from_secs(value.div_ceil(1_000_000_000).clamp(1, MOST_SECONDS));
        let number = u32::try_from(value).unwrap_or(u32::MAX);
        let bytes = usize::try_from(value).map_or(BUFFER, |bytes| bytes.min(BUFFER));
        let parameter = TcpKeepalive::new();
        match option {
            SocketOption::KeepAlive => self.system(|socket| socket.set_keepalive(value != 0)),
            SocketOption::KeepAliveIdle => self.keep_alive(&parameter.with_time(time)),
            SocketOption::KeepAliveInterval => self.keep_alive(&parameter.with_interval(time)),
            SocketOption::KeepAliveCount => {
                self.keep_alive(&parameter.with_retries(number.min(MOST_LOOKS)))
            }
            SocketOption::HopLimit => self.system(|socket| match self.family {
                Family::V4 => socket.set_ttl_v4(number),
                Family::V6 => socket.set_unicast_hops_v6(number),
            }),
            SocketOption::ReceiveBuffer => self.system(|socket| socket.set_recv_buffer_size(bytes)),
            SocketOption::SendBuffer => self.system(|socket| socket.set_send_buffer_size(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_function::sockets::SocketCount;

    fn client(private: bool) -> NetworkClient {
        NetworkClient::new(Handle::current(), private)
    }

    fn open(client: &NetworkClient, transport: Transport) -> Box<dyn Socket> {
        let place = SocketCount::default().take().unwrap();
        client.open(transport, Family::V4, place).unwrap()
    }

    #[tokio::test]
    async fn the_servers_own_network_is_refused() {
        let client = client(false);
        let private = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let stream = open(&client, Transport::Tcp);
        assert_eq!(stream.connect(private(80)), Err(SocketError::AccessDenied));
        let datagrams = open(&client, Transport::Udp);
        datagrams.bind(private(0)).unwrap();
        assert_eq!(datagrams.send_to(b"x", private(53)), Err(SocketError::AccessDenied));
        assert_eq!(datagrams.connect(private(53)), Err(SocketError::AccessDenied));
        let found = client.look_up("localhost".to_owned()).await;
        assert_eq!(found, Err(SocketError::AccessDenied));
    }

    #[tokio::test]
    async fn names_have_addresses_or_an_error() {
        let client = client(true);
        let found = client.look_up("localhost".to_owned()).await.unwrap();
        assert!(found.iter().any(|address| address.is_loopback()), "{found:?}");
        let none = client.look_up("name.invalid".to_owned()).await;
        assert_eq!(none, Err(SocketError::NameUnresolvable));
    }

    #[tokio::test]
    async fn options_are_bounded() {
        let socket = open(&client(true), Transport::Tcp);
        let second = 1_000_000_000;
        for (option, value, expected) in [
            (SocketOption::ReceiveBuffer, u64::MAX, BUFFER as u64),
            (SocketOption::SendBuffer, 64 << 10, 64 << 10),
            (SocketOption::HopLimit, 33, 33),
            (SocketOption::KeepAliveIdle, 1, second),
            (SocketOption::KeepAliveInterval, 2 * second + 1, 3 * second),
            (SocketOption::KeepAliveIdle, u64::MAX, MOST_SECONDS * second),
            (SocketOption::KeepAliveCount, u64::MAX, MOST_LOOKS.into()),
            (SocketOption::KeepAlive, 1, 1),
        ] {
            if option != SocketOption::KeepAlive {
                assert_eq!(socket.option(SocketOption::KeepAlive), Ok(0), "{option:?}");
            }
            socket.set_option(option, value).unwrap();
            assert_eq!(socket.option(option), Ok(expected), "{option:?}");
        }
    }
}
