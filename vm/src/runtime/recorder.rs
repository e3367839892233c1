//! Recording the frames of a guest where the host ends its call: a program that waits.
//!
//! Either all code keeps locals and operands in its frames, as the compiler makes it for this alone, or the calls have
//! stack maps, as those have at which a program may wait again. The
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
use crate::runtime::records::{MappedFrame, Records};
use wfaas_abi::artifact::records::NONE;
use wfaas_abi::continuation::{Extent, FrameArea, MAX_RECORD_BYTES, SavedFrame};

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
        let frame = |return_address, fp| self.frame(objects, activation, return_address, fp);
        // SAFETY: the caller's contract.
        self.frames = unsafe { walk(objects, exit_fp, activation, frame) };
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

/// The frames of the guest that called the host, outermost first, as `frame` makes them of return address and frame
/// pointer: `None` if there is no function.
///
/// # Safety
/// As [`Recorder::record`].
unsafe fn walk<F>(
    objects: &Objects,
    exit_fp: usize,
    activation: &Activation,
    mut frame: impl FnMut(usize, usize) -> Result<Option<F>, &'static str>,
) -> Result<Vec<F>, &'static str> {
    if activation.is_nested() {
        return Err("a host function is between the guest's frames");
    }
    if objects.instance_count() != 1 {
        return Err("there is another instance, of which functions may be among the frames");
    }
    let (mut frames, mut has_ended, mut outcome) = (Vec::new(), false, Ok(()));
    let visit = |return_address: usize, fp: usize| {
        match frame(return_address, fp) {
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

/// The records of the guest that called the host, and will not be gone back to: of code with stack maps.
///
/// # Safety
/// As [`Recorder::record`].
pub(super) unsafe fn record_again(
    objects: &Objects,
    exit_fp: usize,
    activation: &Activation,
) -> Result<Records, &'static str> {
    let mut left = MAX_RECORD_BYTES;
    let frame = |return_address, fp| {
        let frame = mapped_frame(objects, activation, return_address, fp)?;
        let bytes = frame.as_ref().map_or(0, MappedFrame::bytes);
        left = left.checked_sub(bytes).ok_or("its frames have more than a MiB of values")?;
        Ok(frame)
    };
    // SAFETY: the caller's contract.
    let frames = unsafe { walk(objects, exit_fp, activation, frame) }?;
    check_outermost(objects, &frames[0])?;
    Ok(Records::new(&frames))
}

/// Checks that the outermost frame is of a function that returns what the one does which goes on: another export may
/// have been called.
fn check_outermost(objects: &Objects, outermost: &MappedFrame) -> Result<(), &'static str> {
    let artifact = objects.instance(0).module().artifact();
    let results = |ty| artifact.func_type(ty).ok().map(|ty| ty.results().to_vec());
    let continued = artifact.continued().ok_or("it is no program that goes on")?.type_index;
    let expected = results(continued.get());
    if expected.is_some() && results(outermost.ty) == expected {
        return Ok(());
    }
    Err("another function was called than the one that goes on")
}

/// The frame of the function with the code before `return_address`; `None` if that is no function.
fn mapped_frame(
    objects: &Objects,
    activation: &Activation,
    return_address: usize,
    fp: usize,
) -> Result<Option<MappedFrame>, &'static str> {
    let Some((module, offset)) = objects.code_at(return_address - 1) else { return Ok(None) };
    let artifact = module.artifact();
    let maps = artifact.stack_maps();
    let Ok(index) = maps.binary_search_by_key(&(offset + 1), |map| map.return_offset.get()) else {
        return match artifact.function_at(offset) {
            Some(_) => {
                Err("it does not wait where it has waited before: it ended, or is at another call")
            }
            None => Ok(None),
        };
    };
    let map = maps[index];
    let function = artifact.function_at(offset).ok_or("a stack map is of no function")?;
    let ty = function.1.type_index.get();
    let outside = "a frame is not where it should be";
    let extent = |below_fp, bytes| read(activation, fp, Extent { below_fp, bytes }).ok_or(outside);
    let locals = extent(map.locals_below_fp.get(), map.locals_bytes.get())?;
    let operands = extent(map.operands_below_fp.get(), map.operands_bytes.get())?;
    Ok(Some(MappedFrame { ty, map, locals, operands }))
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
