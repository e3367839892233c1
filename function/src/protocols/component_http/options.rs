//! `request-options`: timeouts of an outgoing request.

use crate::outgoing::Timeouts;
use std::time::Duration;
use wfaas_wasi::preview2::{Host, Stop, Value, args};

/// The thing behind `request-options`.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct RequestOptions {
    pub(super) connect: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) between_bytes: Option<Duration>,
}

impl RequestOptions {
    /// The timeouts; those that are left open are the server's.
    pub(super) fn timeouts(self) -> Timeouts {
        let of_server = Timeouts::default();
        Timeouts {
            connect: self.connect.unwrap_or(of_server.connect),
            first_byte: self.first_byte.unwrap_or(of_server.first_byte),
            between_bytes: self.between_bytes.unwrap_or(of_server.between_bytes),
        }
    }
}

pub(super) fn constructor(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    Ok(Value::Handle(host.resources().insert(RequestOptions::default())?))
}

pub(super) fn clone(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [options] = args(values)?;
    let options = *host.resources().get::<RequestOptions>(options.handle()?)?;
    Ok(Value::Handle(host.resources().insert(options)?))
}

type Field = fn(&mut RequestOptions) -> &mut Option<Duration>;

/// Nanoseconds of a timeout.
fn read(host: &mut Host<'_, '_>, values: &[Value], field: Field) -> Result<Value, Stop> {
    let [options] = args(values)?;
    let timeout = *field(host.resources().get(options.handle()?)?);
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Ok(Value::option(timeout.map(|time| Value::U64(nanoseconds(time)))))
}

fn write(host: &mut Host<'_, '_>, values: &[Value], field: Field) -> Result<Value, Stop> {
    let [options, timeout] = args(values)?;
    let timeout = timeout.optional()?.map(Value::u64).transpose()?;
    *field(host.resources().get(options.handle()?)?) = timeout.map(Duration::from_nanos);
    Ok(Value::done())
}

macro_rules! timeouts {
    ($($get:ident, $set:ident => $field:ident;)*) => {$(
        pub(super) fn $get(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
            read(host, values, |options| &mut options.$field)
        }

        pub(super) fn $set(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
            write(host, values, |options| &mut options.$field)
        }
    )*};
}

timeouts! {
    connect_timeout, set_connect_timeout => connect;
    first_byte_timeout, set_first_byte_timeout => first_byte;
    between_bytes_timeout, set_between_bytes_timeout => between_bytes;
}
