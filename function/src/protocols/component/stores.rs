//! Stores as interfaces of components reach them.
//!
//! The variants of errors of `wasi:keyvalue` and of Spin's `key-value` differ in their first case alone: each
//! interface has a table of them.

use super::state;
use crate::stores::{MAX_KEY, MAX_OPERATION, Operation, Outcome, Page, Store, StoreError};
use wfaas_wasi::preview2::{Host, Slice, Stop, Value, Violation, args};

/// Bytes that an open store counts: it remembers a key of a listing.
const BUCKET_BYTES: usize = 2 << 10;

/// The thing behind a `bucket` or a `store`.
pub(super) struct Bucket {
    pub(super) store: Store,
    /// The last cursor that was a number, and the key that it stands for.
    pub(super) cursor: Option<(u64, String)>,
}

/// The cases of an interface's error.
#[derive(Clone, Copy)]
pub(super) struct Cases {
    pub(super) access_denied: u32,
    /// With a text.
    pub(super) other: u32,
}

impl Cases {
    /// An error with a text.
    pub(super) fn other(self, text: impl ToString) -> Value {
        Value::Case(self.other, Some(Box::new(Value::String(text.to_string()))))
    }
}

/// `open`: a handle for a store that the function is granted.
pub(super) fn open(
    host: &mut Host<'_, '_>,
    interface: &'static str,
    name: &str,
    cases: Cases,
) -> Result<Value, Stop> {
    let stores = state(host).map(|state| state.stores().clone());
    let stores = stores.filter(|stores| !stores.is_empty());
    let stores = stores.ok_or_else(|| Violation::Missing(format!("{interface} open")))?;
    let Some(store) = stores.open(name) else {
        return Ok(Value::err(Value::case(cases.access_denied)));
    };
    let handle = host.resources().insert_kept(Bucket { store, cursor: None }, BUCKET_BYTES)?;
    Ok(Value::ok(Value::Handle(handle)))
}

/// The store of an open one.
pub(super) fn store(host: &mut Host<'_, '_>, bucket: &Value) -> Result<Store, Stop> {
    Ok(host.resources().get::<Bucket>(bucket.handle()?)?.store.clone())
}

/// Does an operation while the guest waits; `then` makes the value of an outcome, or the error's of a failure.
pub(super) fn operate(
    host: &mut Host<'_, '_>,
    store: &Store,
    operation: Operation,
    cases: Cases,
    then: impl FnOnce(&mut Host<'_, '_>, Outcome) -> Result<Value, Stop> + Send + 'static,
) -> Result<Value, Stop> {
    let pending = match store.begin(operation) {
        Ok(pending) => pending,
        Err(error) => return Ok(Value::err(cases.other(error))),
    };
    Err(host.wait(pending, move |host, outcome: Result<Outcome, StoreError>| match outcome {
        Ok(outcome) => then(host, outcome),
        Err(error) => Ok(Value::err(cases.other(error))),
    }))
}

/// A copy of values that the guest gave, unless they are too large for any operation.
pub(super) fn copies(
    host: &mut Host<'_, '_>,
    values: &[&Value],
) -> Result<Result<Vec<Vec<u8>>, StoreError>, Stop> {
    let slices = values.iter().map(|value| value.slice()).collect::<Result<Vec<Slice>, _>>()?;
    let bytes = slices.iter().map(|slice| slice.len()).fold(0, usize::saturating_add);
    if bytes > MAX_OPERATION {
        return Ok(Err(StoreError::TooLarge));
    }
    let copies = slices.into_iter().map(|slice| host.bytes(slice).map(<[u8]>::to_vec));
    Ok(Ok(copies.collect::<Result<_, _>>()?))
}

/// A key that the guest gave. One that is too long for any operation is cut, and is refused all the same.
pub(super) fn key(text: &Value) -> Result<String, Stop> {
    let text = text.text()?;
    Ok(text[..text.floor_char_boundary(MAX_KEY + 4)].to_owned())
}

/// `get`: the value of a key.
pub(super) fn get(host: &mut Host<'_, '_>, values: &[Value], cases: Cases) -> Result<Value, Stop> {
    let [bucket, key] = args(values)?;
    let store = store(host, bucket)?;
    operate(host, &store, Operation::get(self::key(key)?), cases, |_, outcome| {
        Ok(Value::ok(Value::option(first(outcome)?.map(Value::Bytes))))
    })
}

/// `set`: sets the value of a key.
pub(super) fn set(host: &mut Host<'_, '_>, values: &[Value], cases: Cases) -> Result<Value, Stop> {
    let [bucket, key, value] = args(values)?;
    let store = store(host, bucket)?;
    let value = match copies(host, &[value])? {
        Ok(mut copies) => copies.pop().unwrap_or_default(),
        Err(error) => return Ok(Value::err(cases.other(error))),
    };
    operate(host, &store, Operation::set(self::key(key)?, value), cases, done)
}

/// `delete`: removes a key.
pub(super) fn delete(
    host: &mut Host<'_, '_>,
    values: &[Value],
    cases: Cases,
) -> Result<Value, Stop> {
    let [bucket, key] = args(values)?;
    let store = store(host, bucket)?;
    operate(host, &store, Operation::delete(self::key(key)?), cases, done)
}

/// `exists`: whether there is a key.
pub(super) fn exists(
    host: &mut Host<'_, '_>,
    values: &[Value],
    cases: Cases,
) -> Result<Value, Stop> {
    let [bucket, key] = args(values)?;
    let store = store(host, bucket)?;
    let operation = Operation::Exists(self::key(key)?);
    operate(host, &store, operation, cases, |_, outcome| match outcome {
        Outcome::Exists(exists) => Ok(Value::ok(Value::Bool(exists))),
        _ => Err(unexpected()),
    })
}

/// That a backend ended an operation with another one's outcome.
pub(super) fn unexpected() -> Stop {
    Stop::end("a backend of stores ended an operation with the outcome of another one")
}

/// `ok` of an operation that has no value.
pub(super) fn done(_: &mut Host<'_, '_>, outcome: Outcome) -> Result<Value, Stop> {
    match outcome {
        Outcome::Done => Ok(Value::done()),
        _ => Err(unexpected()),
    }
}

/// The only value of an outcome.
pub(super) fn first(outcome: Outcome) -> Result<Option<Vec<u8>>, Stop> {
    match outcome {
        Outcome::Values(values) => values.into_iter().next().ok_or_else(unexpected),
        _ => Err(unexpected()),
    }
}

/// The keys of an outcome.
pub(super) fn page(outcome: Outcome) -> Result<Page, Stop> {
    match outcome {
        Outcome::Keys(page) => Ok(page),
        _ => Err(unexpected()),
    }
}

/// A list of keys.
pub(super) fn keys(keys: Vec<String>) -> Value {
    Value::List(keys.into_iter().map(Value::String).collect())
}

/// The keys of a list that the guest gave.
pub(super) fn given(list: &Value) -> Result<Vec<String>, Stop> {
    list.list()?.iter().map(key).collect()
}
