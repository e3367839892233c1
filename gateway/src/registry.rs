//! The functions in memory, by name and by route.

use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use wfaas_function::{ByteSize, Function, FunctionName, Route, Span, Spec};

/// A function that can be reached. Requests hold it while they run, so replacing it in the
/// registry does not concern them.
pub(crate) struct Deployed {
    pub(crate) function: Function,
    pub(crate) content_type: HeaderValue,
    pub(crate) info: FunctionInfo,
}

/// What listings say about a function. Values of environment variables are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Name.
    pub name: FunctionName,
    /// Path, without those below.
    pub route: Route,
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
    /// Most bytes of an answer.
    pub output_limit_bytes: u64,
}

impl Deployed {
    /// Puts together what there is to know about a function. `artifact` is its content hash and its
    /// size in bytes.
    pub(crate) fn new(
        name: FunctionName,
        route: Route,
        content_type: HeaderValue,
        function: Function,
        artifact: (String, u64),
        stored: bool,
    ) -> Deployed {
        let Spec { env, limits, .. } = function.spec();
        let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, |size| size.0);
        let info = FunctionInfo {
            name,
            route,
            abi: function.abi().name.to_owned(),
            artifact: artifact.0,
            artifact_bytes: artifact.1,
            stored,
            env: env.keys().cloned().collect(),
            memory_limit_bytes: bytes(limits.memory),
            time_limit_ms: limits.time.map_or(u64::MAX, Span::millis),
            output_limit_bytes: bytes(limits.output),
        };
        Deployed { function, content_type, info }
    }

    pub(crate) fn name(&self) -> &FunctionName {
        &self.info.name
    }

    pub(crate) fn route(&self) -> &Route {
        &self.info.route
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
#[derive(Default)]
pub(crate) struct Registry(RwLock<Functions>);

#[derive(Default)]
struct Functions {
    by_name: BTreeMap<FunctionName, Arc<Deployed>>,
    by_route: HashMap<String, Arc<Deployed>>,
}

impl Registry {
    /// The function for a path: that with the longest matching route.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Deployed>> {
        let functions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        candidates(path).find_map(|route| functions.by_route.get(route).cloned())
    }

    /// The function of this name.
    pub(crate) fn get(&self, name: &FunctionName) -> Option<Arc<Deployed>> {
        let functions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        functions.by_name.get(name).cloned()
    }

    /// All functions, by name.
    pub(crate) fn list(&self) -> Vec<FunctionInfo> {
        let functions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        functions.by_name.values().map(|deployed| deployed.info.clone()).collect()
    }

    /// How many functions there are.
    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_name.len()
    }

    /// Whether a function of this name may have this route.
    pub(crate) fn check_route(&self, name: &FunctionName, route: &Route) -> Result<(), RouteTaken> {
        let functions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match functions.by_route.get(route.as_str()) {
            Some(owner) if owner.name() != name => {
                Err(RouteTaken { route: route.clone(), owner: owner.name().clone() })
            }
            _ => Ok(()),
        }
    }

    /// Makes a function reachable instead of the one of the same name; that one, if there was
    /// one. The route has been checked by who alone may change the registry.
    pub(crate) fn insert(&self, deployed: Deployed) -> Option<Arc<Deployed>> {
        let deployed = Arc::new(deployed);
        let mut functions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = functions.by_name.insert(deployed.name().clone(), deployed.clone());
        if let Some(old) = &old {
            functions.by_route.remove(old.route().as_str());
        }
        functions.by_route.insert(deployed.route().as_str().to_owned(), deployed);
        old
    }

    /// Makes a function unreachable.
    pub(crate) fn remove(&self, name: &FunctionName) -> Option<Arc<Deployed>> {
        let mut functions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = functions.by_name.remove(name)?;
        functions.by_route.remove(old.route().as_str());
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
