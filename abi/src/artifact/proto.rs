//! The `.proto` file: a Proto-Faaslet beside its artifact.
//!
//! ```text
//!   0      ProtoHeader
//!   ...    size of each memory in WebAssembly pages, 8 bytes, by place
//!   ...    RunRecord x runs
//!   last   stored pages, page-aligned
//! ```

use super::error::ArtifactError;
use super::image::ImageRef;
use super::reader::{Artifact, hex};
use super::records::RunRecord;
use super::writer::{encode_runs, pages};
use crate::description::records;
use crate::image::SparseImage;
use crate::layout::{MAX_STATE_BYTES, PAGE};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of a proto file.
pub const PROTO_MAGIC: [u8; 8] = *b"WFAASPRO";

records! {
    PROTO_RECORDS = derive(
        Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
    );

    /// The header of a proto file.
    ProtoHeader {
        /// [`PROTO_MAGIC`].
        magic: [u8; 8],
        /// [`FORMAT_VERSION`](super::FORMAT_VERSION).
        version: U32,
        /// Number of image runs.
        runs: U32,
        /// Content hash of the artifact it was captured from.
        artifact: [u8; 32],
        /// Bytes of state.
        state_bytes: U64,
        /// Number of memories in the image.
        memories: U32,
        /// Always zero.
        reserved: U32,
        /// Bytes of the whole file.
        file_size: U64,
        /// BLAKE3 of the file with this field zero.
        content_hash: [u8; 32],
    }
}

/// A parsed proto file.
#[derive(Clone, Copy)]
pub struct Proto<'a> {
    header: &'a ProtoHeader,
    image: ImageRef<'a>,
}

impl<'a> Proto<'a> {
    /// Checks header, sizes, runs and content hash.
    ///
    /// # Errors
    /// The [`ArtifactError`] for the first thing that does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        let (header, rest) =
            ProtoHeader::ref_from_prefix(bytes).map_err(|_| ArtifactError::NotAProto)?;
        if header.magic != PROTO_MAGIC {
            return Err(ArtifactError::NotAProto);
        }
        if header.version != super::FORMAT_VERSION {
            return Err(ArtifactError::Version { found: header.version.get() });
        }
        if header.file_size.get() != bytes.len() as u64 {
            return Err(ArtifactError::Size {
                expected: header.file_size.get(),
                actual: bytes.len() as u64,
            });
        }
        if content_hash(bytes) != header.content_hash {
            return Err(ArtifactError::ContentHash);
        }
        let state_bytes = header.state_bytes.get();
        if state_bytes > MAX_STATE_BYTES as u64 || !state_bytes.is_multiple_of(PAGE as u64) {
            return Err(ArtifactError::Corrupt("the image has an impossible size"));
        }
        let sizes_bytes = header.memories.get() as usize * size_of::<U64>();
        let runs_bytes = header.runs.get() as usize * size_of::<RunRecord>();
        let image_at = image_offset(sizes_bytes, runs_bytes);
        let outside = ArtifactError::Corrupt("the image runs end outside of the file");
        let (sizes, rest) = rest.split_at_checked(sizes_bytes).ok_or(outside.clone())?;
        let runs = rest.get(..runs_bytes).ok_or(outside.clone())?;
        let image = ImageRef {
            runs: <[RunRecord]>::ref_from_bytes(runs).map_err(|_| outside.clone())?,
            file_offset: image_at as u64,
            bytes: bytes.get(image_at..).ok_or(outside.clone())?,
            state_bytes: header.state_bytes.get() as usize,
            memory_sizes: <[U64]>::ref_from_bytes(sizes).map_err(|_| outside)?,
        };
        image.check()?;
        Ok(Proto { header, image })
    }

    /// Checks that the proto was captured from `artifact`.
    ///
    /// # Errors
    /// [`ArtifactError::ProtoArtifact`] if it was another one.
    pub fn check_artifact(&self, artifact: &Artifact<'_>) -> Result<(), ArtifactError> {
        if self.header.artifact == artifact.content_hash()
            && self.image.state_bytes as u64 == artifact.header().state_bytes.get()
            && self.image.memory_sizes.len() == artifact.image().memory_sizes.len()
        {
            return Ok(());
        }
        Err(ArtifactError::ProtoArtifact {
            expected: hex(&self.header.artifact),
            actual: artifact.content_hash_hex(),
        })
    }

    /// Content hash of the artifact it was captured from, in hexadecimal.
    pub fn artifact_hash_hex(&self) -> String {
        hex(&self.header.artifact)
    }

    /// The image.
    pub fn image(&self) -> ImageRef<'a> {
        self.image
    }
}

/// The bytes of a proto file for an image captured from an instance of `artifact`. Its memories
/// have the sizes `memory_pages`, by place.
pub fn write_proto(artifact: &Artifact<'_>, image: &SparseImage, memory_pages: &[u64]) -> Vec<u8> {
    let (runs, pages) = (encode_runs(image), pages(image).concat());
    let sizes: Vec<U64> = memory_pages.iter().map(|pages| U64::new(*pages)).collect();
    let image_at = image_offset(sizes.as_bytes().len(), runs.len());
    let header = ProtoHeader {
        magic: PROTO_MAGIC,
        version: super::FORMAT_VERSION.into(),
        runs: ((runs.len() / size_of::<RunRecord>()) as u32).into(),
        artifact: artifact.content_hash(),
        state_bytes: (image.state_bytes() as u64).into(),
        memories: (memory_pages.len() as u32).into(),
        reserved: 0.into(),
        file_size: ((image_at + pages.len()) as u64).into(),
        content_hash: [0; 32],
    };
    let mut file = header.as_bytes().to_vec();
    file.extend_from_slice(sizes.as_bytes());
    file.extend_from_slice(&runs);
    file.resize(image_at, 0);
    file.extend_from_slice(&pages);
    let hash = content_hash(&file);
    file[HASH_AT..HASH_AT + 32].copy_from_slice(&hash);
    file
}

/// Where the stored pages begin, in bytes from the start of the file.
fn image_offset(sizes_bytes: usize, runs_bytes: usize) -> usize {
    (size_of::<ProtoHeader>() + sizes_bytes + runs_bytes).next_multiple_of(PAGE)
}

const HASH_AT: usize = core::mem::offset_of!(ProtoHeader, content_hash);

fn content_hash(file: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..HASH_AT]);
    hasher.update(&[0; 32]);
    hasher.update(&file[HASH_AT + 32..]);
    *hasher.finalize().as_bytes()
}
