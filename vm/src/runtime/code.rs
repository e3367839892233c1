//! Code of a loaded artifact: the mapped file, its executable text, and the functions at addresses.

use crate::call::text::{self, Registration};
use crate::runtime::lines::DebugSource;
use memmap2::Mmap;
use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wfaas_abi::artifact::records::{CONTINUED, FunctionRecord, NONE};
use wfaas_abi::{Artifact, ArtifactError, untrusted};
use wfaas_symbolize::{Line, demangle};

/// The mapped file and its executable text, shared by a module and its protos.
#[derive(Debug)]
pub(crate) struct Code {
    /// Before the text, so that it ends before somebody else's text can be in the same place.
    _registration: Option<Registration>,
    /// Never used again, unlike the text's address.
    id: u64,
    map: Mmap,
    text: Option<Mmap>,
    /// Where lines of the source are to be found.
    debug: OnceLock<DebugSource>,
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
        Code { _registration: registration, id, map, text, debug: OnceLock::new() }
    }

    /// Has backtraces get their lines from there. The first source stays.
    pub(crate) fn set_debug(&self, source: DebugSource) {
        let _ = self.debug.set(source);
    }

    /// Adds lines of the source to frames of this code.
    pub(super) fn add_lines(&self, frames: &mut [&mut Frame]) {
        let places: Vec<u32> =
            frames.iter().map(|frame| frame.wasm_offset.unwrap_or(u32::MAX)).collect();
        let source = self.debug.get().filter(|_| !places.is_empty());
        let lines = source.and_then(|source| source.lines(&self.artifact(), &places));
        for (frame, lines) in frames.iter_mut().zip(lines.unwrap_or_default()) {
            frame.lines = lines;
        }
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
        let site = artifact.sites().last_to(offset);
        let site = site.filter(|site| site.text_offset >= outermost.1.text_offset.get());
        let exact = site.is_none_or(|site| site.text_offset == offset);
        let places = site.as_ref().map_or(&[][..], |site| site.places());
        let outer = places.first().copied();
        let outermost = match outermost.1.wasm_offset.get() {
            NONE => return Vec::new(), // the thunk of an import
            CONTINUED => match outer.and_then(|place| artifact.function_with(place)) {
                Some(continued) => continued,
                None => return Vec::new(), // no twin
            },
            _ => outermost,
        };
        // Between two sites it is known which function the code is of, but not whether it is inlined.
        let inlined = if exact { places.get(1..).unwrap_or_default() } else { &[] };
        let inlined = inlined.iter().rev().filter_map(|place| {
            Some(frame(&artifact, artifact.function_with(*place)?, Some(*place), true))
        });
        inlined.chain([frame(&artifact, outermost, outer, exact)]).collect()
    }
}

fn frame(
    artifact: &Artifact<'_>,
    (func_index, record): (u32, &FunctionRecord),
    wasm_offset: Option<u32>,
    exact: bool,
) -> Frame {
    let name = artifact.string(record.name).ok().filter(|name| !name.is_empty());
    let func_name = name.map(str::to_owned);
    Frame { func_index, func_name, wasm_offset, exact, lines: Vec::new() }
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
    /// Whether the function is at `wasm_offset`. A deadline ends a call at any instruction; the offset
    /// is then the one of an instruction shortly before, in the order of the machine code.
    pub exact: bool,
    /// Lines of the source there, innermost first: several where the module's own compiler inlined
    /// functions, none without a debug file ([`Module::set_debug_file`](crate::Module::set_debug_file)).
    pub lines: Vec<Line>,
}

impl Frame {
    /// What a backtrace shows: a row for each of the lines, or one.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let lines = self.lines.iter().map(|line| Row { frame: self, line: Some(line) });
        let whole = self.lines.is_empty().then_some(Row { frame: self, line: None });
        lines.chain(whole)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows().take(1).try_for_each(|row| row.fmt(f))
    }
}

/// A row of a backtrace.
pub(super) struct Row<'f> {
    frame: &'f Frame,
    line: Option<&'f Line>,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { frame, line } = self;
        let function = line.and_then(|line| line.function.as_deref()).map(Cow::Borrowed);
        let function = function.or_else(|| frame.func_name.as_deref().map(demangle));
        match function {
            Some(name) => write!(f, "{}", untrusted::name(&name))?,
            None => write!(f, "func[{}]", frame.func_index)?,
        }
        let near = if frame.exact { "" } else { "near " };
        let file = line.and_then(|line| Some((line.file.as_deref()?, line.line, line.column)));
        match (file, frame.wasm_offset) {
            (Some((file, 0, _)), _) => write!(f, " ({near}{})", untrusted::name(file)),
            (Some((file, line, 0)), _) => write!(f, " ({near}{}:{line})", untrusted::name(file)),
            (Some((file, line, column)), _) => {
                write!(f, " ({near}{}:{line}:{column})", untrusted::name(file))
            }
            (None, Some(offset)) => write!(f, " ({near}wasm offset 0x{offset:x})"),
            (None, None) => Ok(()),
        }
    }
}
