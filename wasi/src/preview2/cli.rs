//! `wasi:cli`: arguments, variables, standard streams, the end of the program.

use super::host::{Function, Host, Interface, Stop};
use super::input::Source;
use super::output::Sink;
use super::{InputStream, OutputStream};
use crate::canonical::Value;
use crate::preview1::Exit;
use crate::table::Object;
use std::collections::HashSet;
use std::io::IsTerminal;

pub(super) const ENVIRONMENT: Interface = Interface {
    name: "wasi:cli/environment@0.2",
    functions: &[
        Function { name: "get-environment", call: get_environment },
        Function { name: "get-arguments", call: get_arguments },
        Function { name: "initial-cwd", call: |_, _| Ok(Value::none()) },
    ],
};

pub(super) const EXIT: Interface = Interface {
    name: "wasi:cli/exit@0.2",
    functions: &[
        Function { name: "exit", call: exit },
        Function { name: "exit-with-code", call: exit_with_code },
    ],
};

macro_rules! streams {
    ($($name:ident, $interface:literal, $function:literal, $get:expr;)*) => {$(
        pub(super) const $name: Interface = Interface {
            name: concat!("wasi:cli/", $interface, "@0.2"),
            functions: &[Function { name: $function, call: $get }],
        };
    )*};
}

streams! {
    STDIN, "stdin", "get-stdin", |host, _| input(host, 0);
    STDOUT, "stdout", "get-stdout", |host, _| output(host, 1);
    STDERR, "stderr", "get-stderr", |host, _| output(host, 2);
    TERMINAL_STDIN, "terminal-stdin", "get-terminal-stdin", |host, _| terminal(host, 0);
    TERMINAL_STDOUT, "terminal-stdout", "get-terminal-stdout", |host, _| terminal(host, 1);
    TERMINAL_STDERR, "terminal-stderr", "get-terminal-stderr", |host, _| terminal(host, 2);
}

fn input(host: &mut Host<'_, '_>, fd: u32) -> Result<Value, Stop> {
    let stream = InputStream::of(Source::Descriptor(fd));
    Ok(Value::Handle(host.resources().insert(stream)?))
}

fn output(host: &mut Host<'_, '_>, fd: u32) -> Result<Value, Stop> {
    let stream = OutputStream::of(Sink::Descriptor(fd));
    Ok(Value::Handle(host.resources().insert(stream)?))
}

/// A terminal. Nothing is known of it but that it is one.
struct Terminal;

pub(crate) fn terminal(host: &mut Host<'_, '_>, fd: u32) -> Result<Value, Stop> {
    let descriptor = match host.wasi().table.get(fd).map(|found| &found.object) {
        Ok(Object::Input(input)) => input.descriptor(),
        Ok(Object::Output(output)) => output.descriptor(),
        _ => None,
    };
    if !descriptor.is_some_and(|descriptor| descriptor.is_terminal()) {
        return Ok(Value::none());
    }
    Ok(Value::some(Value::Handle(host.resources().insert(Terminal)?)))
}

pub(crate) fn get_environment(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    let mut pairs = Vec::new();
    let mut hidden = HashSet::new();
    let pair = |name: &str, value: &str| {
        Value::Record(vec![Value::String(name.to_owned()), Value::String(value.to_owned())])
    };
    host.data().variables(&mut |name, value| {
        if hidden.insert(name.to_owned()) {
            pairs.push(pair(name, value));
        }
    });
    let all = host.wasi().environment().env();
    pairs.extend(all.filter(|(name, _)| !hidden.contains(*name)).map(|(n, value)| pair(n, value)));
    Ok(Value::List(pairs))
}

pub(crate) fn get_arguments(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    let args = host.wasi().environment().args();
    Ok(Value::List(args.iter().cloned().map(Value::String).collect()))
}

pub(crate) fn exit(_: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [status] = super::args(args)?;
    let (failed, _) = status.variant()?;
    Err(Stop::end(Exit { code: failed }))
}

pub(crate) fn exit_with_code(_: &mut Host<'_, '_>, args: &[Value]) -> Result<Value, Stop> {
    let [code] = super::args(args)?;
    Err(Stop::end(Exit { code: code.u8()?.into() }))
}
