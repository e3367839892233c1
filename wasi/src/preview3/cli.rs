//! `wasi:cli@0.3`: standard streams as streams, and what is as in 0.2.

use crate::canonical::Value;
use crate::preview2::{Function, Host, InputStream, Interface, OutputStream, Sink, Source, Stop};
use crate::preview2::{args, cli};

pub(super) const ENVIRONMENT: Interface = Interface {
    name: "wasi:cli/environment@0.3",
    functions: &[
        Function { name: "get-environment", call: cli::get_environment },
        Function { name: "get-arguments", call: cli::get_arguments },
        Function { name: "get-initial-cwd", call: |_, _| Ok(Value::none()) },
    ],
};

pub(super) const EXIT: Interface = Interface {
    name: "wasi:cli/exit@0.3",
    functions: &[
        Function { name: "exit", call: cli::exit },
        Function { name: "exit-with-code", call: cli::exit_with_code },
    ],
};

macro_rules! interfaces {
    ($($name:ident, $interface:literal, $function:literal, $call:expr;)*) => {$(
        pub(super) const $name: Interface = Interface {
            name: concat!("wasi:cli/", $interface, "@0.3"),
            functions: &[Function { name: $function, call: $call }],
        };
    )*};
}

interfaces! {
    STDIN, "stdin", "read-via-stream", |host, _| read(host);
    STDOUT, "stdout", "write-via-stream", |host, values| write(host, values, 1);
    STDERR, "stderr", "write-via-stream", |host, values| write(host, values, 2);
    TERMINAL_STDIN, "terminal-stdin", "get-terminal-stdin", |host, _| cli::terminal(host, 0);
    TERMINAL_STDOUT, "terminal-stdout", "get-terminal-stdout", |host, _| cli::terminal(host, 1);
    TERMINAL_STDERR, "terminal-stderr", "get-terminal-stderr", |host, _| cli::terminal(host, 2);
}

/// A stream, and a future of its end.
fn read(host: &mut Host<'_, '_>) -> Result<Value, Stop> {
    let (future, ended) = host.resources().future(Value::done())?;
    let stream = InputStream::of(Source::Descriptor(0));
    let stream = host.resources().stream(stream, Some(ended))?;
    Ok(Value::Record(vec![Value::Handle(stream), Value::Handle(future)]))
}

/// A future of the end of a stream that is written.
fn write(host: &mut Host<'_, '_>, values: &[Value], fd: u32) -> Result<Value, Stop> {
    let [data] = args(values)?;
    let reader = host.resources().take_stream(data.handle()?)?;
    let (future, done) = host.resources().future(Value::done())?;
    host.connect(reader, OutputStream::of(Sink::Descriptor(fd)), Some(done))?;
    Ok(Value::Handle(future))
}
