//! Images: the bytes that slots start from, in files.

use crate::sys::View;
use crate::{Error, PAGE, WorkingSet, sys};
use std::fs::File;
use std::iter::once;
use std::ops::Range;
use std::sync::OnceLock;

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

/// More mappings than this are not made for one image: nearby extents share one, with the zeros
/// between them stored.
const MAX_EXTENTS: usize = 32;

/// Zeros between two extents are stored rather than mapped apart if they are at most this many
/// bytes: a mapping costs the kernel more than a few pages of page cache.
const SMALL_GAP: usize = 64 * PAGE;

/// Bytes before an image in a file of its own, for the heads of slots: so that a head can be of the
/// same mapping as the image. They are a hole, which takes no memory.
const HEAD_ROOM: usize = 64 << 10;

/// An immutable image.
#[derive(Debug)]
pub struct Image {
    file: File,
    bytes: usize,
    extents: Vec<Extent>,
    /// Bytes of zeros in the file before the image.
    head_room: usize,
    /// Made when the first slot wants to copy pages back.
    view: OnceLock<Option<View>>,
    /// The pages that guests are expected to write to, if that is known.
    working_set: Option<WorkingSet>,
}

/// A page that is not stored.
static ZEROS: [u8; PAGE] = [0; PAGE];

impl Image {
    /// An image of `bytes` bytes that is zero but for `extents`, whose contents are read from
    /// `stored` (where [`Extent::file`] is an offset in `stored`). They are copied to a memfd, so
    /// nobody else can change them.
    ///
    /// # Errors
    /// [`Error::Image`] if the extents are unaligned, unsorted, overlap or lie outside; otherwise
    /// [`Error::Os`] (usually: out of memory or file descriptors).
    pub fn from_pages(bytes: usize, extents: &[Extent], stored: &[u8]) -> Result<Image, Error> {
        check(bytes, extents, stored.len() as u64)?;
        let doing = "copying an image to memory";
        let size = (HEAD_ROOM + bytes) as u64;
        let file = sys::memfd("wfaas-image", size).map_err(Error::os(doing))?;
        for extent in extents {
            let (from, to) = (extent.file as usize, HEAD_ROOM + extent.at);
            let pages = &stored[from..from + extent.bytes];
            sys::write_all_at(&file, pages, to as u64).map_err(Error::os(doing))?;
        }
        let extents = merge(extents, bytes);
        let (head_room, view) = (HEAD_ROOM, OnceLock::new());
        Ok(Image { file, bytes, extents, head_room, view, working_set: None })
    }

    /// An image with its extents in `file`, mapped from there: for a process that uses it once.
    /// A change of the file is a change of the image.
    ///
    /// # Errors
    /// As [`Image::from_pages`], and [`Error::Image`] if there are too many extents to map each.
    pub fn from_file(file: File, bytes: usize, extents: &[Extent]) -> Result<Image, Error> {
        let metadata = file.metadata().map_err(Error::os("asking for the size of an image"))?;
        check(bytes, extents, metadata.len())?;
        if extents.len() > MAX_EXTENTS {
            return Err(Error::Image("too many extents to map each from the file"));
        }
        Ok(Image {
            file,
            bytes,
            extents: extents.to_vec(),
            head_room: 0,
            view: OnceLock::new(),
            working_set: None,
        })
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

    /// The ranges that are mapped from the file, ascending.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Makes sure that [`Image::stored_page`] works; whether it does.
    pub(crate) fn prepare_view(&self) -> bool {
        self.view.get_or_init(|| View::new(&self.file).ok()).is_some()
    }

    /// The address of the bytes of the page at `at` bytes in the image; `None` if it is zero.
    pub(crate) fn stored_page(&self, at: usize) -> Option<*const u8> {
        let after = self.extents.partition_point(|extent| extent.at <= at);
        let extent = self.extents[after.checked_sub(1)?];
        let inside = at - extent.at;
        if inside >= extent.bytes {
            return None;
        }
        self.view.get()?.as_ref()?.page(extent.file + inside as u64)
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

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

fn check(bytes: usize, extents: &[Extent], file_bytes: u64) -> Result<(), Error> {
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

/// Joins extents until few enough are left, and with the ends of the image if those are near. Only
/// for a file that is laid out like the image, behind the room for a head.
fn merge(extents: &[Extent], bytes: usize) -> Vec<Extent> {
    let mut gap = SMALL_GAP;
    loop {
        let mut merged: Vec<Range<usize>> = Vec::new();
        // The empty ones are the ends of the image.
        let ranges = extents.iter().map(|extent| extent.at..extent.at + extent.bytes);
        for range in once(0..0).chain(ranges).chain(once(bytes..bytes)) {
            match merged.last_mut() {
                Some(last) if range.start - last.end <= gap => last.end = range.end,
                _ => merged.push(range),
            }
        }
        merged.retain(|range| !range.is_empty());
        if merged.len() <= MAX_EXTENTS {
            let extent = |Range { start, end }| Extent {
                at: start,
                file: (HEAD_ROOM + start) as u64,
                bytes: end - start,
            };
            return merged.into_iter().map(extent).collect();
        }
        gap *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(at: usize, file: u64, bytes: usize) -> Extent {
        Extent { at: at * PAGE, file: file * PAGE as u64, bytes: bytes * PAGE }
    }

    #[test]
    fn near_extents_are_joined_and_far_ones_are_not() {
        let few = [extent(100, 0, 1), extent(103, 1, 1), extent(1000, 2, 5)];
        assert_eq!(merge(&few, 1100 * PAGE), [extent(100, 116, 4), extent(1000, 1016, 5)]);
    }

    #[test]
    fn extents_near_the_ends_are_joined_with_them() {
        assert_eq!(merge(&[extent(3, 0, 1)], 20 * PAGE), [extent(0, 16, 20)]);
        assert_eq!(merge(&[], 20 * PAGE), [extent(0, 16, 20)], "all of a small image");
        assert_eq!(merge(&[], 1000 * PAGE), []);
    }

    #[test]
    fn there_are_never_too_many_extents() {
        let many: Vec<Extent> = (0..5000).map(|i| extent(i * 100, i as u64, 1)).collect();
        let merged = merge(&many, 500_000 * PAGE);
        assert!(merged.len() <= MAX_EXTENTS);
        assert!(many.iter().all(|one| {
            merged
                .iter()
                .any(|extent| extent.at <= one.at && one.at + one.bytes <= extent.at + extent.bytes)
        }));
    }

    #[test]
    fn impossible_extents_are_refused() {
        let stored = vec![1; 4 * PAGE];
        for (bytes, extents) in [
            (4, vec![extent(3, 0, 2)]),
            (9, vec![extent(1, 0, 2), extent(2, 2, 1)]),
            (9, vec![extent(1, 3, 2)]),
            (9, vec![extent(1, 3, 0)]),
            (9, vec![Extent { at: 5, file: 0, bytes: PAGE }]),
        ] {
            let error = Image::from_pages(bytes * PAGE, &extents, &stored).unwrap_err();
            assert!(matches!(error, Error::Image(_)), "{extents:?}: {error}");
        }
    }
}
