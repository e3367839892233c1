//! The writer of bundles: collects a tree, and lays it out.

use super::{
    BUNDLE_MAGIC, BUNDLE_VERSION, BundleHeader, BundleNode, CONTENT_ALIGN, MAX_BYTES, MAX_NODES,
    MAX_TARGET, NodeKind, refused_name,
};
use crate::artifact::records::Range;
use std::collections::BTreeMap;
use zerocopy::IntoBytes;

/// Why something cannot be in a bundle. Paths are as they were given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A part of a path that is no name.
    #[error("{path:?} cannot be in a bundle: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What about it.
        reason: &'static str,
    },
    /// A path with a file before its end, or two things at one path.
    #[error("{0:?} is there already, as something else")]
    Taken(String),
    /// The target of a link.
    #[error("the target of {0:?} is empty, has a zero, or more than {MAX_TARGET} bytes")]
    Target(String),
    /// More nodes than there may be.
    #[error("{0:?} is one file too many: a bundle has at most {MAX_NODES} files and folders")]
    TooMany(String),
    /// More bytes than there may be.
    #[error("{0:?} is too large: a bundle has at most {MAX_BYTES} bytes")]
    TooLarge(String),
}

/// A tree while it is collected. Paths are relative to the root, with or without a slash before
/// them; directories on the way to a path are made, with time zero until they are added.
#[derive(Debug)]
pub struct BundleWriter {
    nodes: Vec<Collected>,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Collected {
    mtime: i64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Directory(BTreeMap<String, usize>),
    File(Vec<u8>),
    Link(String),
}

impl Default for Content {
    fn default() -> Content {
        Content::Directory(BTreeMap::new())
    }
}

impl Content {
    /// Bytes of a file, or of a link's target.
    fn bytes(&self) -> &[u8] {
        match self {
            Content::Directory(_) => &[],
            Content::File(bytes) => bytes,
            Content::Link(target) => target.as_bytes(),
        }
    }
}

impl Default for BundleWriter {
    fn default() -> BundleWriter {
        BundleWriter { nodes: vec![Collected::default()], bytes: 0 }
    }
}

impl BundleWriter {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Bytes of names and contents so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a directory, or gives one that is there its time, in seconds since 1970.
    ///
    /// # Errors
    /// [`BundleError`] names the path.
    pub fn directory(&mut self, path: &str, mtime: i64) -> Result<(), BundleError> {
        let node = self.directory_at(path, path)?;
        self.nodes[node].mtime = mtime;
        Ok(())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`BundleError`] names the path.
    pub fn file(&mut self, path: &str, mtime: i64, content: Vec<u8>) -> Result<(), BundleError> {
        self.count(path, content.len())?;
        self.add(path, Collected { mtime, content: Content::File(content) })
    }

    /// Adds a symbolic link. Its target is not followed.
    ///
    /// # Errors
    /// [`BundleError`] names the path.
    pub fn link(&mut self, path: &str, mtime: i64, target: &str) -> Result<(), BundleError> {
        if target.is_empty() || target.len() > MAX_TARGET || target.contains('\0') {
            return Err(BundleError::Target(path.to_owned()));
        }
        self.count(path, target.len())?;
        self.add(path, Collected { mtime, content: Content::Link(target.to_owned()) })
    }

    fn add(&mut self, path: &str, node: Collected) -> Result<(), BundleError> {
        let (parent, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        let parent = self.directory_at(parent, path)?;
        self.check_name(name, path)?;
        let number = self.nodes.len();
        let Content::Directory(children) = &mut self.nodes[parent].content else {
            return Err(BundleError::Taken(path.to_owned()));
        };
        if children.contains_key(name) {
            return Err(BundleError::Taken(path.to_owned()));
        }
        children.insert(name.to_owned(), number);
        self.nodes.push(node);
        Ok(())
    }

    /// The directory at `path`, which is made if it is not there; `whole` for messages.
    fn directory_at(&mut self, path: &str, whole: &str) -> Result<usize, BundleError> {
        let mut at = 0;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let taken = || BundleError::Taken(whole.to_owned());
            let Content::Directory(children) = &self.nodes[at].content else { return Err(taken()) };
            at = match children.get(name) {
                Some(child) => *child,
                None => self.make_directory(at, name, whole)?,
            };
        }
        match &self.nodes[at].content {
            Content::Directory(_) => Ok(at),
            _ => Err(BundleError::Taken(whole.to_owned())),
        }
    }

    fn make_directory(&mut self, at: usize, name: &str, whole: &str) -> Result<usize, BundleError> {
        self.check_name(name, whole)?;
        let number = self.nodes.len();
        if let Content::Directory(children) = &mut self.nodes[at].content {
            children.insert(name.to_owned(), number);
        }
        self.nodes.push(Collected::default());
        Ok(number)
    }

    /// Checks a new node's name, and that there is room for it.
    fn check_name(&mut self, name: &str, path: &str) -> Result<(), BundleError> {
        if let Some(reason) = refused_name(name.as_bytes()) {
            return Err(BundleError::Path { path: path.to_owned(), reason });
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(BundleError::TooMany(path.to_owned()));
        }
        self.count(path, name.len())
    }

    /// Counts bytes of a name or of contents, with the space after them.
    fn count(&mut self, path: &str, bytes: usize) -> Result<(), BundleError> {
        self.bytes += bytes.next_multiple_of(CONTENT_ALIGN) as u64;
        if self.bytes > MAX_BYTES {
            return Err(BundleError::TooLarge(path.to_owned()));
        }
        Ok(())
    }

    /// The bytes of the bundle. The same tree gives the same bytes, in whatever order it was added.
    pub fn finish(self) -> Vec<u8> {
        let order = self.order();
        let names: String = order.iter().map(|(_, name, _)| *name).collect();
        let (records, contents) = self.records(&order);
        let header = BundleHeader {
            magic: BUNDLE_MAGIC,
            version: BUNDLE_VERSION.into(),
            nodes: (records.len() as u32).into(),
            names: (names.len() as u64).into(),
            contents: contents.into(),
        };
        let mut file = [header.as_bytes(), records.as_bytes(), names.as_bytes()].concat();
        file.resize(file.len().next_multiple_of(CONTENT_ALIGN), 0);
        file.reserve(contents as usize);
        for (_, _, number) in &order {
            file.extend_from_slice(self.nodes[*number].content.bytes());
            file.resize(file.len().next_multiple_of(CONTENT_ALIGN), 0);
        }
        file
    }

    /// The records of nodes in this order, and the bytes of all contents.
    fn records(&self, order: &[(u32, &str, usize)]) -> (Vec<BundleNode>, u64) {
        let (mut names, mut next_child, mut contents) = (0, 1, 0);
        let record = |(parent, name, number): &(u32, &str, usize)| {
            let Collected { mtime, content } = &self.nodes[*number];
            let name = Range { start: u32::into(names), len: (name.len() as u32).into() };
            names += name.len.get();
            let bytes = content.bytes().len() as u64;
            let (kind, start, size) = match content {
                Content::Directory(children) => {
                    (NodeKind::Directory, next_child, children.len() as u64)
                }
                Content::File(_) => (NodeKind::File, contents, bytes),
                Content::Link(_) => (NodeKind::Link, contents, bytes),
            };
            match kind {
                NodeKind::Directory => next_child += size,
                NodeKind::File | NodeKind::Link => {
                    contents += bytes.next_multiple_of(CONTENT_ALIGN as u64);
                }
            }
            BundleNode {
                parent: (*parent).into(),
                kind: (kind as u32).into(),
                name,
                mtime: (*mtime).into(),
                start: start.into(),
                size: size.into(),
            }
        };
        (order.iter().map(record).collect(), contents)
    }

    /// The nodes in the order of the format, breadth first: index of the parent, name, number here.
    fn order(&self) -> Vec<(u32, &str, usize)> {
        let mut order = vec![(0, "", 0)];
        let mut at = 0;
        while let Some((_, _, number)) = order.get(at) {
            if let Content::Directory(children) = &self.nodes[*number].content {
                let children = children.iter();
                order.extend(children.map(|(name, child)| (at as u32, name.as_str(), *child)));
            }
            at += 1;
        }
        order
    }
}
