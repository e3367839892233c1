//! Operations on a tree, and their outcomes without anything that may differ.

use proptest::prelude::*;
use std::sync::Arc;
use wfaas_wasi::files::{
    Directory, Durability, Entry, Error, File, FileType, Follow, Node, OpenOptions, Result,
    SetTime, SetTimes, Stat, Timestamp, WriteAt,
};

/// Handles that are open at once.
pub(crate) const SLOTS: usize = 4;

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Open { base: usize, path: String, options: OpenOptions, slot: usize },
    Close { slot: usize },
    Read { slot: usize, offset: u64, len: usize },
    Write { slot: usize, at: Option<u64>, bytes: Vec<u8> },
    SetSize { slot: usize, size: u64 },
    Allocate { slot: usize, offset: u64, len: u64 },
    Stat { slot: usize },
    SetTimes { slot: usize, modified: u64 },
    StatAt { base: usize, path: String, follow: Follow },
    SetTimesAt { base: usize, path: String, follow: Follow, modified: u64 },
    List { base: usize, most: usize },
    CreateDirectory { base: usize, path: String },
    RemoveDirectory { base: usize, path: String },
    Unlink { base: usize, path: String },
    Rename { base: usize, path: String, new: usize, new_path: String },
    Link { base: usize, path: String, follow: Follow, new: usize, new_path: String },
    Symlink { target: String, base: usize, path: String },
    ReadLink { base: usize, path: String },
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Opened(FileType),
    Bytes(Vec<u8>),
    Written(usize, u64),
    /// Type; of anything but a directory also size, names and time.
    Stat(FileType, Option<(u64, u64)>),
    Modified(Timestamp),
    Entries(Vec<(String, FileType)>),
    Text(String),
    Failed(Error),
}

/// A tree with open handles. Slot 0 is its root, always.
pub(crate) struct Tree {
    slots: [Option<Node>; SLOTS],
}

impl Tree {
    pub(crate) fn new(root: Arc<dyn Directory>) -> Tree {
        Tree { slots: [Some(Node::Directory(root)), None, None, None] }
    }

    /// The directory in a slot, or the root.
    fn base(&self, slot: usize) -> Arc<dyn Directory> {
        match (&self.slots[slot], &self.slots[0]) {
            (Some(Node::Directory(directory)), _) | (_, Some(Node::Directory(directory))) => {
                directory.clone()
            }
            _ => unreachable!("the root stays"),
        }
    }

    fn file(&self, slot: usize) -> Option<Arc<dyn File>> {
        match &self.slots[slot] {
            Some(Node::File(file)) => Some(file.clone()),
            _ => None,
        }
    }

    pub(crate) fn apply(&mut self, operation: &Operation) -> Outcome {
        self.tried(operation).unwrap_or_else(Outcome::Failed)
    }

    fn tried(&mut self, operation: &Operation) -> Result<Outcome> {
        use Operation::*;
        match operation {
            Open { base, path, options, slot } => {
                let node = self.base(*base).open(path, *options)?;
                let kind = match &node {
                    Node::File(_) => FileType::Regular,
                    Node::Directory(_) => FileType::Directory,
                };
                if *slot != 0 {
                    self.slots[*slot] = Some(node);
                }
                return Ok(Outcome::Opened(kind));
            }
            Close { slot } if *slot != 0 => self.slots[*slot] = None,
            Stat { slot } => {
                return match self.file(*slot) {
                    Some(file) => Ok(seen(file.stat()?)),
                    None => Ok(seen(self.base(*slot).stat()?)),
                };
            }
            SetTimes { slot, modified } => match self.file(*slot) {
                Some(file) => {
                    file.set_times(times(*modified))?;
                    return Ok(Outcome::Modified(file.stat()?.modified));
                }
                None => {
                    let directory = self.base(*slot);
                    directory.set_times(times(*modified))?;
                    return Ok(Outcome::Modified(directory.stat()?.modified));
                }
            },
            Close { .. } => {}
            Read { .. } | Write { .. } | SetSize { .. } | Allocate { .. } => {
                return self.on_file(operation);
            }
            _ => return self.on_name(operation),
        }
        Ok(Outcome::Done)
    }

    fn on_file(&self, operation: &Operation) -> Result<Outcome> {
        match operation {
            Operation::Read { slot, offset, len } => {
                let Some(file) = self.file(*slot) else { return Ok(Outcome::Done) };
                let mut target = vec![0xaa; *len];
                let count = file.read(&mut target, *offset)?;
                target.truncate(count);
                Ok(Outcome::Bytes(target))
            }
            Operation::Write { slot, at, bytes } => {
                let Some(file) = self.file(*slot) else { return Ok(Outcome::Done) };
                let at = at.map_or(WriteAt::End, WriteAt::Offset);
                let written = file.write(bytes, at, Durability::None)?;
                // The kernel does not say where the end was if nothing was written.
                let end = if bytes.is_empty() { 0 } else { written.end };
                Ok(Outcome::Written(written.bytes, end))
            }
            Operation::SetSize { slot, size } => {
                self.file(*slot).map_or(Ok(()), |file| file.set_size(*size)).map(|()| Outcome::Done)
            }
            Operation::Allocate { slot, offset, len } => {
                let done = self.file(*slot).map_or(Ok(*len), |file| file.allocate(*offset, *len));
                done.map(|done| assert_eq!(done, *len)).map(|()| Outcome::Done)
            }
            _ => unreachable!("no operation on a file"),
        }
    }

    fn on_name(&self, operation: &Operation) -> Result<Outcome> {
        use Operation::*;
        match operation {
            StatAt { base, path, follow } => {
                return Ok(seen(self.base(*base).stat_at(path, *follow)?));
            }
            SetTimesAt { base, path, follow, modified } => {
                let base = self.base(*base);
                base.set_times_at(path, *follow, times(*modified))?;
                return Ok(Outcome::Modified(base.stat_at(path, *follow)?.modified));
            }
            List { base, most } => return self.list(*base, *most),
            ReadLink { base, path } => return Ok(Outcome::Text(self.base(*base).read_link(path)?)),
            CreateDirectory { base, path } => self.base(*base).create_directory(path)?,
            RemoveDirectory { base, path } => self.base(*base).remove_directory(path)?,
            Unlink { base, path } => self.base(*base).unlink(path)?,
            Rename { base, path, new, new_path } => {
                self.base(*base).rename(path, &*self.base(*new), new_path)?;
            }
            Link { base, path, follow, new, new_path } => {
                self.base(*base).link(path, *follow, &*self.base(*new), new_path)?;
            }
            Symlink { target, base, path } => self.base(*base).symlink(target, path)?,
            _ => unreachable!("no operation on a name"),
        }
        Ok(Outcome::Done)
    }

    /// All entries, asked for in pieces.
    fn list(&self, base: usize, most: usize) -> Result<Outcome> {
        let (base, mut found, mut cookie) = (self.base(base), Vec::new(), 0);
        loop {
            let entries = base.list(cookie, most)?;
            let Some(last) = entries.last() else { break };
            assert!(entries.len() <= most);
            cookie = last.next;
            found.extend(entries.into_iter().map(|Entry { name, kind, .. }| (name, kind)));
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Outcome::Entries(found))
    }
}

fn seen(stat: Stat) -> Outcome {
    let is_directory = stat.kind == FileType::Directory;
    Outcome::Stat(stat.kind, (!is_directory).then_some((stat.size, stat.links)))
}

fn times(modified: u64) -> SetTimes {
    SetTimes { accessed: SetTime::Keep, modified: SetTime::To(Timestamp(modified)) }
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => "[abcl]", 1 => Just(".".to_owned()), 2 => Just("..".to_owned()), 1 => Just(String::new())
    ];
    let end = prop_oneof![8 => Just(""), 1 => Just("/")];
    (proptest::collection::vec(name, 1..4), end).prop_map(|(names, end)| names.join("/") + end)
}

fn follow() -> impl Strategy<Value = Follow> {
    any::<bool>().prop_map(|follow| if follow { Follow::Yes } else { Follow::No })
}

fn options() -> impl Strategy<Value = OpenOptions> {
    let flag = || prop::bool::weighted(0.4);
    let rare = || prop::bool::weighted(0.15);
    (prop::bool::weighted(0.8), flag(), flag(), rare(), rare(), rare(), follow()).prop_map(
        |(read, write, create, exclusive, truncate, directory, follow)| OpenOptions {
            read: read || !write,
            write,
            create,
            exclusive,
            truncate,
            directory,
            follow,
        },
    )
}

pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    let (slot, slots) = (0..SLOTS, || 0..SLOTS);
    let offset = || prop_oneof![0u64..40, 4000u64..9000];
    let bytes = prop_oneof![
        4 => "[a-z]{0,12}".prop_map(String::into_bytes), 1 => Just(vec![7; 5000])
    ];
    prop_oneof![
        6 => (slots(), path(), options(), slots()).prop_map(|(base, path, options, slot)| {
            Operation::Open { base, path, options, slot }
        }),
        1 => slot.prop_map(|slot| Operation::Close { slot }),
        3 => (slots(), offset(), 0..6000usize)
            .prop_map(|(slot, offset, len)| Operation::Read { slot, offset, len }),
        4 => (slots(), prop::option::of(offset()), bytes)
            .prop_map(|(slot, at, bytes)| Operation::Write { slot, at, bytes }),
        1 => (slots(), offset()).prop_map(|(slot, size)| Operation::SetSize { slot, size }),
        1 => (slots(), offset(), 1..6000u64)
            .prop_map(|(slot, offset, len)| Operation::Allocate { slot, offset, len }),
        2 => slots().prop_map(|slot| Operation::Stat { slot }),
        1 => (slots(), 0..1u64 << 60).prop_map(|(slot, modified)| {
            Operation::SetTimes { slot, modified }
        }),
        4 => (slots(), path(), follow())
            .prop_map(|(base, path, follow)| Operation::StatAt { base, path, follow }),
        1 => (slots(), path(), follow(), 0..1u64 << 60).prop_map(|(base, path, follow, modified)| {
            Operation::SetTimesAt { base, path, follow, modified }
        }),
        3 => (slots(), 1..4usize).prop_map(|(base, most)| Operation::List { base, most }),
        3 => (slots(), path())
            .prop_map(|(base, path)| Operation::CreateDirectory { base, path }),
        3 => (slots(), path())
            .prop_map(|(base, path)| Operation::RemoveDirectory { base, path }),
        4 => (slots(), path()).prop_map(|(base, path)| Operation::Unlink { base, path }),
        6 => (slots(), path(), slots(), path()).prop_map(|(base, path, new, new_path)| {
            Operation::Rename { base, path, new, new_path }
        }),
        3 => (slots(), path(), follow(), slots(), path()).prop_map(
            |(base, path, follow, new, new_path)| {
                Operation::Link { base, path, follow, new, new_path }
            },
        ),
        2 => (path(), slots(), path())
            .prop_map(|(target, base, path)| Operation::Symlink { target, base, path }),
        2 => (slots(), path()).prop_map(|(base, path)| Operation::ReadLink { base, path }),
    ]
}
