//! The fixed header and the list of sections.

use super::records::*;
use crate::bounds::CHECK_FATES;
use crate::description::records;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of the header.
pub const MAGIC: [u8; 8] = *b"WFAASOBJ";

/// Version of the format. Another version is refused. `layout.txt` is the layout that goes with it.
pub const FORMAT_VERSION: u32 = 12;

/// Where the header is in the file, in bytes.
pub const HEADER_OFFSET: usize = 512;

/// Bits of [`Header::flags`].
pub mod flags {
    /// The image was captured from an initialised instance: segments and start function have been
    /// run.
    pub const INITIALISED: u32 = 1;
    /// There is a working-set profile.
    pub const PROFILE: u32 = 2;
}

macro_rules! sections {
    ($($(#[doc = $doc:literal])+ $name:ident, $elf:literal, $record:ty;)*) => {
        /// The sections of an artifact, in file order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum SectionId { $($(#[doc = $doc])+ $name,)* }

        impl SectionId {
            /// Every section, in file order.
            pub const ALL: &'static [SectionId] = &[$(SectionId::$name,)*];

            /// The name of the ELF section.
            pub const fn elf_name(self) -> &'static str {
                match self { $(SectionId::$name => $elf,)* }
            }

            /// Bytes of one record.
            pub const fn record_size(self) -> usize {
                match self { $(SectionId::$name => size_of::<$record>(),)* }
            }
        }

        /// The sections in file order, for the description of the ABI.
        pub(crate) const SECTION_ITEMS: &[crate::description::Item] = &[$(
            crate::description::Item {
                name: concat!($elf, ": ", stringify!($record)),
                number: SectionId::$name as i64,
            },
        )*];
    };
}

sections! {
    /// Native code.
    Text, ".text", u8;
    /// All functions, in the order of the index space.
    Functions, ".wfaas.functions", FunctionRecord;
    /// Function types.
    Types, ".wfaas.types", TypeRecord;
    /// Value types of the function types, as `ValType::encode` has them.
    ValTypes, ".wfaas.valtypes", U32;
    /// Imports, in order.
    Imports, ".wfaas.imports", ImportRecord;
    /// Exports, in order.
    Exports, ".wfaas.exports", ExportRecord;
    /// Defined globals.
    Globals, ".wfaas.globals", GlobalRecord;
    /// Defined tables.
    Tables, ".wfaas.tables", TableRecord;
    /// Defined memories.
    Memories, ".wfaas.memories", MemoryRecord;
    /// Defined tags.
    Tags, ".wfaas.tags", TagRecord;
    /// Constant expressions, and the items of element segments.
    ConstOps, ".wfaas.constops", ConstOp;
    /// The steps that instantiation still has to take, in order.
    InitSteps, ".wfaas.init", InitStep;
    /// Data segments, up to the last that may still be needed.
    DataSegments, ".wfaas.datasegs", DataSegment;
    /// Element segments, up to the last that may still be needed.
    ElemSegments, ".wfaas.elemsegs", ElemSegment;
    /// Bytes of the data segments that may still be needed.
    Data, ".wfaas.data", u8;
    /// Calls with a handler of exceptions, by the text offset of the return address.
    Handlers, ".wfaas.handlers", HandlerRecord;
    /// Blocks of sites, by text offset.
    SiteBlocks, ".wfaas.siteblocks", SiteBlock;
    /// The instructions at which guest code can stop: the reason and the places in the module.
    Sites, ".wfaas.sites", u8;
    /// UTF-8 strings that the other records and the symbol table refer to, each once.
    Strings, ".wfaas.strings", u8;
    /// Bindings of a fused module, as [`component`](crate::component) has it; empty for a
    /// core module.
    Component, ".wfaas.component", u8;
    /// The checkpoint of a program that waits, as [`checkpoint`](crate::checkpoint) has it; empty for a
    /// program that begins anew.
    Checkpoint, ".wfaas.checkpoint", u8;
    /// Functions of a program that waits which go on behind a call.
    Twins, ".wfaas.twins", TwinRecord;
    /// Calls at which a program may wait again, by the text offset of the return address; none if its state is not
    /// kept then.
    StackMaps, ".wfaas.stackmaps", StackMapRecord;
    /// Sizes in WebAssembly pages of the memories in the image, by place; zero where there is none.
    MemorySizes, ".wfaas.memsizes", U64;
    /// How large warm-up requests let the memories grow, like the sizes before; zeros if there is no
    /// profile.
    ProfileSizes, ".wfaas.profilesizes", U64;
    /// The read-only tree of files, as [`bundle`](super::bundle) has it; empty if there is none.
    /// Page-aligned unless it is empty.
    Bundle, ".wfaas.bundle", u8;
    /// Which pages of the image are stored, ascending.
    ImageRuns, ".wfaas.imageruns", RunRecord;
    /// Which pages warm-up requests wrote to, ascending.
    ProfileRuns, ".wfaas.profileruns", RunRecord;
    /// The stored pages of the image. Page-aligned.
    Image, ".wfaas.image", u8;
}

/// Number of sections.
pub(super) const SECTIONS: usize = SectionId::ALL.len();

records! {
    HEADER_RECORDS = derive(
        Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
    );

    /// Position and size of a section in the file.
    SectionRef {
        /// Bytes from the start of the file.
        offset: U64,
        /// Bytes.
        size: U64,
    }

    /// The fixed header.
    Header {
        /// [`MAGIC`].
        magic: [u8; 8],
        /// [`FORMAT_VERSION`].
        version: U32,
        /// Bits of [`flags`].
        flags: U32,
        /// [`ABI_FINGERPRINT`](crate::fingerprint::ABI_FINGERPRINT) of the compiler.
        fingerprint: U64,
        /// ELF machine number of the code: 62 for x86-64.
        machine: U32,
        /// [`BoundsStrategy`](crate::BoundsStrategy).
        bounds: U32,
        /// [`CpuFeatures`](crate::cpu::CpuFeatures) the code needs.
        cpu_features: U64,
        /// Bytes of the whole file.
        file_size: U64,
        /// Bytes of state, a multiple of the host page.
        state_bytes: U64,
        /// Bytes of host context, a multiple of the host page.
        host_bytes: U64,
        /// Offset from BASE of data segment 0's dropped byte, two's complement.
        data_dropped: U32,
        /// Offset from BASE of element segment 0's dropped byte, two's complement.
        elem_dropped: U32,
        /// Index of the start function plus one, or zero.
        start: U32,
        /// Always zero.
        reserved: U32,
        /// [`BoundsStats`](crate::BoundsStats), in the order of the fates.
        accesses: [U64; CHECK_FATES],
        /// Place in the file of the ELF section header of the bundle. The section headers of image runs,
        /// profile runs and image follow it: all four are kept right when these are replaced.
        tail_shdr: U64,
        /// The sections, in the order of [`SectionId::ALL`].
        sections: [SectionRef; SECTIONS],
        /// BLAKE3 of the file with this field and `header_check` zero.
        content_hash: [u8; 32],
        /// The first eight bytes of BLAKE3 of the header with this field zero.
        header_check: [u8; 8],
    }
}

const _: () = assert!(HEADER_OFFSET + size_of::<Header>() <= crate::layout::PAGE);

impl Header {
    /// The right value of `header_check`.
    pub(super) fn expected_check(&self) -> [u8; 8] {
        let mut copy = *self;
        copy.header_check = [0; 8];
        let mut check = [0; 8];
        check.copy_from_slice(&blake3::hash(copy.as_bytes()).as_bytes()[..8]);
        check
    }
}
