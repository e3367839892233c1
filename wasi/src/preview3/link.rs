//! Linking: a host function for each built-in of tasks, waitables, streams and futures.

use super::builtins;
use crate::canonical::{Component, Value};
use crate::context::HasWasi;
use crate::preview1::call_component;
use crate::preview2::{Function, Host, Stop, args};
use std::sync::Arc;
use wfaas_vm::component::Builtin;
use wfaas_vm::{FuncType, Linker};

/// The implementation of `task.return`: it gets the result, if there is one.
pub(crate) const TASK_RETURN: Function = Function { name: "task.return", call: task_return };

fn task_return(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let is_err = matches!(values, [Value::Case(1, _)]);
    let on_return = host.resources().tasks().take_return(is_err)?;
    match values {
        [] => on_return(host, None)?,
        values => {
            let [value] = args(values)?;
            on_return(host, Some(value))?;
        }
    }
    Ok(Value::NOTHING)
}

/// Defines a built-in.
pub(crate) fn link<T: HasWasi + Send>(
    linker: &mut Linker<T>,
    (module, field): (&str, &str),
    ty: FuncType,
    component: Arc<Component>,
    builtin: Builtin,
) {
    linker.func_new_maybe_async(module, field, ty, move |caller, cells| {
        let cell = |place| cells.get(place).copied().unwrap_or_default() as u32;
        let args: [u32; 3] = [cell(0), cell(1), cell(2)];
        call_component(
            caller,
            ("a built-in", 0),
            None, // its waits are for all of them
            |guest| builtins::call(guest, &component, &builtin, args),
            || {
                let component = component.clone();
                move |guest| builtins::call(guest, &component, &builtin, args)
            },
        )
    });
}
