//! Where things lie in a store.

use super::{StoreError, files};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use wfaas_function::FunctionName;

/// The paths in a store's directory. Cheap enough to clone.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(super) fn of(dir: &Path) -> Layout {
        Layout { dir: dir.to_owned() }
    }

    /// A new file in the store for an artifact that is being received. Gone when dropped.
    pub(crate) fn stage(&self) -> Result<NamedTempFile, StoreError> {
        files::temporary(&self.tmp())
    }

    /// Where the artifact with this content hash is.
    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.blobs().join(format!("{hash}.faas"))
    }

    pub(super) fn function(&self, name: &FunctionName) -> PathBuf {
        self.functions().join(format!("{name}.json"))
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    pub(super) fn functions(&self) -> PathBuf {
        self.dir.join("functions")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }
}
