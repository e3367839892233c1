//! `wasi:config`: the settings of the specification, by name. There are two drafts of it, which differ in
//! their names alone.

use super::{Granted, Grants};
use std::sync::Arc;
use wfaas_wasi::preview2::{Function, Host, Interface, Stop, Value, args};

pub(super) const STORE: Interface =
    Interface { name: "wasi:config/store@0.2", functions: FUNCTIONS };

pub(super) const RUNTIME: Interface =
    Interface { name: "wasi:config/runtime@0.2", functions: FUNCTIONS };

const FUNCTIONS: &[Function] =
    &[Function { name: "get", call: get }, Function { name: "get-all", call: get_all }];

fn granted(host: &mut Host<'_, '_>) -> Arc<Granted> {
    let grants = host.resources().granted::<Grants>();
    grants.and_then(|grants| grants.function.clone()).unwrap_or_default()
}

/// The setting of this name.
pub(super) fn setting(host: &mut Host<'_, '_>, name: &str) -> Option<String> {
    granted(host).config.get(name).cloned()
}

fn get(host: &mut Host<'_, '_>, values: &[Value]) -> Result<Value, Stop> {
    let [name] = args(values)?;
    let value = setting(host, name.text()?);
    Ok(Value::ok(Value::option(value.map(Value::String))))
}

fn get_all(host: &mut Host<'_, '_>, _: &[Value]) -> Result<Value, Stop> {
    let pair = |(name, value): (&String, &String)| {
        Value::Record(vec![Value::String(name.clone()), Value::String(value.clone())])
    };
    Ok(Value::ok(Value::List(granted(host).config.iter().map(pair).collect())))
}
