//! Deployments: from bytes to a function that can be reached.

use crate::config::Config;
use crate::kept::{Budget, Share as Kept};
use crate::outgoing::{Share, SharedClient, SharedSockets};
use crate::parking::SlotParking;
use crate::registry::{Deployed, FunctionInfo, Registered, Registry, RouteTaken};
use crate::resets;
use crate::scheduler::{Payer, Scheduler, Tenant};
use crate::sessions::Sessions;
use crate::store::{Entry, Layout, Store, StoreError};
use crate::tenants::Tenants;
use hyper::header::HeaderValue;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::NamedTempFile;
use wfaas_abi::ArtifactError;
use wfaas_function::sockets::SocketProvider;
use wfaas_function::stores::StoreBackend;
use wfaas_function::{
    AllowedDirs, BlockingPool, Function, FunctionError, FunctionName, HttpClient, Protocols, Route,
    RouteError, Spec, SpecError, TenantName,
};
use wfaas_vm::{Engine, Fault, Module};

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
    /// The function belongs to a tenant with another token.
    #[error("{0}")]
    OtherTenant(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DeployError {
    /// The side to blame. A specification that does not fit counts for the module.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            DeployError::Spec(_)
            | DeployError::Environment(_)
            | DeployError::Artifact(_)
            | DeployError::UnsafeBounds
            | DeployError::Route(_)
            | DeployError::OtherTenant(_) => Fault::Module,
            DeployError::Function(error) => error.fault(),
            DeployError::Store(error) => error.fault(),
        }
    }
}

/// What changes the set of functions, on disk and in memory, one change after the other.
pub(crate) struct Deployer {
    pub(crate) engine: Engine,
    pub(crate) defaults: Spec,
    protocols: Protocols,
    pub(crate) layout: Layout,
    pub(crate) registry: Registry,
    pub(crate) tenants: Tenants,
    /// Processor time that a guest may use before others have their turns.
    pub(crate) time_slice: Duration,
    /// Directories of the host that functions may be given.
    allowed_dirs: Vec<PathBuf>,
    /// Sends requests of guests.
    http_client: Option<Arc<dyn HttpClient>>,
    /// Opens sockets of guests.
    sockets: Option<Arc<dyn SocketProvider>>,
    /// Keeps the values of functions' stores.
    stores: Option<Arc<dyn StoreBackend>>,
    /// Charges functions for work that others do for them.
    scheduler: Arc<Scheduler>,
    /// Of the states of all sessions.
    session_budget: Arc<Budget>,
    /// Time after which guests are parked, and the bytes of all their deltas.
    park_after: Option<Duration>,
    parked_budget: Arc<Budget>,
    /// Locked by the one change that is under way.
    store: Mutex<Store>,
}

impl Deployer {
    pub(crate) fn new(
        config: &Config,
        engine: Engine,
        tenants: Tenants,
        scheduler: Arc<Scheduler>,
        store: Store,
    ) -> Deployer {
        let (protocols, registry) = (Protocols::default(), Registry::default());
        let (layout, store) = (store.layout().clone(), Mutex::new(store));
        let (defaults, time_slice) = (config.defaults.clone(), config.time_slice);
        let allowed_dirs = config.allowed_dirs.clone();
        let (http_client, sockets) = (config.http_client.clone(), config.sockets.clone());
        let stores = config.stores.clone();
        Deployer {
            engine,
            defaults,
            protocols,
            layout,
            registry,
            tenants,
            time_slice,
            allowed_dirs,
            http_client,
            sockets,
            stores,
            scheduler,
            session_budget: Budget::new(config.session_bytes),
            park_after: config.park_after,
            parked_budget: Budget::new(config.parked_bytes),
            store,
        }
    }

    /// Begins a change.
    pub(crate) fn change(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a tenant may deploy a function of this name and specification.
    ///
    /// # Errors
    /// [`DeployError::OtherTenant`].
    pub(crate) fn check_tenant(
        &self,
        name: &FunctionName,
        spec: &Spec,
        tenant: &Tenant,
    ) -> Result<(), DeployError> {
        let own = &tenant.name;
        if let Some(named) = spec.tenant.as_ref().filter(|named| *named != own) {
            let message = format!("the token is of the tenant {own}, not of {named}");
            return Err(DeployError::OtherTenant(message));
        }
        if self.registry.get(name).is_some_and(|present| present.tenant() != own) {
            let message = format!("the function {name} belongs to another tenant");
            return Err(DeployError::OtherTenant(message));
        }
        Ok(())
    }

    /// Deploys a staged file, whose content is on disk, and says whether it replaced a function.
    /// Blocks on disk work.
    ///
    /// # Errors
    /// [`DeployError`]; but for [`StoreError::Unsynced`], what was deployed under the name before is
    /// untouched then.
    pub(crate) fn deploy(
        &self,
        name: FunctionName,
        mut spec: Spec,
        staged: NamedTempFile,
        tenant: &Tenant,
    ) -> Result<(FunctionInfo, bool), DeployError> {
        self.check_tenant(&name, &spec, tenant)?;
        if tenant.name != TenantName::default() {
            spec.tenant = Some(tenant.name.clone());
        }
        let module = self.open(staged.path())?;
        let mut store = self.change();
        self.check_tenant(&name, &spec, tenant)?;
        let deployed = self.check(name.clone(), spec.clone(), &module, true)?;
        let info = deployed.info.clone();
        let committed = store.commit(staged, &Entry::new(name, info.artifact.clone(), spec));
        if matches!(&committed, Err(error) if !error.is_unsynced()) {
            return committed.map(|()| (info, false)).map_err(DeployError::from);
        }
        // The memory is as the disk, whether that lasts or not.
        let replaced = self.registry.insert(Registered::Ready(Arc::new(deployed)));
        committed.map(|()| (info, replaced)).map_err(DeployError::from)
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
        let file = self.staged(artifact);
        let module = match &file {
            Some(file) => Module::from_file(&self.engine, file.path()),
            None => Module::from_bytes(&self.engine, artifact),
        };
        let module = module.map_err(FunctionError::from)?;
        let _changing = self.change();
        let mut deployed = self.check(name, spec, &module, false)?;
        deployed.file = file;
        let info = deployed.info.clone();
        self.registry.insert(Registered::Ready(Arc::new(deployed)));
        Ok(info)
    }

    /// A file in the store with this artifact, if there is room: profilers find the names of functions in the
    /// file that code is mapped from.
    fn staged(&self, artifact: &[u8]) -> Option<NamedTempFile> {
        let mut file = self.layout.stage().ok()?;
        file.write_all(artifact).ok()?;
        Some(file)
    }

    /// Removes a function of a tenant from store and memory; whether there was one. Blocks on disk work.
    ///
    /// # Errors
    /// [`StoreError`]; but for [`StoreError::Unsynced`], the function is still there then.
    pub(crate) fn delete(&self, name: &FunctionName, tenant: &Tenant) -> Result<bool, StoreError> {
        let mut store = self.change();
        if self.registry.get(name).is_some_and(|present| *present.tenant() != tenant.name) {
            return Ok(false);
        }
        let stored = store.remove(name);
        if matches!(&stored, Err(error) if !error.is_unsynced()) {
            return stored;
        }
        let was_known = self.registry.remove(name);
        stored.map(|stored| stored || was_known)
    }

    /// Loads an artifact and checks every byte of it.
    pub(crate) fn open(&self, path: &std::path::Path) -> Result<Module, DeployError> {
        let module = Module::from_file(&self.engine, path).map_err(FunctionError::from)?;
        module.artifact().verify()?;
        Ok(module)
    }

    /// What can be reached under `name`: `spec` over the server's defaults.
    pub(crate) fn check(
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
        let mut function = function.map_err(|error| match error {
            FunctionError::Spec(error) => error.into(),
            FunctionError::Environment(error) => DeployError::Environment(error.to_string()),
            error => DeployError::Function(error),
        })?;
        let artifact = module.artifact();
        let identity = (artifact.content_hash_hex(), artifact.bytes().len() as u64);
        function.set_time_slice(Some(self.time_slice));
        let tenant = function.spec().tenant.clone().unwrap_or_default();
        let payer = self.tenants.payer(&tenant, &name);
        function.set_background(resets::background(&payer, &self.scheduler));
        function.open_dirs(AllowedDirs::Below(&self.allowed_dirs), blocking_pool())?;
        self.connect(&mut function, &payer);
        if let Some(after) = self.park_after {
            let share = Kept::new(&self.parked_budget, &payer.tenant.parked_bytes);
            let parking = SlotParking::new(&self.engine, after, share, payer.clone());
            function.set_parking(Box::new(parking));
        }
        let sessions = function.spec().session.clone();
        let share = Kept::new(&self.session_budget, &payer.tenant.session_bytes);
        let sessions = sessions.map(|session| Sessions::new(session, share));
        let mut deployed =
            Deployed::new(name, route, content_type, (function, payer), identity, stored);
        deployed.sessions = sessions;
        Ok(deployed)
    }

    /// Gives a function the world that its specification grants it parts of.
    fn connect(&self, function: &mut Function, payer: &Arc<Payer>) {
        let share = Share::of(payer, &self.scheduler);
        if let Some(client) = self.http_client.clone() {
            let share = share.clone();
            function.set_client(Arc::new(SharedClient { client, share }));
        }
        if let Some(provider) = self.sockets.clone() {
            let provider = Arc::new(SharedSockets { provider, share });
            function.set_sockets(provider, payer.tenant.sockets.clone());
        }
        if let Some(stores) = &self.stores {
            function.set_stores(stores.clone());
        }
    }
}

/// The runtime's threads that may be blocked; none outside of a runtime, as in tests.
fn blocking_pool() -> Option<BlockingPool> {
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    Some(Box::new(move |job| drop(runtime.spawn_blocking(job))))
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
