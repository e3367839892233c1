//! Functions of a `descriptor` with a path, which begins at a directory.

use super::super::args;
use super::super::host::{Host, Stop};
use super::code::failed;
use super::descriptor::{hash_value, stat_value};
use super::{Descriptor, READ, WRITE, done, get, on_directory};
use crate::canonical::Value;
use crate::files::{self, Directory, Error, Follow, MAX_PATH, OpenOptions};

/// `open-flags`: make a file if there is nothing.
const CREATE: u32 = 1 << 0;
/// `open-flags`: fail if it is no directory.
const DIRECTORY: u32 = 1 << 1;
/// `open-flags`: fail if there is something.
const EXCLUSIVE: u32 = 1 << 2;
/// `open-flags`: make the file empty.
const TRUNCATE: u32 = 1 << 3;

/// `path-flags`
pub(super) fn follow(flags: &Value) -> Result<Follow, Stop> {
    Ok(if flags.flags()? & 1 != 0 { Follow::Yes } else { Follow::No })
}

/// A path as backends get it.
pub(super) fn path(value: &Value) -> Result<files::Result<String>, Stop> {
    let path = value.text()?;
    Ok(match path.len() {
        len if len > MAX_PATH => Err(Error::NameTooLong),
        _ if path.contains('\0') => Err(Error::Invalid),
        _ => Ok(path.to_owned()),
    })
}

/// Does a job with a directory and a path.
pub(super) fn at_path<R: Send + 'static>(
    host: &mut Host<'_, '_>,
    descriptor: &Value,
    at: &Value,
    job: impl FnOnce(&dyn Directory, &str) -> files::Result<R> + Send + 'static,
    told: impl FnOnce(R) -> Value + Send + 'static,
) -> Result<Value, Stop> {
    let directory = get(host, descriptor)?.directory();
    match path(at)? {
        Ok(path) => on_directory(host, directory, move |directory| job(directory, &path), told),
        Err(error) => Ok(failed(error)),
    }
}

pub(super) fn create_directory(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, path] = args(values)?;
    at_path(host, descriptor, path, |directory, path| directory.create_directory(path), done)
}

pub(super) fn remove_directory(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, path] = args(values)?;
    at_path(host, descriptor, path, |directory, path| directory.remove_directory(path), done)
}

pub(super) fn unlink_file(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, path] = args(values)?;
    at_path(host, descriptor, path, |directory, path| directory.unlink(path), done)
}

pub(super) fn readlink(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, path] = args(values)?;
    let read = |directory: &dyn Directory, path: &str| directory.read_link(path);
    at_path(host, descriptor, path, read, |target| Value::ok(Value::String(target)))
}

pub(super) fn symlink(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, target, at] = args(values)?;
    let target = match path(target)? {
        Ok(target) => target,
        Err(error) => return Ok(failed(error)),
    };
    at_path(host, descriptor, at, move |directory, path| directory.symlink(&target, path), done)
}

pub(super) fn stat(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, flags, path] = args(values)?;
    let follow = follow(flags)?;
    let stat = move |directory: &dyn Directory, path: &str| directory.stat_at(path, follow);
    at_path(host, descriptor, path, stat, |stat| Value::ok(stat_value(&stat)))
}

pub(super) fn metadata_hash(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, flags, path] = args(values)?;
    let follow = follow(flags)?;
    let stat = move |directory: &dyn Directory, path: &str| directory.stat_at(path, follow);
    at_path(host, descriptor, path, stat, |stat| Value::ok(hash_value(&stat)))
}

pub(super) fn link(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, flags, old, new_descriptor, new] = args(values)?;
    let follow = follow(flags)?;
    let new = new_place(host, new_descriptor, new)?;
    at_path(
        host,
        descriptor,
        old,
        move |directory, old| {
            let (new_directory, new) = new?;
            directory.link(old, follow, &*new_directory, &new)
        },
        done,
    )
}

pub(super) fn rename(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, old, new_descriptor, new] = args(values)?;
    let new = new_place(host, new_descriptor, new)?;
    at_path(
        host,
        descriptor,
        old,
        move |directory, old| {
            let (new_directory, new) = new?;
            directory.rename(old, &*new_directory, &new)
        },
        done,
    )
}

type Place = files::Result<(std::sync::Arc<dyn Directory>, String)>;

/// The second directory and path of a function.
fn new_place(host: &mut Host<'_, '_>, descriptor: &Value, at: &Value) -> Result<Place, Stop> {
    let directory = get(host, descriptor)?.directory();
    let path = path(at)?;
    Ok(directory.and_then(|directory| Ok((directory, path?))))
}

pub(super) fn open(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [descriptor, path_flags, at, open_flags, flags] = args(values)?;
    let (open_flags, flags) = (open_flags.flags()?, flags.flags()?);
    let options = OpenOptions {
        read: flags & READ != 0 || flags & WRITE == 0,
        write: flags & WRITE != 0,
        create: open_flags & CREATE != 0,
        exclusive: open_flags & EXCLUSIVE != 0,
        truncate: open_flags & TRUNCATE != 0,
        directory: open_flags & DIRECTORY != 0,
        follow: follow(path_flags)?,
    };
    let directory = match get(host, descriptor)?.directory() {
        Ok(directory) => directory,
        Err(error) => return Ok(failed(error)),
    };
    let path = match path(at)? {
        Ok(path) => path,
        Err(error) => return Ok(failed(error)),
    };
    let blocks = directory.blocks();
    host.work(
        blocks,
        move || directory.open(&path, options),
        move |host, node| match node {
            Ok(node) => {
                let handle = Descriptor { node, flags }.insert(host)?;
                Ok(Value::ok(Value::Handle(handle)))
            }
            Err(Error::Unfinished) => Err(Stop::turn()),
            Err(error) => Ok(failed(error)),
        },
    )
}
