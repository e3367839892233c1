//! Puts a bundle into a finished artifact.

use super::Bundle;
use crate::artifact::error::ArtifactError;
use crate::artifact::header::SectionId;
use crate::artifact::reader::Artifact;
use crate::artifact::writer::Tail;
use zerocopy::IntoBytes;

/// A copy of `artifact` with this bundle in place of its own.
///
/// # Errors
/// [`ArtifactError::Corrupt`] if the bytes are no bundle, or the artifact does not end with its
/// image.
pub fn set_bundle(artifact: &Artifact<'_>, bundle: &[u8]) -> Result<Vec<u8>, ArtifactError> {
    Bundle::parse(bundle)?.check()?;
    let image = artifact.image();
    let tail = Tail {
        bundle,
        image_runs: image.runs.as_bytes(),
        profile_runs: artifact.section(SectionId::ProfileRuns),
        pages: &[image.bytes],
        flags: artifact.header().flags.get(),
    };
    tail.replace(artifact, &[])
}
