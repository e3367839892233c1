//! Transfers: elements from one end of a pipe to the other, where one of them is the host's.

use super::host_ends::{Sink, Source, is_of_bytes};
use super::pipe::{CopyResult, GuestEnd, Pipe, Readable, Side, Writable};
use super::progress::{MAX_MOVED, Outlook, Site};
use crate::canonical::{Lift, Value, Violation};
use crate::context::HasWasi;
use crate::preview2::{Found, OutputStream, Stop};
use crate::stdio::{Refused, WriteError, Written};
use std::sync::Weak;
use std::task::{Context, Poll};
use wfaas_vm::component::TypeIndex;

/// Most bytes that a pipe moves at once.
const PIECE: usize = 64 << 10;

/// Most other elements that it moves at once.
const MOST_VALUES: usize = 64;

impl Site<'_> {
    /// Moves elements through a pipe, as far as its ends let it.
    pub(super) fn move_through(
        &mut self,
        pipe: &mut Pipe,
        context: &mut Context<'_>,
        moved: &mut usize,
    ) -> Result<Step, Stop> {
        let element = pipe.element(self.component);
        let is_of_bytes = pipe.ty.is_none() || is_of_bytes(self.component, element);
        let Pipe { readable, writable, .. } = pipe;
        match (&mut *writable, &mut *readable) {
            (Writable::Gone, Readable::Guest(end)) | (Writable::Guest(end), Readable::Gone) => {
                end.complete(CopyResult::Dropped);
                Ok(Step::Done)
            }
            (Writable::Gone, Readable::Host(sink)) => {
                if let Sink::Bytes { output, .. } = sink {
                    output.end().map_err(Stop::end)?;
                }
                *readable = Readable::Gone; // resolves what waits for its end
                Ok(Step::Done)
            }
            (Writable::Host(_), Readable::Gone) => {
                *writable = Writable::Gone;
                Ok(Step::Done)
            }
            (Writable::Host(source), Readable::Guest(end)) => {
                let step = self.read(source, end, element, context, moved)?;
                if step == Step::Ended {
                    *writable = Writable::Gone;
                }
                Ok(step.done())
            }
            (Writable::Guest(end), Readable::Host(sink)) => {
                let step = self.write(sink, end, element, context, moved)?;
                if step == Step::Ended {
                    *readable = Readable::Gone;
                }
                Ok(step.done())
            }
            (Writable::Host(source), Readable::Host(sink)) => {
                let step = self.forward(source, sink, is_of_bytes, context, moved)?;
                if step == Step::Ended {
                    (*writable, *readable) = (Writable::Gone, Readable::Gone);
                }
                Ok(step.done())
            }
            (Writable::Guest(_), Readable::Guest(_)) | (Writable::Gone, Readable::Gone) => {
                Ok(Step::Done)
            }
        }
    }

    /// From the host to the guest.
    fn read(
        &mut self,
        source: &mut Source,
        end: &mut GuestEnd,
        element: Option<TypeIndex>,
        context: &mut Context<'_>,
        moved: &mut usize,
    ) -> Result<Step, Stop> {
        let Some(buffer) = end.open() else { return Ok(Step::Done) };
        match source {
            Source::Value(eventual) => match eventual.poll(self.data.wasi().resources(), context) {
                Poll::Pending => return Ok(Step::Waits(Outlook::Host)),
                Poll::Ready(value) => {
                    buffer.values.push(value?);
                    buffer.progress = 1;
                    end.complete(CopyResult::Completed);
                    return Ok(Step::Ended);
                }
            },
            Source::Values(values) => {
                let most = (buffer.len as usize).min(MOST_VALUES);
                if most > 0 {
                    match values.poll(context) {
                        Poll::Pending => return Ok(Step::Waits(Outlook::Host)),
                        Poll::Ready(false) => {
                            end.complete(CopyResult::Dropped);
                            return Ok(Step::Ended);
                        }
                        Poll::Ready(true) => buffer.values = values.take(most),
                    }
                    buffer.progress = buffer.values.len() as u32; // no more than there is room for
                }
                end.complete(CopyResult::Completed);
            }
            Source::Bytes { input, .. } => {
                if !is_of_bytes(self.component, element) {
                    return Err(Value::mismatch().into());
                }
                let outlook = Outlook::of_stream(input.stops_clock);
                let (_, table, _) = self.data.wasi().resources_and_table();
                if input.poll(table, context).is_pending() {
                    return Ok(Step::Waits(outlook));
                }
                let most = (buffer.len as usize).min(PIECE);
                if most > 0 {
                    match input.read(table, most) {
                        Found::Bytes(bytes) => {
                            let at = buffer.ptr as usize;
                            let place = self.memory.get_mut(at..at + bytes.len());
                            place.ok_or(Violation::OutOfBounds)?.copy_from_slice(&bytes);
                            buffer.progress = bytes.len() as u32; // at most a piece
                            *moved += bytes.len();
                        }
                        Found::Nothing => {
                            context.waker().wake_by_ref();
                            return Ok(Step::Waits(outlook));
                        }
                        Found::End | Found::Failed(_) => {
                            end.complete(CopyResult::Dropped);
                            return Ok(Step::Ended);
                        }
                        Found::Ends(error) => return Err(Stop::end(error)),
                    }
                }
                end.complete(CopyResult::Completed);
            }
        }
        Ok(Step::Done)
    }

    /// From the guest to the host.
    fn write(
        &mut self,
        sink: &mut Sink,
        end: &mut GuestEnd,
        element: Option<TypeIndex>,
        context: &mut Context<'_>,
        moved: &mut usize,
    ) -> Result<Step, Stop> {
        let Some(buffer) = end.open() else {
            return Ok(match sink {
                Sink::Held(held) if held.strong_count() == 0 => Step::Ended,
                _ => Step::Done,
            });
        };
        match sink {
            Sink::Held(held) if held.strong_count() == 0 => {
                end.complete(CopyResult::Dropped);
                Ok(Step::Ended)
            }
            Sink::Held(_) => Ok(Step::Waits(Outlook::Nothing)),
            Sink::Value(_) => {
                let resources = self.data.wasi().resources();
                let value = match element {
                    Some(element) => {
                        let encoding = buffer.encoding;
                        Lift::new(self.component, self.memory, resources, encoding)
                            .load(element, buffer.ptr)?
                    }
                    None => Value::NOTHING,
                };
                let taken = std::mem::replace(sink, Sink::Held(Weak::new()));
                if let Sink::Value(take) = taken {
                    take(resources, &value)?;
                }
                super::events::discard(resources, &value);
                buffer.progress = 1;
                end.complete(CopyResult::Completed);
                Ok(Step::Ended)
            }
            Sink::Bytes { output, .. } => {
                let (at, len) = (buffer.ptr as usize, (buffer.len as usize).min(PIECE));
                let bytes = match len {
                    0 => &[],
                    _ => self.memory.get(at..at + len).ok_or(Violation::OutOfBounds)?,
                };
                match put(self.data, output, bytes, context)? {
                    Put::Waits(outlook) => Ok(Step::Waits(outlook)),
                    Put::Some(written) => {
                        *moved += written;
                        buffer.progress = written as u32; // at most a piece
                        end.complete(CopyResult::Completed);
                        Ok(Step::Done)
                    }
                    Put::Refused => {
                        end.complete(CopyResult::Dropped);
                        Ok(Step::Ended)
                    }
                }
            }
        }
    }

    /// From the host to the host, through an end that the guest had.
    fn forward(
        &mut self,
        source: &mut Source,
        sink: &mut Sink,
        is_of_bytes: bool,
        context: &mut Context<'_>,
        moved: &mut usize,
    ) -> Result<Step, Stop> {
        let (input, output, rest) = match (source, sink) {
            (Source::Value(eventual), sink @ Sink::Value(_)) => {
                let resources = self.data.wasi().resources();
                let Poll::Ready(value) = eventual.poll(resources, context) else {
                    return Ok(Step::Waits(Outlook::Host));
                };
                if let Sink::Value(take) = std::mem::replace(sink, Sink::Held(Weak::new())) {
                    take(resources, &value?)?;
                }
                return Ok(Step::Ended);
            }
            (_, Sink::Held(held)) => {
                return Ok(match held.strong_count() {
                    0 => Step::Ended,
                    _ => Step::Waits(Outlook::Nothing),
                });
            }
            (Source::Bytes { input, .. }, Sink::Bytes { output, rest, .. }) if is_of_bytes => {
                (input, output, rest)
            }
            _ => return Err(Value::mismatch().into()),
        };
        loop {
            while !rest.is_empty() {
                match put(self.data, output, rest, context)? {
                    Put::Waits(outlook) => return Ok(Step::Waits(outlook)),
                    Put::Some(written) => drop(rest.drain(..written)),
                    Put::Refused => return Ok(Step::Ended),
                }
            }
            if *moved > MAX_MOVED {
                context.waker().wake_by_ref();
                return Ok(Step::Waits(Outlook::Host));
            }
            let outlook = Outlook::of_stream(input.stops_clock);
            let (_, table, _) = self.data.wasi().resources_and_table();
            if input.poll(table, context).is_pending() {
                return Ok(Step::Waits(outlook));
            }
            match input.read(table, PIECE) {
                Found::Bytes(bytes) => {
                    *moved += bytes.len();
                    *rest = bytes;
                }
                Found::Nothing => {
                    context.waker().wake_by_ref();
                    return Ok(Step::Waits(outlook));
                }
                Found::End => {
                    output.end().map_err(Stop::end)?;
                    return Ok(Step::Ended);
                }
                Found::Failed(_) => return Ok(Step::Ended),
                Found::Ends(error) => return Err(Stop::end(error)),
            }
        }
    }
}

/// How far something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It does not wait for the host.
    Done,
    /// It does, and wakes the waker.
    Waits(Outlook),
    /// The host's end is gone.
    Ended,
}

impl Step {
    fn done(self) -> Step {
        if self == Step::Ended { Step::Done } else { self }
    }
}

/// The handle of the guest's end on a side, if its operation has ended.
pub(super) fn done(pipe: &mut Pipe, side: Side) -> Option<u32> {
    pipe.end(side).filter(|end| end.result.is_some()).map(|end| end.handle)
}

/// How much a sink took.
enum Put {
    Some(usize),
    Waits(Outlook),
    /// It takes nothing any more.
    Refused,
}

fn put(
    data: &mut dyn HasWasi,
    output: &mut OutputStream,
    bytes: &[u8],
    context: &mut Context<'_>,
) -> Result<Put, Stop> {
    let (_, table, shared) = data.wasi().resources_and_table();
    if output.poll(table, context).is_pending() {
        return Ok(Put::Waits(Outlook::of_stream(output.stops_clock)));
    }
    match output.write(table, shared, bytes) {
        // It was not ready after all, as a connection may be: it is asked again.
        Ok(Written { bytes: 0, .. }) if !bytes.is_empty() => {
            context.waker().wake_by_ref();
            Ok(Put::Waits(Outlook::of_stream(output.stops_clock)))
        }
        Ok(written) => {
            let (bytes, event) = (written.bytes, written.event);
            event.into_iter().for_each(|event| data.log(event));
            Ok(Put::Some(bytes))
        }
        Err(WriteError::Os(rustix::io::Errno::INTR)) => {
            context.waker().wake_by_ref();
            Ok(Put::Waits(Outlook::Host))
        }
        Err(WriteError::Os(_) | WriteError::Socket(_) | WriteError::NoOutput) => Ok(Put::Refused),
        Err(WriteError::Stream(error)) if error.is::<Refused>() => Ok(Put::Refused),
        Err(WriteError::Limit(limit)) => Err(Stop::end(limit)),
        Err(WriteError::Stream(error)) => Err(Stop::end(error)),
    }
}
