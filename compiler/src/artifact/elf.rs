//! The ELF container around the sections of an artifact; see [`wfaas_abi::artifact`] for the
//! picture. Addresses are file offsets.

use crate::CompileError;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, SectionIndex, Sym, Writer};
use wfaas_abi::artifact::{HEADER_OFFSET, Header, SectionId, SectionRef, Sections, Symbol, seal};
use wfaas_abi::layout;
use zerocopy::IntoBytes;

/// Alignment of record sections, for the look of it: records are unaligned.
const ALIGN: u64 = 8;

/// Bytes of an ELF64 section header.
const SECTION_HEADER_BYTES: u64 = 64;

/// Where the text is, in bytes from the start of the file.
const TEXT_OFFSET: u64 = PAGE;

/// Alignment of mapped sections.
const PAGE: u64 = layout::PAGE as u64;

/// The sections that end the file, behind the section headers and in no segment.
const IMAGE: [SectionId; 3] = [SectionId::ImageRuns, SectionId::ProfileRuns, SectionId::Image];

/// The sections between text and image, in file order.
fn record_sections() -> impl Iterator<Item = SectionId> {
    let between = |id: &SectionId| *id != SectionId::Text && !IMAGE.contains(id);
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

/// Writes the file. Positions, sizes and hashes are filled into `header`.
pub(crate) fn write(
    mut header: Header,
    places: &Places,
    sections: &Sections,
    eh_frame: &[u8],
    symbols: &[Symbol],
) -> Result<Vec<u8>, CompileError> {
    // A string table ends names at a zero.
    let names: Vec<String> =
        symbols.iter().map(|symbol| symbol.name.replace('\0', "\u{fffd}")).collect();
    let mut file = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, true, &mut file);
    let plan = Plan::reserve(&mut writer, places, sections, eh_frame, &names)?;
    plan.fill(&mut header);
    plan.write(&mut writer, &header, symbols)?;
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
    /// Image runs, profile runs and image.
    image: Vec<Placed<'s>>,
    text: SectionIndex,
    symbol_names: Vec<StringId>,
    /// Offset of the section header of the image runs.
    image_header: u64,
    file_size: u64,
}

impl<'s> Plan<'s> {
    fn reserve(
        writer: &mut Writer<'s>,
        places: &Places,
        sections: &'s Sections,
        eh_frame: &'s [u8],
        names: &'s [String],
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
        let symbol_names = reserve_symbols(writer, indices[0], names).map_err(failed)?;
        let mut image: Vec<Placed<'s>> = IMAGE
            .iter()
            .map(|id| named(writer, Some(*id), id.elf_name(), sections.get(*id), 0))
            .collect();
        writer.reserve_shstrtab_section_index();
        let image_index = writer.reserve_section_index();
        for _ in 1..IMAGE.len() {
            writer.reserve_section_index();
        }
        writer.reserve_shstrtab().map_err(failed)?;
        writer.reserve(0, ALIGN);
        let image_header = writer.reserved_len() + u64::from(image_index.0) * SECTION_HEADER_BYTES;
        writer.reserve_section_headers();
        image[0].offset = writer.reserve(size(image[0].bytes), ALIGN);
        image[1].offset = writer.reserve(size(image[1].bytes), ALIGN);
        image[2].offset = writer.reserve(size(image[2].bytes), PAGE);
        let file_size = writer.reserved_len();
        Ok(Plan { loaded, image, text: indices[0], symbol_names, image_header, file_size })
    }

    fn fill(&self, header: &mut Header) {
        for section in self.loaded.iter().chain(&self.image) {
            if let Some(id) = section.id {
                header.sections[id as usize] =
                    SectionRef { offset: section.offset.into(), size: size(section.bytes).into() };
            }
        }
        header.image_shdr = self.image_header.into();
        header.file_size = self.file_size.into();
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
            e_flags: elf::FileFlags(0),
        };
        writer.write_file_header(&file_header).map_err(failed)?;
        self.write_segments(writer);
        writer.pad_until(HEADER_OFFSET as u64);
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

    fn write_symbols(&self, writer: &mut Writer<'s>, symbols: &[Symbol]) {
        writer.write_null_symbol();
        for (symbol, name) in symbols.iter().zip(&self.symbol_names) {
            writer.write_symbol(&Sym {
                section: Some(self.text.0),
                st_name: writer.string_offset(Some(*name)),
                st_info: elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_FUNC),
                st_other: elf::STV_DEFAULT.into(),
                st_shndx: elf::SHN_UNDEF,
                st_value: TEXT_OFFSET + u64::from(symbol.offset),
                st_size: u64::from(symbol.size),
            });
        }
    }

    fn write_section_headers(&self, writer: &mut Writer<'s>, symbols: usize) {
        writer.write_null_section_header();
        for section in &self.loaded {
            let is_text = section.id == Some(SectionId::Text);
            let execute = if is_text { elf::SHF_EXECINSTR } else { elf::SectionFlags(0) };
            let flags = elf::SHF_ALLOC | execute;
            let name = writer.section_name_offset(Some(section.name));
            writer.write_section_header(&section_header(section, name, flags, section.offset));
        }
        // All symbols are local; the table starts with an empty one.
        writer.write_symtab_section_header(symbols as u32 + 1);
        writer.write_strtab_section_header();
        writer.write_shstrtab_section_header();
        for section in &self.image {
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

fn reserve_symbols<'s>(
    writer: &mut Writer<'s>,
    text: SectionIndex,
    names: &'s [String],
) -> object::write::Result<Vec<StringId>> {
    let ids = names.iter().map(|name| writer.add_string(name.as_bytes())).collect();
    writer.reserve_null_symbol_index();
    for _ in names {
        writer.reserve_symbol_index(Some(text));
    }
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab()?;
    Ok(ids)
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
        sh_type: elf::SHT_PROGBITS,
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
