//! The tree of files of a loaded artifact, where it is mapped.

use crate::runtime::code::Code;
use std::sync::Arc;
use wfaas_abi::artifact::bundle::Bundle;

/// The bundle of a loaded artifact; cheap to clone. Nothing is copied: all instances read the pages of
/// the artifact's file, which stay mapped as long as one of these is left.
#[derive(Debug, Clone)]
pub struct MappedBundle(Arc<Code>);

impl MappedBundle {
    /// The bundle of code that has one.
    pub(super) fn new(code: Arc<Code>) -> MappedBundle {
        MappedBundle(code)
    }

    /// The tree.
    #[inline]
    pub fn tree(&self) -> Bundle<'_> {
        let bundle = self.0.artifact().bundle().ok().flatten();
        bundle.expect("the bundle was parsed when the module was loaded")
    }
}
