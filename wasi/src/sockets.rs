//! Sockets: the network that an instance reaches, as the embedder supplies it.
//!
//! * a [`Network`] is one instance's: it looks names up, says which addresses the guest may talk to, and opens
//!   sockets;
//! * a [`Socket`] is one of the system's (`socket(7)`), whose operations never block: those that cannot go on
//!   answer [`Error::WouldBlock`], and [`Socket::poll_ready`] says when to try again.
//!
//! Addresses are checked before they reach a socket: a [`Network`] is asked by the interfaces, and a socket may
//! refuse on its own, as one whose server keeps its own network from guests.

use rustix::io::Errno;
use std::fmt;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The result of an operation on a socket.
pub type Result<T> = std::result::Result<T, Error>;

/// A look-up under way: the addresses of a name.
pub type LookUp = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>>> + Send>>;

/// The network of one instance.
pub trait Network: Send {
    /// Begins to look up the addresses of a name.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] if the guest may not know them.
    fn look_up(&mut self, name: &str) -> Result<LookUp>;

    /// Whether the guest may talk to an address.
    fn allows(&self, transport: Transport, address: SocketAddr) -> bool;

    /// Opens a socket.
    ///
    /// # Errors
    /// [`Error::NewSocketLimit`] if there are too many.
    fn open(&mut self, transport: Transport, family: Family) -> Result<Box<dyn Socket>>;
}

/// A socket. Operations do not block.
pub trait Socket: fmt::Debug + Send + Sync {
    /// Gives it an address of this machine.
    ///
    /// # Errors
    /// [`Error`].
    fn bind(&self, local: SocketAddr) -> Result<()>;

    /// Begins to connect it; one for datagrams is connected then.
    ///
    /// # Errors
    /// [`Error`] if it cannot begin.
    fn connect(&self, remote: SocketAddr) -> Result<()>;

    /// The end of a [`Socket::connect`].
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while it is not there.
    fn connected(&self) -> Result<()>;

    /// Ready when an operation in this direction can go on.
    fn poll_ready(&self, direction: Direction, context: &mut Context<'_>) -> Poll<()>;

    /// Reads bytes, or a datagram of a socket that is connected; how many. None is the end.
    ///
    /// # Errors
    /// [`Error`].
    fn receive(&self, target: &mut [u8]) -> Result<usize>;

    /// Sends bytes, or a datagram; how many.
    ///
    /// # Errors
    /// [`Error`].
    fn send(&self, bytes: &[u8]) -> Result<usize>;

    /// Reads a datagram; its length, and where it is from.
    ///
    /// # Errors
    /// [`Error`].
    fn receive_from(&self, target: &mut [u8]) -> Result<(usize, SocketAddr)>;

    /// Sends a datagram.
    ///
    /// # Errors
    /// [`Error`].
    fn send_to(&self, bytes: &[u8], remote: SocketAddr) -> Result<()>;

    /// Ends one direction, or both.
    ///
    /// # Errors
    /// [`Error`].
    fn shutdown(&self, how: Shutdown) -> Result<()>;

    /// Its own address.
    ///
    /// # Errors
    /// [`Error`].
    fn local_address(&self) -> Result<SocketAddr>;

    /// The address that it is connected to.
    ///
    /// # Errors
    /// [`Error`].
    fn remote_address(&self) -> Result<SocketAddr>;

    /// The value of an option.
    ///
    /// # Errors
    /// [`Error`].
    fn option(&self, option: SocketOption) -> Result<u64>;

    /// Sets an option. The system may round its value.
    ///
    /// # Errors
    /// [`Error`].
    fn set_option(&self, option: SocketOption, value: u64) -> Result<()>;
}

/// A protocol below sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streams of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6. Its sockets have no addresses of IPv4.
    V6,
}

/// A direction of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Bytes that arrive.
    Receive,
    /// Bytes that leave, and the end of a [`Socket::connect`].
    Send,
}

/// An option of a socket. A switch is 0 or 1, a time is in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketOption {
    /// Whether an idle connection is looked after (`SO_KEEPALIVE`).
    KeepAlive,
    /// Time until that begins (`TCP_KEEPIDLE`).
    KeepAliveIdle,
    /// Time between two looks (`TCP_KEEPINTVL`).
    KeepAliveInterval,
    /// Looks until a connection is given up (`TCP_KEEPCNT`).
    KeepAliveCount,
    /// Most hops of a packet (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    HopLimit,
    /// Bytes that the system keeps of what arrives (`SO_RCVBUF`).
    ReceiveBuffer,
    /// Bytes that the system keeps of what leaves (`SO_SNDBUF`).
    SendBuffer,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal $(, $($errno:ident)|+)?;)*) => {
        /// Why an operation on a socket failed: the cases of `error-code` in WASI 0.2, in their order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum Error {
            $($(#[$doc])* #[error($text)] $name,)*
        }

        impl From<Errno> for Error {
            fn from(errno: Errno) -> Error {
                match errno {
                    $($($(Errno::$errno)|+ => Error::$name,)?)*
                    _ => Error::Unknown,
                }
            }
        }
    };
}

errors! {
    /// Of no other kind.
    Unknown = "unknown error";
    /// Not allowed.
    AccessDenied = "access denied", ACCESS | PERM;
    /// Not supported.
    NotSupported = "not supported", OPNOTSUPP | NOPROTOOPT | AFNOSUPPORT | PROTONOSUPPORT;
    /// An argument that makes no sense.
    InvalidArgument = "invalid argument", INVAL | DESTADDRREQ;
    /// No memory.
    OutOfMemory = "out of memory", NOMEM | NOBUFS;
    /// The other side was too slow.
    Timeout = "timeout", TIMEDOUT;
    /// Another operation is under way.
    ConcurrencyConflict = "another operation is under way", ALREADY;
    /// No such operation is under way.
    NotInProgress = "no such operation is under way";
    /// Not yet.
    WouldBlock = "not yet", AGAIN | INPROGRESS | INTR;
    /// The socket is in no state for it.
    InvalidState = "the socket is in no state for this", NOTCONN | ISCONN;
    /// Too many sockets.
    NewSocketLimit = "too many sockets", MFILE | NFILE;
    /// No address of this machine.
    AddressNotBindable = "the address is not one of this machine", ADDRNOTAVAIL;
    /// The address is taken.
    AddressInUse = "the address is in use", ADDRINUSE;
    /// No way there.
    RemoteUnreachable = "the other side is not reachable", HOSTUNREACH | NETUNREACH | HOSTDOWN | NETDOWN;
    /// Nobody listens there.
    ConnectionRefused = "connection refused", CONNREFUSED;
    /// The other side has ended the connection.
    ConnectionReset = "connection reset", CONNRESET | PIPE;
    /// This side has.
    ConnectionAborted = "connection aborted", CONNABORTED;
    /// More than fits in a datagram.
    DatagramTooLarge = "the datagram is too large", MSGSIZE;
    /// The name has no address.
    NameUnresolvable = "the name has no address";
    /// The name cannot be looked up now.
    TemporaryResolverFailure = "the name cannot be looked up now";
    /// The name cannot be looked up.
    PermanentResolverFailure = "the name cannot be looked up";
}
