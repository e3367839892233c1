//! The interfaces of a component, for `faascli inspect`.

use crate::output;
use serde::Serialize;
use wfaas_abi::component::{Bindings, FunctionIndex, FunctionName, ImportKind, Resource};
use wfaas_abi::untrusted;

/// The interfaces that a component imports and exports.
#[derive(Serialize)]
pub(super) struct Report {
    imports: Vec<Function>,
    exports: Vec<Function>,
    resources: Vec<String>,
}

/// A function of an interface.
#[derive(Serialize)]
struct Function {
    #[serde(skip_serializing_if = "String::is_empty")]
    interface: String,
    name: String,
    /// The type in WIT, cut where it is very long.
    #[serde(rename = "type")]
    ty: String,
}

impl Report {
    pub(super) fn of(bindings: &Bindings) -> Report {
        let imports = bindings.imports.iter().filter_map(|import| match &import.kind {
            ImportKind::Lowered { name, ty, .. } => Some(Function::of(bindings, name, *ty)),
            _ => None,
        });
        let exports = bindings.exports.iter();
        let exports = exports.map(|export| Function::of(bindings, &export.name, export.ty));
        let resources = bindings.resources.iter().map(|resource| match resource {
            Resource::Imported { interface, name } => in_interface(interface, name),
            Resource::Defined { .. } => "the component's own".to_owned(),
        });
        Report {
            imports: imports.collect(),
            exports: exports.collect(),
            resources: resources.collect(),
        }
    }

    pub(super) fn print(&self) -> output::Result {
        print_functions("component imports", &self.imports)?;
        print_functions("component exports", &self.exports)?;
        output::line(format_args!("component resources ({})", self.resources.len()))?;
        for resource in &self.resources {
            output::line(format_args!("  {}", untrusted::name(resource)))?;
        }
        Ok(())
    }
}

impl Function {
    fn of(bindings: &Bindings, name: &FunctionName, ty: FunctionIndex) -> Function {
        let FunctionName { interface, name } = name.clone();
        let function = &bindings.functions[ty.index()];
        Function { interface, name, ty: untrusted::line(bindings.text(function)).to_string() }
    }
}

fn print_functions(title: &str, functions: &[Function]) -> output::Result {
    output::line(format_args!("{title} ({})", functions.len()))?;
    for Function { interface, name, ty } in functions {
        let name = in_interface(interface, name);
        output::line(format_args!("  {}: {ty}", untrusted::name(&name)))?;
    }
    Ok(())
}

/// A name in its interface, if it is in one.
fn in_interface(interface: &str, name: &str) -> String {
    if interface.is_empty() { name.to_owned() } else { format!("{interface}/{name}") }
}
