//! The ELF container around the sections of an artifact; see [`wfaas_abi::artifact`] for the
//! picture. Addresses are file offsets.

use crate::CompileError;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, SectionIndex, Sym, Writer};
use wfaas_abi::artifact::{HEADER_OFFSET, Header, SectionId, SectionRef, Sections, Symbol, seal};
use wfaas_abi::layout::PAGE;
use zerocopy::IntoBytes;

/// Alignment of record sections, for the look of it: records are unaligned.
const ALIGN: usize = 8;

/// Bytes of an ELF64 section header.
const SECTION_HEADER_BYTES: usize = 64;

/// Where the text is, in bytes from the start of the file.
const TEXT_OFFSET: usize = PAGE;

/// The sections that end the file, behind the section headers and in no segment.
const IMAGE: [SectionId; 3] = [SectionId::ImageRuns, SectionId::ProfileRuns, SectionId::Image];

/// The sections between text and image, in file order.
fn record_sections() -> impl Iterator<Item = SectionId> {
    let between = |id: &SectionId| *id != SectionId::Text && !IMAGE.contains(id);
    SectionId::ALL.iter().copied().filter(between)
}

/// Where `.eh_frame` will be, in bytes from the start of the text.
pub(crate) fn eh_frame_distance(sections: &Sections) -> u64 {
    let text_end = TEXT_OFFSET + sections.get(SectionId::Text).len();
    let end = record_sections().fold(text_end.next_multiple_of(PAGE), |end, id| {
        end.next_multiple_of(ALIGN) + sections.get(id).len()
    });
    (end.next_multiple_of(ALIGN) - TEXT_OFFSET) as u64
}

/// Writes the file. Positions, sizes and hashes are filled into `header`.
pub(crate) fn write(
    mut header: Header,
    sections: &Sections,
    eh_frame: &[u8],
    symbols: &[Symbol],
) -> Result<Vec<u8>, CompileError> {
    // A string table ends names at a zero.
    let names: Vec<String> =
        symbols.iter().map(|symbol| symbol.name.replace('\0', "\u{fffd}")).collect();
    let mut file = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, true, &mut file);
    let plan = Plan::reserve(&mut writer, sections, eh_frame, &names);
    plan.fill(&mut header);
    plan.write(&mut writer, &header, symbols)?;
    seal(&mut file);
    Ok(file)
}

/// A section with its place in the file.
struct Placed<'s> {
    id: Option<SectionId>,
    bytes: &'s [u8],
    offset: usize,
    name: StringId,
}

/// Where everything goes.
struct Plan<'s> {
    /// Text, records, and `.eh_frame`: what is in segments.
    loaded: Vec<Placed<'s>>,
    /// Image runs, profile runs and image.
    image: Vec<Placed<'s>>,
    text: SectionIndex,
    symbol_names: Vec<StringId>,
    /// Offset of the section header of the image runs.
    image_header: usize,
    file_size: usize,
}

impl<'s> Plan<'s> {
    fn reserve(
        writer: &mut Writer<'s>,
        sections: &'s Sections,
        eh_frame: &'s [u8],
        names: &'s [String],
    ) -> Self {
        writer.reserve_file_header();
        writer.reserve_program_headers(3);
        writer.reserve_until(TEXT_OFFSET);
        let mut loaded = Vec::new();
        for (position, id) in [SectionId::Text].into_iter().chain(record_sections()).enumerate() {
            // Text and records are on pages of their own, to be mapped with different rights.
            let align = if position < 2 { PAGE } else { ALIGN };
            let offset = writer.reserve(sections.get(id).len(), align);
            loaded.push(named(writer, Some(id), id.elf_name(), sections.get(id), offset));
        }
        let offset = writer.reserve(eh_frame.len(), ALIGN);
        loaded.push(named(writer, None, ".eh_frame", eh_frame, offset));
        let indices: Vec<SectionIndex> =
            loaded.iter().map(|_| writer.reserve_section_index()).collect();
        let symbol_names = reserve_symbols(writer, indices[0], names);
        let mut image: Vec<Placed<'s>> = IMAGE
            .iter()
            .map(|id| named(writer, Some(*id), id.elf_name(), sections.get(*id), 0))
            .collect();
        writer.reserve_shstrtab_section_index();
        let image_index = writer.reserve_section_index();
        for _ in 1..IMAGE.len() {
            writer.reserve_section_index();
        }
        writer.reserve_shstrtab();
        writer.reserve(0, ALIGN);
        let image_header = writer.reserved_len() + image_index.0 as usize * SECTION_HEADER_BYTES;
        writer.reserve_section_headers();
        image[0].offset = writer.reserve(image[0].bytes.len(), ALIGN);
        image[1].offset = writer.reserve(image[1].bytes.len(), ALIGN);
        image[2].offset = writer.reserve(image[2].bytes.len(), PAGE);
        let file_size = writer.reserved_len();
        Plan { loaded, image, text: indices[0], symbol_names, image_header, file_size }
    }

    fn fill(&self, header: &mut Header) {
        for section in self.loaded.iter().chain(&self.image) {
            if let Some(id) = section.id {
                header.sections[id as usize] = SectionRef {
                    offset: (section.offset as u64).into(),
                    size: (section.bytes.len() as u64).into(),
                };
            }
        }
        header.image_shdr = (self.image_header as u64).into();
        header.file_size = (self.file_size as u64).into();
    }

    fn write(
        &self,
        writer: &mut Writer<'s>,
        header: &Header,
        symbols: &[Symbol],
    ) -> Result<(), CompileError> {
        let file_header = FileHeader {
            os_abi: elf::ELFOSABI_SYSV,
            abi_version: 0,
            e_type: elf::ET_DYN,
            e_machine: elf::EM_X86_64,
            e_entry: 0,
            e_flags: 0,
        };
        writer
            .write_file_header(&file_header)
            .map_err(|error| CompileError::Internal(format!("ELF header: {error}")))?;
        self.write_segments(writer);
        writer.pad_until(HEADER_OFFSET);
        writer.write(header.as_bytes());
        write_contents(writer, &self.loaded);
        self.write_symbols(writer, symbols);
        writer.write_strtab();
        writer.write_shstrtab();
        self.write_section_headers(writer, symbols.len());
        write_contents(writer, &self.image);
        Ok(())
    }

    fn write_segments(&self, writer: &mut Writer<'s>) {
        writer.write_align_program_headers();
        let (text, rest) = (&self.loaded[0], &self.loaded[1..]);
        let last = &rest[rest.len() - 1];
        let rest_end = last.offset + last.bytes.len();
        for (p_type, p_flags, start, end, align) in [
            (
                elf::PT_LOAD,
                elf::PF_R | elf::PF_X,
                text.offset,
                text.offset + text.bytes.len(),
                PAGE,
            ),
            (elf::PT_LOAD, elf::PF_R, rest[0].offset, rest_end, PAGE),
            (elf::PT_GNU_STACK, elf::PF_R | elf::PF_W, 0, 0, 1),
        ] {
            writer.write_program_header(&ProgramHeader {
                p_type,
                p_flags,
                p_offset: start as u64,
                p_vaddr: start as u64,
                p_paddr: start as u64,
                p_filesz: (end - start) as u64,
                p_memsz: (end - start) as u64,
                p_align: align as u64,
            });
        }
    }

    fn write_symbols(&self, writer: &mut Writer<'s>, symbols: &[Symbol]) {
        writer.write_null_symbol();
        for (symbol, name) in symbols.iter().zip(&self.symbol_names) {
            writer.write_symbol(&Sym {
                name: Some(*name),
                section: Some(self.text),
                st_info: elf::STB_LOCAL << 4 | elf::STT_FUNC,
                st_other: elf::STV_DEFAULT,
                st_shndx: 0,
                st_value: TEXT_OFFSET as u64 + u64::from(symbol.offset),
                st_size: u64::from(symbol.size),
            });
        }
    }

    fn write_section_headers(&self, writer: &mut Writer<'s>, symbols: usize) {
        writer.write_null_section_header();
        for section in &self.loaded {
            let execute = if section.id == Some(SectionId::Text) { elf::SHF_EXECINSTR } else { 0 };
            let flags = u64::from(elf::SHF_ALLOC | execute);
            writer.write_section_header(&section_header(section, flags, section.offset));
        }
        // All symbols are local; the table starts with an empty one.
        writer.write_symtab_section_header(symbols as u32 + 1);
        writer.write_strtab_section_header();
        writer.write_shstrtab_section_header();
        for section in &self.image {
            writer.write_section_header(&section_header(section, 0, 0));
        }
    }
}

fn named<'s>(
    writer: &mut Writer<'s>,
    id: Option<SectionId>,
    name: &'static str,
    bytes: &'s [u8],
    offset: usize,
) -> Placed<'s> {
    Placed { id, bytes, offset, name: writer.add_section_name(name.as_bytes()) }
}

fn reserve_symbols<'s>(
    writer: &mut Writer<'s>,
    text: SectionIndex,
    names: &'s [String],
) -> Vec<StringId> {
    let ids = names.iter().map(|name| writer.add_string(name.as_bytes())).collect();
    writer.reserve_null_symbol_index();
    for _ in names {
        writer.reserve_symbol_index(Some(text));
    }
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab();
    ids
}

fn write_contents(writer: &mut Writer<'_>, sections: &[Placed<'_>]) {
    for section in sections {
        writer.pad_until(section.offset);
        writer.write(section.bytes);
    }
}

fn section_header(section: &Placed<'_>, flags: u64, address: usize) -> SectionHeader {
    let alignment = match section.id {
        Some(SectionId::Text | SectionId::Image) => PAGE,
        _ => ALIGN,
    };
    SectionHeader {
        name: Some(section.name),
        sh_type: elf::SHT_PROGBITS,
        sh_flags: flags,
        sh_addr: address as u64,
        sh_offset: section.offset as u64,
        sh_size: section.bytes.len() as u64,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: alignment as u64,
        sh_entsize: 0,
    }
}
