//! Uniqueness: the memory of a captured program that depends on random bytes or the time, and is the same in all
//! of its instances.
//!
//! The program is run again, with other random bytes and the same times, and the other way round. Bytes that differ
//! depend on the source. So the state of a generator is found that was seeded from random bytes, which a search for
//! the bytes would not find. T. Everett et al., *Restoring Uniqueness in MicroVM Snapshots* (2021), has the problem.

use crate::init::InitError;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use wfaas_abi::checkpoint::{MAX_RESEEDED, Reseed};
use wfaas_abi::image::SparseImage;
use wfaas_abi::layout::PAGE;
use wfaas_abi::memories::image_offset;
use wfaas_abi::untrusted;
use wfaas_wasi::Source;

/// Bytes alike between two that differ, which are still one range.
const GAP: i64 = 16;

/// Ranges that are told.
const MOST_TOLD: usize = 16;

/// How to treat memory that depends on random bytes or the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uniqueness {
    /// Nobody looks for it.
    Off,
    /// It is told.
    #[default]
    Report,
    /// All of it has to be [reseeded](crate::Init::reseed).
    Strict,
}

/// A range of memory to fill with random bytes in each instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReseedRange {
    /// Its first byte.
    pub at: ReseedAt,
    /// How many bytes.
    pub bytes: u64,
}

/// Where a range begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReseedAt {
    /// At the value of an exported global, as linkers export data symbols.
    Symbol(String),
    /// At an address.
    Address(u64),
}

/// A name and the address that it stands for.
pub(crate) type Symbol = (String, u64);

/// The ranges as addresses: ascending, and none over another. `memory_bytes` is the size of memory 0, if instances
/// can be reseeded there.
///
/// # Errors
/// [`InitError::Reseed`] for one that is outside of the memory, or has no symbol, and for the one that makes them
/// too many.
pub(crate) fn resolve(
    ranges: &[ReseedRange],
    symbols: &[Symbol],
    memory_bytes: Option<u64>,
) -> Result<Vec<Reseed>, InitError> {
    let mut left = MAX_RESEEDED;
    let resolve = |range: &ReseedRange| {
        let (address, shown) = match &range.at {
            ReseedAt::Address(address) => (Some(*address), format!("{address:#x}")),
            ReseedAt::Symbol(name) => {
                let known = symbols.iter().find(|(known, _)| known == name);
                (known.map(|(_, address)| *address), untrusted::name(name).to_string())
            }
        };
        let wrong = |reason| InitError::Reseed { at: shown.clone(), reason };
        let address = address.ok_or_else(|| wrong("no global of this name is exported"))?;
        let memory_bytes = memory_bytes.ok_or_else(|| {
            wrong("the program exports its first memory not at all, or shares it")
        })?;
        let end = address.checked_add(range.bytes).filter(|end| *end <= memory_bytes);
        end.ok_or_else(|| wrong("the range ends outside of the memory"))?;
        left = left
            .checked_sub(range.bytes)
            .ok_or_else(|| wrong("with it more than 1 MiB would be filled for each request"))?;
        Ok(Reseed { address, bytes: range.bytes })
    };
    let ranges = ranges.iter().map(resolve).collect::<Result<Vec<Reseed>, InitError>>()?;
    Ok(merged(ranges))
}

/// Ranges in order, as one where they meet.
fn merged(mut ranges: Vec<Reseed>) -> Vec<Reseed> {
    ranges.sort_unstable();
    let mut merged: Vec<Reseed> = Vec::new();
    for Reseed { address, bytes } in ranges.into_iter().filter(|range| range.bytes > 0) {
        match merged.last_mut() {
            Some(last) if address <= last.address + last.bytes => {
                last.bytes = last.bytes.max(address + bytes - last.address);
            }
            _ => merged.push(Reseed { address, bytes }),
        }
    }
    merged
}

/// Bytes of an image that depend on a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependence {
    /// The source.
    pub(crate) source: Source,
    /// The bytes, as offsets from the start of memory 0. Globals and tables lie before it, at negative offsets.
    pub(crate) range: Range<i64>,
    /// The exported symbol at or before them, and the distance from it.
    pub(crate) symbol: Option<(String, u64)>,
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dependence { source, range, symbol } = self;
        let bytes = range.end - range.start;
        write!(f, "{source}: ")?;
        if range.start < 0 {
            return write!(f, "{bytes} bytes of globals and tables");
        }
        if range.start >= image_offset(1) {
            return write!(f, "{bytes} bytes of another memory than the first");
        }
        write!(f, "{bytes} bytes at {:#x}", range.start)?;
        match symbol {
            Some((name, distance)) => write!(f, " ({} + {distance})", untrusted::name(name)),
            None => Ok(()),
        }
    }
}

/// The bytes in which an image differs from the one of a run with another `source`, and which are in none of the
/// [resolved](resolve) ranges to reseed.
pub(crate) fn differences(
    source: Source,
    (image, other): (&SparseImage, &SparseImage),
    symbols: &[Symbol],
    reseeds: &[Reseed],
) -> Vec<Dependence> {
    let pages = [image, other].map(|image| image.stored().map(|(index, _)| index));
    let pages: BTreeSet<u32> = pages.into_iter().flatten().collect();
    let mut ranges: Vec<Range<i64>> = Vec::new();
    let zeros = [0; PAGE];
    for index in pages {
        let [left, right] = [image, other].map(|image| image.page(index).unwrap_or(&zeros));
        let start = i64::from(index) * PAGE as i64 - image.state_bytes() as i64;
        let differ =
            (start..).zip(left.iter().zip(right)).filter(|(_, (left, right))| left != right);
        let differ = differ.map(|(at, _)| at).filter(|at| !is_reseeded(*at, reseeds));
        for at in differ {
            match ranges.last_mut() {
                // Globals are no part of the memory behind them.
                Some(last) if at - last.end <= GAP && (last.start < 0) == (at < 0) => {
                    last.end = at + 1;
                }
                _ => ranges.push(at..at + 1),
            }
        }
    }
    let dependence = |range: Range<i64>| {
        let symbol = symbol(symbols, range.start);
        Dependence { source, range, symbol }
    };
    ranges.into_iter().map(dependence).collect()
}

/// The symbol at or before an address, and the distance.
fn symbol(symbols: &[Symbol], at: i64) -> Option<(String, u64)> {
    let at = u64::try_from(at).ok().filter(|_| at < image_offset(1))?;
    let before = symbols.iter().filter(|(_, address)| *address <= at);
    let (name, address) = before.max_by_key(|(_, address)| *address)?;
    Some((name.clone(), at - address))
}

/// Whether a byte is in one of the ranges, which ascend.
fn is_reseeded(at: i64, reseeds: &[Reseed]) -> bool {
    let Ok(at) = u64::try_from(at) else { return false };
    let before = reseeds.partition_point(|range| range.address <= at);
    let range = before.checked_sub(1).map(|last| reseeds[last]);
    range.is_some_and(|range| at - range.address < range.bytes)
}

/// Checks that all memory that depends on a source is reseeded.
///
/// # Errors
/// [`InitError::NotUnique`] lists the memory that is not.
pub(crate) fn check(found: &[Dependence]) -> Result<(), InitError> {
    if found.is_empty() { Ok(()) } else { Err(InitError::NotUnique(told(found).join("; "))) }
}

/// Lines about what depends on a source, the first ones of many.
pub(crate) fn told(found: &[Dependence]) -> Vec<String> {
    let mut lines: Vec<String> = found.iter().take(MOST_TOLD).map(|one| one.to_string()).collect();
    if let Some(more) = found.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        lines.push(format!("and {more} more ranges"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(bytes: &[(i64, u8)]) -> SparseImage {
        let mut image = SparseImage::new(PAGE);
        bytes.iter().for_each(|(at, byte)| image.write(*at, &[*byte]));
        image
    }

    #[test]
    fn bytes_that_differ_are_ranges() {
        let (one, other) =
            (image(&[(-8, 1), (5, 1), (10, 1), (5000, 2)]), image(&[(5, 2), (9000, 1)]));
        let symbols = [("seed".to_owned(), 4), ("heap".to_owned(), 4096)];
        let found = differences(Source::RandomBytes, (&one, &other), &symbols, &[]);
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "random bytes: 1 bytes of globals and tables",
                "random bytes: 6 bytes at 0x5 (seed + 1)",
                "random bytes: 1 bytes at 0x1388 (heap + 904)",
                "random bytes: 1 bytes at 0x2328 (heap + 4904)",
            ]
        );
        assert_eq!(differences(Source::Times, (&one, &one), &symbols, &[]), []);
    }

    #[test]
    fn ranges_cover_bytes() {
        let nothing = image(&[]);
        let reseeds = [Reseed { address: 8, bytes: 8 }, Reseed { address: 20, bytes: 4 }];
        let found = |bytes: &[i64]| {
            let bytes: Vec<(i64, u8)> = bytes.iter().map(|at| (*at, 1)).collect();
            let images = (&image(&bytes), &nothing);
            let found = differences(Source::Times, images, &[], &reseeds);
            assert_eq!(check(&found).is_ok(), found.is_empty());
            found.into_iter().map(|one| (one.range.start, one.range.end)).collect::<Vec<_>>()
        };
        // Bytes of two ranges are near each other.
        assert_eq!(found(&[8, 15, 20, 23]), []);
        for outside in [-8, 7, 16, 19, 24] {
            assert_eq!(found(&[9, outside, 21]), [(outside, outside + 1)]);
        }
    }

    #[test]
    fn ranges_that_meet_are_one() {
        let range = |at, bytes| ReseedRange { at: ReseedAt::Address(at), bytes };
        let merge = |ranges: &[ReseedRange]| resolve(ranges, &[], Some(2 * MAX_RESEEDED));
        let found = merge(&[range(32, 8), range(8, 8), range(16, 4), range(9, 2), range(50, 0)]);
        let one = |address, bytes| Reseed { address, bytes };
        assert_eq!(found.unwrap(), [one(8, 12), one(32, 8)]);
        assert!(merge(&[range(0, MAX_RESEEDED)]).is_ok());
        let error = merge(&[range(0, MAX_RESEEDED), range(0x77, 1)]).unwrap_err().to_string();
        assert!(error.contains("0x77") && error.contains("1 MiB"), "{error}");
        assert!(resolve(&[range(8, 8)], &[], None).is_err());
    }

    #[test]
    fn symbols_are_addresses() {
        let symbols = [("seed".to_owned(), 4)];
        let range = |at, bytes| [ReseedRange { at, bytes }];
        let symbol = |name: &str| ReseedAt::Symbol(name.to_owned());
        let found = resolve(&range(symbol("seed"), 8), &symbols, Some(12)).unwrap();
        assert_eq!(found, [Reseed { address: 4, bytes: 8 }]);
        assert!(resolve(&range(symbol("seed"), 9), &symbols, Some(12)).is_err());
        assert!(resolve(&range(symbol("none"), 1), &symbols, Some(12)).is_err());
        assert!(resolve(&range(ReseedAt::Address(u64::MAX), 2), &symbols, Some(12)).is_err());
    }
}
