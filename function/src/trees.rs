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

/// Places of trees among those of a guest: their device numbers are the same where a program is captured, and
/// where it goes on.
const BUNDLE_PLACE: u32 = 0;
const MEMORY_PLACE: u32 = 1;

/// The place of the tree in memory over the directory with this number.
pub(crate) fn overlay_place(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).saturating_add(2)
}

/// The files of an artifact.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    bundle: Option<MappedBundle>,
    /// The guest's name for them.
    name: String,
}

impl Base {
    /// Those of a module. Those of a program that was captured may be a tree that it has written.
    pub(crate) fn of(module: &Module) -> Base {
        let checkpoint = module.checkpoint().ok().flatten();
        let name = checkpoint.map(|checkpoint| checkpoint.root).filter(|name| !name.is_empty());
        Base { bundle: module.bundle(), name: name.unwrap_or_else(|| ROOT.to_owned()) }
    }
}

/// Adds the bundle, or a tree in memory, unless there is a directory of this name. With `limits.tmp`
/// each guest may write: in memory, and to the bundle in memory over the tree that all share, which has
/// a folder `tmp`. Its changes are gone when the guest is.
pub(crate) fn add(base: Base, limits: &Limits, files: &mut Files) {
    let Base { bundle, name } = base;
    let limits = limits.tmp.filter(|bytes| bytes.0 > 0);
    let limits = limits.map(|ByteSize(bytes)| TreeLimits::of_bytes(bytes));
    let is_free = |name: &str| files.directories().iter().all(|one| one.name() != name);
    let tree = if let Some(bundle) = bundle.filter(|_| is_free(&name)) {
        let shared: Arc<dyn Directory> =
            Arc::new(BundleDirectory::root(bundle).at_place(BUNDLE_PLACE));
        match limits {
            None => Preopen::shared(name, shared),
            Some(limits) => Preopen::fresh(name, move || {
                Arc::new(MemoryDirectory::over(shared.clone(), limits).at_place(MEMORY_PLACE))
            }),
        }
    } else if let Some(limits) = limits.filter(|_| is_free(TEMPORARY)) {
        let root = move || MemoryDirectory::root(limits).at_place(MEMORY_PLACE);
        Preopen::fresh(TEMPORARY, move || Arc::new(root()))
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
    at_init(Base::of(module), spec, allowed)
}

pub(crate) fn at_init(
    base: Base,
    spec: &Spec,
    allowed: AllowedDirs<'_>,
) -> Result<Files, SpecError> {
    let mut files = Files::default();
    allowed.open_at_init(&spec.dirs, &spec.limits, &mut files)?;
    add(base, &spec.limits, &mut files);
    Ok(files)
}

/// The trees that guests of a module find without any directory of the host.
pub fn trees(module: &Module, spec: &Spec) -> Files {
    let mut files = Files::default();
    add(Base::of(module), &spec.limits, &mut files);
    files
}
