//! The artifact as a view of its bytes: checks, then sections and records.

use super::bundle::Bundle;
use super::error::ArtifactError;
use super::header::{FORMAT_VERSION, HEADER_OFFSET, Header, MAGIC, SectionId, flags};
use super::image::{ImageRef, check_sizes};
use super::profile::ProfileRef;
use super::records::*;
use crate::bounds::{BoundsStats, BoundsStrategy};
use crate::checkpoint::Checkpoint;
use crate::component::Bindings;
use crate::cpu::CpuFeatures;
use crate::fingerprint::ABI_FINGERPRINT;
use crate::layout::{self, PAGE};
use crate::memories;
use crate::types::{FuncType, TypeHash, ValType};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// ELF's number for x86-64, the one target there is.
pub(super) const MACHINE_X86_64: u32 = 62;

/// A parsed artifact: a view of its bytes, cheap to copy.
#[derive(Clone, Copy)]
pub struct Artifact<'a> {
    bytes: &'a [u8],
    header: &'a Header,
}

impl<'a> Artifact<'a> {
    /// Checks the header and the bounds of the sections, in constant time.
    ///
    /// # Errors
    /// The [`ArtifactError`] for the first thing that does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        let artifact = Self::view(bytes).ok_or(ArtifactError::NotAnArtifact)?;
        let header = artifact.header;
        if header.magic != MAGIC {
            return Err(ArtifactError::NotAnArtifact);
        }
        if header.version != FORMAT_VERSION {
            return Err(ArtifactError::Version { found: header.version.get() });
        }
        if header.file_size.get() != bytes.len() as u64 {
            return Err(ArtifactError::Size {
                expected: header.file_size.get(),
                actual: bytes.len() as u64,
            });
        }
        if header.header_check != header.expected_check() {
            return Err(ArtifactError::HeaderCheck);
        }
        if header.fingerprint != ABI_FINGERPRINT {
            return Err(ArtifactError::Fingerprint { found: header.fingerprint.get() });
        }
        if header.machine != MACHINE_X86_64 {
            return Err(ArtifactError::Machine { found: header.machine.get() });
        }
        artifact.check_layout()?;
        Ok(artifact)
    }

    /// The view of bytes that [`Artifact::parse`] has accepted before; `None` if they are too
    /// short for a header. Nothing is checked again, and nothing here ever panics or reads outside
    /// of `bytes`, whatever they hold.
    pub fn view(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = Header::ref_from_prefix(bytes.get(HEADER_OFFSET..)?).ok()?;
        Some(Artifact { bytes, header })
    }

    fn check_layout(&self) -> Result<(), ArtifactError> {
        let header = self.header;
        if BoundsStrategy::from_u32(header.bounds.get()).is_none() {
            return Err(ArtifactError::Corrupt("unknown bounds strategy"));
        }
        for (id, section) in SectionId::ALL.iter().zip(&header.sections) {
            let end = section.offset.get().checked_add(section.size.get());
            if end.is_none_or(|end| end > self.bytes.len() as u64) {
                return Err(ArtifactError::Corrupt("a section ends outside of the file"));
            }
            if !section.size.get().is_multiple_of(id.record_size() as u64) {
                return Err(ArtifactError::Corrupt("a section is not a whole number of records"));
            }
        }
        for id in [SectionId::Text, SectionId::Image] {
            if !header.sections[id as usize].offset.get().is_multiple_of(PAGE as u64) {
                return Err(ArtifactError::Corrupt("text or image is not page-aligned"));
            }
        }
        let whole_pages =
            |bytes: u64, most: usize| bytes.is_multiple_of(PAGE as u64) && bytes <= most as u64;
        if !whole_pages(header.state_bytes.get(), layout::MAX_STATE_BYTES)
            || header.state_bytes.get() == 0
            || !whole_pages(header.host_bytes.get(), layout::MAX_HOST_BYTES)
            || header.host_bytes.get() == 0
        {
            return Err(ArtifactError::Corrupt("state or host context has an impossible size"));
        }
        if self.memories().len() > memories::MAX_MEMORIES {
            return Err(ArtifactError::Corrupt("there are too many memories"));
        }
        let sizes = self.image().memory_sizes;
        if sizes.len() != memories::place_count(&self.memory_places()) {
            return Err(ArtifactError::Corrupt("the image does not have a size for each memory"));
        }
        let profile_sizes = self.records::<U64>(SectionId::ProfileSizes);
        if profile_sizes.len() != sizes.len() {
            return Err(ArtifactError::Corrupt("the profile is one of other memories"));
        }
        check_sizes(sizes)
    }

    /// Whether a machine with the features `available` can run the code.
    ///
    /// # Errors
    /// [`ArtifactError::CpuFeatures`] names the missing ones.
    pub fn check_cpu(&self, available: CpuFeatures) -> Result<(), ArtifactError> {
        let missing = self.cpu_features().missing_in(available);
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ArtifactError::CpuFeatures(missing.join(", ")))
        }
    }

    /// Checks the content hash and the image runs: for a file that comes from elsewhere. Takes
    /// time in proportion to the file.
    ///
    /// # Errors
    /// [`ArtifactError::ContentHash`] if any byte was changed.
    pub fn verify(&self) -> Result<(), ArtifactError> {
        if super::writer::content_hash(self.bytes) != self.header.content_hash {
            return Err(ArtifactError::ContentHash);
        }
        self.image().check()?;
        self.bundle()?.map_or(Ok(()), |bundle| bundle.check())?;
        self.component()?;
        self.checkpoint()?;
        self.profile().map_or(Ok(()), |profile| profile.check())
    }

    /// The header.
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// BLAKE3 of the content, the artifact's identity.
    pub fn content_hash(&self) -> [u8; 32] {
        self.header.content_hash
    }

    /// [`Artifact::content_hash`] in hexadecimal.
    pub fn content_hash_hex(&self) -> String {
        hex(&self.header.content_hash)
    }

    /// The bytes of a section.
    pub fn section(&self, id: SectionId) -> &'a [u8] {
        let section = &self.header.sections[id as usize];
        let start = usize::try_from(section.offset.get()).unwrap_or(usize::MAX);
        let size = usize::try_from(section.size.get()).unwrap_or(usize::MAX);
        start.checked_add(size).and_then(|end| self.bytes.get(start..end)).unwrap_or(&[])
    }

    pub(super) fn records<T: FromBytes + Immutable + KnownLayout + Unaligned>(
        &self,
        id: SectionId,
    ) -> &'a [T] {
        <[T]>::ref_from_bytes(self.section(id)).unwrap_or(&[])
    }

    /// BLAKE3 of the machine code, by which a debug file is known to belong to it. Initialisation and warm-up requests
    /// leave it as it is. Takes time in proportion to the code.
    pub fn code_hash(&self) -> [u8; 32] {
        *blake3::hash(self.text()).as_bytes()
    }

    /// Native code.
    pub fn text(&self) -> &'a [u8] {
        self.section(SectionId::Text)
    }

    /// All functions in the order of the index space, imports first.
    pub fn functions(&self) -> &'a [FunctionRecord] {
        self.records(SectionId::Functions)
    }

    /// Function types.
    pub fn types(&self) -> &'a [TypeRecord] {
        self.records(SectionId::Types)
    }

    /// Imports, in order.
    pub fn imports(&self) -> &'a [ImportRecord] {
        self.records(SectionId::Imports)
    }

    /// Exports, in order.
    pub fn exports(&self) -> &'a [ExportRecord] {
        self.records(SectionId::Exports)
    }

    /// Defined globals.
    pub fn globals(&self) -> &'a [GlobalRecord] {
        self.records(SectionId::Globals)
    }

    /// Defined tables.
    pub fn tables(&self) -> &'a [TableRecord] {
        self.records(SectionId::Tables)
    }

    /// Defined memories.
    pub fn memories(&self) -> &'a [MemoryRecord] {
        self.records(SectionId::Memories)
    }

    /// Defined tags.
    pub fn tags(&self) -> &'a [TagRecord] {
        self.records(SectionId::Tags)
    }

    /// Calls with a handler of exceptions, by return address.
    pub fn handlers(&self) -> &'a [HandlerRecord] {
        self.records(SectionId::Handlers)
    }

    /// Of each defined memory, its place in the image.
    pub fn memory_places(&self) -> Vec<usize> {
        memories::places(
            self.memories().iter().map(|memory| memory.limits.get() & limits::SHARED != 0),
        )
    }

    /// The steps that instantiation still has to take, in order.
    pub fn init_steps(&self) -> &'a [InitStep] {
        self.records(SectionId::InitSteps)
    }

    /// Data segments, up to the last that may still be needed.
    pub fn data_segments(&self) -> &'a [DataSegment] {
        self.records(SectionId::DataSegments)
    }

    /// Element segments, up to the last that may still be needed.
    pub fn elem_segments(&self) -> &'a [ElemSegment] {
        self.records(SectionId::ElemSegments)
    }

    /// The image.
    pub fn image(&self) -> ImageRef<'a> {
        ImageRef {
            runs: self.records(SectionId::ImageRuns),
            file_offset: self.header.sections[SectionId::Image as usize].offset.get(),
            bytes: self.section(SectionId::Image),
            state_bytes: self.header.state_bytes.get() as usize,
            memory_sizes: self.records(SectionId::MemorySizes),
        }
    }

    /// The tree of files, if there is one.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if its header is damaged.
    pub fn bundle(&self) -> Result<Option<Bundle<'a>>, ArtifactError> {
        let bytes = self.section(SectionId::Bundle);
        (!bytes.is_empty()).then(|| Bundle::parse(bytes)).transpose()
    }

    /// The bindings of the component that the module was made from, if it was. Takes time in proportion to
    /// them.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if they are damaged.
    pub fn component(&self) -> Result<Option<Bindings>, ArtifactError> {
        let bytes = self.section(SectionId::Component);
        (!bytes.is_empty()).then(|| Bindings::parse(bytes)).transpose()
    }

    /// All that a program that waits has outside of its memory; `None` for a program that begins anew. Takes
    /// time in proportion to it.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if it is damaged.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, ArtifactError> {
        let bytes = self.section(SectionId::Checkpoint);
        (!bytes.is_empty()).then(|| Checkpoint::parse(bytes)).transpose()
    }

    /// The functions of a program that waits which go on behind a call.
    pub fn twins(&self) -> &'a [TwinRecord] {
        self.records(SectionId::Twins)
    }

    /// Calls at which a program may wait again, by return address.
    pub fn stack_maps(&self) -> &'a [StackMapRecord] {
        self.records(SectionId::StackMaps)
    }

    /// The pages that warm-up requests wrote to, if any were made.
    pub fn profile(&self) -> Option<ProfileRef<'a>> {
        let there = self.header.flags.get() & flags::PROFILE != 0;
        there.then(|| ProfileRef {
            runs: self.records(SectionId::ProfileRuns),
            memory_sizes: self.records(SectionId::ProfileSizes),
            image: self.image(),
        })
    }

    /// Whether the image was captured from an initialised instance.
    pub fn is_initialised(&self) -> bool {
        self.header.flags.get() & flags::INITIALISED != 0
    }

    /// Index of the start function, if there is one.
    pub fn start(&self) -> Option<u32> {
        self.header.start.get().checked_sub(1)
    }

    /// Features the code needs.
    pub fn cpu_features(&self) -> CpuFeatures {
        CpuFeatures(self.header.cpu_features.get())
    }

    /// The bounds-check strategy of the code.
    pub fn bounds(&self) -> BoundsStrategy {
        // `parse` refuses others.
        BoundsStrategy::from_u32(self.header.bounds.get()).unwrap_or(BoundsStrategy::Guard)
    }

    /// The fates of the checks of memory accesses.
    pub fn bounds_stats(&self) -> BoundsStats {
        BoundsStats(self.header.accesses.map(|count| count.get()))
    }

    /// A string of the strings section.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if the range is outside or not UTF-8.
    pub fn string(&self, range: Range) -> Result<&'a str, ArtifactError> {
        let bytes = slice(self.section(SectionId::Strings), range)?;
        std::str::from_utf8(bytes).map_err(|_| ArtifactError::Corrupt("a name is not UTF-8"))
    }

    /// Bytes of the data section.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if the range is outside.
    pub fn data(&self, range: Range) -> Result<&'a [u8], ArtifactError> {
        slice(self.section(SectionId::Data), range)
    }

    /// Operations of the constant expressions.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if the range is outside.
    pub fn const_ops(&self, range: Range) -> Result<&'a [ConstOp], ArtifactError> {
        slice(self.records(SectionId::ConstOps), range)
    }

    /// Function type `index`.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if there is no such type.
    pub fn func_type(&self, index: u32) -> Result<FuncType, ArtifactError> {
        let record = self
            .types()
            .get(index as usize)
            .ok_or(ArtifactError::Corrupt("a type index is out of range"))?;
        let list = |range| -> Result<Vec<ValType>, ArtifactError> {
            let codes: &[U32] = slice(self.records(SectionId::ValTypes), range)?;
            codes.iter().map(|code| self.val_type(*code)).collect()
        };
        let hash = TypeHash(record.hash);
        Ok(FuncType::with_hash(list(record.params)?, list(record.results)?, hash))
    }

    /// The value type with this number.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if there is none.
    pub fn val_type(&self, code: U32) -> Result<ValType, ArtifactError> {
        let hash = |index: u32| self.types().get(index as usize).map(|ty| TypeHash(ty.hash));
        ValType::decode(code.get(), hash).ok_or(ArtifactError::Corrupt("unknown value type"))
    }
}

impl ExternType {
    /// The kind.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if it is no kind.
    pub fn extern_kind(&self) -> Result<ExternKind, ArtifactError> {
        ExternKind::from_u32(self.kind.get())
            .ok_or(ArtifactError::Corrupt("unknown kind of import"))
    }
}

fn slice<T>(items: &[T], range: Range) -> Result<&[T], ArtifactError> {
    let start = range.start.get() as usize;
    start
        .checked_add(range.len.get() as usize)
        .and_then(|end| items.get(start..end))
        .ok_or(ArtifactError::Corrupt("a record refers to something outside of its section"))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}
