//! Parts that requests and responses have in common, and the functions of `wasi:http/types`.

use super::super::{error, fields, options};
use super::answer::{End, Trailers};
use super::{request, response};
use crate::exchange::Body;
use crate::trailers;
use std::sync::PoisonError;
use wfaas_wasi::preview2::{
    Function, Host, InputStream, Interface, OutputStream, Resources, Stop, Value, Violation,
};
use wfaas_wasi::preview3::{Promise, StreamReader};

pub(in crate::protocols::component_http) const TYPES: Interface = Interface {
    name: "wasi:http/types@0.3",
    functions: &[
        Function { name: "[constructor]fields", call: fields::constructor },
        Function { name: "[static]fields.from-list", call: fields::from_list },
        Function { name: "[method]fields.get", call: fields::get_values },
        Function { name: "[method]fields.has", call: fields::has },
        Function { name: "[method]fields.set", call: fields::set },
        Function { name: "[method]fields.delete", call: fields::delete },
        Function { name: "[method]fields.get-and-delete", call: fields::get_and_delete },
        Function { name: "[method]fields.append", call: fields::append },
        Function { name: "[method]fields.copy-all", call: fields::entries },
        Function { name: "[method]fields.clone", call: fields::clone },
        Function { name: "[static]request.new", call: request::new },
        Function { name: "[method]request.get-method", call: request::method },
        Function { name: "[method]request.set-method", call: request::set_method },
        Function { name: "[method]request.get-path-with-query", call: request::path_with_query },
        Function {
            name: "[method]request.set-path-with-query",
            call: request::set_path_with_query,
        },
        Function { name: "[method]request.get-scheme", call: request::scheme },
        Function { name: "[method]request.set-scheme", call: request::set_scheme },
        Function { name: "[method]request.get-authority", call: request::authority },
        Function { name: "[method]request.set-authority", call: request::set_authority },
        Function { name: "[method]request.get-options", call: request::options },
        Function { name: "[method]request.get-headers", call: request::headers },
        Function { name: "[static]request.consume-body", call: request::consume_body },
        Function { name: "[constructor]request-options", call: options::constructor },
        Function {
            name: "[method]request-options.get-connect-timeout",
            call: options::connect_timeout,
        },
        Function {
            name: "[method]request-options.set-connect-timeout",
            call: options::set_connect_timeout,
        },
        Function {
            name: "[method]request-options.get-first-byte-timeout",
            call: options::first_byte_timeout,
        },
        Function {
            name: "[method]request-options.set-first-byte-timeout",
            call: options::set_first_byte_timeout,
        },
        Function {
            name: "[method]request-options.get-between-bytes-timeout",
            call: options::between_bytes_timeout,
        },
        Function {
            name: "[method]request-options.set-between-bytes-timeout",
            call: options::set_between_bytes_timeout,
        },
        Function { name: "[method]request-options.clone", call: options::clone },
        Function { name: "[static]response.new", call: response::new },
        Function { name: "[method]response.get-status-code", call: response::status_code },
        Function { name: "[method]response.set-status-code", call: response::set_status_code },
        Function { name: "[method]response.get-headers", call: response::headers },
        Function { name: "[static]response.consume-body", call: response::consume_body },
    ],
};

/// The body of a message.
pub(super) enum Contents {
    None,
    /// A stream of the guest's.
    Guest(StreamReader),
    /// A body that arrives.
    Host {
        body: Body,
        /// Whether it comes from the client.
        of_client: bool,
    },
}

impl Contents {
    /// An `option<stream<u8>>` of the guest's.
    pub(super) fn of_guest(host: &mut Host<'_, '_>, given: &Value) -> Result<Contents, Stop> {
        Ok(match given.optional()? {
            Some(stream) => Contents::Guest(host.resources().take_stream(stream.handle()?)?),
            None => Contents::None,
        })
    }

    /// Sends it to `output`, which is dropped at its end, as `sent` is.
    pub(super) fn send(
        self,
        host: &mut Host<'_, '_>,
        output: OutputStream,
        sent: Option<Promise>,
    ) -> Result<(), Stop> {
        let reader = match self {
            Contents::None => return Ok(()),
            Contents::Guest(reader) => reader,
            Contents::Host { body, of_client } => {
                return Ok(host.resources().forward(input(body, of_client), output, sent)?);
            }
        };
        Ok(host.connect(reader, output, sent)?)
    }

    /// The trailers of a body that arrives, if there may be any.
    pub(super) fn trailers(&self) -> Option<trailers::Trailers> {
        match self {
            Contents::Host { body, .. } => body.trailers().cloned(),
            Contents::None | Contents::Guest(_) => None,
        }
    }

    /// `consume-body`: the stream, and a future of the trailers. Those of a stream of the guest's are none.
    pub(super) fn consume(self, host: &mut Host<'_, '_>, result: &Value) -> Result<Value, Stop> {
        host.resources().take_future(result.handle()?, |_, _| Ok(()))?;
        let (future, ended) = host.resources().future(Value::ok(Value::none()))?;
        let ended = match self.trailers() {
            Some(trailers) => ended.made(move |resources| received(resources, &trailers)),
            None => ended,
        };
        let resources = host.resources();
        let stream = match self {
            Contents::None => resources.stream(input(Body::default(), true), Some(ended))?,
            Contents::Host { body, of_client } => {
                resources.stream(input(body, of_client), Some(ended))?
            }
            Contents::Guest(reader) => resources.return_stream(reader)?,
        };
        Ok(Value::Record(vec![Value::Handle(stream), Value::Handle(future)]))
    }
}

fn input(mut body: Body, of_client: bool) -> InputStream {
    match of_client {
        true => InputStream::of_client(body.take_input()),
        false => InputStream::new(body.take_input()),
    }
}

/// The trailers of a body that has ended, as the guest gets them.
fn received(resources: &mut Resources, trailers: &trailers::Trailers) -> Result<Value, Violation> {
    let handle =
        trailers.take().map(|found| fields::insert_frozen(resources, found)).transpose()?;
    Ok(Value::ok(Value::option(handle.map(Value::Handle))))
}

/// Takes a future of trailers, a `result<option<trailers>, error-code>`. An error says that the body is not whole.
pub(super) fn take_trailers(host: &mut Host<'_, '_>, trailers: &Value) -> Result<Trailers, Stop> {
    let taken = Trailers::default();
    let noted = taken.clone();
    host.resources().take_future(trailers.handle()?, move |resources, value| {
        let end = match value.variant()? {
            (1, Some(code)) => End::Failed(error::name(code).unwrap_or_default()),
            (_, Some(given)) => whole(resources, given)?,
            (_, None) => End::Whole(None),
        };
        noted.lock().unwrap_or_else(PoisonError::into_inner).resolve(end);
        Ok(())
    })?;
    Ok(taken)
}

/// The end of a body that has these trailers, an `option<trailers>`.
fn whole(resources: &mut Resources, given: &Value) -> Result<End, Violation> {
    let Some(given) = given.optional()? else { return Ok(End::Whole(None)) };
    let fields = fields::take_handle(resources, given.handle()?)?;
    Ok(match trailers::check(&fields) {
        Ok(()) => End::Whole(Some(fields)),
        Err(error) => End::Failed(error.to_string()),
    })
}

/// A future that tells the guest whether its message was sent.
pub(super) fn sent(host: &mut Host<'_, '_>) -> Result<(Value, Promise), Stop> {
    let unsent = Value::err(error::internal("the message was not sent"));
    let (future, sent) = host.resources().future(unsent)?;
    Ok((Value::Handle(future), sent))
}
