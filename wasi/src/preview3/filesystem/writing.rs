//! `write-via-stream` and `append-via-stream`: a stream into a file.

use super::{ended, files, refused};
use crate::canonical::Value;
use crate::files::{self as backend, Durability, Error, File, Files, WriteAt};
use crate::preview2::{Host, OutputStream, Stop, filesystem};
use crate::preview3::Promise;
use crate::stdio::{ByteSink, Output, Refused};
use crate::work::Offloaded;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use wfaas_vm::BoxError;

/// Most bytes that are written at once, and kept until they are.
const PIECE: usize = 32 << 10;

/// A file that a stream is written to.
struct Writing {
    target: Target,
    at: WriteAt,
    files: Option<Arc<Files>>,
    /// Where it ends, if it has not failed.
    job: Option<Offloaded<Option<WriteAt>>>,
    has_failed: bool,
}

#[derive(Clone)]
struct Target {
    file: Arc<dyn File>,
    durability: Durability,
    /// Resolved when the last of those who have it is gone: the sink, and the write that is under way.
    ended: Arc<Mutex<Option<Promise>>>,
}

pub(super) fn write(
    host: &mut Host<'_, '_>,
    descriptor: &Value,
    data: &Value,
    at: WriteAt,
) -> Result<Value, Stop> {
    let reader = host.resources().take_stream(data.handle()?)?;
    let durability = filesystem::durability(host, descriptor)?;
    let file = match filesystem::file(host, descriptor)? {
        Ok(file) => file,
        Err(error) => return refused(host, error), // drops the stream
    };
    let files = files(host);
    let (future, promise) = host.resources().future(Value::done())?;
    let target = Target { file, durability, ended: Arc::new(Mutex::new(Some(promise))) };
    let writing = Writing { target, at, files, job: None, has_failed: false };
    let output = OutputStream::new(Output::stream(Box::new(writing)));
    host.connect(reader, output, None)?;
    host.resources().keep(future, filesystem::DESCRIPTOR_BYTES + PIECE)?;
    Ok(Value::Handle(future))
}

impl Target {
    /// Writes all bytes; where that ends, if it did not fail.
    fn write(&self, bytes: &[u8], mut at: WriteAt) -> Option<WriteAt> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest, at, self.durability) {
                Ok(written) if written.bytes == 0 => return self.fail(Error::NoSpace),
                Ok(written) => {
                    rest = &rest[written.bytes.min(rest.len())..];
                    if let WriteAt::Offset(offset) = &mut at {
                        *offset = written.end;
                    }
                }
                Err(Error::Unfinished) => {}
                Err(error) => return self.fail(error),
            }
        }
        Some(at)
    }

    fn fail(&self, error: backend::Error) -> Option<WriteAt> {
        let mut promise = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        drop(promise.take().map(|promise| promise.with(ended(error))));
        None
    }
}

impl ByteSink for Writing {
    fn is_full(&self) -> bool {
        self.job.is_some()
    }

    fn room(&self) -> usize {
        if self.is_full() { 0 } else { PIECE }
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(job) = &mut self.job {
            let end = ready!(job.poll(context));
            self.job = None;
            // A job that nobody does is lost.
            match end.unwrap_or_else(|| self.target.fail(Error::Io)) {
                Some(at) => self.at = at,
                None => self.has_failed = true,
            }
        }
        Poll::Ready(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        if self.has_failed {
            return Err(Refused.into());
        }
        let bytes = bytes[..bytes.len().min(PIECE)].to_vec();
        let (target, at, len) = (self.target.clone(), self.at, bytes.len());
        let pool = self.files.as_ref().and_then(|files| files.pool());
        let pool = pool.filter(|_| target.file.blocks());
        self.job = Some(Offloaded::begin(pool, move || target.write(&bytes, at)));
        Ok(len)
    }
}
