//! Trees that a function's guests find besides directories of the host: the artifact's bundle as `/`,
//! and memory as `/tmp`.

use crate::spec::{AllowedDirs, ByteSize, Limits, Spec, SpecError};
use std::sync::Arc;
use wfaas_vm::{MappedBundle, Module};
use wfaas_wasi::files::{BundleDirectory, Directory, Files, MemoryDirectory, Preopen, TreeLimits};

/// The guest's name for the bundle.
const ROOT: &str = "/";

/// The guest's name for the tree in memory.
const TEMPORARY: &str = "/tmp";

/// Adds the bundle, or a tree in memory, unless there is a directory of this name. With `limits.tmp`
/// each guest may write: in memory, and to the bundle in memory over the tree that all share, which has
/// a folder `tmp`. Its changes are gone when the guest is.
pub(crate) fn add(bundle: Option<MappedBundle>, limits: &Limits, files: &mut Files) {
    let limits = limits.tmp.filter(|bytes| bytes.0 > 0);
    let limits = limits.map(|ByteSize(bytes)| TreeLimits::of_bytes(bytes));
    let is_free = |name| files.directories().iter().all(|one| one.name() != name);
    let tree = if let Some(bundle) = bundle.filter(|_| is_free(ROOT)) {
        let shared: Arc<dyn Directory> = Arc::new(BundleDirectory::root(bundle));
        match limits {
            None => Preopen::shared(ROOT, shared),
            Some(limits) => Preopen::fresh(ROOT, move || {
                Arc::new(MemoryDirectory::over(shared.clone(), limits))
            }),
        }
    } else if let Some(limits) = limits.filter(|_| is_free(TEMPORARY)) {
        Preopen::fresh(TEMPORARY, move || Arc::new(MemoryDirectory::root(limits)))
    } else {
        return;
    };
    files.add(tree).expect("a name that is free");
}

/// The trees that guests of a module find while it is initialised: directories of the host as far as
/// `allowed` and the [specification](crate::AtInit) say, then those that [`trees`] has.
///
/// # Errors
/// [`SpecError`] names the first directory that is not allowed, or is none.
pub fn trees_at_init(
    module: &Module,
    spec: &Spec,
    allowed: AllowedDirs<'_>,
) -> Result<Files, SpecError> {
    at_init(module.bundle(), spec, allowed)
}

pub(crate) fn at_init(
    bundle: Option<MappedBundle>,
    spec: &Spec,
    allowed: AllowedDirs<'_>,
) -> Result<Files, SpecError> {
    let mut files = Files::default();
    allowed.open_at_init(&spec.dirs, &spec.limits, &mut files)?;
    add(bundle, &spec.limits, &mut files);
    Ok(files)
}

/// The trees that guests of a module find without any directory of the host.
pub fn trees(module: &Module, spec: &Spec) -> Files {
    let mut files = Files::default();
    add(module.bundle(), &spec.limits, &mut files);
    files
}
