//! The ELF container around the sections of an artifact; see [`wfaas_abi::artifact`] for the
//! picture. Addresses are file offsets.

use crate::CompileError;
use object::elf::{self, Sym64};
use object::endian::{LittleEndian, U16, U32, U64};
use object::pod::bytes_of_slice;
use object::write::StringId;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, SectionIndex, Writer};
use std::slice;
use wfaas_abi::artifact::{HEADER_OFFSET, Header, SectionId, SectionRef, Sections, seal};
use wfaas_abi::layout;
use zerocopy::IntoBytes;

/// Alignment of record sections, for the look of it: records are unaligned.
const ALIGN: u64 = 8;

/// Bytes of an ELF64 section header.
const SECTION_HEADER_BYTES: u64 = 64;

/// Bytes of an ELF64 symbol.
const SYMBOL_BYTES: u32 = size_of::<Sym64<LittleEndian>>() as u32;

/// The text is the first section after the empty one.
const TEXT_INDEX: elf::SymbolSection = elf::SymbolSection(1);

/// Where the text is, in bytes from the start of the file.
const TEXT_OFFSET: u64 = PAGE;

/// Alignment of mapped sections.
const PAGE: u64 = layout::PAGE as u64;

/// The sections that end the file, behind the section headers and in no segment. There is no bundle
/// yet.
const TAIL: [SectionId; 4] =
    [SectionId::Bundle, SectionId::ImageRuns, SectionId::ProfileRuns, SectionId::Image];

/// The sections between text and tail, in file order.
fn record_sections() -> impl Iterator<Item = SectionId> {
    let between = |id: &SectionId| *id != SectionId::Text && !TAIL.contains(id);
    SectionId::ALL.iter().copied().filter(between)
}

/// The places of the sections in segments, in bytes from the start of the file. Those of the text and
/// of the records are on pages of their own, to be mapped with different rights.
pub(crate) struct Places {
    /// Text and records, in file order.
    loaded: Vec<(SectionId, u64)>,
    eh_frame: u64,
}

impl Places {
    pub(crate) fn of(sections: &Sections) -> Places {
        let mut end = TEXT_OFFSET + size(sections.get(SectionId::Text));
        let mut loaded = vec![(SectionId::Text, TEXT_OFFSET)];
        for id in record_sections() {
            let align = if loaded.len() == 1 { PAGE } else { ALIGN };
            let start = end.next_multiple_of(align);
            loaded.push((id, start));
            end = start + size(sections.get(id));
        }
        Places { loaded, eh_frame: end.next_multiple_of(ALIGN) }
    }

    /// From the start of the text to `.eh_frame`, in bytes.
    pub(crate) fn eh_frame_distance(&self) -> u64 {
        self.eh_frame - TEXT_OFFSET
    }
}

/// A named range of the text.
pub(crate) struct Symbol {
    /// The place of its name in the strings, which end at a zero.
    pub(crate) name: u32,
    /// Bytes from the start of the text.
    pub(crate) offset: u32,
    /// Bytes.
    pub(crate) size: u32,
}

/// Writes the file. Positions, sizes and hashes are filled into `header`.
pub(crate) fn write(
    mut header: Header,
    places: &Places,
    sections: &Sections,
    eh_frame: &[u8],
    symbols: &[Symbol],
) -> Result<Vec<u8>, CompileError> {
    let symbols = symbol_table(symbols);
    let mut file = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, true, &mut file);
    let plan = Plan::reserve(&mut writer, places, sections, eh_frame, bytes_of_slice(&symbols))?;
    plan.fill(&mut header);
    plan.write(&mut writer, &header)?;
    seal(&mut file);
    Ok(file)
}

/// A section with its place in the file.
struct Placed<'s> {
    id: Option<SectionId>,
    bytes: &'s [u8],
    offset: u64,
    name: StringId,
}

/// Where everything goes.
struct Plan<'s> {
    /// Text, records, and `.eh_frame`: the sections in segments.
    loaded: Vec<Placed<'s>>,
    /// Bundle, image runs, profile runs and image.
    tail: Vec<Placed<'s>>,
    symbols: Placed<'s>,
    /// The section with the names of the symbols.
    strings: SectionIndex,
    /// Offset of the section header of the bundle.
    tail_header: u64,
    file_size: u64,
}

impl<'s> Plan<'s> {
    fn reserve(
        writer: &mut Writer<'s>,
        places: &Places,
        sections: &'s Sections,
        eh_frame: &'s [u8],
        symbols: &'s [u8],
    ) -> Result<Self, CompileError> {
        writer.reserve_file_header();
        writer.reserve_program_headers(3);
        let mut loaded = Vec::new();
        for (id, offset) in &places.loaded {
            let bytes = sections.get(*id);
            loaded.push(reserve_at(writer, Some(*id), id.elf_name(), bytes, *offset));
        }
        loaded.push(reserve_at(writer, None, ".eh_frame", eh_frame, places.eh_frame));
        let indices: Vec<SectionIndex> =
            loaded.iter().map(|_| writer.reserve_section_index()).collect();
        let is_strings = |section: &Placed<'_>| section.id == Some(SectionId::Strings);
        let strings = loaded.iter().position(is_strings).map(|index| indices[index]);
        let strings = strings.ok_or_else(|| CompileError::Internal("ELF: no strings".into()))?;
        let symbols_at = writer.reserve(size(symbols), ALIGN);
        let symbols = named(writer, None, ".symtab", symbols, symbols_at);
        writer.reserve_section_index();
        let mut tail: Vec<Placed<'s>> = TAIL
            .iter()
            .map(|id| named(writer, Some(*id), id.elf_name(), sections.get(*id), 0))
            .collect();
        writer.reserve_shstrtab_section_index();
        let tail_index = writer.reserve_section_index();
        for _ in 1..TAIL.len() {
            writer.reserve_section_index();
        }
        writer.reserve_shstrtab().map_err(failed)?;
        writer.reserve(0, ALIGN);
        let tail_header = writer.reserved_len() + u64::from(tail_index.0) * SECTION_HEADER_BYTES;
        writer.reserve_section_headers();
        for section in &mut tail {
            let align = if section.id == Some(SectionId::Image) { PAGE } else { ALIGN };
            section.offset = writer.reserve(size(section.bytes), align);
        }
        let file_size = writer.reserved_len();
        Ok(Plan { loaded, tail, symbols, strings, tail_header, file_size })
    }

    fn fill(&self, header: &mut Header) {
        for section in self.loaded.iter().chain(&self.tail) {
            if let Some(id) = section.id {
                header.sections[id as usize] =
                    SectionRef { offset: section.offset.into(), size: size(section.bytes).into() };
            }
        }
        header.tail_shdr = self.tail_header.into();
        header.file_size = self.file_size.into();
    }

    fn write(&self, writer: &mut Writer<'s>, header: &Header) -> Result<(), CompileError> {
        let file_header = FileHeader {
            os_abi: elf::ELFOSABI_SYSV,
            abi_version: 0,
            e_type: elf::ET_DYN,
            e_machine: elf::EM_X86_64,
            e_entry: 0,
            e_flags: elf::FileFlags(0),
        };
        writer.write_file_header(&file_header).map_err(failed)?;
        self.write_segments(writer);
        writer.pad_until(HEADER_OFFSET as u64);
        writer.write(header.as_bytes());
        write_contents(writer, &self.loaded);
        write_contents(writer, slice::from_ref(&self.symbols));
        writer.write_shstrtab();
        self.write_section_headers(writer);
        write_contents(writer, &self.tail);
        Ok(())
    }

    fn write_segments(&self, writer: &mut Writer<'s>) {
        writer.write_align_program_headers();
        let (text, rest) = (&self.loaded[0], &self.loaded[1..]);
        let last = &rest[rest.len() - 1];
        let rest_end = last.offset + size(last.bytes);
        for (p_type, p_flags, start, end, align) in [
            (
                elf::PT_LOAD,
                elf::PF_R | elf::PF_X,
                text.offset,
                text.offset + size(text.bytes),
                PAGE,
            ),
            (elf::PT_LOAD, elf::PF_R, rest[0].offset, rest_end, PAGE),
            (elf::PT_GNU_STACK, elf::PF_R | elf::PF_W, 0, 0, 1),
        ] {
            writer.write_program_header(&ProgramHeader {
                p_type,
                p_flags,
                p_offset: start,
                p_vaddr: start,
                p_paddr: start,
                p_filesz: end - start,
                p_memsz: end - start,
                p_align: align,
            });
        }
    }

    fn write_section_headers(&self, writer: &mut Writer<'s>) {
        writer.write_null_section_header();
        for section in &self.loaded {
            let is_text = section.id == Some(SectionId::Text);
            let execute = if is_text { elf::SHF_EXECINSTR } else { elf::SectionFlags(0) };
            let flags = elf::SHF_ALLOC | execute;
            let name = writer.section_name_offset(Some(section.name));
            writer.write_section_header(&section_header(section, name, flags, section.offset));
        }
        let name = writer.section_name_offset(Some(self.symbols.name));
        writer.write_section_header(&SectionHeader {
            sh_type: elf::SHT_SYMTAB,
            sh_link: self.strings.0,
            sh_info: self.symbols.bytes.len() as u32 / SYMBOL_BYTES, // all of them are local
            sh_entsize: SYMBOL_BYTES.into(),
            ..section_header(&self.symbols, name, elf::SectionFlags(0), 0)
        });
        writer.write_shstrtab_section_header();
        for section in &self.tail {
            let name = writer.section_name_offset(Some(section.name));
            writer.write_section_header(&section_header(section, name, elf::SectionFlags(0), 0));
        }
    }
}

fn reserve_at<'s>(
    writer: &mut Writer<'s>,
    id: Option<SectionId>,
    name: &'static str,
    bytes: &'s [u8],
    offset: u64,
) -> Placed<'s> {
    writer.reserve_until(offset);
    writer.reserve(size(bytes), 1);
    named(writer, id, name, bytes, offset)
}

fn named<'s>(
    writer: &mut Writer<'s>,
    id: Option<SectionId>,
    name: &'static str,
    bytes: &'s [u8],
    offset: u64,
) -> Placed<'s> {
    Placed { id, bytes, offset, name: writer.add_section_name(name.as_bytes()) }
}

/// The symbol table, which starts with an empty one.
fn symbol_table(symbols: &[Symbol]) -> Vec<Sym64<LittleEndian>> {
    let symbol = |symbol: &Symbol| Sym64 {
        st_name: U32::new(LittleEndian, symbol.name),
        st_info: elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_FUNC),
        st_other: elf::STV_DEFAULT.into(),
        st_shndx: U16::new(LittleEndian, TEXT_INDEX),
        st_value: U64::new(LittleEndian, TEXT_OFFSET + u64::from(symbol.offset)),
        st_size: U64::new(LittleEndian, symbol.size.into()),
    };
    std::iter::once(Sym64::default()).chain(symbols.iter().map(symbol)).collect()
}

fn write_contents(writer: &mut Writer<'_>, sections: &[Placed<'_>]) {
    for section in sections {
        writer.pad_until(section.offset);
        writer.write(section.bytes);
    }
}

fn section_header(
    section: &Placed<'_>,
    name: u32,
    flags: elf::SectionFlags,
    address: u64,
) -> SectionHeader {
    let alignment = match section.id {
        Some(SectionId::Text | SectionId::Image) => PAGE,
        _ => ALIGN,
    };
    SectionHeader {
        sh_name: name,
        sh_type: match section.id {
            Some(SectionId::Strings) => elf::SHT_STRTAB,
            _ => elf::SHT_PROGBITS,
        },
        sh_flags: flags,
        sh_addr: address,
        sh_offset: section.offset,
        sh_size: size(section.bytes),
        sh_link: 0,
        sh_info: 0,
        sh_addralign: alignment,
        sh_entsize: 0,
    }
}

fn failed(error: object::write::Error) -> CompileError {
    CompileError::Internal(format!("ELF: {error}"))
}

/// Bytes in a file.
fn size(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}
