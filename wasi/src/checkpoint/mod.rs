//! Checkpoints: all that a program that waits has outside of its memory, [saved](Wasi::checkpoint) and
//! [restored](Wasi::restore).
//!
//! A descriptor is saved as its *origin*: the stream or directory of the start that it is, or a path from one of
//! those directories. So an instance whose descriptors are to be saved [notes](Wasi::note_origins) the paths of
//! what it opens. Files are opened again when they are first used.

mod restore;
mod save;
mod tree;

pub(crate) use restore::Start;
pub use restore::{RestoreError, Restored};
pub use save::{Saved, SavedTree, Unsaved};

use crate::files::MAX_PATH;

/// Where a descriptor is from.
#[derive(Debug, Default)]
pub(crate) enum Origin {
    /// Nobody knows.
    #[default]
    Unknown,
    /// The stream of this number, from the start.
    Stream(u32),
    /// The directory with this place among those open from the start.
    Preopen(u32),
    /// A path from one of those.
    Opened(Box<Opened>),
}

/// A path from a directory that was open from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) tree: u32,
    pub(crate) path: String,
    /// Whether it was opened to read.
    pub(crate) read: bool,
    /// Whether it was opened to write.
    pub(crate) write: bool,
}

impl Origin {
    /// The origin of something that is opened by a path from here. A path that is longer than paths may be is not
    /// noted: a guest opens directories below each other without end.
    pub(crate) fn below(&self, path: &str, read: bool, write: bool) -> Origin {
        let (tree, path) = match self {
            Origin::Preopen(tree) => (*tree, path.to_owned()),
            Origin::Opened(opened) if opened.path.len() + 1 + path.len() <= MAX_PATH => {
                (opened.tree, format!("{}/{path}", opened.path))
            }
            Origin::Opened(_) => return Origin::Unknown,
            Origin::Unknown | Origin::Stream(_) => return Origin::Unknown,
        };
        Origin::Opened(Box::new(Opened { tree, path, read, write }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noted_paths_are_as_short_as_paths() {
        let step = "./".repeat(MAX_PATH / 4);
        let mut origin = Origin::Preopen(0);
        let mut steps = 0;
        while !matches!(origin, Origin::Unknown) {
            origin = origin.below(&step, true, false);
            steps += 1;
            assert!(!matches!(&origin, Origin::Opened(one) if one.path.len() > MAX_PATH));
        }
        assert_eq!(steps, 3);
    }
}
