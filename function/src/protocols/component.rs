//! Components: guests whose imports and exports are interfaces of WASI 0.2 and 0.3.
//!
//! A component was lowered to one core module when it was built. Its bindings say which interface is behind each
//! import, and which core function behind each export. The interfaces of `wasi:http` are here, all others in
//! `wfaas-wasi`.

mod config;
mod keyvalue;
mod logging;
mod spin;
mod stores;
mod task;

pub(super) use task::{Course, Task};

use super::component_http::{Answer, ServiceAnswer};
use crate::outgoing::Outgoing;
use crate::reply::Reply;
use crate::resolver::Resolver;
use crate::spare::Spare;
use crate::spec::Spec;
use crate::state::State;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use wfaas_vm::component::{Bindings, Export, Import};
use wfaas_vm::{Error, Linker, Module};
use wfaas_wasi::HasWasi;
use wfaas_wasi::preview1::Support;
use wfaas_wasi::preview2::{self, Component, Direct, Host, Interface, Resources};
use wfaas_wasi::preview3;

pub use super::component_http::HandlerError;

/// All interfaces that a component may import.
const INTERFACES: [&[&Interface]; 5] =
    [preview2::INTERFACES, preview3::INTERFACES, super::component_http::INTERFACES, OTHERS, STORES];

/// Functions that are called directly, if they can be.
const DIRECT: [&[Direct]; 2] = [preview2::DIRECT, super::component_http::DIRECT];

/// Interfaces of drafts and of others.
const OTHERS: &[&Interface] =
    &[&config::STORE, &config::RUNTIME, &logging::LOGGING, &spin::VARIABLES];

/// Interfaces of stores, for functions that are granted some.
const STORES: &[&Interface] = &[
    &keyvalue::STORE_1,
    &keyvalue::STORE_2,
    &keyvalue::ATOMICS_1,
    &keyvalue::ATOMICS_2,
    &keyvalue::BATCH_1,
    &keyvalue::BATCH_2,
    &spin::KEY_VALUE,
];

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
        self.give_with(state, None, None);
    }

    /// The same, to a handler.
    pub(super) fn give_handler(self: &Arc<Granted>, state: &mut State, reply: Reply) {
        self.give_with(state, Some(reply), None);
    }

    /// The same, to a service.
    pub(super) fn give_service(
        self: &Arc<Granted>,
        state: &mut State,
        reply: Reply,
        answer: Arc<ServiceAnswer>,
    ) {
        self.give_with(state, Some(reply), Some(answer));
    }

    fn give_with(
        self: &Arc<Granted>,
        state: &mut State,
        reply: Option<Reply>,
        service: Option<Arc<ServiceAnswer>>,
    ) {
        let (function, answer) = (Some(self.clone()), Answer::default());
        let mut room = Spare::take(&GRANTS);
        *room = Grants { function, reply, service, answer };
        state.wasi().resources().grant(room);
    }
}

/// Grants of an instance.
#[derive(Debug, Default)]
struct Grants {
    function: Option<Arc<Granted>>,
    /// Where the answer goes.
    reply: Option<Reply>,
    /// The answer of a service.
    service: Option<Arc<ServiceAnswer>>,
    /// The answer of a handler.
    answer: Answer,
}

thread_local! {
    static GRANTS: Spare<Grants> = const { Spare::none() };
}

/// The state of a function's guest; `None` for those of others.
pub(super) fn state<'a>(host: &'a mut Host<'_, '_>) -> Option<&'a mut State> {
    let data: &mut dyn Any = host.data();
    data.downcast_mut()
}

/// The requests that a guest may send.
pub(super) fn outgoing(host: &mut Host<'_, '_>) -> Outgoing {
    state(host).map(|state| state.outgoing().clone()).unwrap_or_default()
}

/// The answer that a service makes.
pub(super) fn reply(host: &mut Host<'_, '_>) -> Option<(Reply, Arc<ServiceAnswer>)> {
    let Grants { reply, service, .. } = host.resources().granted()?;
    reply.clone().zip(service.clone())
}

/// Takes the place where a handler's answer goes; `None` if it was granted none.
pub(super) fn take_reply(resources: &mut Resources) -> Option<Reply> {
    resources.granted_mut::<Grants>()?.reply.take()
}

/// The answer that a handler makes; `None` for guests that were granted nothing, as while they are initialised.
pub(super) fn answer(resources: &mut Resources) -> Option<&mut Answer> {
    resources.granted_mut::<Grants>().map(|grants| &mut grants.answer)
}

/// Takes the answer that a handler has made, with its grants. As [`answer`].
pub(super) fn take_answer(resources: &mut Resources) -> Option<Answer> {
    let mut grants = resources.take_granted::<Grants>()?;
    let answer = std::mem::take(&mut grants.answer);
    Spare::put_back(&GRANTS, grants);
    Some(answer)
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
        preview2::link(linker, module, &Arc::new(component), &INTERFACES, &DIRECT);
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
