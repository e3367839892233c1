//! `sock_*`: connections of listeners that were open when the guest started.
//!
//! Sockets of the host never block: a call that would have to wait is a wait, or `EAGAIN`.

use super::errno::{Errno, Failure};
use super::flags::Flags;
use super::guest::{self, Guest, GuestPtr};
use super::io::finish;
use super::iovec::Iovecs;
use super::rights::Rights;
use super::streams;
use crate::table::{Descriptor, Object};
use crate::wait::Wait;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// Most bytes received or sent at once.
const CHUNK: usize = 64 << 10;

/// `riflags`: leave the bytes where they are.
const RECV_PEEK: u32 = 1 << 0;
/// `riflags`: wait for all of the bytes.
const RECV_WAITALL: u32 = 1 << 1;
/// `sdflags`: no more reading.
const SHUT_RD: u32 = 1 << 0;
/// `sdflags`: no more writing.
const SHUT_WR: u32 = 1 << 1;

pub(super) fn sock_accept(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    connection: GuestPtr,
) -> Result<(), Failure> {
    let descriptor = guest.wasi().table.get(fd)?;
    let Object::Listener(listener) = &descriptor.object else {
        return Err(Errno::Notsock.into());
    };
    descriptor.rights.check(Rights::SOCK_ACCEPT)?;
    let flags = Flags::new(flags)?;
    if flags != Flags::default() && flags != Flags::NONBLOCK {
        return Err(Errno::Inval.into());
    }
    let (listener, rights) = (listener.clone(), descriptor.inheriting);
    guest::bytes(guest, connection.slice(4))?;
    guest.wasi().table.check_room()?;
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) => return Err(would_block(guest, fd, error)),
    };
    stream.set_nonblocking(true).map_err(Errno::from)?;
    let object = Object::Connection(Arc::new(stream));
    let accepted = Descriptor {
        flags,
        ..Descriptor::new(object, Rights::CONNECTION.and(rights), Rights::NONE)
    };
    let number = guest.wasi().table.insert(accepted)?;
    Ok(guest::write_u32(guest, connection, number)?)
}

/// The wait for a socket that has nothing to read, if the guest wants to wait; else the error.
fn would_block(guest: &mut Guest<'_>, fd: u32, error: std::io::Error) -> Failure {
    if error.kind() == ErrorKind::Interrupted {
        return Wait::Turn.into();
    }
    let descriptor = match guest.wasi().table.get(fd) {
        Ok(descriptor) => descriptor,
        Err(errno) => return errno.into(),
    };
    let can_wait = error.kind() == ErrorKind::WouldBlock && !descriptor.flags.has(Flags::NONBLOCK);
    match descriptor.readable().filter(|_| can_wait) {
        Some(watched) => Wait::descriptor(watched).into(),
        None => Errno::from(error).into(),
    }
}

/// Receives bytes into guest memory, by way of a buffer: the kernel must not write to guest memory.
pub(super) fn receive(
    connection: &TcpStream,
    target: &mut [u8],
    peek: bool,
) -> Result<usize, Failure> {
    let mut bytes = vec![0; target.len().min(CHUNK)];
    let len = receive_bytes(connection, &mut bytes, peek).map_err(Errno::from)?;
    target[..len].copy_from_slice(&bytes[..len]);
    Ok(len)
}

fn receive_bytes(
    mut connection: &TcpStream,
    bytes: &mut [u8],
    peek: bool,
) -> std::io::Result<usize> {
    if peek { connection.peek(bytes) } else { connection.read(bytes) }
}

/// Sends bytes of guest memory, by way of a buffer: the kernel would not get at pages that the VM
/// provides when they are accessed.
pub(super) fn send(mut connection: &TcpStream, source: &[u8]) -> Result<usize, Failure> {
    let bytes = source[..source.len().min(CHUNK)].to_vec();
    match connection.write(&bytes) {
        // There is less room than the kernel said: it is asked again.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(0)
        }
        sent => Ok(sent.map_err(Errno::from)?),
    }
}

/// The connection that a descriptor stands for.
fn connection(guest: &mut Guest<'_>, fd: u32, rights: Rights) -> Result<Arc<TcpStream>, Errno> {
    let descriptor = guest.wasi().table.get(fd)?;
    match &descriptor.object {
        Object::Connection(connection) => {
            descriptor.rights.check(rights)?;
            Ok(connection.clone())
        }
        Object::Listener(_) => Err(Errno::Notconn),
        _ => Err(Errno::Notsock),
    }
}

pub(super) fn sock_recv(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    flags: u32,
    received: GuestPtr,
    out_flags: GuestPtr,
) -> Result<(), Failure> {
    let connection = connection(guest, fd, Rights::FD_READ)?;
    if flags & !(RECV_PEEK | RECV_WAITALL) != 0 {
        return Err(Errno::Inval.into());
    }
    guest::bytes(guest, received.slice(4))?;
    // A stream's message is never cut.
    guest::write(guest, out_flags, &0u16.to_le_bytes())?;
    let iovecs = Iovecs::read(guest, iovs, iovs_len)?;
    let (peek, all) = (flags & RECV_PEEK != 0, flags & RECV_WAITALL != 0);
    let done = if peek { 0 } else { *guest.transferred() };
    let mut bytes = vec![0; ((iovecs.total().saturating_sub(done)) as usize).min(CHUNK)];
    if bytes.is_empty() {
        return finish(guest, received);
    }
    let len = match receive_bytes(&connection, &mut bytes, peek) {
        Ok(len) => len,
        Err(error) => match would_block(guest, fd, error) {
            // The bytes that have come are not lost.
            Failure::Errno(_) if done > 0 => return finish(guest, received),
            failure => return Err(failure),
        },
    };
    iovecs.scatter(guest, done, &bytes[..len])?;
    *guest.transferred() = done + len as u32;
    if len == 0 || peek || !all || *guest.transferred() == iovecs.total() {
        return finish(guest, received);
    }
    Err(Wait::Turn.into())
}

pub(super) fn sock_send(
    guest: &mut Guest<'_>,
    fd: u32,
    iovs: GuestPtr,
    iovs_len: u32,
    flags: u32,
    sent: GuestPtr,
) -> Result<(), Failure> {
    connection(guest, fd, Rights::FD_WRITE)?;
    if flags != 0 {
        return Err(Errno::Inval.into());
    }
    streams::write(guest, fd, iovs, iovs_len, sent)
}

pub(super) fn sock_shutdown(guest: &mut Guest<'_>, fd: u32, how: u32) -> Result<(), Failure> {
    let connection = connection(guest, fd, Rights::SOCK_SHUTDOWN)?;
    let how = match how {
        SHUT_RD => Shutdown::Read,
        SHUT_WR => Shutdown::Write,
        both if both == SHUT_RD | SHUT_WR => Shutdown::Both,
        _ => return Err(Errno::Inval.into()),
    };
    Ok(connection.shutdown(how).map_err(Errno::from)?)
}
