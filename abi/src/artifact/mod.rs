//! The artifact format: a compiled module in one ELF64 file.
//!
//! ```text
//!   0      ELF header and program headers, for Linux tools
//!   512    Header: magic, versions, hashes, and where each section is
//!   4096   text, page-aligned (position independent, no relocations)
//!   ...    the records of the other sections, in the order of `SectionId`
//!   ...    .eh_frame, .symtab, section headers
//!   last   bundle, image runs, profile runs, and image pages, page-aligned: replaced when files are
//!          added, a proto is captured or a profile recorded, and so are the sizes of the memories
//! ```
//!
//! All numbers are little-endian. Every section but the image, the sites, the [`component`](crate::component), the [`checkpoint`](crate::checkpoint) and the [`bundle`] is an array of one of the
//! fixed-width records of [`records`]; nothing is parsed when an artifact is loaded. [`Artifact::parse`] takes
//! constant time: it checks the header and that every section lies inside the file. The indices
//! inside records are checked when they are used; [`Artifact::verify`] checks the content hash.
//!
//! Bytes are an artifact only once `parse` said so.

pub mod bundle;
mod code_map;
mod error;
mod header;
mod image;
mod profile;
mod proto;
mod reader;
pub mod records;
mod relocate;
mod sites;
mod writer;

pub use error::ArtifactError;
pub use header::{FORMAT_VERSION, HEADER_OFFSET, Header, MAGIC, SectionId, SectionRef, flags};
pub(crate) use header::{HEADER_RECORDS, SECTION_ITEMS};
pub use image::{ImagePart, ImageRef};
pub use profile::{MAX_PROFILE_PAGES, Profile, ProfilePart, ProfileRef, set_profile};
pub(crate) use proto::PROTO_RECORDS;
pub use proto::{PROTO_MAGIC, Proto, ProtoHeader, write_proto};
pub use reader::Artifact;
pub use relocate::relocate_references;
pub use sites::{MAX_PLACES, SITES_IN_BLOCK, Site, SiteWriter, Sites};
pub use writer::{Sections, replace_image, seal};
