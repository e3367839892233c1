//! `wasi:keyvalue`: stores, atomic operations, and operations on many keys. There are two drafts of it, which
//! differ in cursors, in numbers, and in the pairs of `get-many`; the first one has no compare-and-swap.

use super::stores::{self, Bucket, Cases};
use crate::stores::{MAX_PAGE, Operation, Outcome, Store};
use std::collections::BTreeMap;
use wfaas_wasi::preview2::{Function, Host, HostFn, Interface, Stop, Value, args};

pub(super) const STORE_1: Interface =
    Interface { name: "wasi:keyvalue/store@0.2.0-draft", functions: &store_functions(list_keys_1) };

pub(super) const STORE_2: Interface = Interface {
    name: "wasi:keyvalue/store@0.2.0-draft2",
    functions: &store_functions(list_keys_2),
};

pub(super) const ATOMICS_1: Interface = Interface {
    name: "wasi:keyvalue/atomics@0.2.0-draft",
    functions: &[Function { name: "increment", call: increment_1 }],
};

pub(super) const ATOMICS_2: Interface = Interface {
    name: "wasi:keyvalue/atomics@0.2.0-draft2",
    functions: &[
        Function { name: "increment", call: increment_2 },
        Function { name: "[static]cas.new", call: cas_new },
        Function { name: "[method]cas.current", call: cas_current },
        Function { name: "swap", call: swap },
    ],
};

pub(super) const BATCH_1: Interface =
    Interface { name: "wasi:keyvalue/batch@0.2.0-draft", functions: &batch_functions(get_many_1) };

pub(super) const BATCH_2: Interface =
    Interface { name: "wasi:keyvalue/batch@0.2.0-draft2", functions: &batch_functions(get_many_2) };

const fn store_functions(list_keys: HostFn) -> [Function; 6] {
    [
        Function { name: "open", call: open },
        Function { name: "[method]bucket.get", call: |host, args| stores::get(host, args, CASES) },
        Function { name: "[method]bucket.set", call: |host, args| stores::set(host, args, CASES) },
        Function {
            name: "[method]bucket.delete",
            call: |host, args| stores::delete(host, args, CASES),
        },
        Function {
            name: "[method]bucket.exists",
            call: |host, args| stores::exists(host, args, CASES),
        },
        Function { name: "[method]bucket.list-keys", call: list_keys },
    ]
}

const fn batch_functions(get_many: HostFn) -> [Function; 3] {
    [
        Function { name: "get-many", call: get_many },
        Function { name: "set-many", call: set_many },
        Function { name: "delete-many", call: delete_many },
    ]
}

/// `variant error { no-such-store, access-denied, other(string) }`
const CASES: Cases = Cases { access_denied: 1, other: 2 };

fn failed(error: impl ToString) -> Value {
    Value::err(CASES.other(error))
}

fn open(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [name] = args(values)?;
    stores::open(host, "wasi:keyvalue/store", name.text()?, CASES)
}

/// The cursor is the number of keys before it. The bucket knows which key the last one stands for.
fn list_keys_1(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, cursor] = args(values)?;
    let handle = bucket.handle()?;
    let bucket = host.resources().get::<Bucket>(handle)?;
    let cursor = cursor.optional()?.map(Value::u64).transpose()?.filter(|cursor| *cursor > 0);
    let (before, after) = match (cursor, &bucket.cursor) {
        (None, _) => (0, None),
        (Some(cursor), Some((last, key))) if *last == cursor => (cursor, Some(key.clone())),
        (Some(_), _) => return Ok(failed("the cursor is not the bucket's last one")),
    };
    let store = bucket.store.clone();
    let operation = Operation::List { after, most: MAX_PAGE };
    stores::operate(host, &store, operation, CASES, move |host, outcome| {
        let page = stores::page(outcome)?;
        let next = before.saturating_add(page.keys.len() as u64);
        let last = page.keys.last().filter(|_| page.more).map(|key| (next, key.clone()));
        let cursor = Value::option(last.as_ref().map(|(next, _)| Value::U64(*next)));
        host.resources().get::<Bucket>(handle)?.cursor = last;
        Ok(Value::ok(Value::Record(vec![stores::keys(page.keys), cursor])))
    })
}

/// The cursor is the last key.
fn list_keys_2(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, cursor] = args(values)?;
    let store = stores::store(host, bucket)?;
    let after = cursor.optional()?.map(stores::key).transpose()?;
    let operation = Operation::List { after, most: MAX_PAGE };
    stores::operate(host, &store, operation, CASES, |_, outcome| {
        let page = stores::page(outcome)?;
        let cursor = page.keys.last().filter(|_| page.more).cloned();
        let cursor = Value::option(cursor.map(Value::String));
        Ok(Value::ok(Value::Record(vec![stores::keys(page.keys), cursor])))
    })
}

/// Adds to a number; `shown` makes the value of the new one.
fn increment(
    host: &mut Host<'_, '_>,
    bucket: &Value,
    key: &Value,
    by: Option<i64>,
    shown: fn(i64) -> Option<Value>,
) -> Result<Value, Stop> {
    const RANGE: &str = "the number is out of range";
    let store = stores::store(host, bucket)?;
    let Some(by) = by else { return Ok(failed(RANGE)) };
    let operation = Operation::Increment { key: stores::key(key)?, by };
    stores::operate(host, &store, operation, CASES, move |_, outcome| match outcome {
        Outcome::Number(number) => Ok(shown(number).map_or_else(|| failed(RANGE), Value::ok)),
        _ => Err(stores::unexpected()),
    })
}

fn increment_1(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, key, delta] = args(values)?;
    let delta = i64::try_from(delta.u64()?).ok();
    increment(host, bucket, key, delta, |number| u64::try_from(number).ok().map(Value::U64))
}

fn increment_2(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, key, delta] = args(values)?;
    increment(host, bucket, key, Some(delta.s64()?), |number| Some(Value::S64(number)))
}

/// The thing behind a `cas`: a key, and its value when it was looked at.
struct Cas {
    store: Store,
    key: String,
    seen: Option<Vec<u8>>,
}

impl Cas {
    fn insert(self, host: &mut Host<'_, '_>) -> Result<Value, Stop> {
        let kept = self.key.len() + self.seen.as_ref().map_or(0, Vec::len);
        Ok(Value::Handle(host.resources().insert_kept(self, kept)?))
    }
}

/// Looks at a key; `then` makes the value of a `cas` that has seen it.
fn look(
    host: &mut Host<'_, '_>,
    store: Store,
    key: String,
    then: fn(Value) -> Value,
    failed: fn(Value) -> Value,
) -> Result<Value, Stop> {
    let pending = match store.begin(Operation::get(key.clone())) {
        Ok(pending) => pending,
        Err(error) => return Ok(Value::err(failed(CASES.other(error)))),
    };
    Err(host.wait(pending, move |host, outcome| match outcome {
        Ok(outcome) => {
            let cas = Cas { store, key, seen: stores::first(outcome)? };
            Ok(then(cas.insert(host)?))
        }
        Err(error) => Ok(Value::err(failed(CASES.other(error)))),
    }))
}

fn cas_new(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, key] = args(values)?;
    let store = stores::store(host, bucket)?;
    look(host, store, stores::key(key)?, Value::ok, |error| error)
}

/// The value that the `cas` has seen: `swap` compares with it.
fn cas_current(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [cas] = args(values)?;
    let seen = host.resources().get::<Cas>(cas.handle()?)?.seen.clone();
    Ok(Value::ok(Value::option(seen.map(Value::Bytes))))
}

/// `variant cas-error { store-error(error), cas-failed(cas) }`
fn store_error(error: Value) -> Value {
    Value::Case(0, Some(Box::new(error)))
}

fn swap(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [cas, value] = args(values)?;
    let value = stores::copies(host, &[value])?;
    let Cas { store, key, seen } = host.resources().take::<Cas>(cas.handle()?)?;
    let begun = value.and_then(|mut copies| {
        let value = copies.pop().unwrap_or_default();
        store.begin(Operation::Swap { key: key.clone(), expected: seen, value })
    });
    let pending = match begun {
        Ok(pending) => pending,
        Err(error) => return Ok(Value::err(store_error(CASES.other(error)))),
    };
    Err(host.wait(pending, move |host, outcome| match outcome {
        Ok(Outcome::Swapped(true)) => Ok(Value::done()),
        Ok(Outcome::Swapped(false)) => {
            let failed = |cas| Value::err(Value::Case(1, Some(Box::new(cas))));
            look(host, store, key, failed, store_error)
        }
        Ok(_) => Err(stores::unexpected()),
        Err(error) => Ok(Value::err(store_error(CASES.other(error)))),
    }))
}

/// Values of many keys; `shown` makes the value of a key and its own.
fn get_many(
    host: &mut Host<'_, '_>,
    values: &[Value],
    shown: fn(String, Option<Value>) -> Value,
) -> Result<Value, Stop> {
    let [bucket, keys] = args(values)?;
    let store = stores::store(host, bucket)?;
    let keys = stores::given(keys)?;
    let operation = Operation::Get(keys.clone());
    stores::operate(host, &store, operation, CASES, move |_, outcome| {
        let Outcome::Values(found) = outcome else { return Err(stores::unexpected()) };
        let pairs = keys.into_iter().zip(found);
        let pairs = pairs.map(|(key, value)| shown(key, value.map(Value::Bytes)));
        Ok(Value::ok(Value::List(pairs.collect())))
    })
}

/// `list<option<tuple<string, list<u8>>>>`
fn get_many_1(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    get_many(host, values, |key, value| {
        Value::option(value.map(|value| Value::Record(vec![Value::String(key), value])))
    })
}

/// `list<tuple<string, option<list<u8>>>>`
fn get_many_2(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    get_many(host, values, |key, value| {
        Value::Record(vec![Value::String(key), Value::option(value)])
    })
}

/// Of a key that is there twice, the last value counts.
fn set_many(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, pairs] = args(values)?;
    let store = stores::store(host, bucket)?;
    let mut keys = Vec::new();
    let mut given = Vec::new();
    for pair in pairs.list()? {
        let [key, value] = pair.record()?;
        keys.push(stores::key(key)?);
        given.push(value);
    }
    let pairs: BTreeMap<String, Vec<u8>> = match stores::copies(host, &given)? {
        Ok(copies) => keys.into_iter().zip(copies).collect(),
        Err(error) => return Ok(failed(error)),
    };
    stores::operate(host, &store, Operation::Set(pairs), CASES, stores::done)
}

fn delete_many(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket, keys] = args(values)?;
    let store = stores::store(host, bucket)?;
    stores::operate(host, &store, Operation::Delete(stores::given(keys)?), CASES, stores::done)
}
