//! The reactor ABI: the body goes in through `faas_alloc`, `faas_handle` gives the answer.

use crate::abi::{ALLOC, HANDLE};
use crate::invoke::InvokeError;
use crate::state::HostState;
use crate::stdio::OutputLimit;
use wfaas_vm::{Instance, Store};

/// Has a reactor answer a request, with at most `limit` bytes.
pub(crate) fn answer(
    store: &mut Store<HostState>,
    instance: Instance,
    body: &[u8],
    limit: u64,
) -> Result<Vec<u8>, InvokeError> {
    let ptr = put_body(store, instance, body)?;
    let handle = instance.get_typed_func::<(i32, i32), i64>(store, HANDLE)?;
    // `put_body` has checked that the length is an i32.
    let packed = handle.call(store, (ptr as i32, body.len() as i32))? as u64;
    take_answer(store, instance, packed, limit)
}

/// Copies the body to memory the guest gives; its address.
fn put_body(
    store: &mut Store<HostState>,
    instance: Instance,
    body: &[u8],
) -> Result<u32, InvokeError> {
    let no_room = |ptr| InvokeError::Alloc { bytes: body.len(), ptr };
    let len = i32::try_from(body.len()).map_err(|_| no_room(0))?;
    let alloc = instance.get_typed_func::<i32, i32>(store, ALLOC)?;
    let ptr = alloc.call(store, len)? as u32;
    if body.is_empty() {
        return Ok(ptr);
    }
    if ptr == 0 {
        return Err(no_room(ptr));
    }
    let Some(memory) = instance.get_memory(store, "memory") else { return Err(no_room(ptr)) };
    let start = ptr as usize;
    let target = memory.data_mut(store).get_mut(start..start + body.len());
    target.ok_or_else(|| no_room(ptr))?.copy_from_slice(body);
    Ok(ptr)
}

/// Copies the answer from where `packed` says: address in the upper half, length in the lower.
fn take_answer(
    store: &mut Store<HostState>,
    instance: Instance,
    packed: u64,
    limit: u64,
) -> Result<Vec<u8>, InvokeError> {
    let (ptr, len) = ((packed >> 32) as u32, packed as u32);
    if u64::from(len) > limit {
        return Err(InvokeError::OutputLimit(OutputLimit { bytes: limit }));
    }
    if len == 0 {
        return Ok(Vec::new());
    }
    let outside = InvokeError::BadAnswer { ptr, len };
    let Some(memory) = instance.get_memory(store, "memory") else { return Err(outside) };
    let start = ptr as usize;
    let bytes = memory.data(store).get(start..start + len as usize);
    bytes.map(<[u8]>::to_vec).ok_or(outside)
}
