//! Loading modules.

use crate::api::engine::Engine;
use crate::runtime::error::Error;
use crate::runtime::lines::DebugSource;
use crate::runtime::module::Module;
use std::fs::File;
use std::path::Path;

impl Module {
    /// Loads an artifact from memory; the bytes are copied once. The module needs no file descriptor.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the header does not fit this VM or machine; [`Error::Os`] if mapping
    /// fails.
    pub fn from_bytes(engine: &Engine, bytes: &[u8]) -> Result<Module, Error> {
        Module::load_bytes(bytes, engine.cpu_features(), engine.image_memory())
    }

    /// Loads an artifact by mapping its file, which must not be changed while it is in use. It stays
    /// open until there is a [`Pool`](crate::Pool) of the module, or none of the module is left.
    ///
    /// # Errors
    /// As [`Module::from_bytes`], and [`Error::Os`] if the file cannot be opened.
    pub fn from_file(engine: &Engine, path: &Path) -> Result<Module, Error> {
        let file = File::open(path).map_err(Error::os("opening the artifact"))?;
        Module::from_open_file(engine, file)
    }

    /// The same with a file that is open, so that it can be looked at too.
    ///
    /// # Errors
    /// As [`Module::from_bytes`].
    pub fn from_open_file(engine: &Engine, file: File) -> Result<Module, Error> {
        Module::load_file(file, engine.cpu_features(), engine.image_memory())
    }

    /// Has backtraces of this module, and of others with its code, show files and lines. `read` gives
    /// the bytes of the debug file that was made with the artifact. It
    /// is called whenever a backtrace is printed or its frames are asked for, and never before; a file
    /// that belongs to other code is not used. The first call counts.
    pub fn set_debug_file(&self, read: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static) {
        self.code().set_debug(DebugSource::new(read));
    }
}
