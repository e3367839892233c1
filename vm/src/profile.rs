//! Working-set profiles: from what slots recorded to the artifact, and back to new slots.

use crate::error::Error;
use crate::instance::Instance;
use crate::store::AsContext;
use std::ops::Range;
use wfaas_abi::artifact::records::RunRecord;
use wfaas_abi::artifact::{MAX_PROFILE_PAGES, Profile, ProfilePart};
use wfaas_abi::image::Run;
use wfaas_abi::layout::{PAGE, WASM_PAGE};
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_snapshot::{WorkingSet, cost};

const _: () = assert!(MAX_PROFILE_PAGES <= cost::MAX_PAGES);

/// What the profile of an artifact says that new slots should expect, by place; nothing if it has
/// none.
///
/// # Errors
/// [`ArtifactError::Corrupt`] if the profile cannot be.
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

impl Instance {
    /// What was written to since the instance was made, whatever resets there were; `None` if that
    /// was not recorded (see [`Tracking::Record`](crate::Tracking::Record)), or is too much for a
    /// profile.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the artifact is damaged.
    pub fn recorded(&self, store: &impl AsContext) -> Result<Option<Profile>, Error> {
        let store = store.inner();
        store.check_id(self.store);
        let instance = &store.instances[self.index as usize];
        let image = instance.module.artifact().image();
        image.check()?;
        let mut profile = Profile::default();
        for (place, part) in image.parts().enumerate() {
            let memory = &store.memories[instance.slots[place] as usize];
            let initial = instance.module.memory_pages()[place];
            // Shared memories do not learn, so they have nothing to expect.
            let shared = memory.shared().is_some();
            let none = || shared.then(WorkingSet::default);
            let Some(set) = memory.recorded().or_else(none) else { return Ok(None) };
            profile.memory_pages.push(initial + (set.grown / WASM_PAGE) as u64);
            profile.runs.extend(set.pages.iter().map(|range| run(part.first_page, range)));
        }
        let pages: u64 = profile.runs.iter().map(|run| u64::from(run.pages)).sum();
        Ok((pages <= MAX_PROFILE_PAGES as u64).then_some(profile))
    }
}

fn run(first_page: u32, range: &Range<usize>) -> Run {
    // A set is of an image with fewer than 2^32 pages.
    Run { first: first_page + range.start as u32, pages: range.len() as u32 }
}
