//! Stored functions: loaded at the start, and those that could not be, tried again.

use crate::config::Config;
use crate::deploy::{DeployError, Deployer};
use crate::failed::{Failed, FailedFunction};
use crate::registry::{Deployed, Registered, RouteTaken};
use crate::scheduler::Scheduler;
use crate::store::{Entry, Store, StoreError, Stored};
use crate::tenants::Tenants;
use std::sync::Arc;
use wfaas_abi::ArtifactError;
use wfaas_function::{FunctionName, Spec};
use wfaas_vm::Engine;

impl Deployer {
    /// With the functions in the store. Those that cannot be loaded are listed with the reason.
    ///
    /// # Errors
    /// If the store's directory cannot be read.
    pub(crate) fn load(
        config: &Config,
        engine: Engine,
        tenants: Tenants,
        scheduler: Arc<Scheduler>,
        store: Store,
    ) -> Result<Self, StoreError> {
        let deployer = Deployer::new(config, engine, tenants, scheduler, store);
        let stored = deployer.change().read_all()?;
        for stored in stored {
            let registered = match deployer.try_load(stored) {
                Ok(deployed) => Registered::Ready(Arc::new(deployed)),
                Err(failed) => Registered::Failed(Arc::new(Failed::new(*failed))),
            };
            deployer.registry.insert(registered);
        }
        Ok(deployer)
    }

    fn try_load(&self, (name, entry): Stored) -> Result<Deployed, Box<FailedFunction>> {
        let (entry, loaded) = match entry {
            Ok(entry) => {
                let loaded = self.load_entry(&entry);
                (Some(entry), loaded)
            }
            Err(error) => (None, Err(error.into())),
        };
        loaded.map_err(|error| Box::new(self.failed(name, entry, &error)))
    }

    fn load_entry(&self, entry: &Entry) -> Result<Deployed, DeployError> {
        let module = self.open(&self.layout.blob(&entry.artifact))?;
        if module.artifact().content_hash_hex() != entry.artifact {
            return Err(ArtifactError::ContentHash.into());
        }
        self.check(entry.name.clone(), entry.config.clone(), &module, true)
    }

    /// What is known of a function that cannot be loaded.
    fn failed(
        &self,
        name: FunctionName,
        entry: Option<Entry>,
        error: &DeployError,
    ) -> FailedFunction {
        let reason = error.to_string();
        tracing::error!(function = %name, "a stored function cannot be loaded: {reason}");
        let (artifact, config) = entry.map(|entry| (entry.artifact, entry.config)).unzip();
        let spec = Spec { name: Some(name.clone()), ..config.unwrap_or_default() };
        let tenant = spec.tenant.clone().unwrap_or_default();
        let route = spec.over(self.defaults.clone()).route().parse().ok();
        FailedFunction { name, tenant, route, artifact, stored: true, reason }
    }

    /// Tries once more to load a function, if it is time to; the function if it is there now.
    /// Blocks on disk work.
    pub(crate) fn retry(&self, failed: &Arc<Failed>) -> Option<Arc<Deployed>> {
        if !failed.begin_retry() {
            return None;
        }
        let name = &failed.info.name;
        let stored = (name.clone(), self.change().read(name));
        // Its artifact is looked at without a lock: that takes a while if it is large.
        let loaded = self.try_load(stored);
        let _changing = self.change();
        match self.registry.get(name) {
            Some(Registered::Failed(present)) if Arc::ptr_eq(&present, failed) => {}
            // Somebody has deployed or deleted it meanwhile.
            Some(Registered::Ready(deployed)) => return Some(deployed),
            _ => return None,
        }
        let loaded = loaded.and_then(|deployed| {
            let route = self.registry.check_route(name, deployed.route());
            let refuse = |taken: RouteTaken| {
                let reason = taken.to_string();
                Box::new(FailedFunction { reason, ..failed.info.clone() })
            };
            route.map_err(refuse)?;
            Ok(Arc::new(deployed))
        });
        match loaded {
            Ok(deployed) => {
                tracing::info!(function = %name, "a stored function could be loaded at last");
                self.registry.insert(Registered::Ready(deployed.clone()));
                Some(deployed)
            }
            Err(info) => {
                self.registry.insert(Registered::Failed(Arc::new(failed.again(*info))));
                None
            }
        }
    }

    /// Tries again to load all functions that could not be loaded, as far as it is time to.
    pub(crate) fn retry_all(&self) {
        for failed in self.registry.failed() {
            self.retry(&failed);
        }
    }
}
