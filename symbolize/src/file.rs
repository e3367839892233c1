//! Debug files: the DWARF of a module, by the machine code that it belongs to.
//!
//! ```text
//!  \0asm 1 0 0 0            a WebAssembly module
//!  custom ".wfaas.code"     hash of the machine code, where the module's code section started (LEB128)
//!  custom ".debug_abbrev"   the module's own sections, in order
//!  custom ".debug_info"
//!  ...
//! ```

use crate::dwarf::{self, Line};
use wasmparser::{BinaryReader, Parser, Payload};

/// Name of the section that is not the module's.
const CODE: &str = ".wfaas.code";

/// Start of all names of DWARF's sections.
const DEBUG: &str = ".debug_";

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
        let is_dwarf = |name: &str| name.starts_with(DEBUG);
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
        let section = |name: &str| {
            let section = self.sections.iter().find(|(known, _)| *known == name);
            section.map_or(&[][..], |(_, bytes)| *bytes)
        };
        dwarf::lines(section, &addresses)
    }
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
