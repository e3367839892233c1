//! Traps and guest backtraces.

use crate::call::backtrace::{MAX_FRAMES, RawBacktrace};
use crate::runtime::code::{Code, Frame};
use std::fmt;
use std::sync::Arc;
use wfaas_abi::TrapCode;

/// An error of a host function.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Guest code stopped. Printing it shows the reason and the guest's backtrace.
#[derive(Debug, Clone)]
pub struct Trap {
    /// Reason.
    pub code: TrapCode,
    backtrace: Backtrace,
}

impl Trap {
    pub(super) fn new(code: TrapCode, backtrace: Backtrace) -> Self {
        Trap { code, backtrace }
    }

    /// A trap outside of any guest function.
    pub fn without_frames(code: TrapCode) -> Self {
        Trap { code, backtrace: Backtrace::default() }
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
    /// The error that the host function returned.
    pub source: BoxError,
    pub(super) backtrace: Backtrace,
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

/// Code addresses of guest frames, named only when somebody asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backtrace {
    /// Innermost first. The first may be a faulting instruction, the others are return addresses.
    pcs: Vec<usize>,
    /// Whether `pcs[0]` is the address of an instruction rather than a return address.
    exact_first: bool,
    /// The code that the addresses may belong to.
    code: Vec<Arc<Code>>,
}

impl Backtrace {
    /// The backtrace noted last on this thread, in any of this code.
    pub(super) fn take<'a>(known: impl Iterator<Item = &'a Arc<Code>>) -> Backtrace {
        let raw = RawBacktrace::take();
        let mut code: Vec<Arc<Code>> = Vec::new();
        for known in known {
            if raw.pcs().iter().any(|pc| known.text_offset(*pc).is_some())
                && !code.iter().any(|other| Arc::ptr_eq(other, known))
            {
                code.push(known.clone());
            }
        }
        Backtrace { pcs: raw.pcs().to_vec(), exact_first: raw.exact_first, code }
    }

    pub(super) fn frames(&self) -> Vec<Frame> {
        let exact = |index| index == 0 && self.exact_first;
        // A return address may already belong to the next instruction, or even function.
        let addresses =
            self.pcs.iter().enumerate().map(|(index, pc)| if exact(index) { *pc } else { *pc - 1 });
        let found = addresses.flat_map(|pc| {
            let frames = self.code.iter().map(|code| (code, code.frames_at(pc)));
            let found = frames.into_iter().find(|(_, frames)| !frames.is_empty());
            found.into_iter().flat_map(|(code, frames)| frames.into_iter().map(move |f| (code, f)))
        });
        let (codes, mut frames): (Vec<_>, Vec<_>) = found.take(MAX_FRAMES).unzip();
        for code in &self.code {
            let own = frames.iter_mut().zip(&codes).filter(|(_, of)| Arc::ptr_eq(of, code));
            code.add_lines(&mut own.map(|(frame, _)| frame).collect::<Vec<_>>());
        }
        frames
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames = self.frames();
        if frames.is_empty() {
            return Ok(());
        }
        write!(f, "\nguest backtrace:")?;
        let rows: Vec<_> = frames.iter().flat_map(Frame::rows).collect();
        for (index, row) in rows.iter().take(MAX_FRAMES).enumerate() {
            write!(f, "\n  {index:>2}: {row}")?;
        }
        if self.pcs.len().max(rows.len()) >= MAX_FRAMES { write!(f, "\n  ...") } else { Ok(()) }
    }
}
