//! Capturing an instance as an image: its state and all memories that it defines.

use crate::runtime::error::Error;
use crate::runtime::module::Module;
use crate::runtime::objects::Objects;
use wfaas_abi::artifact::{records::ExternKind, write_proto};
use wfaas_abi::image::SparseImage;
use wfaas_abi::layout::{PAGE, WASM_PAGE};
use wfaas_abi::memories::{LEAD, image_offset};
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_abi::{FuncRef, ValType, untrusted};

/// State and memory of an instance at one moment.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The bytes.
    pub image: SparseImage,
    /// Sizes in WebAssembly pages of the instance's own memories, by
    /// [place](wfaas_abi::memories).
    pub memory_pages: Vec<u64>,
}

impl Capture {
    /// The bytes of a `.proto` file, for [`Module::with_proto`]. `module` is the module of the
    /// captured instance.
    pub fn to_proto(&self, module: &Module) -> Vec<u8> {
        write_proto(&module.artifact(), &self.image, &self.memory_pages)
    }
}

/// Captures an instance.
///
/// # Errors
/// [`Error::Capture`] if it refers to something outside of it.
pub(crate) fn capture(store: &Objects, index: u32) -> Result<Capture, Error> {
    let instance = &store.instances[index as usize];
    let artifact = instance.module.artifact();
    for import in artifact.imports() {
        let kind = import.ty.extern_kind()?;
        if kind != ExternKind::Func {
            let name = untrusted::name(artifact.string(import.name)?);
            return Err(Error::Capture(format!("it imports the {} \"{name}\"", kind.name())));
        }
    }
    check_references(store, index)?;
    let state_bytes = artifact.header().state_bytes.get() as usize;
    let mut image = SparseImage::new(state_bytes);
    let mut memory_pages = Vec::new();
    for (place, slot) in instance.slots.iter().enumerate() {
        let memory = &store.memories[*slot as usize];
        let lead = if place == 0 { state_bytes } else { LEAD };
        let bytes = memory.bytes();
        let pages = (bytes / WASM_PAGE) as u64;
        memory_pages.push(pages);
        for range in memory.contents(lead) {
            // A slot may keep pages behind the end of its memory.
            for at in (range.start..range.end.min(bytes as isize)).step_by(PAGE) {
                image.write(image_offset(place) + at as i64, &memory.page(at)?);
            }
        }
        // A shared memory may have grown meanwhile.
        let size_at = image_offset(place) + i64::from(MEMORY_PAGES_OFFSET);
        image.write(size_at, &pages.to_le_bytes());
    }
    Ok(Capture { image, memory_pages })
}

/// Everything the state refers to must be in the image or the artifact too.
pub(super) fn check_references(store: &Objects, index: u32) -> Result<(), Error> {
    let instance = &store.instances[index as usize];
    for (number, table) in instance.tables.iter().enumerate() {
        let table = &store.tables[*table as usize];
        for bits in table.read(0, table.size()).unwrap_or_default() {
            check_reference(table.element(), bits)
                .map_err(|what| Error::Capture(format!("table {number} holds {what}")))?;
        }
    }
    for (number, global) in instance.globals.iter().enumerate() {
        let global = &store.globals[*global as usize];
        check_reference(global.ty().content, global.read().0)
            .map_err(|what| Error::Capture(format!("global {number} holds {what}")))?;
    }
    Ok(())
}

fn check_reference(ty: ValType, bits: u64) -> Result<(), &'static str> {
    if ty.is_extern_ref() && bits != 0 {
        return Err("a reference to a host object");
    }
    if ty.is_exn_ref() && bits != 0 {
        return Err("an exception");
    }
    if ty.is_func_ref() && FuncRef::from_bits(bits).is_foreign() {
        return Err("a reference to a function of another instance or of the host");
    }
    Ok(())
}
