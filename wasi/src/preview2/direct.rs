//! Direct calls: functions of handles and bytes that get their core values as they are.
//!
//! Most calls of a small request pass a handle or two, and get one back. Lifting these to [values](super::Value) and lowering the
//! result is several times the work of the function itself. A [`Direct`] function is a second implementation, for
//! components that declare the function with the types it knows. It declines everything it does not do itself, as a wait
//! or an error for the guest, before it has changed anything: the implementation for values is called then, and has the last word.

use crate::canonical::{Component, Resources, Violation};
use crate::context::Wasi;
use wfaas_vm::BoxError;
use wfaas_vm::component::{
    Function, FunctionName, ResourceIndex, StringEncoding, Type, TypeIndex, is_version_of,
};

/// A function with a direct implementation.
#[derive(Debug)]
pub struct Direct {
    /// The interface without patch level, as `wasi:io/streams@0.2`.
    pub interface: &'static str,
    /// The name in the interface.
    pub name: &'static str,
    /// The parameters that the implementation knows.
    pub params: &'static [Takes],
    /// The result.
    pub result: Returns,
    /// Calls it.
    pub call: DirectFn,
}

/// A parameter of a direct function.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// `own` or `borrow`: a handle of the declared type, which is checked. One core value.
    Handle,
    /// `list<u8>`: a range of the memory. Two core values.
    Bytes,
    /// `result<own, _>`: declined unless it is `ok`. The handle, which is checked, is the second core value.
    Ok,
    /// `option<_>`: declined unless it is `none`.
    None,
    /// `list<tuple<string, list<u8>>>`, with strings in UTF-8. Two core values, for [`DirectCall::pairs`].
    Pairs,
}

/// The result of a direct function.
#[derive(Debug, Clone, Copy)]
pub enum Returns {
    /// None.
    Nothing,
    /// `own`
    Handle,
    /// `result<own, _>`, as `ok`.
    OkHandle,
    /// `result<_, _>` without a value, as `ok`.
    Ok,
}

/// A direct implementation: gets the core values of the parameters, and gives the handle of the result, or any number
/// if there is none; `None` to decline.
///
/// # Errors
/// One ends the guest's call.
pub type DirectFn = fn(&mut DirectCall<'_>, &[u64]) -> Result<Option<u32>, BoxError>;

/// The guest of a direct call.
pub struct DirectCall<'a> {
    memory: &'a mut [u8],
    wasi: &'a mut Wasi,
}

impl std::fmt::Debug for DirectCall<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DirectCall")
    }
}

impl DirectCall<'_> {
    /// The guest's handles.
    pub fn resources(&mut self) -> &mut Resources {
        self.wasi.resources()
    }

    /// Names and values of a [`Takes::Pairs`]; `None` if they are not aligned, or not inside of the memory, or for a pair
    /// whose bytes are not. Nothing says that a name is UTF-8.
    #[inline]
    pub fn pairs(
        &self,
        ptr: u64,
        len: u64,
    ) -> Option<impl Iterator<Item = Option<(&[u8], &[u8])>>> {
        let bytes = (len as u32).checked_mul(PAIR_BYTES as u32)?;
        let all = range(self.memory, ptr as u32, bytes).filter(|_| ptr & 3 == 0)?;
        Some(all.as_chunks::<PAIR_BYTES>().0.iter().map(|pair| {
            let [a, b, c, d] = *pair.as_chunks().0 else { return None };
            let [a, b, c, d] = [a, b, c, d].map(u32::from_le_bytes);
            Some((range(self.memory, a, b)?, range(self.memory, c, d)?))
        }))
    }

    /// The bytes of a [`Takes::Bytes`], if they are inside of the memory, and the guest's WASI.
    #[inline]
    pub(super) fn bytes_and_wasi(&mut self, ptr: u64, len: u64) -> Option<(&[u8], &mut Wasi)> {
        let bytes = range(self.memory, ptr as u32, len as u32)?;
        Some((bytes, self.wasi))
    }
}

/// Bytes of a pair in memory: address and length of its name, and of its value.
const PAIR_BYTES: usize = 16;

#[inline]
fn range(memory: &[u8], ptr: u32, len: u32) -> Option<&[u8]> {
    memory.get(ptr as usize..)?.get(..len as usize)
}

/// A direct function, prepared for the types that a component declares.
#[derive(Debug)]
pub(super) struct Prepared {
    call: DirectFn,
    /// The type of the first core value, if it is a handle: of most functions it is.
    first: Option<ResourceIndex>,
    /// Conditions on the others.
    checks: Box<[Check]>,
    params: usize,
    result: Stored,
    /// Whether parameters or result are in memory.
    pub(super) needs_memory: bool,
}

/// A condition on a core value.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// A handle of this type.
    Handle(usize, ResourceIndex),
    /// Zero, as a case.
    Zero(usize),
}

/// The place of a result.
#[derive(Debug, Clone, Copy)]
enum Stored {
    Nothing,
    Core(ResourceIndex),
    /// A `result` in memory: its size, the bits that are zero in its address, and its value's type and place, if it has
    /// one.
    Memory {
        size: u32,
        zeros: u32,
        value: Option<(ResourceIndex, u32)>,
    },
}

/// Prepares the direct implementation of a function with flat parameters, if there is one for its type.
pub(super) fn prepare(
    all: &[&[Direct]],
    name: &FunctionName,
    component: &Component,
    function: &Function,
    encoding: StringEncoding,
) -> Option<Prepared> {
    let is_it = |direct: &&Direct| {
        direct.name == name.name && is_version_of(&name.interface, direct.interface)
    };
    let direct = all.iter().copied().flatten().find(is_it)?;
    if function.params.len() != direct.params.len() {
        return None;
    }
    let (mut checks, mut cell) = (Vec::new(), 0);
    for (param, declared) in direct.params.iter().zip(&function.params) {
        if matches!(param, Takes::Pairs) && encoding != StringEncoding::Utf8 {
            return None;
        }
        check(component, *param, declared.ty, cell, &mut checks)?;
        cell += component.layout(declared.ty).flat as usize;
    }
    let result = stored(component, direct.result, function.result)?;
    let is_in_memory = |param: &Takes| matches!(param, Takes::Bytes | Takes::Pairs);
    let stores = matches!(result, Stored::Memory { .. });
    let needs_memory = stores || direct.params.iter().any(is_in_memory);
    let first = match checks.first() {
        Some(Check::Handle(0, ty)) => Some(*ty),
        _ => None,
    };
    let checks = checks.split_off(usize::from(first.is_some())).into();
    Some(Prepared { call: direct.call, first, checks, params: cell, result, needs_memory })
}

/// Adds the conditions for a parameter of this type from a core value on; `None` if the type is another one.
fn check(
    component: &Component,
    param: Takes,
    ty: TypeIndex,
    cell: usize,
    checks: &mut Vec<Check>,
) -> Option<()> {
    match (param, component.ty(ty)) {
        (Takes::Handle, Type::Own(resource) | Type::Borrow(resource)) => {
            checks.push(Check::Handle(cell, *resource));
        }
        (Takes::Bytes, Type::List(element)) if component.is_byte(*element) => {}
        (Takes::Ok, Type::Result { ok: Some(ok), .. }) => {
            checks.push(Check::Zero(cell));
            checks.push(Check::Handle(cell + 1, own(component, *ok)?));
        }
        (Takes::None, Type::Option(_)) => checks.push(Check::Zero(cell)),
        (Takes::Pairs, Type::List(element)) if is_pair(component, *element) => {}
        _ => return None,
    }
    Some(())
}

/// Whether it is `tuple<string, list<u8>>`.
fn is_pair(component: &Component, ty: TypeIndex) -> bool {
    let Type::Tuple(elements) = component.ty(ty) else { return false };
    match elements[..] {
        [name, value] => {
            let is_bytes = |ty: &Type| matches!(ty, Type::List(byte) if component.is_byte(*byte));
            matches!(component.ty(name), Type::String) && is_bytes(component.ty(value))
        }
        _ => false,
    }
}

fn own(component: &Component, ty: TypeIndex) -> Option<ResourceIndex> {
    match component.ty(ty) {
        Type::Own(resource) => Some(*resource),
        _ => None,
    }
}

/// Where a result of this type goes; `None` if the type is another one.
fn stored(component: &Component, returns: Returns, ty: Option<TypeIndex>) -> Option<Stored> {
    let Some(ty) = ty else {
        return matches!(returns, Returns::Nothing).then_some(Stored::Nothing);
    };
    let layout = component.layout(ty);
    let value = match (returns, component.ty(ty)) {
        (Returns::Handle, Type::Own(resource)) => return Some(Stored::Core(*resource)),
        (Returns::OkHandle, Type::Result { ok: Some(ok), .. }) => {
            Some((own(component, *ok)?, layout.payload))
        }
        (Returns::Ok, Type::Result { ok: None, .. }) => None,
        _ => return None,
    };
    match layout.flat {
        0 | 1 => Some(Stored::Nothing), // the case alone, which is 0
        _ => Some(Stored::Memory { size: layout.size, zeros: layout.align.max(1) - 1, value }),
    }
}

impl Prepared {
    /// Calls the function; the core result, or `None` if it declines.
    #[inline(always)] // with its caller: it is a part of each call of a small request
    pub(super) fn call(
        &self,
        memory: &mut [u8],
        wasi: &mut Wasi,
        cells: &[u64],
    ) -> Result<Option<u64>, BoxError> {
        let resources = wasi.resources();
        if let Some(ty) = self.first
            && !cells.first().is_some_and(|handle| resources.is_of(*handle as u32, ty))
        {
            return Ok(None);
        }
        if resources.pending.is_some()
            || !self.checks.iter().all(|check| check.holds(resources, cells))
        {
            return Ok(None);
        }
        let mut at = 0;
        if let Stored::Memory { size, zeros, .. } = self.result {
            let Some(cell) = cells.get(self.params) else { return Ok(None) };
            at = *cell as u32;
            if at & zeros != 0 || range(memory, at, size).is_none() {
                return Ok(None);
            }
        }
        match (self.call)(&mut DirectCall { memory, wasi }, cells)? {
            Some(result) => Ok(Some(self.store(memory, wasi, result, at)?)),
            None => Ok(None),
        }
    }

    /// Stores the result; the core result.
    #[inline(always)]
    fn store(
        &self,
        memory: &mut [u8],
        wasi: &mut Wasi,
        handle: u32,
        at: u32,
    ) -> Result<u64, Violation> {
        match self.result {
            Stored::Nothing => Ok(0),
            Stored::Core(ty) => wasi.resources().give(handle, ty).map(|()| handle.into()),
            Stored::Memory { value, .. } => {
                // The range was checked, and memories do not shrink.
                let at = at as usize;
                memory[at] = 0;
                if let Some((ty, place)) = value {
                    wasi.resources().give(handle, ty)?;
                    let at = at + place as usize;
                    memory[at..at + 4].copy_from_slice(&handle.to_le_bytes());
                }
                Ok(0)
            }
        }
    }
}

impl Check {
    #[inline]
    fn holds(self, resources: &Resources, cells: &[u64]) -> bool {
        let cell = |place: usize| cells.get(place).copied().unwrap_or_default() as u32;
        match self {
            Check::Handle(place, ty) => resources.is_of(cell(place), ty),
            Check::Zero(place) => cell(place) == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_vm::component::{Bindings, Param};

    const RESOURCE: ResourceIndex = ResourceIndex(0);

    const MAKE: Direct = Direct {
        interface: "test:things/things@0.2",
        name: "make",
        params: &[Takes::Handle, Takes::Bytes],
        result: Returns::OkHandle,
        call: |call, cells| {
            let [_, ptr, len] = cells[..3] else { return Ok(None) };
            let Some((bytes, _)) = call.bytes_and_wasi(ptr, len) else { return Ok(None) };
            let bytes = bytes.to_vec();
            Ok(Some(call.resources().insert(bytes)?))
        },
    };

    /// Counts pairs with a name and a value of the same length.
    const COUNT: Direct = Direct {
        interface: MAKE.interface,
        name: MAKE.name,
        params: &[Takes::Pairs],
        result: Returns::Handle,
        call: |call, cells| {
            let Some(pairs) = call.pairs(cells[0], cells[1]) else { return Ok(None) };
            let pairs: Option<Vec<(&[u8], &[u8])>> = pairs.collect();
            let Some(pairs) = pairs else { return Ok(None) };
            let alike = pairs.iter().filter(|(name, value)| name.len() == value.len()).count();
            Ok(Some(call.resources().insert(alike)?))
        },
    };

    /// Prepared for parameters and a result of these types.
    fn prepared(params: &[u32], result: u32) -> Option<Prepared> {
        prepared_as(&MAKE, params, result, StringEncoding::Utf8)
    }

    fn prepared_as(
        direct: &Direct,
        params: &[u32],
        result: u32,
        encoding: StringEncoding,
    ) -> Option<Prepared> {
        let types = vec![
            Type::Borrow(RESOURCE),
            Type::U8,
            Type::List(TypeIndex(1)),
            Type::Own(RESOURCE),
            Type::Result { ok: Some(TypeIndex(3)), err: None },
            Type::List(TypeIndex(0)),
            Type::String,
            Type::Tuple(vec![TypeIndex(6), TypeIndex(2)]),
            Type::List(TypeIndex(7)),
        ];
        let component = Component::new(Bindings { types, ..Bindings::default() }).expect("small");
        let param = |ty: &u32| Param { name: String::new(), ty: TypeIndex(*ty) };
        let params = params.iter().map(param).collect();
        let function = Function { params, result: Some(TypeIndex(result)), is_async: false };
        let interface = "test:things/things@0.2.7".to_owned();
        let name = FunctionName { interface, name: "make".to_owned() };
        prepare(&[std::slice::from_ref(direct)], &name, &component, &function, encoding)
    }

    #[test]
    fn a_function_is_direct_for_the_types_that_it_knows() {
        assert!(prepared(&[0, 2], 4).is_some());
        assert!(prepared(&[3, 2], 4).is_some());
        for (params, result) in
            [(&[0][..], 4), (&[0, 1], 4), (&[0, 5], 4), (&[2, 2], 4), (&[0, 2], 3)]
        {
            assert!(prepared(params, result).is_none(), "{params:?} {result}");
        }
    }

    #[test]
    fn pairs_are_those_inside_of_the_memory() {
        let (own, pairs, utf8) = (3, 8, StringEncoding::Utf8);
        assert!(prepared_as(&COUNT, &[2], own, utf8).is_none(), "bytes are no pairs");
        assert!(prepared_as(&COUNT, &[pairs], own, StringEncoding::Utf16).is_none());
        let prepared = prepared_as(&COUNT, &[pairs], own, utf8).expect("it fits");
        let mut memory = [0; 64];
        // Two pairs from 16 on: lengths of 2 and 2, then of 1 and 0; the last value is at the very end.
        for (at, number) in [(16, 0), (20, 2), (24, 62), (28, 2), (32, 5), (36, 1), (40, 64)] {
            memory[at] = number;
        }
        let mut wasi = Wasi::default();
        for outside in [[17, 1], [16, 4], [64, 1], [0, 1 << 28], [0, u64::from(u32::MAX)]] {
            let called = prepared.call(&mut memory, &mut wasi, &outside);
            assert!(called.unwrap().is_none(), "{outside:?}");
        }
        for (len, alike) in [(2, 1), (1, 1), (0, 0)] {
            let handle = prepared.call(&mut memory, &mut wasi, &[16, len]).unwrap();
            let handle = handle.expect("it is called") as u32;
            assert_eq!(*wasi.resources().get::<usize>(handle).unwrap(), alike, "{len} pairs");
        }
        // The upper half of a cell of 32 bits says nothing.
        let cells = [16 | 1 << 32, 2 | 7 << 32];
        let handle = prepared.call(&mut memory, &mut wasi, &cells).unwrap().expect("it is called");
        assert_eq!(*wasi.resources().get::<usize>(handle as u32).unwrap(), 1);
        memory[44] = 1; // the second value goes beyond the end
        assert!(prepared.call(&mut memory, &mut wasi, &[16, 2]).unwrap().is_none());
        assert_eq!(wasi.resources().len(), 4);
    }

    #[test]
    fn it_stores_its_result_or_declines_and_changes_nothing() {
        let prepared = prepared(&[0, 2], 4).expect("it fits");
        let (mut wasi, mut memory) = (Wasi::default(), [0xFF; 64]);
        let handle = wasi.resources().insert(()).unwrap();
        let untyped = [handle.into(), 0, 4, 8];
        let called = prepared.call(&mut memory, &mut wasi, &untyped);
        assert!(called.unwrap().is_none(), "not given yet");
        wasi.resources().give(handle, RESOURCE).unwrap();
        let handle = u64::from(handle);
        // No handle, ranges outside, a result that is not aligned or outside.
        for cells in [[9, 0, 4, 8], [handle, 61, 4, 8], [handle, 0, 65, 8], [handle, 0, 4, 10]]
            .into_iter()
            .chain([[handle, 0, 4, 60], [handle, 0, 4, 64]])
        {
            let called = prepared.call(&mut memory, &mut wasi, &cells);
            assert!(called.unwrap().is_none(), "{cells:?}");
        }
        assert_eq!((memory, wasi.resources().len()), ([0xFF; 64], 1));
        let called = prepared.call(&mut memory, &mut wasi, &[handle, 60, 4, 8]);
        assert_eq!(called.unwrap(), Some(0));
        assert_eq!(memory[7..17], [0xFF, 0, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 0xFF][..]);
        assert_eq!(*wasi.resources().get::<Vec<u8>>(2).unwrap(), [0xFF; 4]);
    }
}
