//! The memory of images: one file in memory for any number of them, each at an offset of its own.
//!
//! So an image needs no descriptor. Its *region* of the file is shared by all images with the same
//! bytes in the same places, and counted once. A region lives as long as an image that has it, and so
//! as long as a slot that maps it: only then is its range punched out of the file and used again. A
//! private mapping would otherwise show a later image wherever its guest has not written yet.

mod layer;
#[cfg(test)]
mod tests;

use crate::image::{Backing, Extent, check, merge, offset};
use crate::regions::Regions;
use crate::sys::{self, View};
use crate::{Error, Image, PAGE};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Most regions whose bytes are compared with a new image's. Those in question have the same
/// fingerprint, so that more than one are a coincidence.
const MOST_COMPARED: usize = 4;

/// Memory for images: cheap to clone, and the same memory then.
#[derive(Debug, Clone)]
pub struct ImageMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: File,
    most_bytes: u64,
    /// Makes fingerprints that nobody can foresee.
    hashes: RandomState,
    /// Locked while an image is made, so that two equal ones become one region.
    making: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    regions: Regions,
    /// Bytes of all regions.
    bytes: u64,
    /// Bytes that the file was made to have.
    size: u64,
    /// Regions by fingerprint.
    known: HashMap<u64, Vec<Weak<Region>>>,
}

/// The place of an image's bytes in a memory.
#[derive(Debug)]
pub(crate) struct Region {
    memory: Arc<Inner>,
    at: u64,
    bytes: u64,
    fingerprint: u64,
    layout: Layout,
    /// The ranges that the file has, with the offsets in it.
    extents: Vec<Extent>,
    /// Made when the first slot wants to copy pages back.
    view: OnceLock<Option<View>>,
}

/// The places of stored bytes in an image.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Layout {
    bytes: usize,
    head: usize,
    /// Offset and length of each stored range.
    stored: Vec<(usize, usize)>,
}

impl ImageMemory {
    /// Memory for images of `most_bytes` bytes together.
    ///
    /// # Errors
    /// [`Error::Os`] if there is no file descriptor left.
    pub fn new(most_bytes: u64) -> Result<ImageMemory, Error> {
        let file = sys::memfd("wfaas-images").map_err(Error::os("making memory for images"))?;
        let (making, state) = (Mutex::default(), Mutex::default());
        let hashes = RandomState::new();
        Ok(ImageMemory(Arc::new(Inner { file, most_bytes, hashes, making, state })))
    }

    /// Bytes that the images may take: every page that is stored, and the zeros between two of them
    /// that are mapped with them. Equal images count once.
    pub fn bytes(&self) -> u64 {
        self.0.state().bytes
    }

    /// Most bytes that the images may take.
    pub fn most_bytes(&self) -> u64 {
        self.0.most_bytes
    }

    /// An image of `bytes` bytes that is zero but for `extents`. Their contents are copied from
    /// `stored`, where [`Extent::file`] is an offset, so nobody else can change them. `head` is for
    /// the heads of slots: one that is not longer is of the same mapping as the image.
    ///
    /// # Errors
    /// [`Error::Image`] if the extents are unaligned, unsorted, overlap or lie outside;
    /// [`Error::ImageMemory`] if there is no room; otherwise [`Error::Os`].
    pub fn image(
        &self,
        bytes: usize,
        head: usize,
        extents: &[Extent],
        stored: &[u8],
    ) -> Result<Image, Error> {
        check(bytes, extents, stored.len() as u64)?;
        if !head.is_multiple_of(PAGE) {
            return Err(Error::Image("a head is not page-aligned"));
        }
        if extents.is_empty() {
            return Ok(Image::zeroed(bytes));
        }
        let ranges = extents.iter().map(|extent| (extent.at, extent.bytes)).collect();
        let layout = Layout { bytes, head, stored: ranges };
        let pages = |extent: &Extent| &stored[extent.file as usize..][..extent.bytes];
        let pages: Vec<&[u8]> = extents.iter().map(pages).collect();
        let making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = self.0.fingerprint(&layout, &pages);
        let known = self.0.known(fingerprint).into_iter().find(|region| region.is(&layout, &pages));
        let region = match known {
            Some(region) => region,
            None => self.0.region(fingerprint, layout, &pages)?,
        };
        drop(making);
        // The head is before the first extent, if that is the start of the image.
        let head_room = if region.extents[0].at == 0 { head } else { 0 };
        let extents = region.extents.clone();
        Ok(Image::new(Backing::Region(region), bytes, extents, head_room))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprint(&self, layout: &Layout, pages: &[&[u8]]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        layout.hash(&mut hasher);
        for bytes in pages {
            hasher.write_u64(sum(bytes));
        }
        hasher.finish()
    }

    /// Regions that may be equal. Not to be dropped while the state is locked.
    fn known(&self, fingerprint: u64) -> Vec<Arc<Region>> {
        let state = self.state();
        let known = state.known.get(&fingerprint).into_iter().flatten();
        known.filter_map(Weak::upgrade).take(MOST_COMPARED).collect()
    }

    /// A new region with these pages.
    fn region(
        self: &Arc<Inner>,
        fingerprint: u64,
        layout: Layout,
        pages: &[&[u8]],
    ) -> Result<Arc<Region>, Error> {
        let mut extents = merge(&layout.stored, layout.bytes);
        let head = if extents[0].at == 0 { layout.head as u64 } else { 0 };
        let bytes = head + extents.iter().map(|extent| extent.bytes as u64).sum::<u64>();
        let at = self.take(bytes)?;
        for extent in &mut extents {
            extent.file += at + head;
        }
        let (memory, view) = (self.clone(), OnceLock::new());
        let region = Region { memory, at, bytes, fingerprint, layout, extents, view };
        region.fill(pages).map_err(Error::os("copying an image to memory"))?;
        let region = Arc::new(region);
        let entry = Arc::downgrade(&region);
        self.state().known.entry(fingerprint).or_default().push(entry);
        Ok(region)
    }

    /// Takes a range of the file, which is zero.
    fn take(&self, bytes: u64) -> Result<u64, Error> {
        let mut state = self.state();
        if state.bytes.saturating_add(bytes) > self.most_bytes {
            let (present, most) = (state.bytes, self.most_bytes);
            return Err(Error::ImageMemory { bytes, present, most });
        }
        let at = state.regions.take(bytes);
        let end = state.regions.end();
        if end > state.size {
            if let Err(error) = sys::resize(&self.file, end) {
                state.regions.put_back(at, bytes);
                return Err(Error::os("making room for an image")(error));
            }
            state.size = end;
        }
        state.bytes += bytes;
        Ok(at)
    }
}

impl Region {
    /// Writes the stored pages, by extent; everything between them stays zero.
    fn fill(&self, pages: &[&[u8]]) -> std::io::Result<()> {
        for ((at, _), bytes) in self.layout.stored.iter().zip(pages) {
            let offset =
                offset(&self.extents, *at).expect("merged extents have all that is stored");
            sys::write_all_at(&self.memory.file, bytes, offset)?;
        }
        Ok(())
    }

    /// Whether it has these pages in these places. What lies between them is zero in both.
    fn is(&self, layout: &Layout, pages: &[&[u8]]) -> bool {
        let same = |((at, _), bytes): (&(usize, usize), &&[u8])| {
            let offset = offset(&self.extents, *at);
            offset.and_then(|offset| self.view()?.bytes(offset, bytes.len())) == Some(*bytes)
        };
        self.layout == *layout && self.layout.stored.iter().zip(pages).all(same)
    }

    /// Offset and length of the image's ranges that were stored, ascending.
    pub(crate) fn stored(&self) -> &[(usize, usize)] {
        &self.layout.stored
    }

    /// Its bytes, mapped for reading; `None` if that was not possible.
    pub(crate) fn view(&self) -> Option<&View> {
        let view = || View::new(&self.memory.file, self.at, self.bytes).ok();
        self.view.get_or_init(view).as_ref()
    }

    /// Whether it has this offset of the file.
    pub(crate) fn has(&self, offset: u64) -> bool {
        (self.at..self.at + self.bytes).contains(&offset)
    }

    /// The file that it is in.
    pub(crate) fn file(&self) -> &File {
        &self.memory.file
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.view.take();
        let punched = sys::punch_hole(&self.memory.file, self.at, self.bytes);
        let mut state = self.memory.state();
        let this: *const Region = self;
        if let Some(known) = state.known.get_mut(&self.fingerprint) {
            known.retain(|region| !std::ptr::eq(region.as_ptr(), this));
            if known.is_empty() {
                state.known.remove(&self.fingerprint);
            }
        }
        // A range that may still have these bytes is never used again, and stays counted.
        if punched.is_ok() {
            state.regions.put_back(self.at, self.bytes);
            state.bytes -= self.bytes;
        }
    }
}

/// A sum of many bytes in little time. Bytes with equal sums are compared.
fn sum(bytes: &[u8]) -> u64 {
    let mut lanes = [1u64, 2, 3, 4];
    for block in bytes.as_chunks::<32>().0 {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            let mixed = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *lane = mixed.rotate_left(29);
        }
    }
    lanes.into_iter().fold(0, |sum, lane| sum.rotate_left(17) ^ lane)
}
