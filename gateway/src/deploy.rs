//! Deployments: from bytes to a function that can be reached.

use crate::registry::{Deployed, FunctionInfo, Registry, RouteTaken};
use crate::store::{Entry, Store, StoreError};
use hyper::header::HeaderValue;
use std::sync::{Mutex, PoisonError};
use tempfile::NamedTempFile;
use wfaas_abi::ArtifactError;
use wfaas_function::{
    Function, FunctionError, FunctionName, Protocols, Route, RouteError, Spec, SpecError,
};
use wfaas_vm::{Engine, Module};

/// Why a deployment was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// The specification; the message names the field.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Arguments or variables that no guest can be given; the message names the field.
    #[error("{0}")]
    Environment(String),
    /// The artifact is damaged, foreign, or not for this machine.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The artifact is no function.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// Nothing keeps the guest inside its memory.
    #[error(
        "the artifact was built with bounds strategy `none`, so its guest is not kept inside its \
         memory: build it again with another strategy"
    )]
    UnsafeBounds,
    /// Another function has the route.
    #[error(transparent)]
    Route(#[from] RouteTaken),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What changes the set of functions, on disk and in memory, one change after the other.
pub(crate) struct Deployer {
    engine: Engine,
    defaults: Spec,
    protocols: Protocols,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    changing: Mutex<()>,
}

impl Deployer {
    /// What runs the functions.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// With the functions in the store. Those that cannot be loaded are reported in the log and
    /// left where they are.
    pub(crate) fn load(engine: Engine, defaults: Spec, store: Store) -> Result<Self, StoreError> {
        let deployer = Deployer {
            engine,
            defaults,
            protocols: Protocols::default(),
            store,
            registry: Registry::default(),
            changing: Mutex::new(()),
        };
        for entry in deployer.store.entries()? {
            match entry {
                Ok(entry) => deployer.load_entry(entry),
                Err(error) => tracing::error!("a stored function cannot be loaded: {error}"),
            }
        }
        let removed = deployer.store.collect_garbage()?;
        if removed > 0 {
            tracing::info!(removed, "removed artifacts that no function uses");
        }
        Ok(deployer)
    }

    fn load_entry(&self, entry: Entry) {
        let name = entry.name.clone();
        match self.try_load(entry) {
            Ok(deployed) => drop(self.registry.insert(deployed)),
            Err(error) => {
                tracing::error!(function = %name, "a stored function cannot be loaded: {error}");
            }
        }
    }

    fn try_load(&self, entry: Entry) -> Result<Deployed, DeployError> {
        let module = self.open(&self.store.blob(&entry.artifact))?;
        if module.artifact().content_hash_hex() != entry.artifact {
            return Err(ArtifactError::ContentHash.into());
        }
        self.check(entry.name, entry.config, &module, true)
    }

    /// Deploys a staged file, whose content is on disk, and says whether it replaced a function.
    /// Blocks on disk work.
    ///
    /// # Errors
    /// [`DeployError`]; what was deployed under the name before is untouched then.
    pub(crate) fn deploy(
        &self,
        name: FunctionName,
        spec: Spec,
        staged: NamedTempFile,
    ) -> Result<(FunctionInfo, bool), DeployError> {
        let module = self.open(staged.path())?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let deployed = self.check(name.clone(), spec.clone(), &module, true)?;
        let info = deployed.info.clone();
        let committed = self.store.commit(staged, &Entry::new(name, info.artifact.clone(), spec));
        if committed.is_ok() {
            let replaced = self.registry.insert(deployed).is_some();
            self.sweep();
            return Ok((info, replaced));
        }
        self.sweep();
        committed.map(|()| (info, false)).map_err(DeployError::from)
    }

    /// Makes a function reachable that is not in the store.
    ///
    /// # Errors
    /// As [`Deployer::deploy`].
    pub(crate) fn install(
        &self,
        name: FunctionName,
        spec: Spec,
        artifact: &[u8],
    ) -> Result<FunctionInfo, DeployError> {
        let module = Module::from_bytes(&self.engine, artifact).map_err(FunctionError::from)?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let deployed = self.check(name, spec, &module, false)?;
        let info = deployed.info.clone();
        self.registry.insert(deployed);
        Ok(info)
    }

    /// Removes a function from store and memory; whether there was one. Blocks on disk work.
    ///
    /// # Errors
    /// [`StoreError`]; the function is still there then.
    pub(crate) fn delete(&self, name: &FunctionName) -> Result<bool, StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.store.remove(name)?;
        let reachable = self.registry.remove(name).is_some();
        self.sweep();
        Ok(stored || reachable)
    }

    /// Loads an artifact and checks every byte of it.
    fn open(&self, path: &std::path::Path) -> Result<Module, DeployError> {
        let module = Module::from_file(&self.engine, path).map_err(FunctionError::from)?;
        module.artifact().verify()?;
        Ok(module)
    }

    /// What can be reached under `name`: `spec` over the server's defaults.
    fn check(
        &self,
        name: FunctionName,
        spec: Spec,
        module: &Module,
        stored: bool,
    ) -> Result<Deployed, DeployError> {
        if !module.artifact().bounds().is_safe() {
            return Err(DeployError::UnsafeBounds);
        }
        if spec.name.as_ref().is_some_and(|other| *other != name) {
            let reason = format!("the function is deployed as {name}");
            return Err(SpecError::field("name", reason).into());
        }
        let spec = Spec { name: Some(name.clone()), ..spec }.over(self.defaults.clone());
        let route = spec.route().parse();
        let route: Route = route.map_err(|error: RouteError| SpecError::field("route", error))?;
        let content_type = content_type(&spec)?;
        self.registry.check_route(&name, &route)?;
        let function = Function::with_protocols(&self.engine, module, spec, &self.protocols);
        let function = function.map_err(|error| match error {
            FunctionError::Spec(error) => error.into(),
            FunctionError::Environment(error) => DeployError::Environment(error.to_string()),
            error => DeployError::Function(error),
        })?;
        let artifact = module.artifact();
        let identity = (artifact.content_hash_hex(), artifact.bytes().len() as u64);
        Ok(Deployed::new(name, route, content_type, function, identity, stored))
    }

    /// Removes artifacts that are not used any more. That this fails is no reason to fail what
    /// was done before: the next start tries again.
    fn sweep(&self) {
        if let Err(error) = self.store.collect_garbage() {
            tracing::warn!("cannot remove unused artifacts: {error}");
        }
    }
}

/// The type of answers if no layer sets one.
const DEFAULT_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// The header's value.
fn content_type(spec: &Spec) -> Result<HeaderValue, SpecError> {
    let text = spec.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
    let reason = || format!("{text:?} cannot be the value of a header");
    text.parse().map_err(|_| SpecError::field("content_type", reason()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_fits_a_header() {
        let spec = |text: &str| Spec { content_type: Some(text.into()), ..Spec::default() };
        assert_eq!(content_type(&Spec::default()).unwrap(), DEFAULT_CONTENT_TYPE);
        assert_eq!(content_type(&spec("text/css")).unwrap(), "text/css");
        let error = content_type(&spec("a\nb")).unwrap_err();
        assert!(error.to_string().starts_with("content_type: "), "{error}");
    }
}
