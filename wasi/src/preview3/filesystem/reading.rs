//! `read-via-stream`: a file as a stream.

use super::{ended, files};
use crate::canonical::Value;
use crate::files::{self as backend, File, Files};
use crate::preview2::{Host, InputStream, Stop, args, filesystem};
use crate::preview3::Promise;
use crate::stdio::{ByteStream, Input};
use crate::work::Offloaded;
use bytes::Bytes;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_vm::BoxError;

/// Bytes that are read at once, and kept until the guest has them.
const PIECE: usize = 32 << 10;

/// A file that is read, from an offset on.
struct Reading {
    file: Arc<dyn File>,
    offset: u64,
    files: Option<Arc<Files>>,
    job: Option<Offloaded<backend::Result<Vec<u8>>>>,
    /// Resolved at the end.
    ended: Option<Promise>,
}

pub(super) fn read_via_stream(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, offset] = args(values)?;
    let offset = offset.u64()?;
    let file = filesystem::file(host, descriptor)?;
    let files = files(host);
    let (future, promise) = host.resources().future(Value::done())?;
    let input = match file {
        Ok(file) => {
            let ended = Some(promise);
            Input::stream(Box::new(Reading { file, offset, files, job: None, ended }))
        }
        Err(error) => {
            drop(promise.with(ended(error)));
            Input::default()
        }
    };
    let stream = host.resources().stream(InputStream::new(input), None)?;
    host.resources().keep(stream, filesystem::DESCRIPTOR_BYTES + PIECE)?;
    Ok(Value::Record(vec![Value::Handle(stream), Value::Handle(future)]))
}

impl Reading {
    fn begin(&self) -> Offloaded<backend::Result<Vec<u8>>> {
        let (file, offset) = (self.file.clone(), self.offset);
        let pool = self.files.as_ref().and_then(|files| files.pool());
        Offloaded::begin(pool.filter(|_| file.blocks()), move || {
            let mut bytes = vec![0; PIECE];
            let len = file.read(&mut bytes, offset)?;
            bytes.truncate(len);
            Ok(bytes)
        })
    }
}

impl ByteStream for Reading {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let mut job = self.job.take().unwrap_or_else(|| self.begin());
        let Poll::Ready(read) = job.poll(context) else {
            self.job = Some(job);
            return Poll::Pending;
        };
        match read.unwrap_or(Err(backend::Error::Io)) {
            Ok(bytes) if bytes.is_empty() => Poll::Ready(None),
            Ok(bytes) => {
                self.offset = self.offset.saturating_add(bytes.len() as u64);
                Poll::Ready(Some(Ok(bytes.into())))
            }
            Err(backend::Error::Unfinished) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Err(error) => {
                self.ended = self.ended.take().map(|promise| promise.with(ended(error)));
                Poll::Ready(None)
            }
        }
    }
}
