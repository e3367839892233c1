//! `proc_exit`, `sched_yield` and `random_get`.

use super::errno::{Errno, Failure};
use super::guest::{self, Guest, GuestPtr};
use crate::wait::Wait;
use rustix::rand::{GetRandomFlags, getrandom};
use wfaas_vm::BoxError;

/// The guest called `proc_exit`. It travels as the error of that host function, so that a call which
/// ends like this, with whatever code, is an [`Error`](wfaas_vm::Error):
///
/// ```
/// fn exit_code(error: &wfaas_vm::Error) -> Option<u32> {
///     error.downcast_ref::<wfaas_wasi::Exit>().map(|exit| exit.code)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest exited with code {code}")]
pub struct Exit {
    /// The exit code; 0 for success.
    pub code: u32,
}

pub(super) fn proc_exit(code: u32) -> Result<(), BoxError> {
    Err(Box::new(Exit { code }))
}

pub(super) fn sched_yield(guest: &mut Guest<'_>) -> Result<(), Failure> {
    if guest.has_waited() { Ok(()) } else { Err(Wait::Turn.into()) }
}

/// Random bytes fetched at once.
const CHUNK: u32 = 4096;

/// Chunks before others have their turn: they take the kernel less than 200 µs.
const MAX_CHUNKS: u32 = 8;

pub(super) fn random_get(guest: &mut Guest<'_>, buf: GuestPtr, len: u32) -> Result<(), Failure> {
    guest::bytes(guest, buf.slice(len))?;
    let mut bytes = [0; CHUNK as usize];
    for _ in 0..MAX_CHUNKS {
        let start = *guest.transferred();
        let wanted = &mut bytes[..CHUNK.min(len - start) as usize];
        guest.wasi().sources.random(wanted)?;
        guest::write(guest, buf.add(start)?, wanted)?;
        *guest.transferred() += wanted.len() as u32;
        if *guest.transferred() == len {
            return Ok(());
        }
    }
    if guest.interrupted() { Err(Errno::Intr.into()) } else { Err(Wait::Turn.into()) }
}

/// Fills bytes with random ones of this host's.
pub(crate) fn host_random(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        match getrandom(&mut bytes[done..], GetRandomFlags::empty()) {
            Ok(len) => done += len,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
