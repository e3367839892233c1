//! The writer of artifacts: fills sections, replaces the image, seals with hashes.
//!
//! The ELF container around the sections is the compiler's; see `wfaas_compiler`.

use super::error::ArtifactError;
use super::header::{HEADER_OFFSET, Header, SectionId, flags};
use super::reader::Artifact;
use super::records::{Range, RunRecord};
use crate::image::{Run, SparseImage};
use crate::layout::PAGE;
use std::collections::HashMap;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The contents of an artifact's sections while they are collected.
#[derive(Debug, Clone, Default)]
pub struct Sections {
    contents: [Vec<u8>; SectionId::ALL.len()],
    /// The strings so far.
    strings: HashMap<Box<str>, Range>,
}

impl Sections {
    /// The bytes collected for a section.
    pub fn get(&self, id: SectionId) -> &[u8] {
        &self.contents[id as usize]
    }

    /// Sets a section's bytes.
    pub fn set(&mut self, id: SectionId, bytes: Vec<u8>) {
        self.contents[id as usize] = bytes;
    }

    /// Appends records to a section; their range in it.
    ///
    /// # Panics
    /// If the section would have more than 2³² records.
    pub fn push<T: IntoBytes + Immutable>(&mut self, id: SectionId, records: &[T]) -> Range {
        let contents = &mut self.contents[id as usize];
        let start = contents.len() / id.record_size();
        contents.extend_from_slice(records.as_bytes());
        let number = |count: usize| u32::try_from(count).expect("fewer than 2^32 records");
        Range {
            start: number(start).into(),
            len: number(contents.len() / id.record_size() - start).into(),
        }
    }

    /// The place of a string, which is appended unless it is there already. The section is an ELF
    /// string table as well: it starts with a zero, and each string ends with one.
    pub fn string(&mut self, text: &str) -> Range {
        if text.is_empty() {
            return Range::default();
        }
        if let Some(known) = self.strings.get(text) {
            return *known;
        }
        if self.strings.is_empty() {
            self.push(SectionId::Strings, &[0u8]);
        }
        let range = self.push(SectionId::Strings, text.as_bytes());
        self.push(SectionId::Strings, &[0u8]);
        self.strings.insert(text.into(), range);
        range
    }

    /// Sets the two sections of the image.
    pub fn set_image(&mut self, image: &SparseImage) {
        self.set(SectionId::ImageRuns, encode_runs(image));
        self.set(SectionId::Image, pages(image).concat());
    }
}

/// The run records of an image.
pub(super) fn encode_runs(image: &SparseImage) -> Vec<u8> {
    let record = |run: &Run| RunRecord { first: run.first.into(), pages: run.pages.into() };
    let runs: Vec<RunRecord> = image.runs().iter().map(record).collect();
    runs.as_bytes().to_vec()
}

/// The stored pages of an image.
pub(super) fn pages(image: &SparseImage) -> Vec<&[u8]> {
    image.stored().map(|(_, page)| &page[..]).collect()
}

/// Computes the hashes of a finished file and writes them into its header.
///
/// # Panics
/// If `file` is shorter than a header.
pub fn seal(file: &mut [u8]) {
    let hash = content_hash(file);
    let (header, _) =
        Header::mut_from_prefix(&mut file[HEADER_OFFSET..]).expect("room for a header");
    header.content_hash = hash;
    header.header_check = header.expected_check();
}

/// BLAKE3 of the file with both hashes in the header zero.
pub(super) fn content_hash(file: &[u8]) -> [u8; 32] {
    let hashes = HEADER_OFFSET + core::mem::offset_of!(Header, content_hash);
    let after = HEADER_OFFSET + size_of::<Header>();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..hashes]);
    hasher.update(&[0; size_of::<Header>() - core::mem::offset_of!(Header, content_hash)]);
    hasher.update(&file[after..]);
    *hasher.finalize().as_bytes()
}

/// A copy of `artifact` with another image, captured from an initialised instance. Its memories
/// have the sizes `memory_pages` in WebAssembly pages, by place. A profile of the former image is
/// left out.
///
/// # Errors
/// [`ArtifactError::Corrupt`] if the artifact does not end with its image, or has another number
/// of memories.
pub fn replace_image(
    artifact: &Artifact<'_>,
    image: &SparseImage,
    memory_pages: &[u64],
) -> Result<Vec<u8>, ArtifactError> {
    let (runs, pages) = (encode_runs(image), pages(image));
    let none = vec![0; memory_pages.len()];
    let flags = artifact.header().flags.get() & !flags::PROFILE | flags::INITIALISED;
    let bundle = artifact.section(SectionId::Bundle);
    Tail { bundle, image_runs: &runs, profile_runs: &[], pages: &pages, flags }.replace(
        artifact,
        &[(SectionId::MemorySizes, memory_pages), (SectionId::ProfileSizes, &none)],
    )
}

/// The replaceable parts of a finished artifact: its last sections, and flags.
pub(super) struct Tail<'a> {
    pub(super) bundle: &'a [u8],
    pub(super) image_runs: &'a [u8],
    pub(super) profile_runs: &'a [u8],
    pub(super) pages: &'a [&'a [u8]],
    pub(super) flags: u32,
}

impl Tail<'_> {
    /// A copy of `artifact` with this tail, and with these sizes of the memories.
    pub(super) fn replace(
        &self,
        artifact: &Artifact<'_>,
        sizes: &[(SectionId, &[u64])],
    ) -> Result<Vec<u8>, ArtifactError> {
        let header = artifact.header();
        let tail_at = header.sections[SectionId::Bundle as usize].offset.get() as usize;
        let shdr_at = header.tail_shdr.get() as usize;
        let not_last = ArtifactError::Corrupt("the image is not at the end of the file");
        if shdr_at.checked_add(TAIL * ELF_SHDR).is_none_or(|end| end > tail_at) {
            return Err(not_last);
        }
        let places = self.places(tail_at);
        let mut file = Vec::with_capacity(places[TAIL - 1].1 + places[TAIL - 1].2);
        file.extend_from_slice(artifact.bytes().get(..tail_at).ok_or(not_last)?);
        for (id, pages) in sizes {
            write_sizes(&mut file, header, *id, pages)?;
        }
        let parts: [&[&[u8]]; TAIL] =
            [&[self.bundle], &[self.image_runs], &[self.profile_runs], self.pages];
        for ((_, offset, _), part) in places.iter().zip(parts) {
            file.resize(*offset, 0);
            part.iter().for_each(|bytes| file.extend_from_slice(bytes));
        }
        for (index, (_, offset, size)) in places.iter().enumerate() {
            patch_shdr(&mut file[shdr_at + index * ELF_SHDR..], *offset, *size);
        }
        let file_size = file.len() as u64;
        let header = file.get_mut(HEADER_OFFSET..).ok_or(ArtifactError::NotAnArtifact)?;
        let (header, _) =
            Header::mut_from_prefix(header).map_err(|_| ArtifactError::NotAnArtifact)?;
        header.flags = self.flags.into();
        header.file_size = file_size.into();
        for (id, offset, size) in places {
            header.sections[id as usize].offset = (offset as u64).into();
            header.sections[id as usize].size = (size as u64).into();
        }
        seal(&mut file);
        Ok(file)
    }

    /// Offset and size in bytes of each section of the tail, in file order. The tail begins at `tail_at`.
    fn places(&self, tail_at: usize) -> [(SectionId, usize, usize); TAIL] {
        let align = if self.bundle.is_empty() { 1 } else { PAGE };
        let bundle_at = tail_at.next_multiple_of(align);
        // Records are unaligned: this is for the look of it, as everywhere in the file.
        let runs_at = (bundle_at + self.bundle.len()).next_multiple_of(8);
        let profile_at = runs_at + self.image_runs.len();
        let image_at = (profile_at + self.profile_runs.len()).next_multiple_of(PAGE);
        let image_bytes = self.pages.iter().map(|pages| pages.len()).sum();
        [
            (SectionId::Bundle, bundle_at, self.bundle.len()),
            (SectionId::ImageRuns, runs_at, self.image_runs.len()),
            (SectionId::ProfileRuns, profile_at, self.profile_runs.len()),
            (SectionId::Image, image_at, image_bytes),
        ]
    }
}

/// Number of sections of the tail.
const TAIL: usize = 4;

/// Writes the sizes of the memories over the ones in the file.
fn write_sizes(
    file: &mut [u8],
    header: &Header,
    id: SectionId,
    pages: &[u64],
) -> Result<(), ArtifactError> {
    let sizes: Vec<U64> = pages.iter().map(|pages| U64::new(*pages)).collect();
    let section = header.sections[id as usize];
    if sizes.as_bytes().len() as u64 != section.size.get() {
        return Err(ArtifactError::Corrupt("the image is one of other memories"));
    }
    let at = section.offset.get() as usize;
    let place = file.get_mut(at..at + sizes.as_bytes().len());
    let outside = ArtifactError::Corrupt("the image is not at the end of the file");
    place.ok_or(outside)?.copy_from_slice(sizes.as_bytes());
    Ok(())
}

/// Bytes of an ELF64 section header.
const ELF_SHDR: usize = 64;

/// Sets `sh_offset` and `sh_size` of an ELF64 section header.
fn patch_shdr(shdr: &mut [u8], offset: usize, size: usize) {
    shdr[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
    shdr[32..40].copy_from_slice(&(size as u64).to_le_bytes());
}
