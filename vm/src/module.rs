//! Modules: artifacts mapped into the process, ready to be instantiated.

use crate::code::{self, Registration};
use crate::engine::Engine;
use crate::error::Error;
use crate::profile::working_sets;
use crate::trap::{Frame, MAX_FRAMES};
use crate::types::{ExternType, extern_type};
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wfaas_abi::artifact::records::{ExternKind, ExternType as ExternRecord, FunctionRecord, NONE};
use wfaas_abi::artifact::{ImagePart, ImageRef, Proto, SectionId};
use wfaas_abi::cpu::{CPU_FEATURES, CpuFeatures};
use wfaas_abi::layout::{PAGE, WASM_PAGE};
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_snapshot::{Extent, Image, WorkingSet};

/// A loaded artifact; cheap to clone. Loading checks its header and maps it: nothing is parsed,
/// relocated or copied, so it takes the same time for any size.
#[derive(Debug, Clone)]
pub struct Module(Arc<ModuleInner>);

#[derive(Debug)]
struct ModuleInner {
    engine: Engine,
    code: Arc<Code>,
    /// One for each slot that an instance takes: that with the state first, then those of the
    /// extra memories, by place.
    images: Vec<Arc<Image>>,
    /// Whether the images' files are in memory and nobody else's.
    image_in_memory: bool,
    /// Sizes of the memories, by place.
    memory_pages: Vec<u64>,
    initialised: bool,
}

/// The mapped file and its executable text, shared by a module and those with a proto of it.
#[derive(Debug)]
struct Code {
    /// Before the text, so that it ends before somebody else's text can be in the same place.
    _registration: Option<Registration>,
    /// Never used again, unlike the text's address.
    id: u64,
    file: File,
    map: Mmap,
    text: Option<Mmap>,
}

impl Module {
    /// Loads an artifact from memory; the bytes are copied once.
    ///
    /// # Errors
    /// [`Error::Artifact`] if the header does not fit this VM; [`Error::Os`] if mapping fails.
    pub fn from_bytes(engine: &Engine, bytes: &[u8]) -> Result<Module, Error> {
        Artifact::parse(bytes)?;
        let load = || -> std::io::Result<File> {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::memfd_create("wfaas-artifact", flags)?);
            file.write_all(bytes)?;
            Ok(file)
        };
        let file = load().map_err(Error::os("copying the artifact"))?;
        Self::from_open_file(engine, file)
    }

    /// Loads an artifact by mapping its file, which must not be changed while it is in use.
    ///
    /// # Errors
    /// As [`Module::from_bytes`], and [`Error::Os`] if the file cannot be opened.
    pub fn from_file(engine: &Engine, path: &Path) -> Result<Module, Error> {
        let file = File::open(path).map_err(Error::os("opening the artifact"))?;
        Self::from_open_file(engine, file)
    }

    fn from_open_file(engine: &Engine, file: File) -> Result<Module, Error> {
        let code = Code::map(file)?;
        let artifact = code.artifact();
        artifact.check_cpu(available_cpu_features())?;
        let images = images_in_file(&code.file, artifact.image(), working_sets(&artifact)?)?;
        let memory_pages = memory_pages(artifact.image());
        let initialised = artifact.is_initialised();
        Ok(Module(Arc::new(ModuleInner {
            engine: engine.clone(),
            code: Arc::new(code),
            images,
            image_in_memory: false,
            memory_pages,
            initialised,
        })))
    }

    /// The same module with the image of a `.proto` file: its instances start from there.
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

    /// The same module with this image, in memory, of which these are the working sets.
    fn with_image(
        &self,
        image: ImageRef<'_>,
        expected: Vec<WorkingSet>,
        initialised: bool,
    ) -> Result<Module, Error> {
        Ok(Module(Arc::new(ModuleInner {
            engine: self.0.engine.clone(),
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

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The images, by place.
    pub(crate) fn images(&self) -> &[Arc<Image>] {
        &self.0.images
    }

    /// Tells the code apart from all other in the life of the process.
    pub(crate) fn code_id(&self) -> u64 {
        self.0.code.id
    }

    /// Address of the first byte of the text.
    pub(crate) fn text_start(&self) -> usize {
        self.0.code.text.as_ref().map_or(0, |text| text.as_ptr() as usize)
    }

    /// Address of the code at `text_offset`.
    pub(crate) fn code_address(&self, text_offset: u32) -> Result<usize, ArtifactError> {
        let bytes = self.0.code.text.as_ref().map_or(0, |text| text.len());
        if text_offset as usize >= bytes {
            return Err(ArtifactError::Corrupt("a code offset is outside of the text"));
        }
        Ok(self.text_start() + text_offset as usize)
    }

    /// The offset of `pc` in the text, if it is inside.
    pub(crate) fn text_offset(&self, pc: usize) -> Option<u32> {
        let text = self.0.code.text.as_ref()?;
        let offset = pc.checked_sub(text.as_ptr() as usize)?;
        (offset < text.len()).then_some(offset as u32)
    }

    /// The guest functions at `pc`, innermost first: more than one where calls were inlined, none
    /// in stubs and trampolines.
    pub(crate) fn frames_at(&self, pc: usize) -> Vec<Frame> {
        let Some(offset) = self.text_offset(pc) else { return Vec::new() };
        let artifact = self.artifact();
        let Some(outermost) = artifact.function_at(offset) else { return Vec::new() };
        if outermost.1.wasm_offset.get() == NONE {
            return Vec::new(); // the thunk of an import
        }
        let mut inner: Vec<u32> = artifact.wasm_offsets_at(offset).take(MAX_FRAMES).collect();
        let outer = inner.pop();
        let inlined = inner.into_iter().filter_map(|place| {
            Some(frame(&artifact, artifact.function_with(place)?, Some(place)))
        });
        inlined.chain([frame(&artifact, outermost, outer)]).collect()
    }
}

fn frame(
    artifact: &Artifact<'_>,
    (func_index, record): (u32, &FunctionRecord),
    wasm_offset: Option<u32>,
) -> Frame {
    let name = artifact.string(record.name).ok().filter(|name| !name.is_empty());
    Frame { func_index, func_name: name.map(str::to_owned), wasm_offset }
}

impl Code {
    fn map(file: File) -> Result<Code, Error> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        // SAFETY: the mapping is private and read-only. Who changes the file under us breaks the
        // contract of `Module::from_file`.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::os("mapping the artifact"))?;
        let artifact = Artifact::parse(&map)?;
        let section = artifact.header().sections[SectionId::Text as usize];
        let text = match section.size.get() {
            0 => None,
            size => Some(map_text(&file, section.offset.get(), size as usize)?),
        };
        let registration = text.as_ref().map(|text| {
            let start = text.as_ptr() as usize;
            code::register(start..start + text.len())
        });
        let id = NEXT_ID.fetch_add(1, Relaxed);
        Ok(Code { _registration: registration, id, file, map, text })
    }

    fn artifact(&self) -> Artifact<'_> {
        Artifact::view(&self.map).expect("`map` has parsed it")
    }
}

fn map_text(file: &File, offset: u64, bytes: usize) -> Result<Mmap, Error> {
    let mut options = MmapOptions::new();
    // SAFETY: as in `Code::map`.
    unsafe { options.offset(offset).len(bytes).map_exec(file) }
        .map_err(Error::os("mapping the artifact's code"))
}

fn memory_pages(image: ImageRef<'_>) -> Vec<u64> {
    image.memory_sizes.iter().map(|pages| pages.get()).collect()
}

/// The images, mapped straight from the artifact where that needs few mappings.
fn images_in_file(
    file: &File,
    image: ImageRef<'_>,
    expected: Vec<WorkingSet>,
) -> Result<Vec<Arc<Image>>, Error> {
    image.check()?;
    let from_file = |part: ImagePart<'_>| {
        let extents = extents(part, image.file_offset);
        let file = file.try_clone().map_err(Error::os("making the image"))?;
        Ok(Image::from_file(file, part.bytes, &extents)?)
    };
    let images = image.parts().map(|part| match from_file(part) {
        Err(Error::Slot(wfaas_snapshot::Error::Image(_))) => in_memory(image, part),
        other => other,
    });
    expecting(images, expected)
}

fn images_in_memory(
    image: ImageRef<'_>,
    expected: Vec<WorkingSet>,
) -> Result<Vec<Arc<Image>>, Error> {
    image.check()?;
    expecting(image.parts().map(|part| in_memory(image, part)), expected)
}

fn in_memory(image: ImageRef<'_>, part: ImagePart<'_>) -> Result<Image, Error> {
    Ok(Image::from_pages(part.bytes, &extents(part, 0), image.bytes)?)
}

/// The images with what guests are expected to write to, if that is known.
fn expecting(
    images: impl Iterator<Item = Result<Image, Error>>,
    expected: Vec<WorkingSet>,
) -> Result<Vec<Arc<Image>>, Error> {
    let expected = expected.into_iter().map(Some).chain(std::iter::repeat(None));
    let images = images.zip(expected).map(|(image, set)| match set {
        Some(set) => Ok(image?.expecting(set)?),
        None => image,
    });
    images.map(|image| image.map(Arc::new)).collect()
}

/// What of an image's part is stored, from `origin` on in a file.
fn extents(part: ImagePart<'_>, origin: u64) -> Vec<Extent> {
    let mut file = origin + part.stored_at as u64;
    let mut extents = Vec::with_capacity(part.runs.len());
    for run in part.runs {
        let bytes = run.pages.get() as usize * PAGE;
        let at = (run.first.get() - part.first_page) as usize * PAGE;
        extents.push(Extent { at, file, bytes });
        file += bytes as u64;
    }
    extents
}

/// The features of this machine, of those an artifact may ask for.
pub fn available_cpu_features() -> CpuFeatures {
    macro_rules! detect {
        ($($name:tt)*) => {
            [$(($name, std::arch::is_x86_feature_detected!($name)),)*]
        };
    }
    let detected = detect!(
        "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1" "bmi2" "lzcnt"
        "avx512f" "avx512vl" "avx512dq" "avx512bitalg" "avx512vbmi"
    );
    let bit = |name| CPU_FEATURES.iter().find(|feature| feature.0 == name).map_or(0, |f| f.1);
    let bits = detected.iter().filter(|(_, has)| *has).map(|(name, _)| bit(*name));
    CpuFeatures(bits.fold(0, |all, bit| all | bit))
}
