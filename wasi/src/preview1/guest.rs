//! The calling guest as the functions of preview1 see it: its memory, its state, and its call.
//!
//! A pointer of the guest is an allegation: it has its own type, and becomes bytes only
//! here, after a check.

use super::errno::{Errno, Failure};
use super::functions::FUNCTIONS;
use crate::canonical::Component;
use crate::context::{HasWasi, Wasi};
use crate::files::MAX_PATH;
use crate::preview3::{self, Tasks};
use crate::timer::Timer;
use crate::wait::{Wait, block_on};
use crate::work::{Then, Work};
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_vm::{BoxError, Caller, MaybeFuture, Memory};

/// The guest that called, whatever the data of its store.
pub(crate) type Guest<'a> = dyn Calling + 'a;

/// A call of a function of preview1.
pub(crate) trait Calling {
    /// The data of the store.
    fn data(&mut self) -> &mut dyn HasWasi;

    /// The guest's memory and the data.
    fn memory_and_data(&mut self) -> Result<(&mut [u8], &mut dyn HasWasi), Errno>;

    /// Whether the call is to end soon.
    fn interrupted(&self) -> bool;

    /// When the call began: waits do not change it.
    fn began(&mut self) -> Instant;

    /// Whether it has waited.
    fn has_waited(&self) -> bool;

    /// Bytes that were transferred before the waits, to go on behind them.
    fn transferred(&mut self) -> &mut u32;

    /// Where the function goes on after the waits, as it counts: a listing's cookie, bytes of an allocation.
    fn progress(&mut self) -> &mut u64;

    /// The result of the function, if it has another one than an error number.
    fn result(&mut self) -> &mut u64;

    /// Whether there is a pool for work that may block, and the guest can be suspended meanwhile.
    fn offloads(&mut self) -> bool;

    /// Moves the streams and subtasks of a component, while its guest waits for something else. Whether an error
    /// of one ends the wait.
    fn move_others(&mut self, _context: &mut Context<'_>) -> bool {
        false
    }

    /// The guest's WASI.
    fn wasi(&mut self) -> &mut Wasi {
        self.data().wasi()
    }
}

/// A call by a guest whose store has data `T`.
struct Call<'a, T> {
    caller: Caller<'a, T>,
    /// The memory of its values, once somebody has asked.
    memory: Option<Memory>,
    /// The number of that memory, if it is another one than the guest exports as `memory`.
    memory_number: u32,
    began: Option<Instant>,
    has_waited: bool,
    transferred: u32,
    progress: u64,
    result: u64,
    /// What an error number becomes that the function does not tell its guest itself.
    told: fn(Errno) -> Result<u64, BoxError>,
    suspends: Suspends,
    /// The types of a component, once a call of it waits.
    component: Option<Arc<Component>>,
}

/// Whether a call can suspend its guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suspends {
    No,
    /// If the caller can wait.
    Perhaps,
    Yes,
}

impl<T: HasWasi> Calling for Call<'_, T> {
    fn data(&mut self) -> &mut dyn HasWasi {
        self.caller.data_mut()
    }

    fn memory_and_data(&mut self) -> Result<(&mut [u8], &mut dyn HasWasi), Errno> {
        let memory = match self.memory {
            Some(memory) => memory,
            None => memory(&mut self.caller, self.memory_number).ok_or(Errno::Fault)?,
        };
        self.memory = Some(memory);
        let (bytes, data) = self.caller.memory_and_data(memory);
        Ok((bytes, data))
    }

    fn interrupted(&self) -> bool {
        self.caller.interrupted().is_some()
    }

    fn began(&mut self) -> Instant {
        *self.began.get_or_insert_with(Instant::now)
    }

    fn has_waited(&self) -> bool {
        self.has_waited
    }

    fn transferred(&mut self) -> &mut u32 {
        &mut self.transferred
    }

    fn progress(&mut self) -> &mut u64 {
        &mut self.progress
    }

    fn result(&mut self) -> &mut u64 {
        &mut self.result
    }

    fn offloads(&mut self) -> bool {
        let suspends = match self.suspends {
            Suspends::No => false,
            Suspends::Perhaps => self.caller.can_wait(),
            Suspends::Yes => true,
        };
        suspends && self.wasi().files().is_some_and(|files| files.pool().is_some())
    }

    fn move_others(&mut self, context: &mut Context<'_>) -> bool {
        let Some(component) = self.component.clone() else { return false };
        preview3::move_others(self, &component, context)
    }
}

impl<T: HasWasi> Call<'_, T> {
    /// Has the data take note of a function that is not there, if it is the first time.
    #[cold]
    fn miss(&mut self, name: &'static str) {
        let number = FUNCTIONS.iter().position(|function| function.name == name);
        let data = self.caller.data_mut();
        if number.is_some_and(|number| data.wasi().environment().miss(number)) {
            data.missing(name);
        }
    }
}

/// The clock of a call, while it stands still.
struct Stopped {
    deadline: Instant,
    since: Instant,
}

/// End of an attempt to do what the guest asked for.
enum Attempt {
    /// The function has ended: its result, which is an error number for most, or the end of its call.
    Ended(Result<u64, BoxError>),
    /// It goes on later.
    Pauses(Pause),
}

/// A reason why a function goes on later.
enum Pause {
    /// It is to be called again after this wait.
    Wait(Wait),
    /// The rest of it comes after this work.
    Work(Work),
}

impl<'a, T: HasWasi> Call<'a, T> {
    fn new(caller: Caller<'a, T>) -> Call<'a, T> {
        let (has_waited, suspends) = (false, Suspends::No);
        Call {
            caller,
            memory: None,
            memory_number: 0,
            began: None,
            has_waited,
            transferred: 0,
            progress: 0,
            result: Errno::Success as u64,
            told: |errno| Ok(errno as u64),
            suspends,
            component: None,
        }
    }

    fn attempt(
        &mut self,
        name: &'static str,
        function: &impl Fn(&mut Guest<'_>) -> Result<(), Failure>,
    ) -> Attempt {
        let result = function(self);
        self.ended(name, result)
    }

    fn ended(&mut self, name: &'static str, result: Result<(), Failure>) -> Attempt {
        match result {
            Ok(()) => Attempt::Ended(Ok(self.result)),
            Err(Failure::Errno(errno)) => {
                if errno == Errno::Nosys {
                    self.miss(name);
                }
                Attempt::Ended((self.told)(errno))
            }
            Err(Failure::End(error)) => Attempt::Ended(Err(error)),
            Err(Failure::Wait(wait)) => Attempt::Pauses(Pause::Wait(wait)),
            Err(Failure::Work(work)) => Attempt::Pauses(Pause::Work(work)),
        }
    }

    /// Stops the clock of the call if the wait is for others who have one of their own. While other streams and
    /// subtasks of a component move, the clock goes on: the host may be at work for them.
    fn stop_clock(&mut self, wait: &Wait) -> Option<Stopped> {
        let deadline = self.caller.deadline()?;
        let stops =
            wait.is_for_streams() && self.caller.data().stops_clock() && !self.others_go_on();
        stops.then(|| {
            self.caller.set_deadline(None);
            Stopped { deadline, since: Instant::now() }
        })
    }

    /// Whether other streams or subtasks move during a wait.
    fn others_go_on(&mut self) -> bool {
        self.component.is_some()
            && self.wasi().resources().look_at_tasks().is_some_and(Tasks::are_waiting)
    }

    /// The error of another stream or subtask that ends the call.
    fn failed_meanwhile(&mut self) -> Result<(), BoxError> {
        match self.component {
            Some(_) => self.wasi().resources().take_failed().map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    /// Ends a wait, and lets the clock go on if it was stopped.
    fn start_clock(&mut self, stopped: Option<Stopped>) {
        self.has_waited = true;
        if let Some(Stopped { deadline, since }) = stopped {
            self.caller.set_deadline(deadline.checked_add(since.elapsed()));
        }
    }

    /// Goes on after a first pause, and holds the thread for it and for further ones.
    #[cold]
    fn block(
        mut self,
        mut pause: Pause,
        name: &'static str,
        function: impl Fn(&mut Guest<'_>) -> Result<(), Failure>,
    ) -> Result<u64, BoxError> {
        loop {
            let attempt = match pause {
                Pause::Wait(wait) => {
                    let clock = self.stop_clock(&wait);
                    let ended = wait.block(&mut self);
                    self.start_clock(clock);
                    self.failed_meanwhile()?;
                    if let Err(errno) = ended {
                        return (self.told)(errno);
                    }
                    self.attempt(name, &function)
                }
                Pause::Work(work) => {
                    let finished = self.finish_here(work);
                    self.failed_meanwhile()?;
                    let result = match finished {
                        Ok(then) => then(&mut self),
                        Err(errno) => Err(errno.into()),
                    };
                    self.ended(name, result)
                }
            };
            match attempt {
                Attempt::Ended(result) => return result,
                Attempt::Pauses(next) => pause = next,
            }
        }
    }

    /// The same, but suspended.
    async fn suspend(
        mut self,
        mut pause: Pause,
        name: &'static str,
        function: impl Fn(&mut Guest<'_>) -> Result<(), Failure>,
    ) -> Result<u64, BoxError> {
        self.suspends = Suspends::Yes;
        let mut was_over_at_once = false;
        loop {
            let attempt = match pause {
                Pause::Wait(mut wait) => {
                    if was_over_at_once {
                        wait = Wait::Turn; // a function that waits in vain leaves room for its end
                    }
                    was_over_at_once = true;
                    let clock = self.stop_clock(&wait);
                    let mut timer = Timer::default();
                    let ended = poll_fn(|context| {
                        let polled = wait.poll(&mut self, &mut timer, context);
                        was_over_at_once &= polled.is_ready();
                        polled
                    })
                    .await;
                    self.start_clock(clock);
                    self.failed_meanwhile()?;
                    if let Err(errno) = ended {
                        return (self.told)(errno);
                    }
                    self.attempt(name, &function)
                }
                Pause::Work(work) => {
                    let finished = self.finish(work).await;
                    self.failed_meanwhile()?;
                    let result = match finished {
                        Ok(then) => then(&mut self),
                        Err(errno) => Err(errno.into()),
                    };
                    self.ended(name, result)
                }
            };
            match attempt {
                Attempt::Ended(result) => return result,
                Attempt::Pauses(next) => pause = next,
            }
        }
    }

    /// Does some work, or holds the thread until it is done.
    fn finish_here(&mut self, work: Work) -> Result<Then, Errno> {
        match work {
            Work::Blocks(job) => Ok(job()),
            Work::Awaits(future) => block_on(future, self),
        }
    }

    /// Has the pool or others do some work.
    async fn finish(&mut self, work: Work) -> Result<Then, Errno> {
        let files = self.wasi().files().cloned();
        let mut working = work.begin(files.as_ref().and_then(|files| files.pool()));
        poll_fn(|context| {
            if self.move_others(context) {
                return Poll::Ready(Err(Errno::Intr)); // the call ends with the error
            }
            let polled = working.poll(context);
            if polled.is_pending() && working.is_others() {
                self.wasi().flush();
            }
            polled
        })
        .await
    }
}

/// The memory of a guest with this number: the one that it exports as `memory`, or another one of a component.
#[inline]
pub(crate) fn memory<T: HasWasi>(caller: &mut Caller<'_, T>, number: u32) -> Option<Memory> {
    match number {
        0 => caller.memory(),
        number => caller.memory_at(number),
    }
}

/// Calls the function `name`, again after each wait it asks for; the error number that the guest gets.
/// Waits hold the thread.
pub(super) fn call<T: HasWasi>(
    caller: Caller<'_, T>,
    name: &'static str,
    function: impl Fn(&mut Guest<'_>) -> Result<(), Failure>,
) -> Result<u32, BoxError> {
    let mut call = Call::new(caller);
    let result = match call.attempt(name, &function) {
        Attempt::Ended(result) => result,
        Attempt::Pauses(pause) => call.block(pause, name, function),
    };
    result.map(|errno| errno as u32)
}

/// The same, but waits suspend the guest, if it can be suspended.
pub(super) fn call_async<'a, T: HasWasi + Send>(
    caller: Caller<'a, T>,
    name: &'static str,
    function: impl Fn(&mut Guest<'_>) -> Result<(), Failure> + Send + 'a,
) -> MaybeFuture<'a, Result<u32, BoxError>> {
    match call_or_pause(Call::new(caller), name, None, &function) {
        Begun::Ended(result) => MaybeFuture::Ready(result.map(|errno| errno as u32)),
        Begun::Suspends(call, pause) => MaybeFuture::Future(Box::new(async move {
            call.suspend(pause, name, function).await.map(|errno| errno as u32)
        })),
    }
}

/// The same of a function of a component, with [its result](Calling::result). The first attempt only borrows the
/// function; `again` makes the one that is called after a wait. With the types of the `component`, its other streams
/// and subtasks move during a wait. Its values are in the memory with number `memory`.
pub(crate) fn call_component<'a, T: HasWasi + Send, F>(
    caller: Caller<'a, T>,
    (name, memory): (&'static str, u32),
    component: Option<&Arc<Component>>,
    function: impl Fn(&mut Guest<'_>) -> Result<(), Failure>,
    again: impl FnOnce() -> F,
) -> MaybeFuture<'a, Result<u64, BoxError>>
where
    F: Fn(&mut Guest<'_>) -> Result<(), Failure> + Send + 'a,
{
    let mut call = Call::new(caller);
    call.memory_number = memory;
    call.told = |errno| match errno {
        Errno::Intr => Ok(0), // the call is over: nobody reads it
        errno => Err(format!("the wait of a component failed: {errno:?}").into()),
    };
    match call_or_pause(call, name, component, &function) {
        Begun::Ended(result) => MaybeFuture::Ready(result),
        Begun::Suspends(call, pause) => {
            MaybeFuture::Future(Box::new(call.suspend(pause, name, again())))
        }
    }
}

/// A call after its first attempt.
enum Begun<'a, T> {
    Ended(Result<u64, BoxError>),
    Suspends(Call<'a, T>, Pause),
}

/// Calls a function; its result, or the call that has to be suspended.
#[inline]
fn call_or_pause<'a, T: HasWasi>(
    mut call: Call<'a, T>,
    name: &'static str,
    component: Option<&Arc<Component>>,
    function: &impl Fn(&mut Guest<'_>) -> Result<(), Failure>,
) -> Begun<'a, T> {
    call.suspends = Suspends::Perhaps;
    let attempt = call.attempt(name, function);
    if matches!(attempt, Attempt::Pauses(_)) {
        call.component = component.cloned();
    }
    match attempt {
        Attempt::Ended(result) => Begun::Ended(result),
        Attempt::Pauses(pause) if call.caller.can_wait() => Begun::Suspends(call, pause),
        Attempt::Pauses(pause) => {
            call.suspends = Suspends::No;
            Begun::Ended(call.block(pause, name, function))
        }
    }
}

/// An address the guest gave. Nothing about it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuestPtr(u32);

/// A range the guest gave. Nothing about it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuestSlice {
    ptr: GuestPtr,
    len: u32,
}

impl From<u32> for GuestPtr {
    fn from(address: u32) -> GuestPtr {
        GuestPtr(address)
    }
}

impl GuestPtr {
    /// The address `bytes` further on.
    pub(super) fn add(self, bytes: u32) -> Result<GuestPtr, Errno> {
        self.0.checked_add(bytes).map(GuestPtr).ok_or(Errno::Fault)
    }

    /// The address of element `index` of an array of elements of `size` bytes.
    pub(super) fn element(self, index: u32, size: u32) -> Result<GuestPtr, Errno> {
        self.add(index.checked_mul(size).ok_or(Errno::Fault)?)
    }

    /// The range of `len` bytes from here.
    pub(super) fn slice(self, len: u32) -> GuestSlice {
        GuestSlice { ptr: self, len }
    }

    /// The address as a number, to hand back to the guest.
    pub(super) fn to_bits(self) -> u32 {
        self.0
    }
}

impl GuestSlice {
    /// Bytes.
    pub(super) fn len(self) -> u32 {
        self.len
    }

    /// The `len` bytes from `start` on.
    pub(super) fn part(self, start: u32, len: u32) -> Result<GuestSlice, Errno> {
        Ok(self.ptr.add(start)?.slice(len))
    }

    /// The range of indices, if it lies in a memory of `size` bytes.
    fn check(self, size: usize) -> Result<Range<usize>, Errno> {
        let start = self.ptr.0 as usize;
        let end = start.checked_add(self.len as usize).ok_or(Errno::Fault)?;
        if end <= size { Ok(start..end) } else { Err(Errno::Fault) }
    }
}

/// The bytes of `slice`, to read.
pub(super) fn bytes<'a>(guest: &'a mut Guest<'_>, slice: GuestSlice) -> Result<&'a [u8], Errno> {
    bytes_mut(guest, slice).map(|bytes| &*bytes)
}

/// The bytes of `slice`, to write.
pub(super) fn bytes_mut<'a>(
    guest: &'a mut Guest<'_>,
    slice: GuestSlice,
) -> Result<&'a mut [u8], Errno> {
    bytes_and_wasi(guest, slice).map(|(bytes, _)| bytes)
}

/// The bytes of `slice`, to write, and the guest's WASI.
pub(super) fn bytes_and_wasi<'a>(
    guest: &'a mut Guest<'_>,
    slice: GuestSlice,
) -> Result<(&'a mut [u8], &'a mut Wasi), Errno> {
    let (memory, data) = guest.memory_and_data()?;
    let range = slice.check(memory.len())?;
    Ok((&mut memory[range], data.wasi()))
}

/// Copies `from` to `at`.
pub(super) fn write(guest: &mut Guest<'_>, at: GuestPtr, from: &[u8]) -> Result<(), Errno> {
    let len = u32::try_from(from.len()).map_err(|_| Errno::Fault)?;
    bytes_mut(guest, at.slice(len))?.copy_from_slice(from);
    Ok(())
}

/// Writes a 32-bit number at `at`.
pub(super) fn write_u32(guest: &mut Guest<'_>, at: GuestPtr, value: u32) -> Result<(), Errno> {
    write(guest, at, &value.to_le_bytes())
}

/// Writes a 64-bit number at `at`.
pub(super) fn write_u64(guest: &mut Guest<'_>, at: GuestPtr, value: u64) -> Result<(), Errno> {
    write(guest, at, &value.to_le_bytes())
}

/// The path of `len` bytes at `at`.
///
/// # Errors
/// [`Errno::Nametoolong`]; [`Errno::Ilseq`] if it is not UTF-8; [`Errno::Inval`] if it has a NUL.
pub(super) fn path(guest: &mut Guest<'_>, at: GuestPtr, len: u32) -> Result<String, Errno> {
    let bytes = bytes(guest, at.slice(len))?;
    if bytes.len() > MAX_PATH {
        return Err(Errno::Nametoolong);
    }
    let path = std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)?;
    if path.contains('\0') { Err(Errno::Inval) } else { Ok(path.to_owned()) }
}

/// The little-endian `u32` at `at` in a record.
///
/// # Panics
/// If the record is shorter.
pub(super) fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"))
}

/// The little-endian `u64` at `at` in a record.
///
/// # Panics
/// If the record is shorter.
pub(super) fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_good_up_to_the_last_byte() {
        let slice = |ptr: u32, len| GuestPtr::from(ptr).slice(len);
        assert_eq!(slice(0, 65536).check(65536), Ok(0..65536));
        assert_eq!(slice(65536, 0).check(65536), Ok(65536..65536));
        assert_eq!(slice(65535, 2).check(65536), Err(Errno::Fault));
        assert_eq!(slice(u32::MAX, u32::MAX).check(65536), Err(Errno::Fault));
        assert_eq!(slice(65537, 0).check(65536), Err(Errno::Fault));
    }

    #[test]
    fn pointer_arithmetic_does_not_wrap() {
        let last = GuestPtr::from(u32::MAX);
        assert_eq!(last.add(1), Err(Errno::Fault));
        assert_eq!(GuestPtr::from(0).element(u32::MAX, 8), Err(Errno::Fault));
        assert_eq!(GuestPtr::from(8).element(3, 4), Ok(GuestPtr::from(20)));
    }
}
