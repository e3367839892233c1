//! The bundle: a read-only tree of files in an artifact, read where it is mapped.
//!
//! ```text
//!   0            8            12           16           24           32
//!   +------------+------------+------------+------------+------------+
//!   | magic      | version    | nodes      | names      | contents   |   BundleHeader
//!   | "WFAASFS\0"| 1          | their      | bytes of   | bytes of   |
//!   |            |            | number     | names      | contents   |
//!   +------------+------------+------------+------------+------------+
//!   32   BundleNode x nodes, 40 bytes each
//!
//!   +0    parent   index of the directory that it is in; the root's own
//!   +4    kind     0 directory, 1 file, 2 symbolic link
//!   +8    name     range of the names; the root's is empty
//!   +16   mtime    seconds since 1970, two's complement
//!   +24   start    directory: index of its first child
//!                  file, link: first byte, from the start of the contents
//!   +32   size     directory: number of children; file: bytes; link: bytes of the target
//!
//!   ...  names, UTF-8, without zeros between them
//!   ...  contents, from a multiple of 16; each file starts at a multiple of 16
//! ```
//!
//! Node 0 is the root. Nodes are sorted by parent, then by the bytes of their names, and so each
//! directory's children follow each other: a name is found by binary search. A node comes after its
//! parent, so that no walk down a damaged tree is endless.
//!
//! | limit | |
//! |---|---|
//! | nodes | [`MAX_NODES`] |
//! | a name | [`MAX_NAME`] bytes |
//! | the target of a link | [`MAX_TARGET`] bytes |
//! | names and contents together | [`MAX_BYTES`] |
//!
//! [`Bundle::parse`] takes constant time: it checks the header. The ranges of a node are checked
//! when the node is used; [`Bundle::check`] reads all nodes, for an artifact that comes from elsewhere.
//! All of it is bytes of the artifact, so its content hash covers them.

mod reader;
mod set;
mod writer;

pub use reader::{Bundle, BundleStats, Node};
pub use set::set_bundle;
pub use writer::{BundleError, BundleWriter};

use super::records::numbered;
use crate::description::{Item, records};
use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First eight bytes of a bundle.
pub const BUNDLE_MAGIC: [u8; 8] = *b"WFAASFS\0";

/// Version of the bundle's own format.
pub const BUNDLE_VERSION: u32 = 1;

/// Most nodes, the root included.
pub const MAX_NODES: usize = 1 << 20;

/// Most bytes of a name.
pub const MAX_NAME: usize = 255;

/// Most bytes of the target of a symbolic link.
pub const MAX_TARGET: usize = 4095;

/// Most bytes of names and contents together.
pub const MAX_BYTES: u64 = 512 << 20;

/// Files start at multiples of this, in bytes.
pub const CONTENT_ALIGN: usize = 16;

records! {
    BUNDLE_RECORDS = derive(
        Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
    );

    /// The header of a bundle.
    BundleHeader {
        /// [`BUNDLE_MAGIC`].
        magic: [u8; 8],
        /// [`BUNDLE_VERSION`].
        version: U32,
        /// Number of nodes.
        nodes: U32,
        /// Bytes of names.
        names: U64,
        /// Bytes of contents.
        contents: U64,
    }

    /// A directory, a file or a symbolic link.
    BundleNode {
        /// Index of the directory that it is in.
        parent: U32,
        /// `NodeKind` as a number.
        kind: U32,
        /// Name, in the names.
        name: super::records::Range,
        /// Time of the last change, in seconds since 1970.
        mtime: I64,
        /// First byte in the contents, or index of the first child.
        start: U64,
        /// Bytes, or number of children.
        size: U64,
    }
}

numbered! {
    /// The kinds of nodes of a bundle.
    NodeKind, NODE_KINDS {
        /// A directory.
        Directory = 0,
        /// A file.
        File = 1,
        /// A symbolic link.
        Link = 2,
    }
}

/// Why a name cannot be one in a bundle, if it cannot.
pub(super) fn refused_name(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("it is empty"),
        b"." | b".." => Some("it stands for a directory"),
        _ if name.len() > MAX_NAME => Some("it has more than 255 bytes"),
        _ if name.iter().any(|byte| matches!(byte, b'/' | 0)) => Some("it has a slash or a zero"),
        _ if std::str::from_utf8(name).is_err() => Some("it is not UTF-8"),
        _ => None,
    }
}
