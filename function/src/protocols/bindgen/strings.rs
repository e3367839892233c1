//! Calls of one function of strings: a call for each string's memory, then its own.

use super::{MALLOC, MEMORY};
use crate::invoke::InvokeError;
use crate::protocol::{Next, Turn};
use crate::resolver::{Entry, GuestMemory, ListEntry, Resolver};
use wfaas_vm::ValType::I32;
use wfaas_vm::{Error, FuncType, Val};

/// Runs the functions that a module marks as its start, before anything else.
const START: &str = "__wbindgen_start";
/// Moves the stack pointer; its new value.
const STACK: &str = "__wbindgen_add_to_stack_pointer";

/// Bytes for the two words of a returned string: a stack stays aligned to as many.
const ROOM_BYTES: u32 = 16;

/// A function of strings, looked up once.
pub(in crate::protocols) struct StringFunc {
    start: Option<Entry<(), ()>>,
    malloc: Malloc,
    func: ListEntry,
    strings: usize,
    result: Returned,
    memory: GuestMemory,
}

/// The allocator, whose type changed once.
enum Malloc {
    Size(Entry<u32, u32>),
    SizeAndAlign(Entry<(u32, u32), u32>),
}

/// How the function returns its string.
enum Returned {
    /// Not at all.
    Nothing,
    /// As two results.
    Results,
    /// At an address that the caller gives, in its stack.
    Stack(Entry<u32, u32>),
    /// At an address that the caller gives, allocated.
    Heap,
}

/// A call under way, between two turns.
#[derive(Debug, Default)]
pub(in crate::protocols) struct Progress {
    strings: Vec<String>,
    /// Address and length of each string that is in the guest's memory.
    passed: Vec<(u32, u32)>,
    /// Address for a returned string.
    room: Option<u32>,
    awaited: Awaited,
}

/// The call that a turn comes after.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    #[default]
    Start,
    Memory,
    Room,
    Function,
}

/// A guest broke the rules of `wasm-bindgen`'s strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadString {
    /// The allocator's memory is not in the guest's.
    #[error("`{MALLOC}` has no room for {bytes} bytes (it answered {ptr:#x})")]
    NoRoom {
        /// Bytes asked for.
        bytes: usize,
        /// The address it answered.
        ptr: u32,
    },
    /// The returned string is not in the guest's memory.
    #[error("the function returned {len} bytes at {ptr:#x}, which is outside of its memory")]
    Outside {
        /// Address of the string.
        ptr: u32,
        /// Bytes of the string.
        len: u32,
    },
}

impl StringFunc {
    /// Looks up the export `name` and the functions that pass strings to it.
    pub(in crate::protocols) fn resolve(
        resolver: &mut Resolver<'_>,
        name: &str,
    ) -> Result<StringFunc, Error> {
        let func = resolver.list_func(name)?;
        let Some((strings, has_result)) = signature(func.ty()) else {
            let reason = format!("{}, which is no function of strings", func.ty());
            return Err(Error::Export { name: name.to_owned(), reason });
        };
        let result = match (has_result, func.ty().results().is_empty()) {
            (false, _) => Returned::Nothing,
            (true, false) => Returned::Results,
            (true, true) if resolver.has(STACK) => Returned::Stack(resolver.func(STACK)?),
            (true, true) => Returned::Heap,
        };
        let malloc = match resolver.func(MALLOC) {
            Ok(malloc) => Malloc::SizeAndAlign(malloc),
            Err(_) => Malloc::Size(resolver.func(MALLOC)?),
        };
        // Where there is nothing to run, the export is an import of JavaScript's itself.
        let start = resolver.func(START).ok();
        let memory = resolver.memory(MEMORY)?;
        Ok(StringFunc { start, malloc, func, strings, result, memory })
    }

    /// Strings that it takes.
    pub(in crate::protocols) fn strings(&self) -> usize {
        self.strings
    }

    /// The first call of those that pass these strings.
    pub(in crate::protocols) fn begin(
        &self,
        turn: &mut Turn<'_>,
        strings: Vec<String>,
    ) -> Result<Next, InvokeError> {
        *turn.local() = Progress { strings, ..Progress::default() };
        match &self.start {
            Some(start) => Ok(turn.call(start, ())),
            None => self.next(turn),
        }
    }

    /// The next call; none after that of the function.
    pub(in crate::protocols) fn proceed(
        &self,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Next>, InvokeError> {
        match turn.local::<Progress>().awaited {
            Awaited::Start => turn.results::<()>()?,
            Awaited::Memory => {
                let ptr = turn.results()?;
                self.pass(turn, ptr)?;
            }
            Awaited::Room => {
                let ptr = turn.results()?;
                turn.local::<Progress>().room = Some(ptr);
            }
            Awaited::Function => return Ok(None),
        }
        self.next(turn).map(Some)
    }

    fn next(&self, turn: &mut Turn<'_>) -> Result<Next, InvokeError> {
        let Progress { strings, passed, room, awaited } = turn.local();
        if let Some(string) = strings.get(passed.len()) {
            *awaited = Awaited::Memory;
            let bytes = string.len();
            let size = u32::try_from(bytes)
                .map_err(|_| InvokeError::protocol(BadString::NoRoom { bytes, ptr: 0 }))?;
            return Ok(self.allocate(turn, size, 1));
        }
        let wanted = matches!(self.result, Returned::Stack(_) | Returned::Heap);
        if wanted && room.is_none() {
            *awaited = Awaited::Room;
            return Ok(match &self.result {
                Returned::Stack(stack) => turn.call(stack, ROOM_BYTES.wrapping_neg()),
                _ => self.allocate(turn, ROOM_BYTES, 4),
            });
        }
        *awaited = Awaited::Function;
        let passed = passed.iter().flat_map(|(ptr, len)| [*ptr, *len]);
        let arguments = room.iter().copied().chain(passed);
        let arguments = arguments.map(|number| Val::I32(number as i32)).collect();
        Ok(turn.call_list(&self.func, arguments))
    }

    fn allocate(&self, turn: &mut Turn<'_>, size: u32, align: u32) -> Next {
        match &self.malloc {
            Malloc::Size(malloc) => turn.call(malloc, size),
            Malloc::SizeAndAlign(malloc) => turn.call(malloc, (size, align)),
        }
    }

    /// Copies the next string to the memory that the guest gave for it. An empty one goes nowhere.
    fn pass(&self, turn: &mut Turn<'_>, ptr: u32) -> Result<(), InvokeError> {
        let Progress { strings, passed, .. } = turn.local();
        let place = passed.len();
        let string = std::mem::take(&mut strings[place]);
        passed.push((ptr, string.len() as u32)); // it was one when memory was asked for
        if !string.is_empty() {
            let start = ptr as usize;
            let room = turn.memory(&self.memory).get_mut(start..start + string.len());
            let no_room = BadString::NoRoom { bytes: string.len(), ptr };
            let room = room.filter(|_| ptr != 0).ok_or_else(|| InvokeError::protocol(no_room))?;
            room.copy_from_slice(string.as_bytes());
        }
        Ok(())
    }

    /// The string that the function returned.
    pub(in crate::protocols) fn take(&self, turn: &mut Turn<'_>) -> Result<Vec<u8>, InvokeError> {
        let results = turn.list_results()?.to_vec();
        let (ptr, len) = match (&self.result, &results[..]) {
            (Returned::Results, [Val::I32(ptr), Val::I32(len)]) => (*ptr as u32, *len as u32),
            (Returned::Nothing, _) => return Ok(Vec::new()),
            _ => self.read_room(turn)?,
        };
        turn.check_output(u64::from(len))?;
        let outside = || InvokeError::protocol(BadString::Outside { ptr, len });
        let start = ptr as usize;
        let string = turn.memory(&self.memory).get(start..start + len as usize);
        string.map(<[u8]>::to_vec).ok_or_else(outside)
    }

    /// Address and length that the function left where it was told to.
    fn read_room(&self, turn: &mut Turn<'_>) -> Result<(u32, u32), InvokeError> {
        let ptr = turn.local::<Progress>().room.unwrap_or_default();
        let start = ptr as usize;
        let words = turn.memory(&self.memory).get(start..start + 8).and_then(|room| {
            let (ptr, len) = room.split_first_chunk::<4>()?;
            Some((u32::from_le_bytes(*ptr), u32::from_le_bytes(*len.first_chunk::<4>()?)))
        });
        words.ok_or_else(|| InvokeError::protocol(BadString::Outside { ptr, len: 8 }))
    }
}

/// How many strings a function of this type takes, and whether it returns one; `None` if it is not
/// one of strings.
fn signature(ty: &FuncType) -> Option<(usize, bool)> {
    let numbers = ty.params().iter().all(|param| *param == I32);
    match (ty.params().len(), ty.results()) {
        _ if !numbers => None,
        (params, [I32, I32]) if params % 2 == 0 => Some((params / 2, true)),
        (params, []) if params % 2 == 1 => Some((params / 2, true)),
        (params, []) => Some((params / 2, false)),
        _ => None,
    }
}
