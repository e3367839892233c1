//! Functions: modules that answer requests.

use crate::abi::{AbiError, GuestAbi, INITIALIZE, START};
use crate::config::{Environment, EnvironmentError, FunctionConfig};
use crate::invoke::{InvokeError, Request, ignore_success};
use crate::reactor;
use crate::state::HostState;
use crate::stdio::{Input, LogLines, Output};
use crate::wasi;
use std::sync::Arc;
use std::time::Instant;
use wfaas_abi::artifact::Profile;
use wfaas_vm::{Engine, Faaslet, Linker, Module, Pool};

/// A module that answers requests, each in a pristine faaslet.
pub struct Function {
    config: FunctionConfig,
    name: Arc<str>,
    abi: GuestAbi,
    environment: Arc<Environment>,
    pool: Pool<HostState>,
}

/// Why a module and a configuration are no function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The exports do not fit.
    #[error(transparent)]
    Abi(#[from] AbiError),
    /// The arguments or variables do not fit.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The module needs its `_initialize` run before anything else.
    #[error(
        "the module exports `{INITIALIZE}`, but its image was captured before that ran: build it \
         without --no-init"
    )]
    NotInitialised,
    /// Instances are larger than the limit from the start.
    #[error("instances start with {bytes} bytes of memory, the limit is {limit} bytes")]
    Memory {
        /// Bytes at the start.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The VM cannot run it: most often, an import is not WASI.
    #[error(transparent)]
    Vm(#[from] wfaas_vm::Error),
}

impl Function {
    /// Makes a function of a module.
    ///
    /// # Errors
    /// [`FunctionError`] says what about the module or the configuration does not fit.
    pub fn new(
        engine: &Engine,
        module: &Module,
        config: FunctionConfig,
    ) -> Result<Function, FunctionError> {
        let abi = match config.abi {
            Some(abi) => abi.check(module).map(|()| abi)?,
            None => GuestAbi::detect(module)?,
        };
        if !module.is_initialised() && module.get_export(INITIALIZE).is_some() {
            return Err(FunctionError::NotInitialised);
        }
        let (bytes, limit) = (module.initial_memory_bytes(), config.limits.memory_bytes);
        if bytes > limit {
            return Err(FunctionError::Memory { bytes, limit });
        }
        let args = std::iter::once(&config.name).chain(&config.args).cloned().collect();
        let environment = Arc::new(Environment::new(args, config.env.clone())?);
        let mut linker = Linker::new(engine);
        wasi::add_to_linker(&mut linker);
        let pool = Pool::new(&linker, module)?;
        Ok(Function { name: config.name.as_str().into(), config, abi, environment, pool })
    }

    /// The guest ABI.
    pub fn abi(&self) -> GuestAbi {
        self.abi
    }

    /// The configuration.
    pub fn config(&self) -> &FunctionConfig {
        &self.config
    }

    /// Answers a request in a faaslet of its own. Blocks until the answer is there.
    ///
    /// # Errors
    /// [`InvokeError`] if the guest fails, exceeds a limit, or there is no memory for it.
    pub fn handle(&self, request: Request) -> Result<Vec<u8>, InvokeError> {
        let limits = &self.config.limits;
        let deadline = request.deadline.or_else(|| Instant::now().checked_add(limits.time));
        let (body, stdin) = match self.abi {
            GuestAbi::WasiCommand => (Vec::new(), request.body),
            GuestAbi::Reactor => (request.body, Vec::new()),
        };
        let id = request.info.as_ref().map_or("", |info| &info.id);
        let log = || LogLines::new(self.name.clone(), id, limits.log_bytes);
        let stdout = match self.abi {
            GuestAbi::WasiCommand => Output::buffer(limits.output_bytes),
            GuestAbi::Reactor => Output::log(log()),
        };
        let (environment, stdin) = (self.environment.clone(), Input::buffer(stdin));
        let state = HostState::new(environment, stdin, stdout, Output::log(log()));
        let mut faaslet = self.pool.acquire(state.with_request(request.info))?;
        faaslet.store().set_deadline(deadline);
        faaslet.store().set_memory_limit(Some(limits.memory_bytes));
        match self.abi {
            GuestAbi::WasiCommand => run_command(faaslet),
            GuestAbi::Reactor => {
                let instance = faaslet.instance();
                reactor::answer(faaslet.store(), instance, &body, limits.output_bytes)
            }
        }
    }

    /// What the requests so far wrote to, if the engine records.
    pub(crate) fn recorded(&self) -> Result<Option<Profile>, wfaas_vm::Error> {
        let mut faaslet = self.pool.acquire(HostState::default())?;
        let instance = faaslet.instance();
        instance.recorded(faaslet.store())
    }
}

fn run_command(mut faaslet: Faaslet<'_, HostState>) -> Result<Vec<u8>, InvokeError> {
    let instance = faaslet.instance();
    let store = faaslet.store();
    let start = instance.get_typed_func::<(), ()>(store, START)?;
    ignore_success(start.call(store, ()))?;
    Ok(faaslet.release().into_output())
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Function");
        debug.field("config", &self.config).field("abi", &self.abi).finish_non_exhaustive()
    }
}
