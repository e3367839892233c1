//! Working-set profiles: which pages warm-up requests wrote to, and how far they grew memories.
//!
//! New slots start with these pages learned. Nothing but speed relies on a profile.

use super::error::ArtifactError;
use super::header::{SectionId, flags};
use super::image::ImageRef;
use super::reader::Artifact;
use super::records::RunRecord;
use super::writer::Tail;
use crate::image::Run;
use crate::layout::{MAX_MEMORY_PAGES, PAGE, WASM_PAGE};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

/// Most pages in a profile. A slot would not keep more anyway.
pub const MAX_PROFILE_PAGES: usize = 4096;

/// A profile to be written into an artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Pages written to, by their index from the start of the image, ascending and disjoint. They
    /// may be behind the image of their memory, as far as that grew.
    pub runs: Vec<Run>,
    /// Largest sizes in WebAssembly pages of the memories, by place.
    pub memory_pages: Vec<u64>,
}

/// A profile in an artifact.
#[derive(Debug, Clone, Copy)]
pub struct ProfileRef<'a> {
    /// Pages written to, by their index from the start of the image, ascending.
    pub runs: &'a [RunRecord],
    /// Largest sizes in WebAssembly pages of the memories, by place.
    pub memory_sizes: &'a [U64],
    /// The image that it is a profile of.
    pub(super) image: ImageRef<'a>,
}

/// The part of a profile for one memory and its lead: the state, or the page with its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePart<'a> {
    /// Index of the first page of the memory's part, from the start of the image.
    pub first_page: u32,
    /// Bytes of the memory's part in the image.
    pub image_bytes: usize,
    /// Pages written to, by their index from the start of the image.
    pub runs: &'a [RunRecord],
    /// Bytes that the memory grew by.
    pub grown_bytes: usize,
}

impl<'a> ProfileRef<'a> {
    /// Number of pages written to.
    pub fn pages(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.pages.get())).sum()
    }

    /// The parts for the memories, by place. The profile must have been checked.
    pub fn parts(&self) -> impl Iterator<Item = ProfilePart<'a>> + use<'a> {
        let (runs, sizes, image) = (self.runs, self.memory_sizes, self.image);
        image.parts().zip(image.memory_sizes).zip(sizes).map(move |((part, initial), most)| {
            let grown_pages = most.get().saturating_sub(initial.get()) as usize;
            let (first_page, grown_bytes) = (part.first_page, grown_pages * WASM_PAGE);
            let end = u64::from(first_page) + ((part.bytes + grown_bytes) / PAGE) as u64;
            let first = runs.partition_point(|run| run.first.get() < first_page);
            let after = runs.partition_point(|run| u64::from(run.first.get()) < end);
            let runs = runs.get(first..after).unwrap_or(&[]);
            ProfilePart { first_page, image_bytes: part.bytes, runs, grown_bytes }
        })
    }

    /// Whether the pages ascend without overlap, are not too many, and inside of memories that may
    /// be this large. Takes time in proportion to the number of runs.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if not.
    pub fn check(&self) -> Result<(), ArtifactError> {
        self.image.check()?;
        for (most, initial) in self.memory_sizes.iter().zip(self.image.memory_sizes) {
            if most < initial || most.get() > MAX_MEMORY_PAGES {
                return Err(ArtifactError::Corrupt("the profile has a memory of impossible size"));
            }
        }
        let mut next = 0;
        for run in self.runs {
            if u64::from(run.first.get()) < next || run.pages == 0 {
                return Err(ArtifactError::Corrupt("the profile's runs overlap"));
            }
            next = u64::from(run.first.get()) + u64::from(run.pages.get());
        }
        if self.pages() > MAX_PROFILE_PAGES as u64 {
            return Err(ArtifactError::Corrupt("the profile has too many pages"));
        }
        let run_end = |run: &RunRecord| u64::from(run.first.get()) + u64::from(run.pages.get());
        let fits = |part: &ProfilePart<'_>| {
            let pages = (part.image_bytes + part.grown_bytes) / PAGE;
            let end = u64::from(part.first_page) + pages as u64;
            part.runs.last().is_none_or(|run| run_end(run) <= end)
        };
        let inside: usize = self.parts().filter(fits).map(|part| part.runs.len()).sum();
        if inside != self.runs.len() {
            return Err(ArtifactError::Corrupt("the profile's pages are outside of the memories"));
        }
        Ok(())
    }
}

/// A copy of `artifact` with this profile in place of its own.
///
/// # Errors
/// [`ArtifactError::Corrupt`] if the profile is not one of the artifact's image, or the artifact
/// does not end with its image.
pub fn set_profile(artifact: &Artifact<'_>, profile: &Profile) -> Result<Vec<u8>, ArtifactError> {
    let image = artifact.image();
    let record = |run: &Run| RunRecord { first: run.first.into(), pages: run.pages.into() };
    let runs: Vec<RunRecord> = profile.runs.iter().map(record).collect();
    let flags = artifact.header().flags.get() | flags::PROFILE;
    let tail = Tail {
        bundle: artifact.section(SectionId::Bundle),
        image_runs: image.runs.as_bytes(),
        profile_runs: runs.as_bytes(),
        pages: &[image.bytes],
        flags,
    };
    let file = tail.replace(artifact, &[(SectionId::ProfileSizes, &profile.memory_pages)])?;
    if let Some(profile) = Artifact::parse(&file)?.profile() {
        profile.check()?;
    }
    Ok(file)
}
