//! The fixed-width rows of the section.

use crate::artifact::records::{Range, numbered};
use crate::description::{Item, records};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of the section.
pub(super) const CHECKPOINT_MAGIC: [u8; 8] = *b"WFAASCP\0";

/// Version of the section's own format.
pub const CHECKPOINT_VERSION: u32 = 1;

/// Bits of a descriptor's `access`.
pub(crate) mod access {
    /// Open to read.
    pub(crate) const READ: u32 = 1;
    /// Open to write.
    pub(crate) const WRITE: u32 = 2;
    /// A file of the host: size and time of its last change are there.
    pub(crate) const HOST: u32 = 4;
}

records! {
    CHECKPOINT_RECORDS = derive(
        Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
    );

    /// The header of the section.
    CheckpointHeader {
        /// The magic number of the section.
        magic: [u8; 8],
        /// [`CHECKPOINT_VERSION`].
        version: U32,
        /// Bits of `Learned`.
        learned: U32,
        /// Time of the monotonic clock, in nanoseconds.
        monotonic: U64,
        /// Name of the guest ABI, in the strings.
        abi: Range,
        /// Module name of the import that it waits in; empty, with the name, for standard input.
        until_module: Range,
        /// Field name of the import.
        until_name: Range,
        /// The guest's name for the bundle; empty for `/`.
        root: Range,
        /// Number of arguments.
        arguments: U32,
        /// Number of variables.
        variables: U32,
        /// Number of directories.
        directories: U32,
        /// Number of descriptors.
        descriptors: U32,
        /// Number of reseeds.
        reseeds: U32,
        /// Bytes of strings.
        strings: U32,
    }

    /// An environment variable.
    VariableRow {
        /// Name, in the strings.
        name: Range,
        /// The first eight bytes of BLAKE3 of the value.
        digest: [u8; 8],
    }

    /// An open descriptor.
    DescriptorRow {
        /// Its number.
        number: U32,
        /// `DescriptorKind` as a number.
        kind: U32,
        /// Number of the stream, or the directory's place among those open from the start.
        tree: U32,
        /// Bits of `access`.
        access: U32,
        /// Path from the directory, in the strings.
        path: Range,
        /// Rights.
        rights: U64,
        /// Rights of descriptors that are opened through it.
        inheriting: U64,
        /// Position in a file.
        position: U64,
        /// Size of a file of the host.
        size: U64,
        /// Last change of a file of the host, in nanoseconds since 1970.
        modified: U64,
        /// Flags.
        flags: U32,
    }

    /// A range of memory that gets random bytes.
    ReseedRow {
        /// Address in memory 0.
        address: U64,
        /// Bytes.
        bytes: U64,
    }
}

numbered! {
    /// The kinds of descriptors.
    DescriptorKind, DESCRIPTOR_KINDS {
        /// A stream of the start.
        Stream = 0,
        /// A directory that was open from the start.
        Preopen = 1,
        /// A file.
        File = 2,
        /// A directory.
        Directory = 3,
    }
}
