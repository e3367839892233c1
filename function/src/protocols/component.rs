//! Components: guests whose imports and exports are interfaces of WASI 0.2.
//!
//! A component was lowered to one core module when it was built. Its bindings say which interface is behind each
//! import, and which core function behind each export. The interfaces of `wasi:http` are here, all others in
//! `wfaas-wasi`.

mod config;
mod logging;

use crate::outgoing::Outgoing;
use crate::resolver::Resolver;
use crate::spec::Spec;
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::Arc;
use wfaas_vm::component::{Bindings, Export, Import};
use wfaas_vm::{Error, Linker, Module};
use wfaas_wasi::HasWasi;
use wfaas_wasi::preview1::Support;
use wfaas_wasi::preview2::{self, Component, Host, Interface};

pub use super::component_http::HandlerError;

/// All interfaces that a component may import.
const INTERFACES: [&[&Interface]; 3] =
    [preview2::INTERFACES, super::component_http::INTERFACES, OTHERS];

/// Interfaces of drafts.
const OTHERS: &[&Interface] = &[&config::STORE, &config::RUNTIME, &logging::LOGGING];

/// Grants of a function to its instances.
#[derive(Debug, Default)]
pub(super) struct Granted {
    config: BTreeMap<String, String>,
}

impl Granted {
    pub(super) fn new(spec: &Spec) -> Arc<Granted> {
        Arc::new(Granted { config: spec.config.clone() })
    }

    /// Gives it to an instance.
    pub(super) fn give(self: &Arc<Granted>, state: &mut State) {
        let grants = Grants { function: self.clone(), outgoing: state.outgoing().clone() };
        state.wasi().resources().grant(grants);
    }
}

/// Grants of an instance.
#[derive(Debug, Default)]
struct Grants {
    function: Arc<Granted>,
    outgoing: Outgoing,
}

/// The requests that a guest may send.
pub(super) fn outgoing(host: &mut Host<'_, '_>) -> Outgoing {
    let grants = host.resources().granted::<Grants>();
    grants.map(|grants| grants.outgoing.clone()).unwrap_or_default()
}

/// The functions that a component imports and that no function is granted: calling one ends the guest.
pub fn missing_imports(bindings: &Bindings) -> Vec<String> {
    preview2::missing(bindings, &INTERFACES)
}

/// Support for an import of a component.
pub fn support(import: &Import) -> Support {
    match preview2::provides(import, &INTERFACES) {
        true => Support::Works,
        false => Support::Missing,
    }
}

/// Defines the imports of a module that was a component.
pub(super) fn link(linker: &mut Linker<State>, module: &Module) {
    if let Ok(Some(bindings)) = module.component()
        && let Some(component) = Component::new(bindings)
    {
        preview2::link(linker, module, &Arc::new(component), &INTERFACES);
    }
}

/// A function that a component exports, with all bindings.
///
/// # Errors
/// [`Error::Export`] if there is none.
pub(super) fn export(
    resolver: &Resolver<'_>,
    interface: &str,
    name: &str,
) -> Result<(Bindings, Export), Error> {
    let bindings = resolver.module().component()?;
    let found = bindings.and_then(|bindings| {
        let export = bindings.export(interface, name)?.clone();
        Some((bindings, export))
    });
    found.ok_or_else(|| {
        let reason = "not a function that the component exports".to_owned();
        Error::Export { name: format!("{interface} {name}"), reason }
    })
}
