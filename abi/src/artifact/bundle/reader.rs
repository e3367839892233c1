//! A bundle as a view of its bytes. Nothing here panics or reads outside of them, whatever they hold.

use super::{
    BUNDLE_MAGIC, BUNDLE_VERSION, BundleHeader, BundleNode, CONTENT_ALIGN, MAX_BYTES, MAX_NODES,
    MAX_TARGET, NodeKind, refused_name,
};
use crate::artifact::error::ArtifactError;
use zerocopy::FromBytes;

/// A parsed bundle: a view of its bytes, cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    nodes: &'a [BundleNode],
    names: &'a [u8],
    contents: &'a [u8],
}

/// A directory, a file or a symbolic link of a bundle.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    bundle: Bundle<'a>,
    index: u32,
    record: &'a BundleNode,
}

/// How much is in a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BundleStats {
    /// Directories, the root included.
    pub directories: u64,
    /// Files.
    pub files: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

impl<'a> Bundle<'a> {
    /// Checks the header and that all parts lie inside, in constant time.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if they do not.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        let (header, rest) = BundleHeader::ref_from_prefix(bytes)
            .map_err(|_| ArtifactError::Corrupt("the bundle has no header"))?;
        if header.magic != BUNDLE_MAGIC || header.version != BUNDLE_VERSION {
            return Err(ArtifactError::Corrupt("the bundle is of another version"));
        }
        let outside = ArtifactError::Corrupt("a part of the bundle is outside of it");
        let count = header.nodes.get() as usize;
        if count == 0 || count > MAX_NODES {
            return Err(ArtifactError::Corrupt("the bundle has an impossible number of nodes"));
        }
        let (names, contents) = (header.names.get(), header.contents.get());
        if names.saturating_add(contents) > MAX_BYTES {
            return Err(ArtifactError::Corrupt("the bundle is too large"));
        }
        let (nodes, rest) =
            <[BundleNode]>::ref_from_prefix_with_elems(rest, count).map_err(|_| outside.clone())?;
        let (names, rest) = rest.split_at_checked(names as usize).ok_or(outside.clone())?;
        let padding = (bytes.len() - rest.len()).next_multiple_of(CONTENT_ALIGN);
        let contents_end = padding + contents as usize;
        let contents = bytes.get(padding..contents_end).ok_or(outside)?;
        if contents_end != bytes.len() {
            return Err(ArtifactError::Corrupt("the bundle is longer than its parts"));
        }
        Ok(Bundle { nodes, names, contents })
    }

    /// The root directory.
    pub fn root(&self) -> Node<'a> {
        Node { bundle: *self, index: 0, record: &self.nodes[0] }
    }

    /// The node with this number.
    pub fn node(&self, index: u32) -> Option<Node<'a>> {
        let record = self.nodes.get(index as usize)?;
        Some(Node { bundle: *self, index, record })
    }

    /// All nodes in the order of their numbers, the root first.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let bundle = *self;
        (0..self.nodes.len() as u32).filter_map(move |index| bundle.node(index))
    }

    /// How much there is. Takes time in proportion to the number of nodes.
    pub fn stats(&self) -> BundleStats {
        let mut stats = BundleStats::default();
        for node in self.nodes() {
            match node.kind() {
                Some(NodeKind::Directory) => stats.directories += 1,
                Some(NodeKind::File) => {
                    stats.files += 1;
                    stats.bytes += node.content().len() as u64;
                }
                Some(NodeKind::Link) => stats.links += 1,
                None => {}
            }
        }
        stats
    }

    /// Whether everything is as the [format](super) says: names that can be, sorted; each node the
    /// child of one directory, and after it; contents inside. Takes time in proportion to the number
    /// of nodes and the bytes of names.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if not.
    pub fn check(&self) -> Result<(), ArtifactError> {
        let root = self.root();
        if root.kind() != Some(NodeKind::Directory) || !root.name_bytes().is_empty() {
            return Err(ArtifactError::Corrupt("the root of the bundle is no directory"));
        }
        // Children follow each other in the order of their parents, so each is counted once.
        let mut next_child = 1;
        for node in self.nodes() {
            node.check_content(&mut next_child)?;
        }
        if next_child != self.nodes.len() as u64 {
            return Err(ArtifactError::Corrupt("a node of the bundle is in no directory"));
        }
        self.nodes().skip(1).try_for_each(|node| node.check_name())
    }
}

impl<'a> Node<'a> {
    /// Number of the node: the same in every reader of the bundle.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The kind; `None` in a damaged bundle.
    pub fn kind(&self) -> Option<NodeKind> {
        NodeKind::from_u32(self.record.kind.get())
    }

    /// The name; empty for the root, and for one that cannot be.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.name_bytes()).unwrap_or("")
    }

    fn name_bytes(&self) -> &'a [u8] {
        part(
            self.bundle.names,
            self.record.name.start.get().into(),
            self.record.name.len.get().into(),
        )
    }

    /// Time of the last change, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.record.mtime.get()
    }

    /// Bytes of a file; none of anything else.
    pub fn content(&self) -> &'a [u8] {
        match self.kind() {
            Some(NodeKind::File) => self.bytes(),
            _ => &[],
        }
    }

    /// The target of a symbolic link.
    pub fn target(&self) -> Option<&'a str> {
        let is_link = self.kind() == Some(NodeKind::Link);
        let bytes = is_link.then(|| self.bytes()).filter(|bytes| bytes.len() <= MAX_TARGET);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    fn bytes(&self) -> &'a [u8] {
        part(self.bundle.contents, self.record.start.get(), self.record.size.get())
    }

    /// The directory that it is in; the root is in itself.
    pub fn parent(&self) -> Node<'a> {
        let parent = self.record.parent.get();
        let parent = self.bundle.node(parent).filter(|parent| parent.index < self.index);
        parent.unwrap_or(self.bundle.root())
    }

    /// Number of children of a directory; none of anything else.
    pub fn child_count(&self) -> u32 {
        self.child_records().len() as u32
    }

    /// A directory's child by its place among them.
    pub fn child_at(&self, place: u32) -> Option<Node<'a>> {
        let record = self.child_records().get(place as usize)?;
        let index = self.record.start.get() as u32 + place;
        Some(Node { bundle: self.bundle, index, record })
    }

    /// The children of a directory, by name.
    pub fn children(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let directory = *self;
        (0..self.child_count()).filter_map(move |place| directory.child_at(place))
    }

    /// A directory's child by its name.
    pub fn child(&self, name: &str) -> Option<Node<'a>> {
        let names = self.bundle.names;
        let name_of = |record: &BundleNode| {
            part(names, record.name.start.get().into(), record.name.len.get().into())
        };
        let found =
            self.child_records().binary_search_by(|record| name_of(record).cmp(name.as_bytes()));
        self.child_at(found.ok()? as u32)
    }

    /// The records of a directory's children: none before itself, so that every way down ends.
    fn child_records(&self) -> &'a [BundleNode] {
        let (start, size) = (self.record.start.get(), self.record.size.get());
        if self.kind() != Some(NodeKind::Directory) || start <= self.index.into() {
            return &[];
        }
        part(self.bundle.nodes, start, size)
    }

    /// Checks a file or a link by itself, and a directory's children: they start at `next_child`,
    /// which is moved behind them.
    fn check_content(&self, next_child: &mut u64) -> Result<(), ArtifactError> {
        let (start, size) = (self.record.start.get(), self.record.size.get());
        let inside = |all: usize| start.checked_add(size).is_some_and(|end| end <= all as u64);
        let fits = match self.kind() {
            None => return Err(ArtifactError::Corrupt("a node of the bundle is of no kind")),
            Some(NodeKind::File) => inside(self.bundle.contents.len()),
            Some(NodeKind::Link) => inside(self.bundle.contents.len()) && self.target().is_some(),
            Some(NodeKind::Directory) if size == 0 => true,
            Some(NodeKind::Directory) => {
                let begins = start == *next_child && start > self.index.into();
                *next_child = start.saturating_add(size);
                begins
                    && inside(self.bundle.nodes.len())
                    && self.child_records().iter().all(|child| child.parent == self.index)
            }
        };
        let corrupt = ArtifactError::Corrupt("a node of the bundle refers to something outside");
        fits.then_some(()).ok_or(corrupt)
    }

    /// Checks the name, and that it comes after the one before in its directory.
    fn check_name(&self) -> Result<(), ArtifactError> {
        let name = self.name_bytes();
        let before = self.bundle.node(self.index - 1);
        let before = before.filter(|before| before.record.parent == self.record.parent);
        let sorted = before.is_none_or(|before| self.index == 1 || before.name_bytes() < name);
        if !sorted || refused_name(name).is_some() {
            return Err(ArtifactError::Corrupt("the names in the bundle are not sorted names"));
        }
        Ok(())
    }
}

/// A part of a list; empty if it is not inside.
fn part<T>(items: &[T], start: u64, len: u64) -> &[T] {
    let range = start
        .checked_add(len)
        .and_then(|end| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?));
    range.and_then(|range| items.get(range)).unwrap_or(&[])
}
