//! Debug files: the DWARF of a module, by the machine code that it belongs to.
//!
//! ```text
//!  \0asm 1 0 0 0            a WebAssembly module
//!  custom ".wfaas.code"     hash of the machine code, where the module's code section started (LEB128)
//!  custom ".debug_abbrev"   the module's own sections, in order
//!  custom ".debug_info"
//!  ...
//!  custom ".wfaas.offsets"  of a component's: see below
//! ```
//!
//! The code of a component is that of several modules, copied. DWARF is of one of these, and counts bytes there. The runs of
//! `.wfaas.offsets` say where a byte of the code section comes from. Behind the number of bytes before the first function (LEB128), they
//! are in order: bytes between the run before and this one, its bytes (LEB128), and the difference between the offset in the module and
//! this one from the first function on (signed LEB128). Code in no run has no lines.

use crate::dwarf::{self, Line};
use wasmparser::{BinaryReader, Parser, Payload};

/// Name of the section that is not the module's.
const CODE: &str = ".wfaas.code";

/// Start of all names of DWARF's sections.
const DEBUG: &str = ".debug_";

/// Name of the section with the places that code was copied from.
const OFFSETS: &str = ".wfaas.offsets";

/// A module with no sections.
const EMPTY: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Bytes of a hash.
const HASH: usize = 32;

/// The DWARF of a module, in a file's bytes.
#[derive(Debug)]
pub struct DebugFile<'a> {
    code_hash: [u8; HASH],
    code_start: u32,
    sections: Vec<(&'a str, &'a [u8])>,
}

impl<'a> DebugFile<'a> {
    /// The bytes of a debug file with the DWARF of a module, for the machine code with this hash;
    /// `None` if there is no DWARF in it, or it is no binary module.
    pub fn write(module: &[u8], code_hash: [u8; HASH]) -> Option<Vec<u8>> {
        let (sections, code_start) = sections(module)?;
        let is_dwarf = |name: &str| name.starts_with(DEBUG) || name == OFFSETS;
        sections.iter().find(|(name, _)| *name == ".debug_line")?;
        let mut code = code_hash.to_vec();
        leb(&mut code, code_start?);
        let mut file = EMPTY.to_vec();
        push(&mut file, CODE, &code);
        for (name, bytes) in sections.into_iter().filter(|(name, _)| is_dwarf(name)) {
            push(&mut file, name, bytes);
        }
        Some(file)
    }

    /// A view of a debug file; `None` if it is none.
    pub fn parse(file: &'a [u8]) -> Option<DebugFile<'a>> {
        let (mut sections, _) = sections(file)?;
        let at = sections.iter().position(|(name, _)| *name == CODE)?;
        let (code_hash, start) = sections.remove(at).1.split_first_chunk()?;
        let code_start = BinaryReader::new(start, 0).read_var_u32().ok()?;
        Some(DebugFile { code_hash: *code_hash, code_start, sections })
    }

    /// The hash of the machine code that it belongs to.
    pub fn code_hash(&self) -> [u8; HASH] {
        self.code_hash
    }

    /// The lines of the instructions at these offsets in the module, innermost first: more than one
    /// where functions were inlined, none where nothing is known.
    pub fn lines(&self, wasm_offsets: &[u32]) -> Vec<Vec<Line>> {
        // DWARF counts from the start of the code section.
        let addresses: Vec<Option<u64>> = wasm_offsets
            .iter()
            .map(|offset| offset.checked_sub(self.code_start).map(u64::from))
            .collect();
        let found = |name: &str| {
            let section = self.sections.iter().find(|(known, _)| *known == name);
            section.map(|(_, bytes)| *bytes)
        };
        let addresses = match found(OFFSETS) {
            Some(runs) => originals(runs, &addresses),
            None => addresses,
        };
        dwarf::lines(|name| found(name).unwrap_or_default(), &addresses)
    }
}

/// The places that code at these offsets was copied from, by the runs.
fn originals(runs: &[u8], offsets: &[Option<u64>]) -> Vec<Option<u64>> {
    let mut found = vec![None; offsets.len()];
    let (mut reader, mut end) = (BinaryReader::new(runs, 0), 0_u64);
    let Ok(before) = reader.read_var_u32() else { return found };
    let from_first = |offset: &Option<u64>| offset.and_then(|it| it.checked_sub(before.into()));
    let offsets: Vec<Option<u64>> = offsets.iter().map(from_first).collect();
    let mut next = || -> wasmparser::Result<_> {
        Ok((reader.read_var_u32()?, reader.read_var_u32()?, reader.read_var_i64()?))
    };
    while let Ok((gap, bytes, difference)) = next() {
        // Less than 2^32 each, and fewer than there are bytes.
        let start = end + u64::from(gap);
        end = start + u64::from(bytes);
        for (found, offset) in found.iter_mut().zip(&offsets) {
            let inside = offset.filter(|offset| (start..end).contains(offset));
            *found = found.or(inside.and_then(|offset| offset.checked_add_signed(difference)));
        }
    }
    found
}

/// Custom sections by name, and the start of the code section.
type Found<'a> = (Vec<(&'a str, &'a [u8])>, Option<u32>);

fn sections(module: &[u8]) -> Option<Found<'_>> {
    let (mut sections, mut code_start) = (Vec::new(), None);
    let mut parser = Parser::new(0);
    let mut rest = module;
    loop {
        let chunk = parser.parse(rest, true).ok()?;
        let wasmparser::Chunk::Parsed { consumed, payload } = chunk else { return None };
        rest = &rest[consumed..];
        match payload {
            Payload::CodeSectionStart { unchecked_range: range, size, .. } => {
                code_start = Some(u32::try_from(range.start).ok()?);
                parser.skip_section();
                rest = rest.get(size as usize..)?;
            }
            Payload::CustomSection(section) => sections.push((section.name(), section.data())),
            Payload::End(_) => return Some((sections, code_start)),
            _ => {}
        }
    }
}

/// Appends a custom section.
fn push(file: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    let mut start = Vec::new();
    leb(&mut start, name.len() as u32);
    start.extend_from_slice(name.as_bytes());
    file.push(0);
    leb(file, (start.len() + bytes.len()) as u32); // a module has fewer than 2^32 bytes
    file.extend(start);
    file.extend_from_slice(bytes);
}

fn leb(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_say_where_code_was_copied_from() {
        // Behind 2 bytes: 10 to 13 are 4 bytes further in front, 13 to 20 are 280 behind, 300 to 301 are 300 in front.
        let runs = [2, 10, 3, 0x7C, 0, 7, 0x98, 0x02, 0x98, 0x02, 1, 0xD4, 0x7D];
        let at = |offset: u64| originals(&runs, &[Some(offset + 2)])[0];
        let expected = [None, Some(6), Some(8), Some(293), Some(299), None];
        assert_eq!([9, 10, 12, 13, 19, 20].map(at), expected);
        assert_eq!([299, 300, 301].map(at), [None, Some(0), None]);
        assert_eq!(originals(&runs, &[None, Some(12), Some(1)]), [None, Some(6), None]);
        // What makes no sense says nothing.
        assert_eq!(originals(&[], &[Some(10)]), [None]);
        assert_eq!(originals(&runs[..3], &[Some(12)]), [None]);
        assert_eq!(originals(&[0, 0, 5, 0x70], &[Some(3)]), [None], "before the start");
        assert_eq!(originals(&[0xFF; 40], &[Some(3)]), [None]);
    }
}
