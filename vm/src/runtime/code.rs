//! Code of a loaded artifact: the mapped file, its executable text, and the functions at addresses.

use crate::call::backtrace::MAX_FRAMES;
use crate::call::text::{self, Registration};
use memmap2::Mmap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wfaas_abi::artifact::records::{FunctionRecord, NONE};
use wfaas_abi::{Artifact, ArtifactError, untrusted};

/// The mapped file and its executable text, shared by a module and its protos.
#[derive(Debug)]
pub(crate) struct Code {
    /// Before the text, so that it ends before somebody else's text can be in the same place.
    _registration: Option<Registration>,
    /// Never used again, unlike the text's address.
    id: u64,
    map: Mmap,
    text: Option<Mmap>,
}

impl Code {
    /// Code of an artifact that was parsed: its file, mapped, and its text, mapped for execution. No
    /// descriptor is needed for them.
    pub(super) fn new(map: Mmap, text: Option<Mmap>) -> Code {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let registration = text.as_ref().map(|text| {
            let start = text.as_ptr() as usize;
            text::register(start..start + text.len())
        });
        let id = NEXT_ID.fetch_add(1, Relaxed);
        Code { _registration: registration, id, map, text }
    }

    pub(super) fn artifact(&self) -> Artifact<'_> {
        Artifact::view(&self.map).expect("it was parsed before it was mapped as code")
    }

    /// Number that tells the code apart from all other in the life of the process.
    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Address of the first byte of the text.
    pub(super) fn text_start(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.as_ptr() as usize)
    }

    /// Address of the code at `text_offset`.
    pub(super) fn code_address(&self, text_offset: u32) -> Result<usize, ArtifactError> {
        let bytes = self.text.as_ref().map_or(0, |text| text.len());
        if text_offset as usize >= bytes {
            return Err(ArtifactError::Corrupt("a code offset is outside of the text"));
        }
        Ok(self.text_start() + text_offset as usize)
    }

    /// The offset of `pc` in the text, if it is inside.
    pub(super) fn text_offset(&self, pc: usize) -> Option<u32> {
        let text = self.text.as_ref()?;
        let offset = pc.checked_sub(text.as_ptr() as usize)?;
        (offset < text.len()).then_some(offset as u32)
    }

    /// The guest functions at `pc`, innermost first: more than one where calls were inlined, none
    /// in stubs and trampolines.
    pub(super) fn frames_at(&self, pc: usize) -> Vec<Frame> {
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

/// One guest function under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Index in the module's function index space.
    pub func_index: u32,
    /// Name, from the name section, an export or an import, as it is there: it may hold anything.
    pub func_name: Option<String>,
    /// Offset in the `.wasm`, in bytes, of the instruction under way.
    pub wasm_offset: Option<u32>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.func_name {
            Some(name) => write!(f, "{}", untrusted::name(name))?,
            None => write!(f, "func[{}]", self.func_index)?,
        }
        match self.wasm_offset {
            Some(offset) => write!(f, " (wasm offset 0x{offset:x})"),
            None => Ok(()),
        }
    }
}
