//! Working-set profiles, from the slots that recorded to an artifact; `profile` has the other
//! direction.

use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use std::ops::Range;
use wfaas_abi::artifact::{MAX_PROFILE_PAGES, Profile};
use wfaas_abi::image::Run;
use wfaas_abi::layout::WASM_PAGE;
use wfaas_snapshot::WorkingSet;

impl Objects {
    /// The pages of an instance that were written to since it was made, whatever resets there were;
    /// `None` if that was not recorded, or is too much for a profile.
    pub(crate) fn recorded(&self, index: u32) -> Result<Option<Profile>, Error> {
        let instance = &self.instances[index as usize];
        let image = instance.module.artifact().image();
        image.check()?;
        let mut profile = Profile::default();
        for (place, part) in image.parts().enumerate() {
            let memory = &self.memories[instance.slots[place] as usize];
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
