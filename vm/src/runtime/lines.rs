//! Lines of the source: from a debug file, which is read when a backtrace is asked for.

use crate::runtime::code::Frame;
use std::fmt;
use wfaas_abi::Artifact;
use wfaas_symbolize::DebugFile;

/// Reads a debug file.
pub(crate) struct DebugSource(Box<dyn Fn() -> Option<Vec<u8>> + Send + Sync>);

impl DebugSource {
    pub(crate) fn new(read: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static) -> DebugSource {
        DebugSource(Box::new(read))
    }

    /// Adds the lines of frames in the code of `artifact`, if the file belongs to it.
    pub(super) fn add_lines(&self, artifact: &Artifact<'_>, frames: &mut [&mut Frame]) {
        let Some(bytes) = (self.0)() else { return };
        let Some(file) = DebugFile::parse(&bytes) else { return };
        if file.code_hash() != artifact.code_hash() {
            return;
        }
        let places: Vec<u32> =
            frames.iter().map(|frame| frame.wasm_offset.unwrap_or(u32::MAX)).collect();
        for (frame, lines) in frames.iter_mut().zip(file.lines(&places)) {
            frame.lines = lines;
        }
    }
}

impl fmt::Debug for DebugSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugSource").finish_non_exhaustive()
    }
}
