//! `wasi:clocks@0.3`: the monotonic clock, whose waits are subtasks, and the time of day.

use crate::canonical::Value;
use crate::preview2::{Function, Host, Interface, Stop, args};
use crate::wait::Events;
use rustix::time::ClockId;
use std::time::Duration;

pub(super) const MONOTONIC: Interface = Interface {
    name: "wasi:clocks/monotonic-clock@0.3",
    functions: &[
        Function { name: "now", call: |host, _| Ok(Value::U64(host.now(ClockId::Monotonic)?)) },
        Function { name: "get-resolution", call: |_, _| Ok(Value::U64(1)) },
        Function { name: "wait-until", call: wait_until },
        Function { name: "wait-for", call: wait_for },
    ],
};

pub(super) const SYSTEM: Interface = Interface {
    name: "wasi:clocks/system-clock@0.3",
    functions: &[
        Function { name: "now", call: system_now },
        Function { name: "get-resolution", call: |_, _| Ok(Value::U64(1)) },
    ],
};

fn wait_until(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [when] = args(values)?;
    match when.u64()?.saturating_sub(host.now(ClockId::Monotonic)?) {
        0 => Ok(Value::NOTHING),
        left => Err(sleep(host, left)),
    }
}

fn wait_for(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [time] = args(values)?;
    match time.u64()? {
        0 => Ok(Value::NOTHING),
        _ if host.has_waited() => Ok(Value::NOTHING),
        time => Err(sleep(host, time)),
    }
}

/// A wait of so many nanoseconds. A time that never comes is one of centuries.
fn sleep(host: &mut Host<'_, '_>, nanoseconds: u64) -> Stop {
    let until = host.began().checked_add(Duration::from_nanos(nanoseconds));
    Stop::events(Events { until, ..Events::default() })
}

/// The record `instant`.
fn system_now(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    let now = host.now(ClockId::Realtime)?;
    let (seconds, rest) = (now / 1_000_000_000, now % 1_000_000_000);
    Ok(Value::Record(vec![Value::S64(seconds.cast_signed()), Value::U32(rest as u32)]))
}
