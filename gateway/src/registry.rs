//! The functions in memory, by name and by route.

use crate::budget::{Account, Accounts};
use crate::failed::{Failed, FailedFunction};
use crate::scheduler::Payer;
use crate::sessions::Sessions;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tempfile::NamedTempFile;
use wfaas_function::{
    ByteSize, Function, FunctionName, OnDisconnect, Route, Span, Spec, TenantName,
};

/// A function that can be reached. Requests hold it while they run, so replacing it in the
/// registry does not concern them.
pub(crate) struct Deployed {
    pub(crate) function: Function,
    /// Who is charged for its guests' time.
    pub(crate) payer: Arc<Payer>,
    /// Most bytes of memory that a request may need.
    pub(crate) memory: u64,
    /// Whether all its answers are sent as they are, and given up when their client leaves.
    pub(crate) is_plain: bool,
    pub(crate) content_type: HeaderValue,
    pub(crate) info: FunctionInfo,
    /// The states of its sessions, if it has any.
    pub(crate) sessions: Option<Sessions>,
    /// Once it has had a request.
    account: OnceLock<Arc<Account>>,
    /// Its artifact's file, if that is not in the store: gone with the function.
    pub(crate) file: Option<NamedTempFile>,
}

/// What listings say about a function. Values of environment variables are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Name.
    pub name: FunctionName,
    /// Path, without those below.
    pub route: Route,
    /// Tenant that it is charged to.
    #[serde(default)]
    pub tenant: TenantName,
    /// Name of the guest ABI.
    pub abi: String,
    /// Content hash of the artifact, in hexadecimal.
    pub artifact: String,
    /// Bytes of the artifact.
    pub artifact_bytes: u64,
    /// Whether it is in the store, and comes back after a restart.
    pub stored: bool,
    /// Names of the environment variables.
    pub env: Vec<String>,
    /// Most bytes of linear memory.
    pub memory_limit_bytes: u64,
    /// Longest time of a request, in milliseconds.
    pub time_limit_ms: u64,
    /// Most processor time of a request, in milliseconds, if it is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_ms: Option<u64>,
    /// Most bytes of an answer.
    pub output_limit_bytes: u64,
}

/// A function, by whether it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum FunctionStatus {
    /// It answers requests.
    Ready(FunctionInfo),
    /// It is stored, but could not be loaded.
    Failed(FailedFunction),
}

/// A function as the registry has it.
#[derive(Clone)]
pub(crate) enum Registered {
    Ready(Arc<Deployed>),
    Failed(Arc<Failed>),
}

impl Deployed {
    /// Puts together what there is to know about a function. `artifact` is its content hash and its
    /// size in bytes.
    pub(crate) fn new(
        name: FunctionName,
        route: Route,
        content_type: HeaderValue,
        (function, payer): (Function, Arc<Payer>),
        artifact: (String, u64),
        stored: bool,
    ) -> Deployed {
        let Spec { env, limits, compress, on_disconnect, session, .. } = function.spec();
        let finishes = *on_disconnect == Some(OnDisconnect::Finish);
        let is_plain = compress.is_empty() && !finishes && session.is_none();
        let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, |size| size.0);
        let info = FunctionInfo {
            name,
            route,
            tenant: payer.tenant.name.clone(),
            abi: function.abi().name.to_owned(),
            artifact: artifact.0,
            artifact_bytes: artifact.1,
            stored,
            env: env.keys().cloned().collect(),
            memory_limit_bytes: bytes(limits.memory),
            time_limit_ms: limits.time.map_or(u64::MAX, Span::millis),
            cpu_limit_ms: limits.cpu.map(Span::millis),
            output_limit_bytes: bytes(limits.output),
        };
        let more = function.more_bytes();
        let memory = info.memory_limit_bytes.saturating_add(more);
        let account = OnceLock::new();
        let (sessions, file) = (None, None);
        Deployed { function, payer, memory, is_plain, content_type, info, sessions, account, file }
    }

    pub(crate) fn name(&self) -> &FunctionName {
        &self.info.name
    }

    pub(crate) fn route(&self) -> &Route {
        &self.info.route
    }

    /// Its account, which all functions of the name have: looked up once.
    pub(crate) fn account(&self, accounts: &Accounts<FunctionName>) -> &Arc<Account> {
        self.account.get_or_init(|| accounts.of(self.name()))
    }
}

impl Registered {
    /// The tenant of the function.
    pub(crate) fn tenant(&self) -> &TenantName {
        match self {
            Registered::Ready(deployed) => &deployed.info.tenant,
            Registered::Failed(failed) => &failed.info.tenant,
        }
    }

    fn name(&self) -> &FunctionName {
        match self {
            Registered::Ready(deployed) => deployed.name(),
            Registered::Failed(failed) => &failed.info.name,
        }
    }

    fn route(&self) -> Option<&Route> {
        match self {
            Registered::Ready(deployed) => Some(deployed.route()),
            Registered::Failed(failed) => failed.info.route.as_ref(),
        }
    }

    fn is_stored(&self) -> bool {
        match self {
            Registered::Ready(deployed) => deployed.info.stored,
            Registered::Failed(_) => true,
        }
    }

    pub(crate) fn status(&self) -> FunctionStatus {
        match self {
            Registered::Ready(deployed) => FunctionStatus::Ready(deployed.info.clone()),
            Registered::Failed(failed) => FunctionStatus::Failed(failed.info.clone()),
        }
    }
}

/// Another function has the route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the route {route} belongs to the function {owner}; delete that or choose another route")]
pub struct RouteTaken {
    /// The route.
    pub route: Route,
    /// Whose it is.
    pub owner: FunctionName,
}

/// All functions. Lookups never wait for a deployment's disk work.
///
/// A route belongs to one name: to a function that is reached there, to one that could not be loaded,
/// or to a stored one that another function of its name hides. So stored functions never have a route
/// in common, whichever others a server was started with.
#[derive(Default)]
pub(crate) struct Registry {
    functions: RwLock<Functions>,
    /// Number of changes so far: what was found before a change may not be there any more.
    changes: AtomicU64,
}

#[derive(Default)]
struct Functions {
    by_name: BTreeMap<FunctionName, Registered>,
    by_route: HashMap<String, Registered>,
    hidden: Hidden,
}

/// Routes of stored functions that are hidden by one of the same name, and their owners.
#[derive(Default)]
struct Hidden {
    by_name: HashMap<FunctionName, Route>,
    by_route: HashMap<String, FunctionName>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Functions> {
        self.functions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Functions> {
        let functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever sees the new number waits for the change.
        self.changes.fetch_add(1, Ordering::Release);
        functions
    }

    /// How many changes there were. As long as there is no other, a path leads to the function that is
    /// found after this.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Ends the sessions that were idle for too long, of all functions that can be reached.
    pub(crate) fn end_idle_sessions(&self) {
        let ready = |registered: &Registered| match registered {
            Registered::Ready(deployed) => deployed.sessions.is_some().then(|| deployed.clone()),
            Registered::Failed(_) => None,
        };
        // No lock is held while states are freed.
        let with_sessions: Vec<_> = self.read().by_name.values().filter_map(ready).collect();
        with_sessions.iter().filter_map(|it| it.sessions.as_ref()).for_each(Sessions::end_idle);
    }

    /// The function for a path: that with the longest matching route.
    pub(crate) fn find(&self, path: &str) -> Option<Registered> {
        let functions = self.read();
        candidates(path).find_map(|route| functions.by_route.get(route).cloned())
    }

    /// The function of this name.
    pub(crate) fn get(&self, name: &FunctionName) -> Option<Registered> {
        self.read().by_name.get(name).cloned()
    }

    /// The functions that `tenant` sees, or all, by name.
    pub(crate) fn list(&self, tenant: Option<&TenantName>) -> Vec<FunctionStatus> {
        let functions = self.read();
        let seen = |function: &&Registered| tenant.is_none_or(|tenant| function.tenant() == tenant);
        functions.by_name.values().filter(seen).map(Registered::status).collect()
    }

    /// The functions that could not be loaded.
    pub(crate) fn failed(&self) -> Vec<Arc<Failed>> {
        let failed = |registered: &Registered| match registered {
            Registered::Ready(_) => None,
            Registered::Failed(failed) => Some(failed.clone()),
        };
        self.read().by_name.values().filter_map(failed).collect()
    }

    /// How many functions can be reached, and how many could not be loaded.
    pub(crate) fn count(&self) -> (usize, usize) {
        let functions = self.read();
        let is_ready = |registered: &&Registered| matches!(registered, Registered::Ready(_));
        let ready = functions.by_name.values().filter(is_ready).count();
        (ready, functions.by_name.len() - ready)
    }

    /// Whether a function of this name may have this route.
    pub(crate) fn check_route(&self, name: &FunctionName, route: &Route) -> Result<(), RouteTaken> {
        let functions = self.read();
        match functions.owner(route).filter(|owner| *owner != name) {
            Some(owner) => Err(RouteTaken { route: route.clone(), owner: owner.clone() }),
            None => Ok(()),
        }
    }

    /// Puts a function into the place of the one of the same name; whether there was one. The route
    /// has been checked by the only one who may change the registry; a function that could not be
    /// loaded has it only if it is free.
    pub(crate) fn insert(&self, new: Registered) -> bool {
        let (name, mut functions) = (new.name().clone(), self.write());
        let hidden = functions.hidden.by_name.get(&name).cloned();
        let old = functions.take(&name);
        let stored = old.as_ref().filter(|old| old.is_stored());
        let hidden = hidden.or_else(|| stored.and_then(Registered::route).cloned());
        if let Some(route) = hidden.filter(|_| !new.is_stored())
            && functions.owner(&route).is_none()
        {
            functions.hidden.by_route.insert(route.as_str().to_owned(), name.clone());
            functions.hidden.by_name.insert(name.clone(), route);
        }
        if let Some(route) = new.route()
            && functions.owner(route).is_none_or(|owner| *owner == name)
        {
            functions.by_route.insert(route.as_str().to_owned(), new.clone());
        }
        functions.by_name.insert(name, new);
        old.is_some()
    }

    /// Makes a function unreachable; whether there was one.
    pub(crate) fn remove(&self, name: &FunctionName) -> bool {
        self.write().take(name).is_some()
    }
}

impl Functions {
    /// The name that a route belongs to.
    fn owner(&self, route: &Route) -> Option<&FunctionName> {
        let reached = self.by_route.get(route.as_str()).map(Registered::name);
        reached.or_else(|| self.hidden.by_route.get(route.as_str()))
    }

    /// Removes all there is of a name.
    fn take(&mut self, name: &FunctionName) -> Option<Registered> {
        if let Some(route) = self.hidden.by_name.remove(name) {
            self.hidden.by_route.remove(route.as_str());
        }
        let old = self.by_name.remove(name)?;
        if let Some(route) = old.route()
            && self.by_route.get(route.as_str()).is_some_and(|owner| owner.name() == name)
        {
            self.by_route.remove(route.as_str());
        }
        Some(old)
    }
}

/// The routes that could match `path`, longest first.
fn candidates(path: &str) -> impl Iterator<Item = &str> {
    let parents = path.rmatch_indices('/').map(|(at, _)| &path[..at.max(1)]);
    std::iter::once(path).chain(parents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_go_from_the_path_to_the_root() {
        let of = |path| candidates(path).collect::<Vec<_>>();
        assert_eq!(of("/a/b/c"), ["/a/b/c", "/a/b", "/a", "/"]);
        assert_eq!(of("/a/"), ["/a/", "/a", "/"]);
        assert_eq!(of("/"), ["/", "/"]);
        assert_eq!(of(""), [""]);
        assert_eq!(of("*"), ["*"]);
    }
}
