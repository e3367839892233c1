//! `wasi:filesystem`: trees of files, through the backends that preview1 has.

mod at;
mod code;
mod descriptor;
mod entries;
mod times;

use super::host::{Function, Host, Interface, Stop};
use crate::canonical::Value;
use crate::files::{self, Directory, Durability, File};
use crate::table::Object;
use std::sync::Arc;

pub(crate) use code::failed;
pub(crate) use descriptor::file_type;

pub(crate) const PREOPENS: Interface = Interface {
    name: "wasi:filesystem/preopens@0.2",
    functions: &[Function { name: "get-directories", call: get_directories }],
};

pub(crate) const TYPES: Interface = Interface {
    name: "wasi:filesystem/types@0.2",
    functions: &[
        Function { name: "filesystem-error-code", call: code::filesystem_error_code },
        Function { name: "[method]descriptor.read-via-stream", call: descriptor::read_via_stream },
        Function {
            name: "[method]descriptor.write-via-stream",
            call: descriptor::write_via_stream,
        },
        Function {
            name: "[method]descriptor.append-via-stream",
            call: descriptor::append_via_stream,
        },
        Function { name: "[method]descriptor.advise", call: descriptor::advise },
        Function { name: "[method]descriptor.sync-data", call: descriptor::sync_data },
        Function { name: "[method]descriptor.get-flags", call: descriptor::get_flags },
        Function { name: "[method]descriptor.get-type", call: descriptor::get_type },
        Function { name: "[method]descriptor.set-size", call: descriptor::set_size },
        Function { name: "[method]descriptor.set-times", call: times::set_times },
        Function { name: "[method]descriptor.read", call: descriptor::read },
        Function { name: "[method]descriptor.write", call: descriptor::write },
        Function { name: "[method]descriptor.read-directory", call: entries::read_directory },
        Function { name: "[method]descriptor.sync", call: descriptor::sync },
        Function { name: "[method]descriptor.create-directory-at", call: at::create_directory },
        Function { name: "[method]descriptor.stat", call: descriptor::stat },
        Function { name: "[method]descriptor.stat-at", call: at::stat },
        Function { name: "[method]descriptor.set-times-at", call: times::set_times_at },
        Function { name: "[method]descriptor.link-at", call: at::link },
        Function { name: "[method]descriptor.open-at", call: at::open },
        Function { name: "[method]descriptor.readlink-at", call: at::readlink },
        Function { name: "[method]descriptor.remove-directory-at", call: at::remove_directory },
        Function { name: "[method]descriptor.rename-at", call: at::rename },
        Function { name: "[method]descriptor.symlink-at", call: at::symlink },
        Function { name: "[method]descriptor.unlink-file-at", call: at::unlink_file },
        Function { name: "[method]descriptor.is-same-object", call: descriptor::is_same_object },
        Function { name: "[method]descriptor.metadata-hash", call: descriptor::metadata_hash },
        Function { name: "[method]descriptor.metadata-hash-at", call: at::metadata_hash },
        Function {
            name: "[method]directory-entry-stream.read-directory-entry",
            call: entries::read_directory_entry,
        },
    ],
};

/// `descriptor-flags`: to read.
const READ: u32 = 1 << 0;
/// `descriptor-flags`: to write.
const WRITE: u32 = 1 << 1;
/// `descriptor-flags`: writes, and all that is known of the file, are on the disk when they return.
const FILE_INTEGRITY_SYNC: u32 = 1 << 2;
/// `descriptor-flags`: writes are on the disk when they return.
const DATA_INTEGRITY_SYNC: u32 = 1 << 3;
/// `descriptor-flags`: names in the directory may change.
const MUTATE_DIRECTORY: u32 = 1 << 5;

/// Bytes that an open file counts as.
pub(crate) const DESCRIPTOR_BYTES: usize = 4096;

/// The thing behind a `descriptor`.
struct Descriptor {
    node: files::Node,
    flags: u32,
}

impl Descriptor {
    fn file(&self) -> files::Result<Arc<dyn File>> {
        match &self.node {
            files::Node::File(file) => Ok(file.clone()),
            files::Node::Directory(_) => Err(files::Error::IsDirectory),
        }
    }

    fn directory(&self) -> files::Result<Arc<dyn Directory>> {
        match &self.node {
            files::Node::Directory(directory) => Ok(directory.clone()),
            files::Node::File(_) => Err(files::Error::NotDirectory),
        }
    }

    /// What has to be on the disk when a write returns.
    fn durability(&self) -> Durability {
        match self.flags {
            flags if flags & FILE_INTEGRITY_SYNC != 0 => Durability::File,
            flags if flags & DATA_INTEGRITY_SYNC != 0 => Durability::Data,
            _ => Durability::None,
        }
    }

    /// Adds it to the guest's handles.
    fn insert(self, host: &mut Host<'_, '_>) -> Result<u32, Stop> {
        Ok(host.resources().insert_kept(self, DESCRIPTOR_BYTES)?)
    }
}

fn get<'a>(host: &'a mut Host<'_, '_>, value: &Value) -> Result<&'a mut Descriptor, Stop> {
    Ok(host.resources().get::<Descriptor>(value.handle()?)?)
}

/// The file of a `descriptor`.
pub(crate) fn file(
    host: &mut Host<'_, '_>,
    descriptor: &Value,
) -> Result<files::Result<Arc<dyn File>>, Stop> {
    Ok(get(host, descriptor)?.file())
}

/// What has to be on the disk when a write to a `descriptor` returns.
pub(crate) fn durability(host: &mut Host<'_, '_>, descriptor: &Value) -> Result<Durability, Stop> {
    Ok(get(host, descriptor)?.durability())
}

/// The directory of a `descriptor`.
pub(crate) fn directory(
    host: &mut Host<'_, '_>,
    descriptor: &Value,
) -> Result<files::Result<Arc<dyn Directory>>, Stop> {
    Ok(get(host, descriptor)?.directory())
}

/// Does a job with a file, and tells the guest how it ended.
fn on_file<R: Send + 'static>(
    host: &mut Host<'_, '_>,
    file: files::Result<Arc<dyn File>>,
    job: impl FnOnce(&dyn File) -> files::Result<R> + Send + 'static,
    told: impl FnOnce(R) -> Value + Send + 'static,
) -> Result<Value, Stop> {
    let file = match file {
        Ok(file) => file,
        Err(error) => return Ok(failed(error)),
    };
    host.work(file.blocks(), move || job(&*file), move |_, result| ended(result, told))
}

/// The same with a directory.
fn on_directory<R: Send + 'static>(
    host: &mut Host<'_, '_>,
    directory: files::Result<Arc<dyn Directory>>,
    job: impl FnOnce(&dyn Directory) -> files::Result<R> + Send + 'static,
    told: impl FnOnce(R) -> Value + Send + 'static,
) -> Result<Value, Stop> {
    let directory = match directory {
        Ok(directory) => directory,
        Err(error) => return Ok(failed(error)),
    };
    let blocks = directory.blocks();
    host.work(blocks, move || job(&*directory), move |_, result| ended(result, told))
}

fn ended<R>(result: files::Result<R>, told: impl FnOnce(R) -> Value) -> Result<Value, Stop> {
    match result {
        Ok(value) => Ok(told(value)),
        Err(files::Error::Unfinished) => Err(Stop::turn()),
        Err(error) => Ok(failed(error)),
    }
}

/// The result of a function that has none but errors.
fn done((): ()) -> Value {
    Value::done()
}

fn get_directories(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    let count = host.wasi().files().map_or(0, |files| files.directories().len());
    let mut found = Vec::with_capacity(count);
    for fd in (3..).take(count) {
        if let Ok(Object::Directory { directory, name: Some(name) }) =
            host.wasi().table.get(fd).map(|descriptor| &descriptor.object)
        {
            found.push((directory.clone(), name.to_string()));
        }
    }
    let mut directories = Vec::with_capacity(count);
    for (directory, name) in found {
        let node = files::Node::Directory(directory);
        let handle = Descriptor { node, flags: READ | MUTATE_DIRECTORY }.insert(host)?;
        directories.push(Value::Record(vec![Value::Handle(handle), Value::String(name)]));
    }
    Ok(Value::List(directories))
}
