//! Images of a module: its slots' first bytes, as files that can be mapped.

use crate::runtime::error::Error;
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use wfaas_abi::Artifact;
use wfaas_abi::artifact::records::TableRecord;
use wfaas_abi::artifact::{ImagePart, ImageRef};
use wfaas_abi::layout::{PAGE, WASM_PAGE};
use wfaas_abi::state::ELEMENT_BYTES;
use wfaas_snapshot::{Extent, Image, ImageMemory, WorkingSet};

/// The images of a module, by place.
pub(crate) type ImageList = Arc<[Arc<Image>]>;

/// An image and everything that is needed to map it.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) image: ImageRef<'a>,
    /// Bytes of host context before the first part.
    pub(super) head: usize,
    /// Memory for parts that are not mapped from a file.
    pub(super) memory: &'a ImageMemory,
}

/// Sizes with which instances start.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// Of the memories, in WebAssembly pages, by place.
    pub(super) memory_pages: Vec<u64>,
    /// Of all tables together, in bytes.
    pub(super) table_bytes: u64,
}

impl Start {
    /// The sizes in an image of an artifact.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the image is damaged.
    pub(super) fn new(artifact: &Artifact<'_>, image: ImageRef<'_>) -> Result<Start, Error> {
        image.check()?;
        let memory_pages = image.memory_sizes.iter().map(|pages| pages.get()).collect();
        // First page, end, and offset of the stored bytes of each run in the state.
        let mut runs: Vec<(u64, u64, usize)> = Vec::new();
        let mut stored = 0;
        let state_pages = (image.state_bytes / PAGE) as u64;
        for run in image.runs.iter().take_while(|run| u64::from(run.first.get()) < state_pages) {
            let (first, pages) = (u64::from(run.first.get()), run.pages.get());
            runs.push((first, first + u64::from(pages), stored));
            stored += pages as usize * PAGE;
        }
        let cell = |at: i32| {
            let at = image.state_bytes.checked_add_signed(at as isize)?;
            let page = (at / PAGE) as u64;
            let after = runs.partition_point(|(first, ..)| *first <= page);
            let (first, end, stored) = *runs.get(after.checked_sub(1)?)?;
            let at = (page < end).then_some(stored + (page - first) as usize * PAGE + at % PAGE)?;
            image.bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
        };
        Ok(Start { memory_pages, table_bytes: table_bytes(artifact, cell) })
    }

    /// The sizes of an instance of this artifact with memories of so many pages, and these pages of state: index and
    /// contents.
    pub(super) fn of_state(
        artifact: &Artifact<'_>,
        memory_pages: Vec<u64>,
        state: &BTreeMap<usize, &[u8; PAGE]>,
    ) -> Start {
        let state_bytes = artifact.header().state_bytes.get() as usize;
        let cell = |at: i32| {
            let at = state_bytes.checked_add_signed(at as isize)?;
            let bytes = state.get(&(at / PAGE))?.get(at % PAGE..)?.first_chunk();
            bytes.map(|bytes| u64::from_le_bytes(*bytes))
        };
        Start { memory_pages, table_bytes: table_bytes(artifact, cell) }
    }

    /// Bytes of all memories together.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_pages.iter().sum::<u64>() * WASM_PAGE as u64
    }
}

/// Bytes of all tables together, with the cells of the state.
fn table_bytes(artifact: &Artifact<'_>, cell: impl Fn(i32) -> Option<u64>) -> u64 {
    let bytes = |record: &TableRecord| {
        let size = cell(record.size_offset.get()).unwrap_or(0).min(record.capacity.get());
        size.saturating_mul(ELEMENT_BYTES as u64)
    };
    artifact.tables().iter().map(bytes).fold(0, u64::saturating_add)
}

impl Source<'_> {
    /// The images, mapped straight from the artifact's file where that needs few mappings.
    pub(super) fn in_file(
        self,
        file: &Arc<File>,
        expected: Vec<WorkingSet>,
    ) -> Result<ImageList, Error> {
        let from_file = |part: ImagePart<'_>| {
            let extents = extents(part, self.image.file_offset);
            Image::from_file(file.clone(), part.bytes, &extents)
        };
        let images = self.image.parts().enumerate().map(|(place, part)| match from_file(part) {
            Err(wfaas_snapshot::Error::Image(_)) => self.part_in_memory(place, part),
            other => Ok(other?),
        });
        expecting(images, expected)
    }

    /// The images, copied to memory.
    pub(super) fn in_memory(self, expected: Vec<WorkingSet>) -> Result<ImageList, Error> {
        let parts = self.image.parts().enumerate();
        expecting(parts.map(|(place, part)| self.part_in_memory(place, part)), expected)
    }

    fn part_in_memory(self, place: usize, part: ImagePart<'_>) -> Result<Image, Error> {
        let head = if place == 0 { self.head } else { 0 };
        Ok(self.memory.image(part.bytes, head, &extents(part, 0), self.image.bytes)?)
    }
}

/// The images with the pages that guests are expected to write to, if those are known.
fn expecting(
    images: impl Iterator<Item = Result<Image, Error>>,
    expected: Vec<WorkingSet>,
) -> Result<ImageList, Error> {
    let expected = expected.into_iter().map(Some).chain(std::iter::repeat(None));
    let images = images.zip(expected).map(|(image, set)| match set {
        Some(set) => Ok(image?.expecting(set)?),
        None => image,
    });
    images.map(|image| image.map(Arc::new)).collect()
}

/// The stored runs of an image's part, from `origin` on in a file.
fn extents(part: ImagePart<'_>, origin: u64) -> Vec<Extent> {
    let mut file = origin + part.stored_at as u64;
    let mut extents = Vec::with_capacity(part.runs.len());
    for run in part.runs {
        let bytes = run.pages.get() as usize * PAGE;
        let at = (run.first.get() - part.first_page) as usize * PAGE;
        extents.push(Extent { at, file, bytes });
        file += bytes as u64;
    }
    extents
}
