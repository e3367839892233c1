//! A tree in memory as a bundle.

use super::Unsaved;
use crate::files::{Directory, Error, File, FileType, Follow, Node, OpenOptions, Result};
use std::sync::Arc;
use wfaas_vm::bundle::{BundleError, BundleWriter, MAX_BYTES};

/// Entries that are asked for at once.
const ENTRIES: usize = 256;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Nanoseconds of a second: a bundle has times in seconds.
const SECOND: u64 = 1_000_000_000;

/// The bytes of a bundle with all that is in a tree. Names of one file become files of their own.
pub(super) fn tree(root: &Arc<dyn Directory>) -> std::result::Result<Vec<u8>, Unsaved> {
    let mut writer = BundleWriter::default();
    let mut waiting = vec![(String::new(), root.clone())];
    while let Some((path, directory)) = waiting.pop() {
        let at = |error| Unsaved::Read { path: path.clone(), error };
        writer.directory(&path, seconds(directory.stat().map_err(at)?.modified.0))?;
        let mut cookie = 0;
        loop {
            let entries = repeat(|| directory.list(cookie, ENTRIES)).map_err(at)?;
            let Some(last) = entries.last() else { break };
            cookie = last.next;
            for entry in entries {
                let path = format!("{path}/{}", entry.name);
                let below = add(&mut writer, &*directory, &entry.name, entry.kind, &path)?;
                waiting.extend(below.map(|directory| (path, directory)));
            }
        }
    }
    Ok(writer.finish())
}

/// Adds an entry of a directory; the directory that it is, if it is one.
fn add(
    writer: &mut BundleWriter,
    parent: &dyn Directory,
    name: &str,
    kind: FileType,
    path: &str,
) -> std::result::Result<Option<Arc<dyn Directory>>, Unsaved> {
    let at = |error| Unsaved::Read { path: path.to_owned(), error };
    let mtime = seconds(parent.stat_at(name, Follow::No).map_err(at)?.modified.0);
    if kind == FileType::Symlink {
        writer.link(path, mtime, &parent.read_link(name).map_err(at)?)?;
        return Ok(None);
    }
    let options = OpenOptions { follow: Follow::No, ..OpenOptions::READ };
    match repeat(|| parent.open(name, options)).map_err(at)? {
        Node::Directory(directory) => Ok(Some(directory)),
        Node::File(file) => {
            if file.stat().map_err(at)?.size > MAX_BYTES.saturating_sub(writer.bytes()) {
                return Err(BundleError::TooLarge(path.to_owned()).into());
            }
            writer.file(path, mtime, content(&*file).map_err(at)?)?;
            Ok(None)
        }
    }
}

fn content(file: &dyn File) -> Result<Vec<u8>> {
    let (mut content, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        let len = repeat(|| file.read(&mut chunk, content.len() as u64))?;
        if len == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&chunk[..len]);
    }
}

/// Does an operation until it is finished.
fn repeat<T>(mut operation: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match operation() {
            Err(Error::Unfinished) => {}
            result => return result,
        }
    }
}

fn seconds(nanoseconds: u64) -> i64 {
    (nanoseconds / SECOND) as i64 // less than 2^35
}
