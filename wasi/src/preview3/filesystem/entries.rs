//! `read-directory`: the entries of a directory as a stream.

use super::{ended, file_type, files};
use crate::canonical::Value;
use crate::files::{self as backend, Directory, Entry, Files};
use crate::preview2::{Host, Stop, args, filesystem};
use crate::preview3::Promise;
use crate::preview3::host_ends::{ValueStream, Values};
use crate::work::Offloaded;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Entries that are fetched at once, and kept until the guest has them.
const FETCHED: usize = 64;

/// Bytes that a listing counts as: the directory, and names that were fetched.
const LISTING_BYTES: usize = 4 * filesystem::DESCRIPTOR_BYTES;

/// A directory that is listed.
struct Listing {
    directory: Arc<dyn Directory>,
    cookie: u64,
    files: Option<Arc<Files>>,
    job: Option<Offloaded<backend::Result<Vec<Entry>>>>,
    /// Resolved at the end.
    ended: Option<Promise>,
}

pub(super) fn read_directory(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    let directory = filesystem::directory(host, descriptor)?;
    let files = files(host);
    let (future, promise) = host.resources().future(Value::done())?;
    let values = match directory {
        Ok(directory) => {
            let (job, ended) = (None, Some(promise));
            Values::new(Box::new(Listing { directory, cookie: 0, files, job, ended }))
        }
        Err(error) => {
            drop(promise.with(ended(error)));
            Values::default()
        }
    };
    let stream = host.resources().values(values)?;
    host.resources().keep(stream, LISTING_BYTES)?;
    Ok(Value::Record(vec![Value::Handle(stream), Value::Handle(future)]))
}

impl Listing {
    fn begin(&self) -> Offloaded<backend::Result<Vec<Entry>>> {
        let (directory, cookie) = (self.directory.clone(), self.cookie);
        let pool = self.files.as_ref().and_then(|files| files.pool());
        let pool = pool.filter(|_| directory.blocks());
        Offloaded::begin(pool, move || directory.list(cookie, FETCHED))
    }
}

impl ValueStream for Listing {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Vec<Value>>> {
        let mut job = self.job.take().unwrap_or_else(|| self.begin());
        let Poll::Ready(listed) = job.poll(context) else {
            self.job = Some(job);
            return Poll::Pending;
        };
        match listed.unwrap_or(Err(backend::Error::Io)) {
            Ok(entries) => Poll::Ready(entries.last().map(|entry| entry.next).map(|next| {
                self.cookie = next;
                entries.into_iter().map(value).collect()
            })),
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

/// `directory-entry`
fn value(entry: Entry) -> Value {
    let kind = file_type(filesystem::file_type(entry.kind));
    Value::Record(vec![kind, Value::String(entry.name)])
}
