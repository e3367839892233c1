//! Listing of directories.

use super::super::args;
use super::super::host::{Host, Stop};
use super::code::failed;
use super::descriptor::file_type;
use super::{DESCRIPTOR_BYTES, get};
use crate::canonical::Value;
use crate::files::{self, Directory, Entry};
use std::collections::VecDeque;
use std::sync::Arc;

/// Entries that are fetched at once.
const FETCHED: usize = 64;

/// The thing behind a `directory-entry-stream`.
struct Entries {
    directory: Arc<dyn Directory>,
    cookie: u64,
    fetched: VecDeque<Entry>,
}

pub(super) fn read_directory(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor] = args(values)?;
    let directory = match get(host, descriptor)?.directory() {
        Ok(directory) => directory,
        Err(error) => return Ok(failed(error)),
    };
    let entries = Entries { directory, cookie: 0, fetched: VecDeque::new() };
    // The directory, and names that were fetched.
    let stream = host.resources().insert_kept(entries, 4 * DESCRIPTOR_BYTES)?;
    Ok(Value::ok(Value::Handle(stream)))
}

pub(super) fn read_directory_entry(
    host: &mut Host<'_, '_>,
    values: &[Value],
) -> Result<Value, Stop> {
    let [stream] = args(values)?;
    let handle = stream.handle()?;
    let entries = host.resources().get::<Entries>(handle)?;
    if let Some(entry) = entries.fetched.pop_front() {
        return Ok(Value::ok(Value::some(value(entry))));
    }
    let (directory, cookie) = (entries.directory.clone(), entries.cookie);
    let blocks = directory.blocks();
    host.work(
        blocks,
        move || directory.list(cookie, FETCHED),
        move |host, listed| fetched(host, handle, listed),
    )
}

/// Goes on with entries that were listed.
fn fetched(
    host: &mut Host<'_, '_>,
    handle: u32,
    listed: files::Result<Vec<Entry>>,
) -> Result<Value, Stop> {
    let listed = match listed {
        Ok(listed) => listed,
        Err(files::Error::Unfinished) => return Err(Stop::turn()),
        Err(error) => return Ok(failed(error)),
    };
    let entries = host.resources().get::<Entries>(handle)?;
    if let Some(last) = listed.last() {
        entries.cookie = last.next;
    }
    entries.fetched = listed.into();
    Ok(Value::ok(Value::option(entries.fetched.pop_front().map(value))))
}

/// `directory-entry`
fn value(entry: Entry) -> Value {
    Value::Record(vec![file_type(entry.kind), Value::String(entry.name)])
}
