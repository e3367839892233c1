//! The reader of the section. Nothing here panics, whatever the bytes hold.

use super::records::*;
use super::{
    Checkpoint, Learned, MAX_RESEEDED, MAX_ROWS, MAX_TEXT, Reseed, SavedDescriptor, SavedFile,
    SavedObject, SavedStat, Variable,
};
use crate::artifact::ArtifactError;
use crate::artifact::records::Range;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, KnownLayout};

type Result<T> = std::result::Result<T, ArtifactError>;

const OUTSIDE: ArtifactError = ArtifactError::Corrupt("a part of the checkpoint is outside of it");

const TOO_LARGE: ArtifactError = ArtifactError::Corrupt("the checkpoint is too large");

impl Checkpoint {
    /// Decodes and checks the bytes of a section. Takes time in proportion to them.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if something is not as the format says.
    pub fn parse(bytes: &[u8]) -> Result<Checkpoint> {
        let (header, rest) = CheckpointHeader::ref_from_prefix(bytes).map_err(|_| OUTSIDE)?;
        if header.magic != CHECKPOINT_MAGIC || header.version != CHECKPOINT_VERSION {
            return Err(ArtifactError::Corrupt("the checkpoint is of another version"));
        }
        let (arguments, rest) = take::<Range>(rest, header.arguments)?;
        let (variables, rest) = take::<VariableRow>(rest, header.variables)?;
        let (directories, rest) = take::<Range>(rest, header.directories)?;
        let (descriptors, rest) = take::<DescriptorRow>(rest, header.descriptors)?;
        let (reseeds, bytes) = take::<ReseedRow>(rest, header.reseeds)?;
        if bytes.len() != header.strings.get() as usize {
            return Err(OUTSIDE);
        }
        let mut strings = Strings { bytes, left: MAX_TEXT };
        let until = (strings.text(header.until_module)?, strings.text(header.until_name)?);
        let learned = header.learned.get();
        if learned & !Learned::ALL != 0 {
            return Err(ArtifactError::Corrupt("the checkpoint has unknown marks"));
        }
        let checkpoint = Checkpoint {
            abi: strings.text(header.abi)?,
            until: (until != Default::default()).then_some(until),
            arguments: strings.texts(arguments)?,
            variables: variables
                .iter()
                .map(|row| Ok(Variable { name: strings.text(row.name)?, digest: row.digest }))
                .collect::<Result<_>>()?,
            directories: strings.texts(directories)?,
            root: strings.text(header.root)?,
            descriptors: descriptors
                .iter()
                .map(|row| strings.descriptor(row, directories.len()))
                .collect::<Result<_>>()?,
            monotonic: header.monotonic.get(),
            learned: Learned(learned),
            reseeds: parse_reseeds(reseeds)?,
        };
        let numbers = || checkpoint.descriptors.iter().map(|one| one.number);
        if numbers().zip(numbers().skip(1)).any(|(one, next)| one >= next) {
            return Err(ArtifactError::Corrupt("descriptors of the checkpoint are not sorted"));
        }
        Ok(checkpoint)
    }
}

/// The ranges to reseed. Filling all of them is a bounded amount of work.
fn parse_reseeds(rows: &[ReseedRow]) -> Result<Vec<Reseed>> {
    let (mut end, mut left) = (0, MAX_RESEEDED);
    let reseed = |row: &ReseedRow| {
        let (address, bytes) = (row.address.get(), row.bytes.get());
        if address < end {
            return Err(ArtifactError::Corrupt("ranges to reseed of the checkpoint overlap"));
        }
        end = address.checked_add(bytes).ok_or(OUTSIDE)?;
        left = left.checked_sub(bytes).ok_or(TOO_LARGE)?;
        Ok(Reseed { address, bytes })
    };
    rows.iter().map(reseed).collect()
}

/// The first `count` rows, and the rest.
fn take<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8], count: U32) -> Result<(&[T], &[u8])> {
    let count = count.get() as usize;
    if count > MAX_ROWS {
        return Err(TOO_LARGE);
    }
    <[T]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| OUTSIDE)
}

struct Strings<'a> {
    bytes: &'a [u8],
    /// Bytes of text that may still be decoded: rows may refer to the same ones.
    left: usize,
}

impl Strings<'_> {
    fn text(&mut self, range: Range) -> Result<String> {
        let (start, len) = (range.start.get() as usize, range.len.get() as usize);
        let bytes = start.checked_add(len).and_then(|end| self.bytes.get(start..end));
        let bytes = bytes.ok_or(OUTSIDE)?;
        self.left = self.left.checked_sub(len).ok_or(TOO_LARGE)?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned)
            .map_err(|_| ArtifactError::Corrupt("a text of the checkpoint is not UTF-8"))
    }

    fn texts(&mut self, ranges: &[Range]) -> Result<Vec<String>> {
        ranges.iter().map(|range| self.text(*range)).collect()
    }

    fn descriptor(&mut self, row: &DescriptorRow, trees: usize) -> Result<SavedDescriptor> {
        let wrong = ArtifactError::Corrupt("a descriptor of the checkpoint is of no kind");
        let kind = DescriptorKind::from_u32(row.kind.get()).ok_or(wrong)?;
        let tree = row.tree.get();
        if kind != DescriptorKind::Stream && tree as usize >= trees {
            return Err(OUTSIDE);
        }
        let object = match kind {
            DescriptorKind::Stream => SavedObject::Stream(tree),
            DescriptorKind::Preopen => SavedObject::Preopen(tree),
            DescriptorKind::Directory => {
                SavedObject::Directory { tree, path: self.text(row.path)? }
            }
            DescriptorKind::File => SavedObject::File(self.file(row)?),
        };
        let flags = u16::try_from(row.flags.get()).map_err(|_| OUTSIDE)?;
        let (rights, inheriting) = (row.rights.get(), row.inheriting.get());
        Ok(SavedDescriptor { number: row.number.get(), object, rights, inheriting, flags })
    }

    fn file(&mut self, row: &DescriptorRow) -> Result<SavedFile> {
        let has = |bit| row.access.get() & bit != 0;
        let stat = SavedStat { size: row.size.get(), modified: row.modified.get() };
        Ok(SavedFile {
            tree: row.tree.get(),
            path: self.text(row.path)?,
            read: has(access::READ),
            write: has(access::WRITE),
            position: row.position.get(),
            host: has(access::HOST).then_some(stat),
        })
    }
}
