//! `wasi:clocks`: the monotonic clock, and the time of day.

use super::Pollable;
use super::host::{Function, Host, Interface, Stop};
use crate::canonical::Value;
use rustix::time::ClockId;
use std::time::{Duration, Instant};

pub(super) const MONOTONIC: Interface = Interface {
    name: "wasi:clocks/monotonic-clock@0.2",
    functions: &[
        Function { name: "now", call: monotonic_now },
        Function { name: "resolution", call: |_, _| Ok(Value::U64(1)) },
        Function { name: "subscribe-instant", call: subscribe_instant },
        Function { name: "subscribe-duration", call: subscribe_duration },
    ],
};

pub(super) const WALL: Interface = Interface {
    name: "wasi:clocks/wall-clock@0.2",
    functions: &[
        Function { name: "now", call: wall_now },
        Function { name: "resolution", call: |_, _| Ok(datetime(1)) },
    ],
};

fn monotonic_now(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    Ok(Value::U64(host.now(ClockId::Monotonic)?))
}

fn subscribe_instant(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [when] = super::args(args)?;
    let left = when.u64()?.saturating_sub(host.now(ClockId::Monotonic)?);
    subscribe(host, left)
}

fn subscribe_duration(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [when] = super::args(args)?;
    let left = when.u64()?;
    subscribe(host, left)
}

/// A pollable that is ready after so many nanoseconds.
fn subscribe(host: &mut Host<'_, '_>, nanoseconds: u64) -> Result<Value, Stop> {
    let pollable = match nanoseconds {
        0 => Pollable::Always,
        _ => Pollable::At(Instant::now().checked_add(Duration::from_nanos(nanoseconds))),
    };
    Ok(Value::Handle(host.resources().insert(pollable)?))
}

fn wall_now(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    Ok(datetime(host.now(ClockId::Realtime)?))
}

/// The record `datetime` of nanoseconds since 1970.
pub(super) fn datetime(nanoseconds: u64) -> Value {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    Value::Record(vec![Value::U64(seconds), Value::U32(rest as u32)]) // less than a second
}
