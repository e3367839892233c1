//! The checkpoint of a program that waits: all that the program has outside of its memory and its frames.
//!
//! ```text
//!   CheckpointHeader
//!   Range x arguments         in the strings
//!   VariableRow x variables
//!   Range x directories       names of the directories that were open from the start
//!   DescriptorRow x descriptors, ascending
//!   ReseedRow x reseeds, ascending, none over another
//!   strings                   UTF-8, without zeros between them
//! ```
//!
//! The word "checkpoint" is from process checkpointing (CRIU). A variable's value is not here: a digest of it is
//! enough to notice another value.
//!
//! | limit | |
//! |---|---|
//! | arguments, variables, directories, descriptors, reseeds, each | [`MAX_ROWS`] |
//! | bytes of strings, each time one is used | [`MAX_TEXT`] |
//! | bytes to reseed together | [`MAX_RESEEDED`] |

mod reader;
pub mod records;
mod writer;

pub(crate) use records::{CHECKPOINT_RECORDS, DESCRIPTOR_KINDS, access};
pub use records::{CHECKPOINT_VERSION, DescriptorKind};
pub use writer::CheckpointTooLarge;

/// Most arguments, variables, directories, descriptors and reseeds, each.
pub const MAX_ROWS: usize = 1 << 16;

/// Most bytes of strings together; a string counts each time it is used.
pub const MAX_TEXT: usize = 8 << 20;

/// Most bytes to reseed together: each request waits until they are filled.
pub const MAX_RESEEDED: u64 = 1 << 20;

/// The state of a program that waits outside of its memory and its frames, and the arguments and variables that
/// the program was captured with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the guest ABI.
    pub abi: String,
    /// The imported function that it waits in: module and name. `None` if it waits for standard input.
    pub until: Option<(String, String)>,
    /// The program's arguments, its name first.
    pub arguments: Vec<String>,
    /// Its environment variables.
    pub variables: Vec<Variable>,
    /// Names of the directories that were open from the start, in the order of their descriptors.
    pub directories: Vec<String>,
    /// The guest's name for the artifact's bundle; empty for `/`.
    pub root: String,
    /// The descriptors that are open, ascending by number.
    pub descriptors: Vec<SavedDescriptor>,
    /// Time of the monotonic clock, in nanoseconds.
    pub monotonic: u64,
    /// The things that the program has asked the host for.
    pub learned: Learned,
    /// Bytes of memory that are random in each instance.
    pub reseeds: Vec<Reseed>,
}

/// An environment variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The first eight bytes of BLAKE3 of its value.
    pub digest: [u8; 8],
}

impl Variable {
    /// A variable with this value.
    pub fn new(name: &str, value: &str) -> Variable {
        let mut digest = [0; 8];
        digest.copy_from_slice(&blake3::hash(value.as_bytes()).as_bytes()[..8]);
        Variable { name: name.to_owned(), digest }
    }
}

/// A range of memory that gets random bytes in each instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reseed {
    /// Address of the first byte in memory 0.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A descriptor that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDescriptor {
    /// Its number.
    pub number: u32,
    /// The thing that it stands for.
    pub object: SavedObject,
    /// Rights, as preview1 numbers them.
    pub rights: u64,
    /// Rights of descriptors that are opened through it.
    pub inheriting: u64,
    /// Flags, as preview1 numbers them.
    pub flags: u16,
}

/// The thing that a descriptor stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedObject {
    /// The stream that had this number at the start.
    Stream(u32),
    /// A directory that was open from the start, by its place among them.
    Preopen(u32),
    /// A file.
    File(SavedFile),
    /// A directory below one that was open from the start.
    Directory {
        /// The place of that one among them.
        tree: u32,
        /// Path from there.
        path: String,
    },
}

/// An open file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFile {
    /// The directory that its path begins at, by its place among those open from the start.
    pub tree: u32,
    /// Path from there.
    pub path: String,
    /// Whether it is open to read.
    pub read: bool,
    /// Whether it is open to write.
    pub write: bool,
    /// Bytes before the next one that is read or written.
    pub position: u64,
    /// The file as it was, if it is one of the host.
    pub host: Option<SavedStat>,
}

/// A file of the host as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedStat {
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, in nanoseconds since 1970.
    pub modified: u64,
}

macro_rules! learned {
    ($($(#[doc = $doc:literal])+ $name:ident = $bit:literal, $text:literal;)*) => {
        /// A set of things that a program has asked the host for.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Learned(pub u32);

        impl Learned {
            $($(#[doc = $doc])+ pub const $name: Learned = Learned(1 << $bit);)*

            /// The bits in use.
            pub(crate) const ALL: u32 = 0 $(| 1 << $bit)*;

            /// Names of the things in the set.
            pub fn names(self) -> Vec<&'static str> {
                let all = [$((Learned::$name, $text)),*];
                all.iter().filter(|(one, _)| self.has(*one)).map(|(_, text)| *text).collect()
            }
        }
    };
}

learned! {
    /// Its arguments.
    ARGUMENTS = 0, "arguments";
    /// Its environment variables.
    VARIABLES = 1, "environment variables";
    /// Random bytes.
    RANDOM = 2, "random bytes";
    /// The time of day.
    WALL_CLOCK = 3, "the time of day";
    /// The monotonic clock.
    MONOTONIC = 4, "the monotonic clock";
}

impl Learned {
    /// Whether all of `others` are in the set.
    pub fn has(self, others: Learned) -> bool {
        self.0 & others.0 == others.0
    }

    /// Adds `others`.
    #[inline]
    pub fn add(&mut self, others: Learned) {
        self.0 |= others.0;
    }
}
