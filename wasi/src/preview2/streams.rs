//! `wasi:io/streams`: bytes that come and go.
//!
//! A write that was permitted may wait all the same, where its stream takes less than it said: the guest is
//! suspended.

use super::direct::{Direct, DirectCall, Returns, Takes};
use super::error::{IoError, closed, last_operation_failed};
use super::host::{Function, Host, Interface, Stop};
use super::input::{Found, Source};
use super::output::Sink;
use super::{InputStream, OutputStream, Pollable, poll, splice};
use crate::canonical::{Slice, Value};
use crate::files::{self, WriteAt};
use crate::stdio::WriteError;
use wfaas_vm::BoxError;

pub(super) const STREAMS: Interface = Interface {
    name: "wasi:io/streams@0.2",
    functions: &[
        Function { name: "[method]input-stream.read", call: read },
        Function { name: "[method]input-stream.blocking-read", call: blocking_read },
        Function { name: "[method]input-stream.skip", call: skip },
        Function { name: "[method]input-stream.blocking-skip", call: blocking_skip },
        Function { name: "[method]input-stream.subscribe", call: subscribe },
        Function { name: "[method]output-stream.check-write", call: check_write },
        Function { name: "[method]output-stream.write", call: write },
        Function { name: "[method]output-stream.blocking-write-and-flush", call: write },
        Function { name: "[method]output-stream.flush", call: flush },
        Function { name: "[method]output-stream.blocking-flush", call: blocking_flush },
        Function { name: "[method]output-stream.subscribe", call: subscribe },
        Function { name: "[method]output-stream.write-zeroes", call: write_zeroes },
        Function {
            name: "[method]output-stream.blocking-write-zeroes-and-flush",
            call: write_zeroes,
        },
        Function { name: "[method]output-stream.splice", call: splice::splice },
        Function { name: "[method]output-stream.blocking-splice", call: splice::blocking_splice },
    ],
};

/// A write that its stream takes at once.
pub(super) const DIRECT: &[Direct] = &[
    direct_write("[method]output-stream.write"),
    direct_write("[method]output-stream.blocking-write-and-flush"),
];

const fn direct_write(name: &'static str) -> Direct {
    Direct {
        interface: STREAMS.name,
        name,
        params: &[Takes::Handle, Takes::Bytes],
        result: Returns::Ok,
        call: write_directly,
    }
}

/// Most bytes of a read, and of a permit to write.
const MOST: usize = 64 << 10;

/// Bytes that are copied before others have their turn.
const MAX_COPIED: usize = 256 << 10;

/// A write counts as this many bytes at least: lines of the log take time of their own.
const LEAST_COPIED: usize = 1 << 10;

/// Whether a call waits for its stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocking {
    No,
    Yes,
}

/// Reads, and passes what was read to `then`.
fn reading(
    host: &mut Host<'_, '_>,
    handle: u32,
    most: u64,
    blocking: Blocking,
    then: fn(Vec<u8>) -> Value,
) -> Result<Value, Stop> {
    let most = usize::try_from(most).map_or(MOST, |most| most.min(MOST));
    if let Source::File { file, offset } = &host.resources().get::<InputStream>(handle)?.source {
        let (file, offset) = (file.clone(), *offset);
        let blocks = file.blocks();
        let read = move || {
            let mut bytes = vec![0; most];
            let len = file.read(&mut bytes, offset)?;
            bytes.truncate(len);
            Ok(bytes)
        };
        return host
            .work(blocks, read, move |host, bytes| file_was_read(host, handle, bytes, most, then));
    }
    let is_ready = match blocking {
        Blocking::Yes => poll::is_ready(host, handle)?,
        Blocking::No => poll::is_ready_now(host, handle)?,
    };
    if !is_ready {
        return match blocking {
            Blocking::Yes => Err(Stop::wait_for(host, handle)),
            Blocking::No => Ok(Value::ok(then(Vec::new()))),
        };
    }
    let (resources, table, _) = host.wasi().resources_and_table();
    match resources.get::<InputStream>(handle)?.read(table, most) {
        Found::Bytes(bytes) => Ok(Value::ok(then(bytes))),
        Found::Nothing if blocking == Blocking::Yes => Err(Stop::wait_for(host, handle)),
        Found::Nothing => Ok(Value::ok(then(Vec::new()))),
        Found::End => Ok(closed()),
        Found::Failed(error) => last_operation_failed(host, error),
        Found::Ends(error) => Err(Stop::end(error)),
    }
}

fn file_was_read(
    host: &mut Host<'_, '_>,
    handle: u32,
    bytes: files::Result<Vec<u8>>,
    most: usize,
    then: fn(Vec<u8>) -> Value,
) -> Result<Value, Stop> {
    let bytes = match bytes {
        Ok(bytes) if bytes.is_empty() && most > 0 => return Ok(closed()),
        Ok(bytes) => bytes,
        Err(error) => return last_operation_failed(host, error.into()),
    };
    if let Source::File { offset, .. } = &mut host.resources().get::<InputStream>(handle)?.source {
        *offset = offset.saturating_add(bytes.len() as u64);
    }
    Ok(Value::ok(then(bytes)))
}

fn read(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, len] = super::args(args)?;
    reading(host, stream.handle()?, len.u64()?, Blocking::No, Value::Bytes)
}

fn blocking_read(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, len] = super::args(args)?;
    reading(host, stream.handle()?, len.u64()?, Blocking::Yes, Value::Bytes)
}

fn length(bytes: Vec<u8>) -> Value {
    Value::U64(bytes.len() as u64)
}

fn skip(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, len] = super::args(args)?;
    reading(host, stream.handle()?, len.u64()?, Blocking::No, length)
}

fn blocking_skip(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, len] = super::args(args)?;
    reading(host, stream.handle()?, len.u64()?, Blocking::Yes, length)
}

fn subscribe(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::args(args)?;
    Ok(Pollable::of(host.resources(), stream.handle()?)?)
}

/// Bytes that a stream takes now.
fn room(host: &mut Host<'_, '_>, handle: u32) -> Result<usize, Stop> {
    if !poll::is_ready_now(host, handle)? {
        return Ok(0);
    }
    room_of_ready(host, handle)
}

/// The same of a stream that is ready.
pub(super) fn room_of_ready(host: &mut Host<'_, '_>, handle: u32) -> Result<usize, Stop> {
    let (resources, table, _) = host.wasi().resources_and_table();
    Ok(resources.get::<OutputStream>(handle)?.room(table, MOST))
}

fn check_write(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::args(args)?;
    Ok(Value::ok(Value::U64(room(host, stream.handle()?)? as u64)))
}

/// Bytes to be written.
#[derive(Clone, Copy)]
enum Written {
    Guest(Slice),
    Zeros(usize),
}

impl Written {
    fn len(self) -> usize {
        match self {
            Written::Guest(slice) => slice.len(),
            Written::Zeros(len) => len,
        }
    }
}

/// Writes all bytes, however often that has to wait.
fn writing(host: &mut Host<'_, '_>, handle: u32, bytes: Written) -> Result<Value, Stop> {
    if let Sink::File { .. } = host.resources().get::<OutputStream>(handle)?.sink {
        return write_file(host, handle, bytes);
    }
    let mut copied = 0;
    while (*host.transferred() as usize) < bytes.len() {
        if copied >= MAX_COPIED {
            return Err(Stop::turn());
        }
        if !poll::is_ready(host, handle)? {
            return Err(Stop::wait_for(host, handle));
        }
        match write_once(host, handle, bytes)? {
            Ok(written) => copied += written.max(LEAST_COPIED),
            Err(error) => return last_operation_failed(host, error),
        }
    }
    Ok(Value::done())
}

/// Writes as much as the stream takes at once; how many bytes, or the error for the guest.
fn write_once(
    host: &mut Host<'_, '_>,
    handle: u32,
    bytes: Written,
) -> Result<Result<usize, IoError>, Stop> {
    const ZEROS: &[u8] = &[0; 4096];
    let done = *host.transferred() as usize;
    let slice = match bytes {
        Written::Guest(slice) => slice,
        Written::Zeros(_) => Slice { ptr: 0, len: 0 },
    };
    let (given, wasi) = host.bytes_and_wasi(slice)?;
    let given = match bytes {
        Written::Guest(_) => &given[done..given.len().min(done + MAX_COPIED)],
        Written::Zeros(len) => &ZEROS[..(len - done).min(ZEROS.len())],
    };
    let (resources, table, shared) = wasi.resources_and_table();
    let written = resources.get::<OutputStream>(handle)?.write(table, shared, given);
    match written {
        Ok(written) => {
            *host.transferred() += written.bytes as u32; // no more than was given
            if let Some(event) = written.event {
                host.data().log(event);
            }
            Ok(Ok(written.bytes))
        }
        Err(WriteError::Os(rustix::io::Errno::INTR)) => Ok(Ok(0)),
        Err(WriteError::Os(error)) => Ok(Err(files::Error::from(error).into())),
        Err(WriteError::Socket(error)) => Ok(Err(error.into())),
        Err(WriteError::Limit(limit)) => Err(Stop::end(limit)),
        Err(WriteError::Stream(error)) => Err(Stop::end(error)),
        Err(WriteError::NoOutput) => Ok(Err(IoError::new("the stream is closed"))),
    }
}

fn write_file(host: &mut Host<'_, '_>, handle: u32, bytes: Written) -> Result<Value, Stop> {
    let done = *host.transferred() as usize;
    let wanted = (bytes.len() - done).min(MAX_COPIED);
    if wanted == 0 {
        return Ok(Value::done());
    }
    let part = match bytes {
        Written::Guest(slice) => host.bytes(slice)?[done..done + wanted].to_vec(),
        Written::Zeros(_) => vec![0; wanted],
    };
    let Sink::File { file, at, durability } = &host.resources().get::<OutputStream>(handle)?.sink
    else {
        return Ok(closed());
    };
    let (file, at, durability) = (file.clone(), *at, *durability);
    let blocks = file.blocks();
    let write = move || file.write(&part, at, durability);
    host.work(blocks, write, move |host, written| {
        let written = match written {
            Ok(written) => written,
            Err(error) => return last_operation_failed(host, error.into()),
        };
        *host.transferred() += written.bytes as u32; // no more than was given
        if let Sink::File { at: WriteAt::Offset(offset), .. } =
            &mut host.resources().get::<OutputStream>(handle)?.sink
        {
            *offset = written.end;
        }
        let is_done = *host.transferred() as usize >= bytes.len();
        if is_done { Ok(Value::done()) } else { Err(Stop::turn()) }
    })
}

fn write(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, contents] = super::args(args)?;
    writing(host, stream.handle()?, Written::Guest(contents.slice()?))
}

fn write_directly(call: &mut DirectCall<'_>, cells: &[u64]) -> Result<Option<u32>, BoxError> {
    let [stream, ptr, len, ..] = *cells else { return Ok(None) };
    let Some((bytes, wasi)) = call.bytes_and_wasi(ptr, len) else { return Ok(None) };
    if bytes.len() > MOST {
        return Ok(None); // others have their turn meanwhile
    }
    let (resources, table, _) = wasi.resources_and_table();
    let Ok(stream) = resources.get::<OutputStream>(stream as u32) else { return Ok(None) };
    Ok(stream.write_whole(table, bytes)?.then_some(0))
}

fn write_zeroes(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream, len] = super::args(args)?;
    match usize::try_from(len.u64()?) {
        Ok(len @ 0..=MOST) => writing(host, stream.handle()?, Written::Zeros(len)),
        _ => Err(Stop::rule("output-stream.write-zeroes", "more bytes than were permitted")),
    }
}

fn flush(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::args(args)?;
    host.resources().get::<OutputStream>(stream.handle()?)?;
    Ok(Value::done()) // nothing waits here
}

fn blocking_flush(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [stream] = super::args(args)?;
    match poll::is_ready(host, stream.handle()?)? {
        true => Ok(Value::done()),
        false => Err(Stop::wait_for(host, stream.handle()?)),
    }
}
