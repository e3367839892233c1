//! Recording the frames of a guest where the host ends its call: a program that waits.
//!
//! The code must keep locals and operands in its frames, as the compiler makes it for this alone. The
//! frames are those between the entry and the import that was called, of one instance:
//!
//! ```text
//!   enter → trampoline → function → ... → function → import → thunk → host function
//!                        | outermost frame            | innermost frame
//! ```

use crate::call::backtrace::RawBacktrace;
use crate::call::state::Activation;
use crate::runtime::error::Error;
use crate::runtime::objects::Objects;
use wfaas_abi::artifact::records::NONE;
use wfaas_abi::continuation::{Extent, FrameArea, SavedFrame};

/// Records frames when the host ends a call.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// The place of the values in the frames of each function.
    areas: Vec<FrameArea>,
    /// The frames of the last call that the host ended, outermost first, or why there are none.
    frames: Result<Vec<SavedFrame>, &'static str>,
}

impl Recorder {
    pub(crate) fn new(areas: Vec<FrameArea>) -> Recorder {
        Recorder { areas, frames: Err("no call was ended by the host") }
    }

    /// The frames recorded last.
    ///
    /// # Errors
    /// [`Error::Capture`] if there are none.
    pub(crate) fn into_frames(self) -> Result<Vec<SavedFrame>, Error> {
        self.frames.map_err(|reason| Error::Capture(reason.to_owned()))
    }

    /// Records the frames of the guest that called the host, and will not be gone back to.
    ///
    /// # Safety
    /// `activation` must be the innermost one, of the store of `objects`, and guest code must have left
    /// through a stub with the frame pointer `exit_fp`.
    pub(super) unsafe fn record(
        &mut self,
        objects: &Objects,
        exit_fp: usize,
        activation: &Activation,
    ) {
        // SAFETY: the caller's contract.
        self.frames = unsafe { self.walk(objects, exit_fp, activation) };
    }

    /// # Safety
    /// As [`Recorder::record`].
    unsafe fn walk(
        &self,
        objects: &Objects,
        exit_fp: usize,
        activation: &Activation,
    ) -> Result<Vec<SavedFrame>, &'static str> {
        if activation.is_nested() {
            return Err("a host function is between the guest's frames");
        }
        if objects.instance_count() != 1 {
            return Err("there is another instance, of which functions may be among the frames");
        }
        let (mut frames, mut has_ended, mut outcome) = (Vec::new(), false, Ok(()));
        let visit = |return_address: usize, fp: usize| {
            match self.frame(objects, activation, return_address, fp) {
                Ok(Some(_)) if has_ended => outcome = Err("a stub is between the guest's frames"),
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => has_ended = true,
                Err(reason) => outcome = Err(reason),
            }
            outcome.is_ok()
        };
        // SAFETY: the caller's contract.
        unsafe { RawBacktrace::visit(exit_fp, activation, visit) };
        outcome?;
        frames.reverse();
        if frames.len() < 2 {
            return Err("no function of the module is under way");
        }
        Ok(frames)
    }

    /// The frame of the function with the code before `return_address`; `None` if that is no function.
    fn frame(
        &self,
        objects: &Objects,
        activation: &Activation,
        return_address: usize,
        fp: usize,
    ) -> Result<Option<SavedFrame>, &'static str> {
        let Some((module, offset)) = objects.code_at(return_address - 1) else { return Ok(None) };
        let artifact = module.artifact();
        let Some((function, record)) = artifact.function_at(offset) else { return Ok(None) };
        let area = self.areas.get(function as usize).ok_or("the code was not made for it")?;
        let site = match record.wasm_offset.get() {
            NONE => 0,
            _ => artifact
                .site_at(offset)
                .and_then(|site| site.places().first().copied())
                .ok_or("a frame is at no known call")?,
        };
        let outside = "a frame is not where it should be";
        let locals = read(activation, fp, area.locals).ok_or(outside)?;
        let operands = read(activation, fp, area.operands).ok_or(outside)?;
        Ok(Some(SavedFrame { function, site, locals, operands }))
    }
}

/// The bytes of a frame under way of `activation`, which runs nothing meanwhile. `None` if they are not
/// on its stack.
fn read(activation: &Activation, fp: usize, extent: Extent) -> Option<Vec<u8>> {
    let start = fp.checked_sub(extent.below_fp as usize)?;
    let range = start..start.checked_add(extent.bytes as usize)?;
    if !activation.holds(&range) {
        return None;
    }
    let mut bytes = vec![0; range.len()];
    // SAFETY: the stack is mapped, and the host function that the guest called runs far below the
    // frames; whatever the bytes are, they are bytes.
    unsafe { std::ptr::copy_nonoverlapping(start as *const u8, bytes.as_mut_ptr(), bytes.len()) };
    Some(bytes)
}
