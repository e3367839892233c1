//! The containers: one of OpenWhisk's, with the empty name, or many of an executor's.

use super::ActionHost;
use crate::http::{Problem, blocking};
use crate::registry::{Deployed, Registered};
use crate::server::Shared;
use hyper::StatusCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wfaas_function::FunctionName;

/// Most containers of a process.
const MOST: usize = 4096;

/// Longest name of a container, in bytes.
const LONGEST_NAME: usize = 256;

/// The containers of a process.
#[derive(Debug)]
pub(crate) struct Containers {
    pub(super) host: Arc<dyn ActionHost>,
    /// By name; an action that is not there is being initialised.
    known: Mutex<HashMap<String, Option<FunctionName>>>,
    numbers: AtomicU64,
}

impl Containers {
    pub(crate) fn new(host: Arc<dyn ActionHost>) -> Containers {
        Containers { host, known: Mutex::default(), numbers: AtomicU64::new(1) }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Option<FunctionName>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no other container or action has.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The name of a container that can be initialised.
    pub(super) fn start(&self) -> Result<String, Problem> {
        if self.known().len() >= MOST {
            return Err(Problem::busy("there are too many containers"));
        }
        Ok(self.number().to_string())
    }

    /// Begins to initialise a container. It is as before if that is dropped unfinished.
    pub(super) fn begin(self: &Arc<Self>, container: &str) -> Result<Beginning, Problem> {
        if container.len() > LONGEST_NAME {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "the container's name is too long"));
        }
        let mut known = self.known();
        if known.contains_key(container) {
            let message = "Cannot initialize the action more than once.";
            return Err(Problem::new(StatusCode::FORBIDDEN, message));
        }
        if known.len() >= MOST {
            return Err(Problem::busy("there are too many containers"));
        }
        known.insert(container.to_owned(), None);
        let name = format!("action-{}", self.number());
        let name = name.parse().expect("letters and a number are a name");
        let (containers, container) = (self.clone(), container.to_owned());
        Ok(Beginning { containers, container, name, done: false })
    }

    /// The action of a container.
    pub(super) fn find(&self, shared: &Shared, container: &str) -> Result<Arc<Deployed>, Problem> {
        let name = self.known().get(container).cloned().flatten();
        let registered = name.and_then(|name| shared.deployer.registry.get(&name));
        match registered {
            Some(Registered::Ready(deployed)) => Ok(deployed),
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "no action defined yet")),
        }
    }

    /// Forgets a container and its action; one that is not there is no error.
    pub(super) async fn destroy(
        &self,
        shared: &Arc<Shared>,
        container: &str,
    ) -> Result<(), Problem> {
        let removed = {
            let mut known = self.known();
            match known.get(container) {
                Some(Some(_)) => known.remove(container).flatten(),
                _ => None,
            }
        };
        let Some(name) = removed else { return Ok(()) };
        blocking(shared, move |shared| {
            let _changing = shared.deployer.change();
            shared.deployer.registry.remove(&name);
        })
        .await
    }
}

/// A container that is being initialised.
#[derive(Debug)]
pub(super) struct Beginning {
    containers: Arc<Containers>,
    container: String,
    /// The name of its action.
    pub(super) name: FunctionName,
    done: bool,
}

impl Beginning {
    /// The action is there.
    pub(super) fn finish(mut self) {
        self.done = true;
        self.containers.known().insert(self.container.clone(), Some(self.name.clone()));
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if !self.done {
            self.containers.known().remove(&self.container);
        }
    }
}
