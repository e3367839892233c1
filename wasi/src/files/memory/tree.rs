//! The table of nodes, with their users and the room that they take.

use super::content::{FREED_AT_ONCE, Pages};
use super::node::{Content, Data, Folder, Id, Identity, Node};
use crate::files::{Directory, Error, Result, Timestamp, device};
use crate::sources::Rerun;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most that a tree in memory may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeLimits {
    /// Bytes of contents, names and tables together.
    pub bytes: u64,
    /// Files, directories and symlinks.
    pub nodes: u64,
}

impl TreeLimits {
    /// Limits for so many bytes: a node for each kibibyte.
    pub fn of_bytes(bytes: u64) -> TreeLimits {
        TreeLimits { bytes, nodes: bytes / 1024 }
    }
}

/// The root's number.
pub(super) const ROOT: Id = 0;

/// Bytes that take longer to free than a thread should be held up.
const LARGE: u64 = 2 << 20;

/// Bytes that a node counts as, besides its content.
const NODE_COST: u64 = size_of::<Option<Node>>() as u64 + 64;

/// A tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// The root of the tree below, until it is the root node's.
    lower: Option<Arc<dyn Directory>>,
    /// None at all until somebody uses the tree.
    nodes: Vec<Option<Node>>,
    unused: Vec<Id>,
    /// Nodes of the lower tree.
    pub(super) copies: HashMap<Identity, Id>,
    /// `None` until somebody uses the tree, but for one with a place.
    pub(super) device: Option<u64>,
    next_inode: u64,
    /// Times of a guest that may be run again; the host's without it.
    pub(super) times: Option<Rerun>,
    /// Bytes that it may take.
    most: u64,
    /// What is left.
    pub(super) left: TreeLimits,
    /// Large nodes that nobody uses any more. They do not count; each operation frees more of them than it
    /// can make.
    unfreed: Vec<Node>,
}

impl Tree {
    /// A tree without nodes.
    pub(super) fn new(lower: Option<Arc<dyn Directory>>, limits: TreeLimits) -> Tree {
        Tree {
            lower,
            nodes: Vec::new(),
            unused: Vec::new(),
            copies: HashMap::new(),
            device: None,
            next_inode: 1,
            times: None,
            most: limits.bytes,
            left: limits,
            unfreed: Vec::new(),
        }
    }

    /// Makes the root, if it is not there. It does not count, and stays.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.free();
        if !self.nodes.is_empty() {
            return Ok(());
        }
        let mut root = match &self.lower {
            None => {
                let content = Content::Directory(Folder::default());
                // It is told when somebody asks for it.
                let now = self.time(Rerun::untold_file_time);
                Node::new(self.new_identity(), content, now)
            }
            Some(lower) => {
                let folder = Folder { lower: Some(lower.clone()), ..Folder::default() };
                Node::copy(&lower.stat()?, Content::Directory(folder))
            }
        };
        root.changed = true;
        self.lower = None;
        if root.is_copy {
            self.copies.insert(root.identity, ROOT);
        }
        self.nodes.push(Some(root));
        Ok(())
    }

    /// Frees some of what nobody uses any more.
    fn free(&mut self) {
        let mut most = FREED_AT_ONCE;
        while let Some(node) = self.unfreed.last_mut() {
            most = node.shed(most);
            if most == 0 {
                return;
            }
            self.unfreed.pop();
        }
    }

    /// Whether there are names, or nodes that are not as in the lower tree. Times of the root do not count.
    pub(super) fn is_changed(&self) -> bool {
        let is_changed = |(id, node): (Id, &Option<Node>)| {
            node.as_ref().is_some_and(|node| match id {
                ROOT => node.folder().is_some_and(|folder| folder.entries.cost_of_all() > 0),
                _ => node.changed,
            })
        };
        self.nodes.iter().enumerate().any(is_changed)
    }

    /// Whether it takes long to free.
    pub(super) fn is_large(&self) -> bool {
        self.most - self.left.bytes > LARGE || !self.unfreed.is_empty()
    }

    /// A node that has users.
    pub(super) fn node(&self, id: Id) -> &Node {
        self.nodes[id].as_ref().expect("a node stays as long as it has names or handles")
    }

    /// A node that has users.
    pub(super) fn node_mut(&mut self, id: Id) -> &mut Node {
        self.nodes[id].as_mut().expect("a node stays as long as it has names or handles")
    }

    /// A file's node, and the bytes that are left for it.
    pub(super) fn pages(&mut self, id: Id) -> Result<(&mut Pages, &mut u64)> {
        let content = self.nodes[id].as_mut().map(|node| &mut node.content);
        match content {
            Some(Content::File(Data::Own(pages))) => Ok((pages, &mut self.left.bytes)),
            _ => Err(Error::Io),
        }
    }

    fn new_identity(&mut self) -> Identity {
        let inode = self.next_inode;
        self.next_inode += 1;
        (*self.device.get_or_insert_with(device::next), inode)
    }

    /// The present time.
    pub(super) fn now(&self) -> Timestamp {
        self.time(Rerun::file_time)
    }

    /// The present time, as it is in a run that may be repeated.
    fn time(&self, in_run: fn(&Rerun, u64) -> u64) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Timestamp(self.times.as_ref().map_or(now, |times| in_run(times, now)))
    }

    /// A node whose content has changed.
    pub(super) fn modified(&mut self, id: Id) -> &mut Node {
        let now = self.now();
        let node = self.node_mut(id);
        node.modify(now);
        node
    }

    /// Takes bytes of the limit.
    ///
    /// # Errors
    /// [`Error::NoSpace`] if they are not left.
    pub(super) fn take(&mut self, bytes: u64) -> Result<()> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or(Error::NoSpace)?;
        Ok(())
    }

    fn take_node(&mut self, content: u64) -> Result<()> {
        let nodes = self.left.nodes.checked_sub(1).ok_or(Error::NoSpace)?;
        self.take(NODE_COST + content)?;
        self.left.nodes = nodes;
        Ok(())
    }

    /// Makes a node with a name, which the caller has to give it.
    ///
    /// # Errors
    /// [`Error::NoSpace`].
    pub(super) fn create(&mut self, content: Content) -> Result<Id> {
        let node = Node::new((0, 0), content, self.now());
        self.take_node(node.content_cost())?;
        let identity = self.new_identity();
        Ok(self.insert(Node { identity, ..node }))
    }

    /// Adds a node, which counts already if it has to.
    pub(super) fn insert(&mut self, node: Node) -> Id {
        match self.unused.pop() {
            Some(id) => {
                self.nodes[id] = Some(node);
                id
            }
            None => {
                self.nodes.push(Some(node));
                self.nodes.len() - 1
            }
        }
    }

    /// Has a node count that is about to be changed.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; the node is forgotten then, if nobody uses it.
    pub(super) fn change(&mut self, id: Id) -> Result<()> {
        if self.node(id).changed {
            return Ok(());
        }
        let taken = self.take_node(self.node(id).content_cost());
        if taken.is_ok() {
            self.node_mut(id).changed = true;
        } else {
            self.release(id);
        }
        taken
    }

    /// Counts a handle.
    pub(super) fn open(&mut self, id: Id) {
        self.node_mut(id).handles += 1;
    }

    /// Counts a handle less. The root's first one is not counted.
    pub(super) fn close(&mut self, id: Id) {
        if id != ROOT {
            self.node_mut(id).handles -= 1;
            self.release(id);
        }
    }

    /// Takes a name from a node.
    pub(super) fn unname(&mut self, id: Id) {
        let now = self.now();
        let node = self.node_mut(id);
        node.links = node.links.saturating_sub(1);
        node.status_changed = now;
        if node.kind() == crate::files::FileType::Directory {
            node.links = 0;
            if let Some(folder) = node.folder_mut() {
                // Numbers of nodes are used again.
                folder.parent = None;
            }
        }
        self.release(id);
    }

    /// Forgets a node if it has neither names nor handles, or is as in the lower tree.
    pub(super) fn release(&mut self, id: Id) {
        let node = self.node(id);
        let is_needed = node.handles > 0 || id == ROOT || node.links > 0 && node.changed;
        if is_needed {
            return;
        }
        let Some(node) = self.nodes[id].take() else { return };
        self.unused.push(id);
        if node.is_copy {
            self.copies.remove(&node.identity);
        }
        if node.changed {
            self.left.nodes += 1;
            self.left.bytes += NODE_COST + node.content_cost();
        }
        if node.content_cost() > LARGE {
            self.unfreed.push(node);
        }
    }
}
