//! Traps and guest backtraces.

use crate::error::BoxError;
use crate::module::Module;
use std::fmt;
use wfaas_abi::TrapCode;

/// Most frames a backtrace keeps: those nearest to the trap.
pub const MAX_FRAMES: usize = 64;

/// Guest code stopped. Printing it shows the reason and the guest's backtrace.
#[derive(Debug, Clone)]
pub struct Trap {
    /// Why.
    pub code: TrapCode,
    backtrace: Backtrace,
}

impl Trap {
    pub(crate) fn new(code: TrapCode, backtrace: Backtrace) -> Self {
        Trap { code, backtrace }
    }

    /// The guest's frames, innermost first, at most [`MAX_FRAMES`].
    pub fn frames(&self) -> Vec<Frame> {
        self.backtrace.frames()
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trap: {}{}", self.code, self.backtrace)
    }
}

impl std::error::Error for Trap {}

/// A host function returned an error, which ended the guest's call.
#[derive(Debug)]
pub struct HostError {
    /// What the host function returned.
    pub source: BoxError,
    pub(crate) backtrace: Backtrace,
}

impl HostError {
    /// The guest's frames at the call of the host function, innermost first.
    pub fn frames(&self) -> Vec<Frame> {
        self.backtrace.frames()
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.source, self.backtrace)
    }
}

impl std::error::Error for HostError {}

/// One guest function under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Index in the module's function index space.
    pub func_index: u32,
    /// Name, from the name section, an export or an import.
    pub func_name: Option<String>,
    /// Offset in the `.wasm`, in bytes, of the instruction under way.
    pub wasm_offset: Option<u32>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.func_name {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "func[{}]", self.func_index)?,
        }
        match self.wasm_offset {
            Some(offset) => write!(f, " (wasm offset 0x{offset:x})"),
            None => Ok(()),
        }
    }
}

/// Code addresses of guest frames, named only when somebody asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backtrace {
    /// Innermost first. The first may be a faulting instruction, the others are return addresses.
    pub(crate) pcs: Vec<usize>,
    /// Whether `pcs[0]` is the address of an instruction rather than a return address.
    pub(crate) exact_first: bool,
    /// The modules the addresses may belong to.
    pub(crate) modules: Vec<Module>,
}

impl Backtrace {
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let exact = |index| index == 0 && self.exact_first;
        // A return address may already belong to the next instruction, or even function.
        let addresses =
            self.pcs.iter().enumerate().map(|(index, pc)| if exact(index) { *pc } else { *pc - 1 });
        addresses
            .flat_map(|pc| {
                let mut frames = self.modules.iter().map(|module| module.frames_at(pc));
                frames.find(|frames| !frames.is_empty()).unwrap_or_default()
            })
            .take(MAX_FRAMES)
            .collect()
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = self.frames();
        if frames.is_empty() {
            return Ok(());
        }
        write!(f, "\nguest backtrace:")?;
        for (index, frame) in frames.iter().enumerate() {
            write!(f, "\n  {index:>2}: {frame}")?;
        }
        if self.pcs.len().max(frames.len()) == MAX_FRAMES { write!(f, "\n  ...") } else { Ok(()) }
    }
}
