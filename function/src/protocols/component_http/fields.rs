//! `fields`: headers and trailers.

use super::body::Writing;
use crate::head::is_hop_by_hop;
use crate::plain_fields::PlainFields;
use crate::spare::Spare;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use wfaas_vm::BoxError;
use wfaas_wasi::preview2::{DirectCall, Host, Resources, Stop, Value, Violation, args};

thread_local! {
    static FIELDS: Spare<Fields> = const { Spare::none() };
}

/// The thing behind `fields`, and behind an `outgoing-response`, which is made of some and stays in their box.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) content: Content,
    /// Bytes that they count.
    pub(super) bytes: usize,
    pub(super) stage: Stage,
}

/// What became of fields.
#[derive(Default)]
pub(super) enum Stage {
    #[default]
    Mutable,
    Immutable,
    /// A response has them.
    Response {
        status: StatusCode,
        /// Once the guest has asked for it.
        body: Option<Writing>,
    },
}

/// Names and values: plain until somebody asks for one of them.
#[derive(Default)]
pub(super) struct Content {
    plain: PlainFields,
    /// All of them, then.
    map: Option<Box<HeaderMap>>,
}

impl Content {
    /// In types.
    pub(super) fn map(&mut self) -> &mut HeaderMap {
        let plain = &mut self.plain;
        self.map.get_or_insert_with(|| Box::new(in_types(std::mem::take(plain))))
    }

    fn into_map(self) -> HeaderMap {
        self.into_either().map_or_else(in_types, |map| *map)
    }

    /// In types, if somebody has asked for one.
    pub(super) fn into_either(self) -> Result<Box<HeaderMap>, PlainFields> {
        self.map.ok_or(self.plain)
    }
}

fn in_types(plain: PlainFields) -> HeaderMap {
    let mut map = HeaderMap::new();
    plain.add_to(&mut map);
    map
}

impl From<HeaderMap> for Content {
    fn from(map: HeaderMap) -> Content {
        Content { plain: PlainFields::default(), map: Some(Box::new(map)) }
    }
}

impl Fields {
    fn new(map: HeaderMap, stage: Stage) -> Fields {
        Fields { bytes: bytes(&map), content: map.into(), stage }
    }

    /// Adds mutable ones to a guest's handles.
    fn insert(content: Content, bytes: usize, resources: &mut Resources) -> Result<u32, Violation> {
        let mut fields = Spare::take(&FIELDS);
        (fields.content, fields.bytes) = (content, bytes);
        resources.insert_box(fields, bytes)
    }

    fn is_response(&self) -> bool {
        matches!(self.stage, Stage::Response { .. })
    }
}

/// Headers about one connection (RFC 9110, 7.6.1), and the one that is the authority: not a guest's to set. See
/// [`is_forbidden`].
static FORBIDDEN: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
];

/// `header-error`
#[derive(Clone, Copy)]
enum HeaderError {
    InvalidSyntax = 0,
    Forbidden = 1,
    Immutable = 2,
}

type Changed = Result<(), HeaderError>;

/// Most bytes of one `fields`.
const MAX_BYTES: usize = 128 << 10;

/// Bytes that a field counts besides its own.
pub(super) const FIELD_BYTES: usize = 64;

/// Bytes of all names and values.
pub(super) fn bytes(map: &HeaderMap) -> usize {
    map.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum()
}

/// Drops the headers that are not a guest's business.
pub(super) fn tidy(map: &mut HeaderMap) {
    for name in &FORBIDDEN {
        map.remove(name);
    }
}

/// Adds fields to a guest's handles, as a child of `parent` that it cannot change.
pub(super) fn immutable(
    host: &mut Host<'_, '_>,
    map: HeaderMap,
    parent: u32,
) -> Result<Value, Stop> {
    let fields = Fields::new(map, Stage::Immutable);
    let (resources, bytes) = (host.resources(), fields.bytes);
    let handle = resources.insert_child(fields, parent)?;
    resources.keep(handle, bytes)?;
    Ok(Value::Handle(handle))
}

/// The same of fields that are nobody's children.
pub(super) fn frozen(host: &mut Host<'_, '_>, map: HeaderMap) -> Result<Value, Stop> {
    Ok(Value::Handle(insert_frozen(host.resources(), map)?))
}

/// The same by the handles alone; the handle.
pub(super) fn insert_frozen(resources: &mut Resources, map: HeaderMap) -> Result<u32, Violation> {
    let fields = Fields::new(map, Stage::Immutable);
    let bytes = fields.bytes;
    resources.insert_kept(fields, bytes)
}

/// Adds fields to a guest's handles.
fn insert(host: &mut Host<'_, '_>, map: HeaderMap) -> Result<Value, Stop> {
    let fields = Fields::new(map, Stage::Mutable);
    let bytes = fields.bytes;
    Ok(Value::Handle(host.resources().insert_kept(fields, bytes)?))
}

/// Takes fields that the guest gives away.
pub(super) fn take(host: &mut Host<'_, '_>, fields: &Value) -> Result<HeaderMap, Stop> {
    Ok(take_handle(host.resources(), fields.handle()?)?)
}

/// The same by their handle.
pub(super) fn take_handle(resources: &mut Resources, handle: u32) -> Result<HeaderMap, Violation> {
    get(resources, handle)?;
    Ok(resources.take::<Fields>(handle)?.content.into_map())
}

/// Has a response be made of fields that the guest gives away, for which it gets another handle.
#[inline]
pub(super) fn respond(resources: &mut Resources, handle: u32) -> Result<u32, Violation> {
    get(resources, handle)?;
    let handle = resources.take_back(handle)?;
    let fields = get(resources, handle)?;
    fields.stage = Stage::Response { status: StatusCode::OK, body: None };
    Ok(handle)
}

/// Takes the content of a response that the guest gives away, its status and its body.
pub(super) fn take_response(
    resources: &mut Resources,
    handle: u32,
) -> Result<(Content, StatusCode, Option<Writing>), Violation> {
    let mut fields = resources.take_box::<Fields>(handle)?;
    let Stage::Response { status, body } = &mut fields.stage else {
        return Err(Violation::BadHandle(handle));
    };
    let (status, body) = (*status, body.take());
    let content = std::mem::take(&mut fields.content);
    Spare::put_back(&FIELDS, fields);
    Ok((content, status, body))
}

fn get(resources: &mut Resources, handle: u32) -> Result<&mut Fields, Violation> {
    let fields = resources.get::<Fields>(handle)?;
    if fields.is_response() { Err(Violation::BadHandle(handle)) } else { Ok(fields) }
}

fn get_fields<'a>(host: &'a mut Host<'_, '_>, fields: &Value) -> Result<&'a mut Fields, Stop> {
    Ok(get(host.resources(), fields.handle()?)?)
}

fn told(changed: Changed) -> Value {
    match changed {
        Ok(()) => Value::done(),
        Err(error) => Value::err(Value::case(error as u32)),
    }
}

fn name(text: &[u8]) -> Result<HeaderName, HeaderError> {
    let name = HeaderName::from_bytes(text).map_err(|_| HeaderError::InvalidSyntax)?;
    if is_forbidden(&name) { Err(HeaderError::Forbidden) } else { Ok(name) }
}

/// Whether a name is one of [`FORBIDDEN`]: nearly no name is about the connection, which is known sooner.
fn is_forbidden(name: &HeaderName) -> bool {
    matches!(*name, header::HOST) || (is_hop_by_hop(name) && FORBIDDEN.contains(name))
}

/// The value of a field that the guest gave.
fn value(host: &mut Host<'_, '_>, given: &Value) -> Result<Result<HeaderValue, HeaderError>, Stop> {
    let bytes = host.bytes(given.slice()?)?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    Ok(HeaderValue::from_bytes(bytes).map_err(|_| HeaderError::InvalidSyntax))
}

fn too_large() -> Stop {
    Stop::rule("fields", "more than 128 KiB of names and values")
}

fn append_to(map: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), Stop> {
    map.try_append(name, value).map(|_| ()).map_err(|_| too_large())
}

pub(super) fn constructor(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    insert(host, HeaderMap::new())
}

pub(super) fn construct_directly(
    call: &mut DirectCall<'_>,
    _: &[u64],
) -> Result<Option<u32>, BoxError> {
    Ok(Some(Fields::insert(Content::default(), 0, call.resources())?))
}

pub(super) fn from_list(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [entries] = args(values)?;
    let (mut map, mut total) = (HeaderMap::new(), 0);
    for entry in entries.list()? {
        let [given_name, given] = entry.record()?;
        let given_name = given_name.text()?;
        let (name, value) = match (name(given_name.as_bytes()), value(host, given)?) {
            (Ok(name), Ok(value)) => (name, value),
            (Err(error), _) | (_, Err(error)) => return Ok(told(Err(error))),
        };
        total += given_name.len() + value.len() + FIELD_BYTES;
        if total > MAX_BYTES {
            return Err(too_large());
        }
        append_to(&mut map, name, value)?;
    }
    Ok(Value::ok(insert(host, map)?))
}

pub(super) fn from_list_directly(
    call: &mut DirectCall<'_>,
    cells: &[u64],
) -> Result<Option<u32>, BoxError> {
    let [ptr, len, ..] = *cells else { return Ok(None) };
    let (mut plain, mut total) = (PlainFields::default(), 0);
    let Some(pairs) = call.pairs(ptr, len) else { return Ok(None) };
    for pair in pairs {
        let Some((name, value)) = pair else { return Ok(None) };
        // A name that is not UTF-8 is no name either.
        if !plain.push(name, value) {
            return Ok(None);
        }
        total += name.len() + value.len() + FIELD_BYTES;
    }
    let content = Content { plain, map: None };
    Ok(Some(Fields::insert(content, total, call.resources())?))
}

pub(super) fn get_values(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields, name] = args(values)?;
    let name = name.text()?;
    let found = get_fields(host, fields)?.content.map().get_all(name).iter();
    Ok(Value::List(found.map(|value| Value::Bytes(value.as_bytes().to_vec())).collect()))
}

pub(super) fn has(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields, name] = args(values)?;
    let name = name.text()?;
    Ok(Value::Bool(get_fields(host, fields)?.content.map().contains_key(name)))
}

/// Changes fields, if that is allowed, and counts their bytes.
fn change(
    host: &mut Host<'_, '_>,
    fields: &Value,
    change: impl FnOnce(&mut HeaderMap) -> Result<(), Stop>,
) -> Result<Value, Stop> {
    let fields_of = get_fields(host, fields)?;
    if matches!(fields_of.stage, Stage::Immutable) {
        return Ok(told(Err(HeaderError::Immutable)));
    }
    let map = fields_of.content.map();
    change(map)?;
    let bytes = bytes(map);
    if bytes > MAX_BYTES {
        return Err(too_large());
    }
    fields_of.bytes = bytes;
    host.resources().keep(fields.handle()?, bytes)?;
    Ok(told(Ok(())))
}

pub(super) fn set(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields, name_text, given] = args(values)?;
    let name = match name(name_text.text()?.as_bytes()) {
        Ok(name) => name,
        Err(error) => return Ok(told(Err(error))),
    };
    let (mut new, mut total) = (Vec::new(), 0);
    for given in given.list()? {
        match value(host, given)? {
            Ok(value) => {
                total += value.len() + FIELD_BYTES;
                if total > MAX_BYTES {
                    return Err(too_large());
                }
                new.push(value);
            }
            Err(error) => return Ok(told(Err(error))),
        }
    }
    change(host, fields, |map| {
        map.remove(&name);
        new.into_iter().try_for_each(|value| append_to(map, name.clone(), value))
    })
}

pub(super) fn delete(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields, name_text] = args(values)?;
    match name(name_text.text()?.as_bytes()) {
        Ok(name) => change(host, fields, |map| {
            map.remove(name);
            Ok(())
        }),
        Err(error) => Ok(told(Err(error))),
    }
}

pub(super) fn get_and_delete(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let found = get_values(host, values)?;
    Ok(match delete(host, values)? {
        Value::Case(0, None) => Value::ok(found),
        error => error,
    })
}

pub(super) fn append(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields, name_text, given] = args(values)?;
    match (name(name_text.text()?.as_bytes()), value(host, given)?) {
        (Ok(name), Ok(value)) => change(host, fields, |map| append_to(map, name, value)),
        (Err(error), _) | (_, Err(error)) => Ok(told(Err(error))),
    }
}

pub(super) fn entries(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields] = args(values)?;
    let entry = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = Value::Bytes(value.as_bytes().to_vec());
        Value::Record(vec![Value::String(name.as_str().to_owned()), value])
    };
    Ok(Value::List(get_fields(host, fields)?.content.map().iter().map(entry).collect()))
}

pub(super) fn clone(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [fields] = args(values)?;
    let map = get_fields(host, fields)?.content.map().clone();
    insert(host, map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forbidden_name_is_known() {
        for name in &FORBIDDEN {
            assert!(is_forbidden(name), "{name}");
        }
        assert!(!is_forbidden(&header::CONTENT_LENGTH) && !is_forbidden(&header::SET_COOKIE));
    }
}
