//! Errors: the reasons for which bytes are no artifact, or no proto.

use super::header::FORMAT_VERSION;
use crate::fingerprint::ABI_FINGERPRINT;

/// The reason for which this VM cannot run bytes as an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Too short for a header, or without the magic number.
    #[error("not a wfaas artifact (no header found)")]
    NotAnArtifact,
    /// A format of another version.
    #[error(
        "artifact format version {found}, this wfaas reads version {FORMAT_VERSION}: build it again"
    )]
    Version {
        /// The number in the file.
        found: u32,
    },
    /// The file is shorter or longer than its header says.
    #[error("artifact is {} : the header says {expected} bytes, the file has {actual}", if actual < expected { "truncated" } else { "too long" })]
    Size {
        /// Bytes according to the header.
        expected: u64,
        /// Bytes of the file.
        actual: u64,
    },
    /// The header's own checksum does not fit.
    #[error("artifact header is corrupted (checksum mismatch)")]
    HeaderCheck,
    /// Made by a compiler with another [fingerprint](crate::fingerprint).
    #[error(
        "artifact was built for another version of wfaas (ABI {found:016x}, this is {ABI_FINGERPRINT:016x}): build it again"
    )]
    Fingerprint {
        /// The number in the file.
        found: u64,
    },
    /// Code for another processor.
    #[error("artifact holds code for ELF machine {found}, this VM runs x86-64 (62)")]
    Machine {
        /// The number in the file.
        found: u32,
    },
    /// The processor lacks features that the code uses.
    #[error(
        "artifact needs CPU features this machine does not have: {0}; build it with --cpu for this machine"
    )]
    CpuFeatures(String),
    /// A section, record or index that cannot be.
    #[error("artifact is corrupted: {0}")]
    Corrupt(&'static str),
    /// The content does not have the hash in the header.
    #[error("artifact content does not match its hash: it was modified or damaged")]
    ContentHash,
    /// The bytes are no Proto-Faaslet file.
    #[error("not a Proto-Faaslet file (no .proto header found)")]
    NotAProto,
    /// The proto was captured from another artifact.
    #[error("the proto belongs to artifact {expected}, not to {actual}")]
    ProtoArtifact {
        /// Content hash the proto names, in hexadecimal.
        expected: String,
        /// Content hash of the artifact given, in hexadecimal.
        actual: String,
    },
}
