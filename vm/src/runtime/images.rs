//! Images of a module: its slots' first bytes, as files that can be mapped.

use crate::runtime::error::Error;
use std::fs::File;
use std::sync::Arc;
use wfaas_abi::artifact::{ImagePart, ImageRef};
use wfaas_abi::layout::PAGE;
use wfaas_snapshot::{Extent, Image, WorkingSet};

/// Sizes of the memories in WebAssembly pages, by place.
pub(super) fn memory_pages(image: ImageRef<'_>) -> Vec<u64> {
    image.memory_sizes.iter().map(|pages| pages.get()).collect()
}

/// The images, mapped straight from the artifact where that needs few mappings.
pub(super) fn images_in_file(
    file: &File,
    image: ImageRef<'_>,
    expected: Vec<WorkingSet>,
) -> Result<Vec<Arc<Image>>, Error> {
    image.check()?;
    let from_file = |part: ImagePart<'_>| {
        let extents = extents(part, image.file_offset);
        let file = file.try_clone().map_err(Error::os("making the image"))?;
        Ok(Image::from_file(file, part.bytes, &extents)?)
    };
    let images = image.parts().map(|part| match from_file(part) {
        Err(Error::Slot(wfaas_snapshot::Error::Image(_))) => in_memory(image, part),
        other => other,
    });
    expecting(images, expected)
}

/// The images, copied to files in memory.
pub(super) fn images_in_memory(
    image: ImageRef<'_>,
    expected: Vec<WorkingSet>,
) -> Result<Vec<Arc<Image>>, Error> {
    image.check()?;
    expecting(image.parts().map(|part| in_memory(image, part)), expected)
}

fn in_memory(image: ImageRef<'_>, part: ImagePart<'_>) -> Result<Image, Error> {
    Ok(Image::from_pages(part.bytes, &extents(part, 0), image.bytes)?)
}

/// The images with the pages that guests are expected to write to, if those are known.
fn expecting(
    images: impl Iterator<Item = Result<Image, Error>>,
    expected: Vec<WorkingSet>,
) -> Result<Vec<Arc<Image>>, Error> {
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
