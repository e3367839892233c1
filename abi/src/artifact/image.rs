//! The image in an artifact or a proto file, as a view of its bytes.

use super::error::ArtifactError;
use super::records::RunRecord;
use crate::layout::{self, PAGE};
use crate::{memories, state};
use zerocopy::little_endian::U64;

/// The stored pages of an image and where they are.
#[derive(Debug, Clone, Copy)]
pub struct ImageRef<'a> {
    /// Which pages are stored, ascending.
    pub runs: &'a [RunRecord],
    /// Offset of the first stored page in the file, a multiple of the host page.
    pub file_offset: u64,
    /// The stored pages, one after the other.
    pub bytes: &'a [u8],
    /// Bytes of state.
    pub state_bytes: usize,
    /// Sizes in WebAssembly pages of the memories, by place.
    pub memory_sizes: &'a [U64],
}

/// One of an image's memories with its lead: the state, or the page with its size.
#[derive(Debug, Clone, Copy)]
pub struct ImagePart<'a> {
    /// Index of the first page from the start of the image.
    pub first_page: u32,
    /// Bytes before the memory.
    pub lead: usize,
    /// Bytes of all of it.
    pub bytes: usize,
    /// Which of its pages are stored, ascending, by their index from the start of the image.
    pub runs: &'a [RunRecord],
    /// Offset of the first of them in the stored pages.
    pub stored_at: usize,
}

impl<'a> ImageRef<'a> {
    /// Size of all memories together, in WebAssembly pages.
    pub fn memory_pages(&self) -> u64 {
        self.memory_sizes.iter().fold(0, |sum, pages| sum.saturating_add(pages.get()))
    }

    /// The memories with their leads, by place. Sizes and state must have been checked.
    pub fn parts(&self) -> impl Iterator<Item = ImagePart<'a>> + use<'a> {
        let (runs, state_bytes) = (self.runs, self.state_bytes);
        let mut stored_at = 0;
        self.memory_sizes.iter().enumerate().map(move |(place, pages)| {
            let lead = if place == 0 { state_bytes } else { memories::LEAD };
            let bytes = lead + pages.get() as usize * layout::WASM_PAGE;
            let start = place * memories::STRIDE + state_bytes - lead;
            let pages = start / PAGE..(start + bytes) / PAGE;
            let index = |page| runs.partition_point(|run| (run.first.get() as usize) < page);
            let runs = runs.get(index(pages.start)..index(pages.end)).unwrap_or(&[]);
            let part = ImagePart { first_page: pages.start as u32, lead, bytes, runs, stored_at };
            stored_at += part.stored_bytes();
            part
        })
    }

    /// Whether the runs ascend without overlap, stay inside the image and are all stored, and the
    /// cells with the memories' sizes agree with the image. Takes time in proportion to the
    /// number of runs.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if not.
    pub fn check(&self) -> Result<(), ArtifactError> {
        check_sizes(self.memory_sizes)?;
        let (mut next, mut stored) = (0u64, 0u64);
        for run in self.runs {
            if u64::from(run.first.get()) < next || run.pages == 0 {
                return Err(ArtifactError::Corrupt("image runs overlap"));
            }
            next = u64::from(run.first.get()) + u64::from(run.pages.get());
            stored += u64::from(run.pages.get());
        }
        if stored * PAGE as u64 != self.bytes.len() as u64 {
            return Err(ArtifactError::Corrupt("image runs and stored pages differ in number"));
        }
        let inside = |part: &ImagePart<'_>| {
            let end = u64::from(part.first_page) + (part.bytes / PAGE) as u64;
            let last = part.runs.last();
            last.is_none_or(|run| u64::from(run.first.get()) + u64::from(run.pages.get()) <= end)
        };
        let found: usize = self.parts().filter(inside).map(|part| part.runs.len()).sum();
        if found != self.runs.len() {
            return Err(ArtifactError::Corrupt("image runs end outside of the image"));
        }
        let sizes = self.memory_sizes.iter().map(|pages| pages.get());
        if !self.parts().map(|part| part.size_cell(self.bytes)).eq(sizes) {
            return Err(ArtifactError::Corrupt("a memory's size is not that of its image"));
        }
        Ok(())
    }
}

impl ImagePart<'_> {
    /// The number in the cell with the memory's size, of an image with these stored pages.
    fn size_cell(&self, stored: &[u8]) -> u64 {
        let page = self.first_page + (self.lead / PAGE) as u32 - 1;
        let mut at = self.stored_at;
        for run in self.runs {
            let first = run.first.get();
            if (first..first + run.pages.get()).contains(&page) {
                at += (page - first) as usize * PAGE;
                let cell = at + PAGE.wrapping_add_signed(state::MEMORY_PAGES_OFFSET as isize);
                let bytes = stored.get(cell..).and_then(<[u8]>::first_chunk);
                return bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
            }
            at += run.pages.get() as usize * PAGE;
        }
        0
    }

    /// Bytes of the stored pages.
    pub fn stored_bytes(&self) -> usize {
        self.runs.iter().map(|run| run.pages.get() as usize * PAGE).sum()
    }
}

/// Whether there may be memories of these sizes.
pub(super) fn check_sizes(sizes: &[U64]) -> Result<(), ArtifactError> {
    if sizes.is_empty() || sizes.len() > memories::MAX_MEMORIES + 1 {
        return Err(ArtifactError::Corrupt("the image has an impossible number of memories"));
    }
    if sizes.iter().any(|pages| pages.get() > layout::MAX_MEMORY_PAGES) {
        return Err(ArtifactError::Corrupt("memory is larger than 4 GiB"));
    }
    Ok(())
}
