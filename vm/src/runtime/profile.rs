//! Working-set profiles, from an artifact to its slots; `recording` has the other direction.

use wfaas_abi::artifact::records::RunRecord;
use wfaas_abi::artifact::{MAX_PROFILE_PAGES, ProfilePart};
use wfaas_abi::layout::PAGE;
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_snapshot::{WorkingSet, cost};

const _: () = assert!(MAX_PROFILE_PAGES <= cost::MAX_PAGES);

/// The pages that slots of an artifact should expect to be written to, by place, as its profile has
/// them; nothing if it has none.
///
/// # Errors
/// [`ArtifactError::Corrupt`] if the profile does not fit the image.
pub fn working_sets(artifact: &Artifact<'_>) -> Result<Vec<WorkingSet>, ArtifactError> {
    let Some(profile) = artifact.profile() else { return Ok(Vec::new()) };
    profile.check()?;
    Ok(profile.parts().map(working_set).collect())
}

fn working_set(part: ProfilePart<'_>) -> WorkingSet {
    let range = |run: &RunRecord| {
        let first = (run.first.get() - part.first_page) as usize;
        first..first + run.pages.get() as usize
    };
    WorkingSet {
        pages: part.runs.iter().map(range).collect(),
        image: part.image_bytes / PAGE,
        grown: part.grown_bytes,
    }
}
