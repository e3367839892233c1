//! Bundles: read-only trees in artifacts. Nothing of them is copied but the bytes that a guest reads.

use super::walk::{Last, Name, Place, Tree, walk};
use super::{
    Directory, Durability, Entry, Error, File, FileType, Follow, Node, OpenOptions, Result,
    SetTimes, Stat, Timestamp, WriteAt, Written, device,
};
use std::sync::Arc;
use wfaas_vm::MappedBundle;
use wfaas_vm::bundle::{self, NodeKind};

/// A directory of an artifact's bundle, which all instances share.
#[derive(Debug)]
pub struct BundleDirectory {
    source: Arc<Source>,
    index: u32,
}

#[derive(Debug)]
struct Source {
    bundle: MappedBundle,
    device: u64,
}

/// An open file of a bundle.
#[derive(Debug)]
struct BundleFile {
    source: Arc<Source>,
    index: u32,
    readable: bool,
}

impl BundleDirectory {
    /// The root of a bundle.
    pub fn root(bundle: MappedBundle) -> BundleDirectory {
        let source = Arc::new(Source { bundle, device: device::next() });
        BundleDirectory { source, index: 0 }
    }

    /// The same directory, whose files have a device number that is the same in each run of a guest: no two
    /// trees of a guest may have one place.
    pub fn at_place(self, place: u32) -> BundleDirectory {
        let BundleDirectory { source, index } = self;
        let (bundle, device) = (source.bundle.clone(), device::of_place(place));
        BundleDirectory { source: Arc::new(Source { bundle, device }), index }
    }

    fn place(&self, path: &str, last: Last) -> Result<Place<bundle::Node<'_>>> {
        let base = self.source.node(self.index)?;
        walk(&self.source.bundle.tree(), base, path, last)
    }

    fn found(&self, path: &str, follow: Follow) -> Result<bundle::Node<'_>> {
        self.place(path, Last::Looked(follow))?.found()
    }

    /// The answer to a change of a name: errors of the path come first.
    fn refuse(&self, path: &str) -> Error {
        self.place(path, Last::Named).err().unwrap_or(Error::ReadOnly)
    }

    /// The answer to opening something to change it, if that is what the options say.
    fn refused(&self, path: &str, options: OpenOptions) -> Option<Error> {
        let OpenOptions { write, create, exclusive, truncate, directory, follow, .. } = options;
        if !(create || truncate || write && !directory) {
            return None;
        }
        let found = self.found(path, follow).map(drop);
        match found {
            Ok(()) if create && exclusive => Some(Error::Exists),
            Ok(()) if create && !write && !truncate => None,
            Ok(()) => Some(Error::ReadOnly),
            Err(Error::NotFound) if create => Some(self.refuse(path)),
            Err(error) => Some(error),
        }
    }
}

impl Source {
    fn node(&self, index: u32) -> Result<bundle::Node<'_>> {
        self.bundle.tree().node(index).ok_or(Error::Io)
    }

    fn stat(&self, node: bundle::Node<'_>) -> Stat {
        let size = match node.kind() {
            Some(NodeKind::File) => node.content().len(),
            Some(NodeKind::Link) => node.target().map_or(0, str::len),
            Some(NodeKind::Directory) | None => 0,
        };
        let time = Timestamp::new(node.mtime(), 0);
        Stat {
            device: self.device,
            inode: inode(node),
            kind: kind(node),
            links: 1,
            size: size as u64,
            accessed: time,
            modified: time,
            changed: time,
        }
    }
}

/// Number of a node's file: not 0, which stands for an unknown one.
fn inode(node: bundle::Node<'_>) -> u64 {
    u64::from(node.index()) + 1
}

fn kind(node: bundle::Node<'_>) -> FileType {
    match node.kind() {
        Some(NodeKind::Directory) => FileType::Directory,
        Some(NodeKind::File) => FileType::Regular,
        Some(NodeKind::Link) => FileType::Symlink,
        None => FileType::Unknown,
    }
}

impl<'a> Tree for bundle::Bundle<'a> {
    type Node = bundle::Node<'a>;

    fn child(&self, directory: &Self::Node, name: &str) -> Result<Option<Self::Node>> {
        Ok(directory.child(name))
    }

    fn kind(&self, node: &Self::Node) -> FileType {
        kind(*node)
    }

    fn target(&self, link: &Self::Node) -> Result<String> {
        link.target().map(str::to_owned).ok_or(Error::Io)
    }
}

impl Directory for BundleDirectory {
    fn blocks(&self) -> bool {
        false
    }

    fn open(&self, path: &str, options: OpenOptions) -> Result<Node> {
        if options.create && options.directory {
            return Err(Error::Invalid);
        }
        if let Some(error) = self.refused(path, options) {
            return Err(error);
        }
        let node = self.found(path, options.follow)?;
        let (source, index) = (self.source.clone(), node.index());
        match kind(node) {
            FileType::Directory => Ok(Node::Directory(Arc::new(BundleDirectory { source, index }))),
            _ if options.directory => Err(Error::NotDirectory),
            FileType::Regular => {
                let readable = options.read || !options.write;
                Ok(Node::File(Arc::new(BundleFile { source, index, readable })))
            }
            FileType::Symlink => Err(Error::Loop),
            _ => Err(Error::Io),
        }
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.source.stat(self.source.node(self.index)?))
    }

    fn stat_at(&self, path: &str, follow: Follow) -> Result<Stat> {
        Ok(self.source.stat(self.found(path, follow)?))
    }

    fn set_times(&self, _times: SetTimes) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn set_times_at(&self, path: &str, follow: Follow, _times: SetTimes) -> Result<()> {
        self.found(path, follow)?;
        Err(Error::ReadOnly)
    }

    fn list(&self, cookie: u64, most: usize) -> Result<Vec<Entry>> {
        let directory = self.source.node(self.index)?;
        let start = u32::try_from(cookie).map_err(|_| Error::Invalid)?;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let end = directory.child_count().min(start.saturating_add(most));
        let entry = |place| {
            let node = directory.child_at(place)?;
            let next = u64::from(place) + 1;
            Some(Entry { name: node.name().to_owned(), inode: inode(node), kind: kind(node), next })
        };
        Ok((start..end).filter_map(entry).collect())
    }

    fn create_directory(&self, path: &str) -> Result<()> {
        self.place(path, Last::Named)?;
        let is_there = self.found(path, Follow::No).is_ok();
        Err(if is_there { Error::Exists } else { Error::ReadOnly })
    }

    fn remove_directory(&self, path: &str) -> Result<()> {
        Err(self.refuse(path))
    }

    fn unlink(&self, path: &str) -> Result<()> {
        Err(self.refuse(path))
    }

    fn rename(&self, path: &str, _new: &dyn Directory, _new_path: &str) -> Result<()> {
        Err(self.refuse(path))
    }

    fn link(
        &self,
        path: &str,
        follow: Follow,
        _new: &dyn Directory,
        _new_path: &str,
    ) -> Result<()> {
        self.found(path, follow)?;
        Err(Error::ReadOnly)
    }

    fn symlink(&self, target: &str, path: &str) -> Result<()> {
        if target.starts_with('/') {
            return Err(Error::Escapes);
        }
        Err(self.refuse(path))
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let place = self.place(path, Last::Looked(Follow::No))?;
        let is_name = matches!(place.name, Name::Normal(_));
        let target = place.found()?.target().filter(|_| is_name).ok_or(Error::Invalid)?;
        if target.starts_with('/') { Err(Error::Escapes) } else { Ok(target.to_owned()) }
    }
}

impl File for BundleFile {
    fn blocks(&self) -> bool {
        false
    }

    fn read(&self, target: &mut [u8], offset: u64) -> Result<usize> {
        if !self.readable {
            return Err(Error::BadDescriptor);
        }
        let content = self.source.node(self.index)?.content();
        let start = usize::try_from(offset).ok().and_then(|start| content.get(start..));
        let rest = start.unwrap_or_default();
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write(&self, _bytes: &[u8], _at: WriteAt, _durability: Durability) -> Result<Written> {
        Err(Error::BadDescriptor)
    }

    fn stat(&self) -> Result<Stat> {
        Ok(self.source.stat(self.source.node(self.index)?))
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::Invalid)
    }

    fn set_times(&self, _times: SetTimes) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn allocate(&self, _offset: u64, _len: u64) -> Result<u64> {
        Err(Error::BadDescriptor)
    }
}
