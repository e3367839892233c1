//! Modules: artifacts mapped into the process, ready to be instantiated.

use crate::runtime::bundle::MappedBundle;
use crate::runtime::code::Code;
use crate::runtime::error::Error;
use crate::runtime::images::{ImageList, Source, Start};
use crate::runtime::profile::working_sets;
use crate::runtime::types::{ExternType, extern_type};
use crate::sys;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use wfaas_abi::artifact::records::{ExternKind, ExternType as ExternRecord};
use wfaas_abi::artifact::{Proto, SectionId};
use wfaas_abi::checkpoint::Checkpoint;
use wfaas_abi::component::Bindings;
use wfaas_abi::cpu::CpuFeatures;
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_snapshot::ImageMemory;

/// A loaded artifact; cheap to clone. Loading checks its header and maps it: nothing is parsed or
/// relocated, so it takes the same time for any size. Images are copied to memory once, for the first
/// pool or the first instance, and shared by all modules of an engine with equal ones.
#[derive(Debug, Clone)]
pub struct Module(Arc<ModuleInner>);

#[derive(Debug)]
struct ModuleInner {
    code: Arc<Code>,
    memory: ImageMemory,
    images: Mutex<Images>,
    start: Start,
    initialised: bool,
    /// The index of the memory exported as `memory`, once somebody has asked.
    exported_memory: OnceLock<Option<u32>>,
}

/// One image for each slot that an instance takes: first the slot with the state, then the slots of
/// the extra memories, by place.
#[derive(Debug)]
enum Images {
    /// Those of the artifact, which nobody needed yet.
    Unmade,
    /// In the artifact's file, as far as that needs few mappings. It stays open for them.
    InFile(ImageList),
    /// In the engine's memory of images.
    InMemory(ImageList),
}

impl Module {
    /// Loads an artifact from a copy of it in memory.
    pub(crate) fn load_bytes(
        bytes: &[u8],
        available: CpuFeatures,
        memory: &ImageMemory,
    ) -> Result<Module, Error> {
        Artifact::parse(bytes)?;
        let file = sys::file_in_memory("wfaas-artifact", bytes);
        let code = map_code(&file.map_err(Error::os("copying the artifact"))?)?;
        Self::of_code(code, available, memory)
    }

    /// Loads an artifact by mapping its file, for a machine with these features.
    pub(crate) fn load_file(
        file: File,
        available: CpuFeatures,
        memory: &ImageMemory,
    ) -> Result<Module, Error> {
        let module = Self::of_code(map_code(&file)?, available, memory)?;
        let expected = working_sets(&module.artifact())?;
        let images = module.source().in_file(&Arc::new(file), expected)?;
        *module.lock_images() = Images::InFile(images);
        Ok(module)
    }

    fn of_code(code: Code, available: CpuFeatures, memory: &ImageMemory) -> Result<Module, Error> {
        let artifact = code.artifact();
        artifact.check_cpu(available)?;
        artifact.bundle()?;
        working_sets(&artifact)?;
        let start = Start::new(&artifact, artifact.image())?;
        let initialised = artifact.is_initialised();
        let (images, memory) = (Mutex::new(Images::Unmade), memory.clone());
        let code = Arc::new(code);
        let exported_memory = OnceLock::new();
        let inner = ModuleInner { code, memory, images, start, initialised, exported_memory };
        Ok(Module(Arc::new(inner)))
    }

    /// The same module with the image of a `.proto` file, which
    /// [`Capture::to_proto`](crate::Capture::to_proto) makes: its instances start from there.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the file is damaged or was captured from another artifact;
    /// [`Error::Slot`] if there is no memory for the image.
    pub fn with_proto(&self, proto_file: &[u8]) -> Result<Module, Error> {
        let proto = Proto::parse(proto_file)?;
        let artifact = self.artifact();
        proto.check_artifact(&artifact)?;
        let start = Start::new(&artifact, proto.image())?;
        let images = Source { image: proto.image(), ..self.source() }.in_memory(Vec::new())?;
        Ok(self.with_images(images, start))
    }

    /// The same module with other images, of an initialised instance.
    pub(super) fn with_images(&self, images: ImageList, start: Start) -> Module {
        Module(Arc::new(ModuleInner {
            code: self.0.code.clone(),
            memory: self.0.memory.clone(),
            images: Mutex::new(Images::InMemory(images)),
            start,
            initialised: true,
            exported_memory: OnceLock::new(),
        }))
    }

    /// The memory of its images.
    pub(super) fn image_memory(&self) -> &ImageMemory {
        &self.0.memory
    }

    /// Moves the images to memory, for slots that learn, and so that the artifact's file need not
    /// stay open.
    pub(crate) fn keep_images_in_memory(&self) -> Result<ImageList, Error> {
        let mut images = self.lock_images();
        if let Images::InMemory(list) = &*images {
            return Ok(list.clone());
        }
        let list = self.source().in_memory(working_sets(&self.artifact())?)?;
        *images = Images::InMemory(list.clone());
        Ok(list)
    }

    /// The images, by place.
    pub(crate) fn images(&self) -> Result<ImageList, Error> {
        if let Images::InFile(list) | Images::InMemory(list) = &*self.lock_images() {
            return Ok(list.clone());
        }
        self.keep_images_in_memory()
    }

    fn lock_images(&self) -> MutexGuard<'_, Images> {
        self.0.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The artifact's own image.
    fn source(&self) -> Source<'_> {
        let artifact = self.artifact();
        let head = artifact.header().host_bytes.get() as usize;
        Source { image: artifact.image(), head, memory: &self.0.memory }
    }

    /// Whether it is the same module, with the same image.
    pub(crate) fn is(&self, other: &Module) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The artifact.
    pub fn artifact(&self) -> Artifact<'_> {
        self.0.code.artifact()
    }

    /// The artifact's tree of files, if there is one.
    pub fn bundle(&self) -> Option<MappedBundle> {
        let bundle = self.artifact().bundle().ok().flatten();
        bundle.map(|_| MappedBundle::new(self.0.code.clone()))
    }

    /// All that a program that waits has outside of its memory; `None` for a program that begins anew. It is
    /// decoded each time.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        Ok(self.artifact().checkpoint()?)
    }

    /// The interfaces of the component that it was made of; `None` if it was no component. They are decoded
    /// and checked at each call.
    ///
    /// # Errors
    /// [`Error::Artifact`] if they are damaged.
    pub fn component(&self) -> Result<Option<Bindings>, Error> {
        Ok(self.artifact().component()?)
    }

    /// Whether instances start initialised: no segment or start function is left to run.
    pub fn is_initialised(&self) -> bool {
        self.0.initialised
    }

    /// Whether instances start as they are after an instantiation: initialised, or without a segment
    /// or start function that has to run in each.
    pub fn has_complete_image(&self) -> bool {
        let artifact = self.artifact();
        self.0.initialised || artifact.init_steps().is_empty() && artifact.start().is_none()
    }

    /// Whether its program was compiled to be captured when it waits again; see
    /// [`Store::record_again`](crate::Store::record_again).
    pub fn has_stack_maps(&self) -> bool {
        !self.artifact().stack_maps().is_empty()
    }

    /// Sizes of its own memories in WebAssembly pages, by place.
    pub(crate) fn memory_pages(&self) -> &[u64] {
        &self.0.start.memory_pages
    }

    /// Bytes of all its own linear memories and tables together that an instance starts with.
    pub fn initial_memory_bytes(&self) -> u64 {
        self.0.start.memory_bytes().saturating_add(self.0.start.table_bytes)
    }

    /// The part of [`Module::initial_memory_bytes`] that is tables.
    pub(super) fn initial_table_bytes(&self) -> u64 {
        self.0.start.table_bytes
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

    /// The first name under which the memory of this index is exported.
    pub fn memory_export(&self, index: u32) -> Option<&str> {
        let artifact = self.artifact();
        let is_it = |kind: u32, found: u32| {
            ExternKind::from_u32(kind) == Some(ExternKind::Memory) && found == index
        };
        let mut exports = artifact.exports().iter();
        let export = exports.find(|export| is_it(export.kind.get(), export.index.get()))?;
        artifact.string(export.name).ok()
    }

    pub(crate) fn find_export(&self, name: &str) -> Option<(ExternKind, u32)> {
        let artifact = self.artifact();
        let export = artifact.exports().iter().find(|export| {
            export.name.len.get() as usize == name.len()
                && artifact.string(export.name).is_ok_and(|found| found == name)
        })?;
        Some((ExternKind::from_u32(export.kind.get())?, export.index.get()))
    }

    /// The index of the memory exported as `memory`: looked up once, since host functions ask in every call.
    #[inline]
    pub(crate) fn exported_memory(&self) -> Option<u32> {
        *self.0.exported_memory.get_or_init(|| match self.find_export("memory")? {
            (ExternKind::Memory, index) => Some(index),
            _ => None,
        })
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

    /// The code, shared with modules of other images.
    pub(crate) fn code(&self) -> &Arc<Code> {
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
fn map_code(file: &File) -> Result<Code, Error> {
    let os = Error::os("mapping the artifact");
    // SAFETY: the mapping is private and read-only. Changing the file under us breaks the contract
    // of `Module::from_file`.
    let map = unsafe { sys::map(file) }.map_err(os)?;
    let artifact = Artifact::parse(&map)?;
    let section = artifact.header().sections[SectionId::Text as usize];
    let text = match section.size.get() {
        0 => None,
        size => {
            let os = Error::os("mapping the artifact's code");
            // SAFETY: as above.
            let text = unsafe { sys::map_code(file, section.offset.get(), size as usize) };
            Some(text.map_err(os)?)
        }
    };
    Ok(Code::new(map, text))
}
