//! `splice`: bytes that go from one stream to another.

use super::error::{IoError, closed, last_operation_failed};
use super::host::{Host, Stop};
use super::input::{Found, Source};
use super::output::Sink;
use super::streams::{Blocking, room_of_ready};
use super::{InputStream, OutputStream, poll};
use crate::canonical::Value;
use crate::stdio::WriteError;

pub(super) fn splice(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    splicing(host, args, Blocking::No)
}

pub(super) fn blocking_splice(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    splicing(host, args, Blocking::Yes)
}

/// Why a splice ends that no wait would help: its stream says that it is ready, and has no room.
const NOBODY_MAKES_ROOM: &str = "the component waits for room that only it could make";

/// Most bytes of a splice to the log: each may be a line.
const MAX_LOGGED: usize = 512;

/// Bytes that a stream takes of a splice, if it is ready.
fn room_of_splice(host: &mut Host<'_, '_>, to: u32) -> Result<usize, Stop> {
    let room = room_of_ready(host, to)?;
    let (resources, table, _) = host.wasi().resources_and_table();
    match resources.get::<OutputStream>(to)?.is_log(table) {
        true => Ok(room.min(MAX_LOGGED)),
        false => Ok(room),
    }
}

/// Whether a stream is ready now, for a guest that waits if it is not, or goes on.
fn is_ready(host: &mut Host<'_, '_>, handle: u32, blocking: Blocking) -> Result<bool, Stop> {
    match blocking {
        Blocking::Yes => poll::is_ready(host, handle),
        Blocking::No => poll::is_ready_now(host, handle),
    }
}

/// Moves bytes from one stream to another, no more than the other one takes at once.
fn splicing(host: &mut Host<'_, '_>, args: &[Value], blocking: Blocking) -> Result<Value, Stop> {
    let [to, from, len] = super::args(args)?;
    let (to, from) = (to.handle()?, from.handle()?);
    let takes_some = is_ready(host, to, blocking)?;
    let room = if takes_some { room_of_splice(host, to)? } else { 0 };
    match (room, blocking) {
        (0, Blocking::Yes) if takes_some => return Err(Stop::end(NOBODY_MAKES_ROOM)),
        (0, Blocking::Yes) => return Err(Stop::wait_for(host, to)),
        _ => {}
    }
    let is_file = matches!(host.resources().get::<InputStream>(from)?.source, Source::File { .. })
        || matches!(host.resources().get::<OutputStream>(to)?.sink, Sink::File { .. });
    if is_file {
        return last_operation_failed(host, IoError::new("splice of files is not supported"));
    }
    if !is_ready(host, from, blocking)? {
        return match blocking {
            Blocking::Yes => Err(Stop::wait_for(host, from)),
            Blocking::No => Ok(Value::ok(Value::U64(0))),
        };
    }
    let most = usize::try_from(len.u64()?).map_or(room, |len| len.min(room));
    let (resources, table, shared) = host.wasi().resources_and_table();
    let bytes = match resources.get::<InputStream>(from)?.read(table, most) {
        Found::Bytes(bytes) => bytes,
        Found::Nothing => return Ok(Value::ok(Value::U64(0))),
        Found::End => return Ok(closed()),
        Found::Failed(error) => return last_operation_failed(host, error),
        Found::Ends(error) => return Err(Stop::end(error)),
    };
    let mut done = 0;
    let mut events = Vec::new();
    while done < bytes.len() {
        match resources.get::<OutputStream>(to)?.write(table, shared, &bytes[done..]) {
            Ok(written) if written.bytes > 0 => {
                done += written.bytes;
                events.extend(written.event);
            }
            Err(WriteError::Limit(limit)) => return Err(Stop::end(limit)),
            Err(WriteError::Stream(error)) => return Err(Stop::end(error)),
            _ => return last_operation_failed(host, IoError::new("the other stream took less")),
        }
    }
    events.into_iter().for_each(|event| host.data().log(event));
    Ok(Value::ok(Value::U64(done as u64)))
}
