//! Modules: artifacts mapped into the process, ready to be instantiated.

use crate::runtime::code::Code;
use crate::runtime::error::Error;
use crate::runtime::images::{images_in_file, images_in_memory, memory_pages};
use crate::runtime::profile::working_sets;
use crate::runtime::types::{ExternType, extern_type};
use crate::sys;
use std::fs::File;
use std::sync::Arc;
use wfaas_abi::artifact::records::{ExternKind, ExternType as ExternRecord};
use wfaas_abi::artifact::{ImageRef, Proto, SectionId};
use wfaas_abi::cpu::CpuFeatures;
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_snapshot::{Image, WorkingSet};

/// A loaded artifact; cheap to clone. Loading checks its header and maps it: nothing is parsed,
/// relocated or copied, so it takes the same time for any size.
#[derive(Debug, Clone)]
pub struct Module(Arc<ModuleInner>);

#[derive(Debug)]
struct ModuleInner {
    code: Arc<Code>,
    /// One for each slot that an instance takes: first the slot with the state, then the slots of
    /// the extra memories, by place.
    images: Vec<Arc<Image>>,
    /// Whether the images' files are in memory and nobody else's.
    image_in_memory: bool,
    /// Sizes of the memories, by place.
    memory_pages: Vec<u64>,
    initialised: bool,
}

impl Module {
    /// Loads an artifact from a copy of it in memory.
    pub(crate) fn load_bytes(bytes: &[u8], available: CpuFeatures) -> Result<Module, Error> {
        Artifact::parse(bytes)?;
        let file = sys::file_in_memory("wfaas-artifact", bytes);
        Self::load_file(file.map_err(Error::os("copying the artifact"))?, available)
    }

    /// Loads an artifact by mapping its file, for a machine with these features.
    pub(crate) fn load_file(file: File, available: CpuFeatures) -> Result<Module, Error> {
        let code = map_code(file)?;
        let artifact = code.artifact();
        artifact.check_cpu(available)?;
        let images = images_in_file(code.file(), artifact.image(), working_sets(&artifact)?)?;
        let memory_pages = memory_pages(artifact.image());
        let initialised = artifact.is_initialised();
        Ok(Module(Arc::new(ModuleInner {
            code: Arc::new(code),
            images,
            image_in_memory: false,
            memory_pages,
            initialised,
        })))
    }

    /// The same module with the image of a `.proto` file, which
    /// [`Capture::to_proto`](crate::Capture::to_proto) makes: its instances start from there.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the file is damaged or was captured from another artifact.
    pub fn with_proto(&self, proto_file: &[u8]) -> Result<Module, Error> {
        let proto = Proto::parse(proto_file)?;
        proto.check_artifact(&self.artifact())?;
        self.with_image(proto.image(), Vec::new(), true)
    }

    /// The same module with its image in memory, for slots that learn.
    pub(crate) fn with_image_in_memory(&self) -> Result<Module, Error> {
        if self.0.image_in_memory {
            return Ok(self.clone());
        }
        let artifact = self.artifact();
        self.with_image(artifact.image(), working_sets(&artifact)?, self.0.initialised)
    }

    /// The same module with this image, in memory, and its working sets.
    fn with_image(
        &self,
        image: ImageRef<'_>,
        expected: Vec<WorkingSet>,
        initialised: bool,
    ) -> Result<Module, Error> {
        Ok(Module(Arc::new(ModuleInner {
            code: self.0.code.clone(),
            images: images_in_memory(image, expected)?,
            image_in_memory: true,
            memory_pages: memory_pages(image),
            initialised,
        })))
    }

    /// The artifact.
    pub fn artifact(&self) -> Artifact<'_> {
        self.0.code.artifact()
    }

    /// Whether instances start initialised: no segment or start function is left to run.
    pub fn is_initialised(&self) -> bool {
        self.0.initialised
    }

    /// Sizes of its own memories in WebAssembly pages, by place.
    pub(crate) fn memory_pages(&self) -> &[u64] {
        &self.0.memory_pages
    }

    /// Bytes of all its own linear memories together that an instance starts with.
    pub fn initial_memory_bytes(&self) -> u64 {
        self.0.memory_pages.iter().sum::<u64>() * WASM_PAGE as u64
    }

    /// The exports, in order: name and type.
    pub fn exports(&self) -> impl Iterator<Item = (&str, ExternType)> {
        let artifact = self.artifact();
        artifact.exports().iter().filter_map(move |export| {
            let name = artifact.string(export.name).ok()?;
            Some((name, self.export_type(export.kind.get(), export.index.get()).ok()?))
        })
    }

    /// The imports, in order: module, name and type.
    pub fn imports(&self) -> impl Iterator<Item = (&str, &str, ExternType)> {
        let artifact = self.artifact();
        artifact.imports().iter().filter_map(move |import| {
            let module = artifact.string(import.module).ok()?;
            let name = artifact.string(import.name).ok()?;
            Some((module, name, extern_type(&artifact, &import.ty).ok()?))
        })
    }

    /// The type of the export `name`.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        let (kind, index) = self.find_export(name)?;
        self.export_type(kind as u32, index).ok()
    }

    pub(crate) fn find_export(&self, name: &str) -> Option<(ExternKind, u32)> {
        let artifact = self.artifact();
        let export = artifact.exports().iter().find(|export| {
            export.name.len.get() as usize == name.len()
                && artifact.string(export.name).is_ok_and(|found| found == name)
        })?;
        Some((ExternKind::from_u32(export.kind.get())?, export.index.get()))
    }

    fn export_type(&self, kind: u32, index: u32) -> Result<ExternType, ArtifactError> {
        let artifact = self.artifact();
        let kind = ExternKind::from_u32(kind).ok_or(ArtifactError::Corrupt("unknown export"))?;
        let imports =
            artifact.imports().iter().filter(|import| import.ty.kind.get() == kind as u32);
        let imported = imports.clone().nth(index as usize);
        if let (Some(import), true) = (imported, kind != ExternKind::Func) {
            return extern_type(&artifact, &import.ty);
        }
        let missing = ArtifactError::Corrupt("an export names nothing");
        let own = (index as usize).wrapping_sub(imports.count());
        let mut record = ExternRecord { kind: (kind as u32).into(), ..Default::default() };
        match kind {
            ExternKind::Func => {
                record.ty = artifact.functions().get(index as usize).ok_or(missing)?.type_index;
            }
            ExternKind::Table => {
                let table = artifact.tables().get(own).ok_or(missing)?;
                record.ty = table.ty;
                (record.minimum, record.maximum) = (table.minimum, table.maximum);
                record.limits = table.limits;
            }
            ExternKind::Memory => {
                let memory = artifact.memories().get(own).ok_or(missing)?;
                (record.minimum, record.maximum) = (memory.minimum, memory.maximum);
                record.limits = memory.limits;
            }
            ExternKind::Tag => record.ty = artifact.tags().get(own).ok_or(missing)?.ty,
            ExternKind::Global => {
                let global = artifact.globals().get(own).ok_or(missing)?;
                (record.ty, record.mutable) = (global.ty, global.mutable);
            }
        }
        extern_type(&artifact, &record)
    }

    /// The images, by place.
    pub(crate) fn images(&self) -> &[Arc<Image>] {
        &self.0.images
    }

    /// The code, shared with modules of other images.
    pub(super) fn code(&self) -> &Arc<Code> {
        &self.0.code
    }

    /// Number that tells the code apart from all other in the life of the process.
    #[inline]
    pub(crate) fn code_id(&self) -> u64 {
        self.0.code.id()
    }

    /// Address of the first byte of the text.
    pub(super) fn text_start(&self) -> usize {
        self.0.code.text_start()
    }

    /// Address of the code at `text_offset`.
    pub(super) fn code_address(&self, text_offset: u32) -> Result<usize, ArtifactError> {
        self.0.code.code_address(text_offset)
    }

    /// The offset of `pc` in the text, if it is inside.
    pub(super) fn text_offset(&self, pc: usize) -> Option<u32> {
        self.0.code.text_offset(pc)
    }
}

/// Maps a file that holds an artifact.
fn map_code(file: File) -> Result<Code, Error> {
    let os = Error::os("mapping the artifact");
    // SAFETY: the mapping is private and read-only. Changing the file under us breaks the contract
    // of `Module::from_file`.
    let map = unsafe { sys::map(&file) }.map_err(os)?;
    let artifact = Artifact::parse(&map)?;
    let section = artifact.header().sections[SectionId::Text as usize];
    let text = match section.size.get() {
        0 => None,
        size => {
            let os = Error::os("mapping the artifact's code");
            // SAFETY: as above.
            let text = unsafe { sys::map_code(&file, section.offset.get(), size as usize) };
            Some(text.map_err(os)?)
        }
    };
    Ok(Code::new(file, map, text))
}
