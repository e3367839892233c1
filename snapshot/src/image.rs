//! Images: the bytes that slots start from.

use crate::image_memory::Region;
use crate::sys::View;
use crate::{Error, PAGE, WorkingSet};
use std::borrow::Cow;
use std::fs::File;
use std::iter::once;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A range of an image that is stored in its file. The rest of the image is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset in the image, in bytes; a multiple of [`PAGE`].
    pub at: usize,
    /// Offset in the file, in bytes; a multiple of [`PAGE`].
    pub file: u64,
    /// Length in bytes; a multiple of [`PAGE`].
    pub bytes: usize,
}

/// The offset in the file of the byte at `at` bytes in the image, if one of the extents has it.
pub(crate) fn offset(extents: &[Extent], at: usize) -> Option<u64> {
    let after = extents.partition_point(|extent| extent.at <= at);
    let extent = extents[after.checked_sub(1)?];
    let inside = at - extent.at;
    (inside < extent.bytes).then_some(extent.file + inside as u64)
}

/// If an image has more extents than this, nearby ones share a mapping, with the zeros between them
/// mapped from the file too.
const MAX_EXTENTS: usize = 32;

/// Zeros between two extents are of the same mapping if they are at most this many bytes: a mapping
/// costs the kernel more than a few pages of page cache.
const SMALL_GAP: usize = 64 * PAGE;

/// So many zeros and more are never mapped from a file, where the first look at a page would take
/// memory that stays with the file: ordinary memory shows all of them as one page.
const HOLE: usize = 1 << 20;

/// An immutable image.
#[derive(Debug)]
pub struct Image {
    backing: Backing,
    bytes: usize,
    extents: Vec<Extent>,
    /// Bytes of zeros in the file before the image.
    head_room: usize,
    /// The pages that guests are expected to write to, if that is known.
    working_set: Option<WorkingSet>,
}

/// The file that has the extents.
#[derive(Debug)]
pub(crate) enum Backing {
    /// None: everything is zero.
    Zeros,
    /// The memory of images.
    Region(Arc<Region>),
    /// The same, for ranges in which it differs from the image below.
    Layer {
        /// The image below.
        below: Arc<Image>,
        /// The ranges.
        own: Arc<Region>,
    },
    /// Somebody else's, with a view that is made when the first slot wants to copy pages back.
    File(Arc<File>, OnceLock<Option<View>>),
}

/// A page that is not stored.
static ZEROS: [u8; PAGE] = [0; PAGE];

impl Image {
    pub(crate) fn new(
        backing: Backing,
        bytes: usize,
        extents: Vec<Extent>,
        head_room: usize,
    ) -> Image {
        Image { backing, bytes, extents, head_room, working_set: None }
    }

    /// An image of `bytes` zeros, a multiple of [`PAGE`]: it needs no file.
    pub fn zeroed(bytes: usize) -> Image {
        Image::new(Backing::Zeros, bytes, Vec::new(), 0)
    }

    /// An image with its extents in `file`, mapped from there: for a process that uses it once.
    /// A change of the file is a change of the image.
    ///
    /// # Errors
    /// [`Error::Image`] if the extents are unaligned, unsorted, overlap, lie outside, or are too many
    /// to map each; [`Error::Os`] if the file's size cannot be asked for.
    pub fn from_file(file: Arc<File>, bytes: usize, extents: &[Extent]) -> Result<Image, Error> {
        let metadata = file.metadata().map_err(Error::os("asking for the size of an image"))?;
        check(bytes, extents, metadata.len())?;
        if extents.len() > MAX_EXTENTS {
            return Err(Error::Image("too many extents to map each from the file"));
        }
        Ok(Image::new(Backing::File(file, OnceLock::new()), bytes, extents.to_vec(), 0))
    }

    /// The same image, with the pages that guests are expected to write to.
    ///
    /// # Errors
    /// [`Error::WorkingSet`] if that is not a set of pages of this image and memory behind it, or
    /// too large.
    pub fn expecting(self, set: WorkingSet) -> Result<Image, Error> {
        set.check(self.bytes)?;
        Ok(Image { working_set: Some(set), ..self })
    }

    /// The pages that guests are expected to write to, if that is known.
    pub fn working_set(&self) -> Option<&WorkingSet> {
        self.working_set.as_ref()
    }

    /// Bytes of zeros in the file before the image.
    pub(crate) fn head_room(&self) -> usize {
        self.head_room
    }

    /// Bytes of the image.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether the image has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes of [image memory](crate::ImageMemory) that it may take, shared with equal images.
    pub fn stored_bytes(&self) -> u64 {
        match &self.backing {
            Backing::Region(region) | Backing::Layer { own: region, .. } => region.bytes(),
            Backing::Zeros | Backing::File(..) => 0,
        }
    }

    /// The ranges that are mapped from the file, ascending.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Offset and length of the ranges that are stored, ascending.
    pub(crate) fn stored(&self) -> Cow<'_, [(usize, usize)]> {
        match &self.backing {
            Backing::Region(region) => Cow::Borrowed(region.stored()),
            Backing::Layer { below, own } => {
                let mut stored = [&below.stored(), own.stored()].concat();
                stored.sort_unstable();
                Cow::Owned(union(stored))
            }
            Backing::Zeros | Backing::File(..) => {
                self.extents.iter().map(|extent| (extent.at, extent.bytes)).collect()
            }
        }
    }

    /// The pages that are stored: index and contents, ascending.
    ///
    /// # Errors
    /// [`Error::Image`] if there is no address space to look at them.
    pub fn pages(&self) -> Result<impl Iterator<Item = (usize, &[u8; PAGE])>, Error> {
        if !self.prepare_view() {
            return Err(Error::Image("it cannot be mapped for reading"));
        }
        let stored = self.stored().into_owned().into_iter();
        let pages = stored.flat_map(|(at, bytes)| at / PAGE..(at + bytes) / PAGE);
        Ok(pages.map(|page| (page, self.pristine(page * PAGE))))
    }

    /// Makes sure that [`Image::stored_page`] works; whether it does.
    pub(crate) fn prepare_view(&self) -> bool {
        let is_there = self.extents.is_empty() || self.view().is_some();
        match &self.backing {
            Backing::Layer { below, .. } => is_there && below.prepare_view(),
            _ => is_there,
        }
    }

    /// Where the extents are.
    pub(crate) fn backing(&self) -> &Backing {
        &self.backing
    }

    /// A view of the file, for the image's own extents.
    fn view(&self) -> Option<&View> {
        match &self.backing {
            Backing::Zeros => None,
            Backing::Region(region) | Backing::Layer { own: region, .. } => region.view(),
            Backing::File(file, view) => view.get_or_init(|| View::of_all(file).ok()).as_ref(),
        }
    }

    /// The address of the bytes of the page at `at` bytes in the image; `None` if it is zero.
    pub(crate) fn stored_page(&self, at: usize) -> Option<*const u8> {
        let offset = offset(&self.extents, at)?;
        match &self.backing {
            Backing::Layer { below, own } if !own.has(offset) => below.stored_page(at),
            _ => Some(self.view()?.bytes(offset, PAGE)?.as_ptr()),
        }
    }

    /// The bytes of the page at `at` bytes in the image.
    pub(crate) fn pristine(&self, at: usize) -> &[u8; PAGE] {
        match self.stored_page(at) {
            // SAFETY: the page is in the view, which lives as long as the image and is never
            // written to.
            Some(page) => unsafe { &*page.cast() },
            None => &ZEROS,
        }
    }

    /// Whether the page at `at` bytes is zero, since no extent has it; pages behind the image are.
    pub(crate) fn is_zero(&self, at: usize) -> bool {
        offset(&self.extents, at).is_none()
    }

    /// The file with the extents; `None` if there are none.
    pub(crate) fn file(&self) -> Option<&File> {
        match &self.backing {
            Backing::Zeros => None,
            Backing::Region(region) | Backing::Layer { own: region, .. } => Some(region.file()),
            Backing::File(file, _) => Some(file),
        }
    }
}

pub(crate) fn check(bytes: usize, extents: &[Extent], file_bytes: u64) -> Result<(), Error> {
    let aligned = |number: u64| number.is_multiple_of(PAGE as u64);
    let mut end = 0;
    for extent in extents {
        if !aligned(extent.at as u64) || !aligned(extent.file) || !aligned(extent.bytes as u64) {
            return Err(Error::Image("an extent is not page-aligned"));
        }
        if extent.at < end || extent.bytes == 0 {
            return Err(Error::Image("extents overlap, are empty or not sorted"));
        }
        end = extent.at.checked_add(extent.bytes).ok_or(Error::Image("an extent is too long"))?;
        if extent.file.checked_add(extent.bytes as u64).is_none_or(|end| end > file_bytes) {
            return Err(Error::Image("an extent ends outside of the file"));
        }
    }
    if end > bytes || !aligned(bytes as u64) {
        return Err(Error::Image("an extent ends outside of the image"));
    }
    Ok(())
}

/// The ranges of an image of `bytes` bytes that are mapped from a file, in which they lie one after
/// the other: the stored ones (offset and length), joined if they are near each other or near the
/// ends, and further apart if they are many.
pub(crate) fn merge(stored: &[(usize, usize)], bytes: usize) -> Vec<Extent> {
    let few = joined(stored, bytes, SMALL_GAP);
    let ranges = if few.len() > MAX_EXTENTS { joined(stored, bytes, HOLE - PAGE) } else { few };
    let mut file = 0;
    let extent = |Range { start, end }: Range<usize>| {
        let extent = Extent { at: start, file, bytes: end - start };
        file += extent.bytes as u64;
        extent
    };
    ranges.into_iter().map(extent).collect()
}

/// Ranges, by offset and length, that hold the same bytes without overlap. Ascending, as those are.
fn union(ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut union: Vec<(usize, usize)> = Vec::with_capacity(ranges.len());
    for (at, bytes) in ranges {
        match union.last_mut() {
            Some((from, len)) if at <= *from + *len => *len = (*len).max(at + bytes - *from),
            _ => union.push((at, bytes)),
        }
    }
    union
}

/// Ranges without the gaps of at most `gap` bytes.
pub(crate) fn joined(stored: &[(usize, usize)], bytes: usize, gap: usize) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    // The empty ones are the ends of the image.
    let ranges = stored.iter().map(|(at, bytes)| *at..at + bytes);
    for range in once(0..0).chain(ranges).chain(once(bytes..bytes)) {
        match joined.last_mut() {
            Some(last) if range.start - last.end <= gap => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined.retain(|range| !range.is_empty());
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageMemory;

    fn extent(at: usize, file: u64, bytes: usize) -> Extent {
        Extent { at: at * PAGE, file: file * PAGE as u64, bytes: bytes * PAGE }
    }

    fn merged(stored: &[(usize, usize)], pages: usize) -> Vec<Extent> {
        let stored: Vec<_> = stored.iter().map(|(at, n)| (at * PAGE, n * PAGE)).collect();
        merge(&stored, pages * PAGE)
    }

    #[test]
    fn near_extents_are_joined_and_far_ones_are_not() {
        let few = [(100, 1), (103, 1), (1000, 5)];
        assert_eq!(merged(&few, 1100), [extent(100, 0, 4), extent(1000, 4, 5)]);
    }

    #[test]
    fn extents_near_the_ends_are_joined_with_them() {
        assert_eq!(merged(&[(3, 1)], 20), [extent(0, 0, 20)]);
        assert_eq!(merged(&[(3, 1)], 1000), [extent(0, 0, 4)]);
    }

    #[test]
    fn many_extents_are_joined_but_for_large_holes() {
        let many: Vec<_> = (0..5000).map(|index| (index * 100, 1)).collect();
        assert_eq!(merged(&many, 499_901), [extent(0, 0, 499_901)]);
        let far: Vec<_> = (0..50).map(|index| (index * 257, 1)).collect();
        assert_eq!(merged(&far, 49 * 257 + 1).len(), 50, "each hole is of 1 MiB");
        let near: Vec<_> = (0..50).map(|index| (index * 256, 1)).collect();
        assert_eq!(merged(&near, 49 * 256 + 1).len(), 1);
    }

    #[test]
    fn impossible_extents_are_refused() {
        let (memory, stored) = (ImageMemory::new(1 << 20).unwrap(), vec![1; 4 * PAGE]);
        for (bytes, extents) in [
            (4, vec![extent(3, 0, 2)]),
            (9, vec![extent(1, 0, 2), extent(2, 2, 1)]),
            (9, vec![extent(1, 3, 2)]),
            (9, vec![extent(1, 3, 0)]),
            (9, vec![Extent { at: 5, file: 0, bytes: PAGE }]),
        ] {
            let error = memory.image(bytes * PAGE, 0, &extents, &stored).unwrap_err();
            assert!(matches!(error, Error::Image(_)), "{extents:?}: {error}");
        }
        assert_eq!(memory.bytes(), 0);
    }
}
