//! Lines of the source: from a debug file, which is read when a backtrace is asked for.

use std::fmt;
use wfaas_abi::Artifact;
use wfaas_symbolize::{DebugFile, Line};

/// Reads a debug file.
pub(crate) struct DebugSource(Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>);

impl DebugSource {
    pub(crate) fn new(read: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static) -> DebugSource {
        DebugSource(Box::new(read))
    }

    /// The lines of the instructions at these offsets in the module, if the file belongs to the code of
    /// `artifact`.
    pub(super) fn lines(&self, artifact: &Artifact<'_>, places: &[u32]) -> Option<Vec<Vec<Line>>> {
        let bytes = (self.0)()?;
        let file = DebugFile::parse(&bytes)?;
        (file.code_hash() == artifact.code_hash()).then(|| file.lines(places))
    }
}

impl fmt::Debug for DebugSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugSource").finish_non_exhaustive()
    }
}
