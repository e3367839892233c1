//! `wasi:random`: random bytes, the same ones in all three interfaces.

use super::host::{Function, Host, Interface, Stop};
use crate::canonical::Value;

pub(super) const RANDOM: Interface = Interface {
    name: "wasi:random/random@0.2",
    functions: &[
        Function { name: "get-random-bytes", call: bytes },
        Function { name: "get-random-u64", call: number },
    ],
};

pub(super) const INSECURE: Interface = Interface {
    name: "wasi:random/insecure@0.2",
    functions: &[
        Function { name: "get-insecure-random-bytes", call: bytes },
        Function { name: "get-insecure-random-u64", call: number },
    ],
};

pub(super) const INSECURE_SEED: Interface = Interface {
    name: "wasi:random/insecure-seed@0.2",
    functions: &[
        Function { name: "insecure-seed", call: seed },
        Function { name: "get-insecure-seed", call: seed },
    ],
};

/// Most bytes of one call. All of them have to be returned, at once.
const MAX_BYTES: u64 = 64 << 10;

pub(crate) fn bytes(host: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [len] = super::args(args)?;
    let len = len.u64()?;
    if len > MAX_BYTES {
        return Err(Stop::rule("get-random-bytes", "more than 64 KiB at once"));
    }
    let mut bytes = vec![0; len as usize];
    host.wasi().sources.random(&mut bytes)?;
    Ok(Value::Bytes(bytes))
}

fn word(host: &mut Host<'_, '_>) -> Result<u64, Stop> {
    let mut bytes = [0; 8];
    host.wasi().sources.random(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

pub(crate) fn number(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    Ok(Value::U64(word(host)?))
}

pub(crate) fn seed(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    Ok(Value::Record(vec![Value::U64(word(host)?), Value::U64(word(host)?)]))
}
