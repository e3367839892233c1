//! `wasi:logging`: lines of the guest's stderr, with their level.

use wfaas_vm::untrusted;
use wfaas_wasi::preview2::{Function, Host, Interface, Stop, Value, args};

pub(super) const LOGGING: Interface = Interface {
    name: "wasi:logging/logging@0.1",
    functions: &[Function { name: "log", call: log }],
};

/// The levels, in order.
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "critical"];

fn log(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [level, context, message] = args(values)?;
    let level = LEVELS.get(level.variant()?.0 as usize).copied().unwrap_or_default();
    let line = match context.text()? {
        "" => untrusted::line(format_args!("{level}: {}", message.text()?)).to_string(),
        context => {
            untrusted::line(format_args!("{level}: {context}: {}", message.text()?)).to_string()
        }
    };
    host.log_line(&line)?;
    Ok(Value::NOTHING)
}
