//! Trees in memory, by themselves or over another tree.
//!
//! A tree is the table of its *nodes* behind one lock. A handle, which is an open directory or file,
//! has the number of a node, and counts as one of its users: a node goes once it has neither names nor
//! handles. There is nothing but an empty table until somebody uses the tree, and nothing is left
//! when its last handle is closed.
//!
//! ```text
//!  handle ─→ node 0 ─ lower ─→ directory of the lower tree
//!              │ entries: name → node │ whiteout
//!              └→ node 7: pages of bytes, or a file of the lower tree that nobody wrote to
//!
//!  copies: device and inode of the lower tree → node
//! ```
//!
//! In an *overlay* a directory has another one below it, of a tree that is never changed. A name that
//! has no entry is looked up there. A file or directory of the lower tree gets a node while it is open,
//! and keeps it once it is changed: `copies` finds it by whichever name it is reached. Bytes are copied
//! up before the first write to them. A *whiteout* hides a name of the lower directory. As in Linux's
//! overlayfs, a directory of the lower tree cannot be renamed ([`Error::CrossDevice`]); tools copy it.
//!
//! Bytes and nodes are limited ([`TreeLimits`]): whatever the guest can make grow counts, with the
//! tables around it. The data of the lower tree does not.
//!
//! No operation takes long. What is long is done in parts: [`Error::Unfinished`] says that there are more,
//! and the node remembers how far it has come. What nobody uses any more is freed in parts as well, by
//! operations that follow.

mod adopt;
mod change;
mod content;
mod directory;
mod entries;
mod file;
mod node;
mod tree;

pub use tree::TreeLimits;

use super::{Directory, Error, Result, device};
use crate::sources::Rerun;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::{ROOT, Tree};

/// An open directory of a tree in memory.
#[derive(Debug)]
pub struct MemoryDirectory(Handle);

impl MemoryDirectory {
    /// The root of an empty tree.
    pub fn root(limits: TreeLimits) -> MemoryDirectory {
        MemoryDirectory::of(Tree::new(None, limits), false)
    }

    /// The root of a tree over another one, which stays as it is, and is no overlay itself: cookies of
    /// listings have one bit for the two.
    pub fn over(lower: Arc<dyn Directory>, limits: TreeLimits) -> MemoryDirectory {
        let blocks = lower.blocks();
        MemoryDirectory::of(Tree::new(Some(lower), limits), blocks)
    }

    /// The same tree, whose files have a device number that is the same in each run of its guest: no two trees
    /// of a guest may have one place. To be called before anybody uses it.
    pub fn at_place(self, place: u32) -> MemoryDirectory {
        self.0.shared.tree_as_it_is().device = Some(device::of_place(place));
        self
    }

    /// Has the times of files come from a run that is noted, or from one before. To be called before anybody
    /// uses the tree.
    pub(crate) fn set_rerun(&self, rerun: Rerun) {
        self.0.shared.tree_as_it_is().times = Some(rerun);
    }

    /// Whether anything in the tree is not as it began.
    pub(crate) fn is_changed(&self) -> bool {
        self.0.shared.tree_as_it_is().is_changed()
    }

    fn of(tree: Tree, blocks: bool) -> MemoryDirectory {
        let shared = Arc::new(Shared { blocks, tree: Mutex::new(tree) });
        MemoryDirectory(Handle { shared, node: ROOT })
    }
}

/// A tree, shared by its handles.
#[derive(Debug)]
struct Shared {
    /// Whether the lower tree asks the kernel.
    blocks: bool,
    tree: Mutex<Tree>,
}

impl Shared {
    /// The tree, which may have no root yet.
    fn tree_as_it_is(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree, which has its root.
    fn lock(&self) -> Result<MutexGuard<'_, Tree>> {
        let mut tree = self.tree_as_it_is();
        tree.begin()?;
        Ok(tree)
    }
}

/// A user of a node, which is counted there.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    node: node::Id,
}

impl Handle {
    /// Another node of the tree, which counts the handle already.
    fn to(&self, node: node::Id) -> Handle {
        Handle { shared: self.shared.clone(), node }
    }

    /// Whether nobody else has a handle of a tree that takes long to free, or whose lower tree asks the kernel.
    fn closes_slowly(&self) -> bool {
        self.shared.blocks
            || Arc::strong_count(&self.shared) == 1 && self.shared.tree_as_it_is().is_large()
    }

    /// Whether two handles are of one tree.
    fn check_same_tree(&self, other: &Handle) -> Result<()> {
        let is_same = Arc::ptr_eq(&self.shared, &other.shared);
        if is_same { Ok(()) } else { Err(Error::CrossDevice) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.tree_as_it_is().close(self.node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_asks_for_the_time_of_a_root_is_told_one() {
        let run = Rerun::first().unwrap();
        let root = MemoryDirectory::root(TreeLimits::of_bytes(1 << 20));
        root.set_rerun(run.clone());
        assert!(root.list(0, 10).unwrap().is_empty());
        assert!(!run.has_file_times());
        let time = root.stat().unwrap().modified;
        assert!(run.has_file_times());
        let again = run.again(crate::Source::RandomBytes).unwrap().unwrap();
        let root = MemoryDirectory::root(TreeLimits::of_bytes(1 << 20));
        root.set_rerun(again.clone());
        root.create_directory("made").unwrap();
        assert!(again.has_file_times());
        assert_eq!(root.stat().unwrap().accessed, time);
    }
}
