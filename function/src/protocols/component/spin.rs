//! Spin's interfaces of version 2: `fermyon:spin/key-value`, and `fermyon:spin/variables`, whose variables are the
//! settings of the specification.

use super::config;
use super::stores::{self, Cases};
use crate::stores::{MAX_OPERATION, MAX_PAGE, Operation, Store};
use wfaas_wasi::preview2::{Function, Host, Interface, Stop, Value, args};

pub(super) const KEY_VALUE: Interface = Interface {
    name: "fermyon:spin/key-value@2.0",
    functions: &[
        Function { name: "[static]store.open", call: open },
        Function { name: "[method]store.get", call: |host, args| stores::get(host, args, CASES) },
        Function { name: "[method]store.set", call: |host, args| stores::set(host, args, CASES) },
        Function {
            name: "[method]store.delete",
            call: |host, args| stores::delete(host, args, CASES),
        },
        Function {
            name: "[method]store.exists",
            call: |host, args| stores::exists(host, args, CASES),
        },
        Function { name: "[method]store.get-keys", call: get_keys },
    ],
};

pub(super) const VARIABLES: Interface = Interface {
    name: "fermyon:spin/variables@2.0",
    functions: &[Function { name: "get", call: variable }],
};

/// `variant error { store-table-full, no-such-store, access-denied, other(string) }`
const CASES: Cases = Cases { access_denied: 2, other: 3 };

/// Most keys of `get-keys`, which has no pages.
const MAX_LISTED: usize = 4 * MAX_PAGE;

fn open(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [name] = args(values)?;
    stores::open(host, "fermyon:spin/key-value", name.text()?, CASES)
}

fn get_keys(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [bucket] = args(values)?;
    let store = stores::store(host, bucket)?;
    list(host, store, Vec::new())
}

/// Lists the keys behind those that are listed already.
fn list(host: &mut Host<'_, '_>, store: Store, mut listed: Vec<String>) -> Result<Value, Stop> {
    let operation = Operation::List { after: listed.last().cloned(), most: MAX_PAGE };
    stores::operate(host, &store.clone(), operation, CASES, move |host, outcome| {
        let page = stores::page(outcome)?;
        listed.extend(page.keys);
        let bytes: usize = listed.iter().map(String::len).sum();
        let is_large = listed.len() >= MAX_LISTED || bytes >= MAX_OPERATION;
        match page.more {
            false => Ok(Value::ok(stores::keys(listed))),
            true if !is_large => list(host, store, listed),
            true => {
                let error =
                    format!("more than {MAX_LISTED} keys, or {MAX_OPERATION} bytes of keys");
                Ok(Value::err(CASES.other(error)))
            }
        }
    })
}

fn variable(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    /// A case of `variant error { invalid-name(string), undefined(string), .. }`.
    const UNDEFINED: u32 = 1;
    let [name] = args(values)?;
    let name = name.text()?;
    let value = config::setting(host, name);
    let undefined = || {
        let name = Box::new(Value::String(name.to_owned()));
        Value::err(Value::Case(UNDEFINED, Some(name)))
    };
    Ok(value.map_or_else(undefined, |value| Value::ok(Value::String(value))))
}
