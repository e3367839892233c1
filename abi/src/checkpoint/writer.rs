//! The writer of the section.

use super::records::*;
use super::{
    Checkpoint, MAX_RESEEDED, MAX_ROWS, MAX_TEXT, SavedDescriptor, SavedFile, SavedObject,
};
use crate::artifact::records::Range;
use zerocopy::IntoBytes;

/// A checkpoint beyond one of the [limits](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program that waits has too many {0}")]
pub struct CheckpointTooLarge(pub &'static str);

impl Checkpoint {
    /// The bytes of the section.
    ///
    /// # Errors
    /// [`CheckpointTooLarge`] if there is more than may be.
    pub fn encode(&self) -> Result<Vec<u8>, CheckpointTooLarge> {
        let Checkpoint {
            abi,
            until,
            arguments,
            variables,
            directories,
            root,
            descriptors,
            monotonic,
            learned,
            reseeds,
        } = self;
        let mut strings = Strings::default();
        let (until_module, until_name) = until.as_ref().map_or(("", ""), |(a, b)| (a, b));
        let header = CheckpointHeader {
            magic: CHECKPOINT_MAGIC,
            version: CHECKPOINT_VERSION.into(),
            learned: learned.0.into(),
            monotonic: (*monotonic).into(),
            abi: strings.add(abi),
            until_module: strings.add(until_module),
            until_name: strings.add(until_name),
            root: strings.add(root),
            arguments: count(arguments, "arguments")?.into(),
            variables: count(variables, "environment variables")?.into(),
            directories: count(directories, "directories")?.into(),
            descriptors: count(descriptors, "descriptors")?.into(),
            reseeds: count(reseeds, "reseeds")?.into(),
            strings: 0.into(),
        };
        let arguments: Vec<Range> = arguments.iter().map(|text| strings.add(text)).collect();
        let variable = |one: &super::Variable| VariableRow {
            name: strings.add(&one.name),
            digest: one.digest,
        };
        let variables: Vec<VariableRow> = variables.iter().map(variable).collect();
        let directories: Vec<Range> = directories.iter().map(|text| strings.add(text)).collect();
        let descriptors: Vec<_> = descriptors.iter().map(|one| strings.descriptor(one)).collect();
        let reseed = |one: &super::Reseed| ReseedRow {
            address: one.address.into(),
            bytes: one.bytes.into(),
        };
        let reseeded = reseeds.iter().fold(0, |sum: u64, one| sum.saturating_add(one.bytes));
        if reseeded > MAX_RESEEDED {
            return Err(CheckpointTooLarge("bytes to reseed"));
        }
        let reseeds: Vec<ReseedRow> = reseeds.iter().map(reseed).collect();
        let Strings(strings) = strings;
        if strings.len() > MAX_TEXT {
            return Err(CheckpointTooLarge("bytes of arguments, names and paths"));
        }
        let header = CheckpointHeader { strings: (strings.len() as u32).into(), ..header };
        let rows = [arguments.as_bytes(), variables.as_bytes(), directories.as_bytes()];
        let last = [descriptors.as_bytes(), reseeds.as_bytes(), &strings];
        Ok([&[header.as_bytes()], &rows[..], &last[..]].concat().concat())
    }
}

fn count<T>(rows: &[T], what: &'static str) -> Result<u32, CheckpointTooLarge> {
    let fits = rows.len() <= MAX_ROWS;
    if fits { Ok(rows.len() as u32) } else { Err(CheckpointTooLarge(what)) }
}

/// The strings so far.
#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    /// The place of a string. Beyond 4 GiB it is wrong, and refused by their size.
    fn add(&mut self, text: &str) -> Range {
        let range = Range { start: (self.0.len() as u32).into(), len: (text.len() as u32).into() };
        self.0.extend_from_slice(text.as_bytes());
        range
    }

    fn descriptor(&mut self, one: &SavedDescriptor) -> DescriptorRow {
        let (kind, tree, path) = match &one.object {
            SavedObject::Stream(number) => (DescriptorKind::Stream, *number, ""),
            SavedObject::Preopen(place) => (DescriptorKind::Preopen, *place, ""),
            SavedObject::File(file) => (DescriptorKind::File, file.tree, file.path.as_str()),
            SavedObject::Directory { tree, path } => {
                (DescriptorKind::Directory, *tree, path.as_str())
            }
        };
        let (mut access, mut position, mut size, mut modified) = (0, 0, 0, 0);
        if let SavedObject::File(SavedFile { read, write, position: at, host, .. }) = &one.object {
            access |= if *read { access::READ } else { 0 };
            access |= if *write { access::WRITE } else { 0 };
            position = *at;
            if let Some(stat) = host {
                access |= access::HOST;
                (size, modified) = (stat.size, stat.modified);
            }
        }
        DescriptorRow {
            number: one.number.into(),
            kind: (kind as u32).into(),
            tree: tree.into(),
            access: access.into(),
            path: self.add(path),
            rights: one.rights.into(),
            inheriting: one.inheriting.into(),
            position: position.into(),
            size: size.into(),
            modified: modified.into(),
            flags: u32::from(one.flags).into(),
        }
    }
}
