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

use super::{Directory, Error, Result};
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
    /// The tree, which has its root.
    fn lock(&self) -> Result<MutexGuard<'_, Tree>> {
        let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
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
            || Arc::strong_count(&self.shared) == 1
                && self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner).is_large()
    }

    /// Whether two handles are of one tree.
    fn check_same_tree(&self, other: &Handle) -> Result<()> {
        let is_same = Arc::ptr_eq(&self.shared, &other.shared);
        if is_same { Ok(()) } else { Err(Error::CrossDevice) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut tree = self.shared.tree.lock().unwrap_or_else(PoisonError::into_inner);
        tree.close(self.node);
    }
}
