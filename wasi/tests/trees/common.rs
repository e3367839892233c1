//! The same tree of files in a directory of the host, in a bundle, and in memory.

use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use wfaas_vm::bundle::{BundleWriter, set_bundle};
use wfaas_vm::{Artifact, Config, Engine, Module};
use wfaas_wasi::files::{BundleDirectory, Directory, HostDirectory, MemoryDirectory, TreeLimits};

/// Things of a tree at the beginning: a path with the content of a file, or with a symlink's target
/// after an arrow, or neither for a directory.
pub(crate) type Beginning = &'static [(&'static str, Option<&'static str>)];

/// A directory with files, links, loops, and links that lead out of it.
pub(crate) const TREE: Beginning = &[
    ("a", None),
    ("a/b", None),
    ("a/b/c", Some("deep")),
    ("a/c", Some("content")),
    ("a/l", Some("->b/c")),
    ("b", Some("bytes of b")),
    ("c", None),
    ("c/a", Some("->../a")),
    ("c/b", Some("->../../out")),
    ("c/c", Some("->c")),
    ("l", Some("->a")),
];

pub(crate) fn on_host(beginning: Beginning) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in beginning {
        let path = folder.path().join(path);
        match content.map(|content| content.strip_prefix("->").ok_or(content)) {
            None => std::fs::create_dir(path).unwrap(),
            Some(Ok(target)) => std::os::unix::fs::symlink(target, path).unwrap(),
            Some(Err(content)) => std::fs::write(path, content).unwrap(),
        }
    }
    folder
}

pub(crate) fn host(folder: &Path, read_only: bool) -> Arc<dyn Directory> {
    Arc::new(HostDirectory::open(folder, read_only).unwrap())
}

pub(crate) fn bundle(beginning: Beginning) -> Arc<dyn Directory> {
    let mut writer = BundleWriter::default();
    for (path, content) in beginning {
        let added = match content.map(|content| content.strip_prefix("->").ok_or(content)) {
            None => writer.directory(path, 7),
            Some(Ok(target)) => writer.link(path, 7, target),
            Some(Err(content)) => writer.file(path, 7, content.as_bytes().to_vec()),
        };
        added.unwrap();
    }
    let module = wfaas_compiler::compile(b"(module)", &Default::default()).unwrap().artifact;
    let artifact = set_bundle(&Artifact::parse(&module).unwrap(), &writer.finish()).unwrap();
    let engine = Engine::new(Config::default()).unwrap();
    let module = Module::from_bytes(&engine, &artifact).unwrap();
    Arc::new(BundleDirectory::root(module.bundle().unwrap()))
}

pub(crate) fn memory(bytes: u64) -> Arc<dyn Directory> {
    Arc::new(MemoryDirectory::root(TreeLimits::of_bytes(bytes)))
}

pub(crate) fn over(lower: Arc<dyn Directory>, bytes: u64) -> Arc<dyn Directory> {
    Arc::new(MemoryDirectory::over(lower, TreeLimits::of_bytes(bytes)))
}
