//! Functions: modules that answer requests.

use crate::driver::{drive, drive_async};
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::outgoing::{HttpClient, Outgoing};
use crate::protocol::{AbiError, About, Conversation, Protocols, Streams};
use crate::reply::Reply;
use crate::resolver::{Entry, Resolver};
use crate::spec::{AllowedDirs, ByteSize, Limits, Span, Spec, SpecError};
use crate::state::State;
use crate::target::{Background, FaasletTarget, PoolExports, Target};
use crate::trees;
use http::Response;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wfaas_vm::{Engine, ExternType, Fault, Linker, MappedBundle, Module, Pool};
use wfaas_wasi::files::{BlockingPool, Files};
use wfaas_wasi::preview1::Support;
use wfaas_wasi::{Environment, EnvironmentError, INITIALIZE, Input, Output, Wasi};

/// A module that answers requests, each in a pristine faaslet.
pub struct Function {
    spec: Spec,
    about: &'static About,
    conversation: Box<dyn Conversation>,
    /// What every instance has to call first, since the image does not have it.
    initialize: Option<Entry<(), ()>>,
    exports: PoolExports,
    environment: Arc<Environment>,
    /// The artifact's own files.
    bundle: Option<MappedBundle>,
    /// Directories that guests find open; `None` if there are none.
    files: Option<Arc<Files>>,
    /// Requests that guests may send.
    outgoing: Outgoing,
    limits: Numbers,
    stack_bytes: u64,
    time_slice: Option<Duration>,
    background: Option<Background>,
    /// Whether instances begin with more memory than is reset in no time.
    is_large: bool,
    pool: Pool<State>,
}

/// Bytes of a line of the log besides a guest's text and the names of function and request: a time, a
/// level, and how they are called.
const LINE_BYTES: usize =
    "2026-01-01T00:00:00.000000Z  INFO wfaas::guest:  function=\"\" request=\"\"\n".len();

/// Bytes of memory that may take a fifth of a millisecond to reset, if all of it was written to.
const LARGE: u64 = 3 << 20;

/// Limits as they are needed for a request.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    memory: u64,
    time: Duration,
    cpu: Option<Duration>,
    output: u64,
    log: u64,
}

impl From<&Limits> for Numbers {
    fn from(limits: &Limits) -> Numbers {
        let bytes = |size: Option<ByteSize>| size.map_or(u64::MAX, |size| size.0);
        Numbers {
            memory: bytes(limits.memory),
            time: limits.time.map_or(Duration::MAX, |Span(time)| time),
            cpu: limits.cpu.map(|Span(cpu)| cpu),
            output: bytes(limits.output),
            log: bytes(limits.log),
        }
    }
}

/// Why a module and a specification are no function.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The exports do not fit.
    #[error(transparent)]
    Abi(#[from] AbiError),
    /// The specification does not fit; the message names the field.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Arguments or variables do not fit; the message names the field.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The image is from before segments and the start function have run.
    #[error(
        "the module has no image of an initialised instance, and instances of a server do not run \
         its start function and segments"
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

impl FunctionError {
    /// The side to blame. A specification that does not fit counts for the module.
    pub fn fault(&self) -> Fault {
        match self {
            FunctionError::Vm(error) => error.fault(),
            FunctionError::Abi(_)
            | FunctionError::Spec(_)
            | FunctionError::Environment(_)
            | FunctionError::NotInitialised
            | FunctionError::Memory { .. } => Fault::Module,
        }
    }
}

impl Function {
    /// Makes a function of a module. Limits that `spec` leaves open are [those of a
    /// server](Limits::of_server).
    ///
    /// # Errors
    /// [`FunctionError`] says what about the module or the specification does not fit.
    pub fn new(engine: &Engine, module: &Module, spec: Spec) -> Result<Function, FunctionError> {
        Function::with_protocols(engine, module, spec, &Protocols::default())
    }

    /// The same with a set of guest ABIs.
    ///
    /// # Errors
    /// As [`Function::new`].
    pub fn with_protocols(
        engine: &Engine,
        module: &Module,
        spec: Spec,
        protocols: &Protocols,
    ) -> Result<Function, FunctionError> {
        let spec = spec.over(Spec { limits: Limits::of_server(), ..Spec::default() });
        spec.limits.check()?;
        let protocol = protocols.choose(spec.abi.as_ref(), module)?;
        let about = protocol.about();
        if !module.has_complete_image() {
            return Err(FunctionError::NotInitialised);
        }
        let limits = Numbers::from(&spec.limits);
        let (bytes, limit) = (module.initial_memory_bytes(), limits.memory);
        if bytes > limit {
            return Err(FunctionError::Memory { bytes, limit });
        }
        let environment = Arc::new(Environment::new(spec.guest_args(None), spec.env.clone())?);
        let mut linker = Linker::new(engine);
        wfaas_wasi::add_to_linker_async(&mut linker);
        protocol.link(&mut linker, module);
        let pool = Pool::new(&linker, module)?;
        let mut exports = PoolExports::default();
        let mut resolver = Resolver::of_pool(&pool, &mut exports, &spec);
        let initialize = wants_initialize(module).then(|| resolver.func(INITIALIZE)).transpose()?;
        let conversation = protocol.prepare(&mut resolver)?;
        let stack_bytes = engine.config().stack_bytes as u64;
        let files = some_files(trees::trees(module, &spec));
        let outgoing = Outgoing::new(None, &spec.allowed_hosts);
        Ok(Function {
            spec,
            about,
            conversation,
            initialize,
            exports,
            environment,
            bundle: module.bundle(),
            files,
            outgoing,
            limits,
            stack_bytes,
            time_slice: None,
            background: None,
            is_large: bytes >= LARGE,
            pool,
        })
    }

    /// What functions are given for an import.
    pub fn support(module: &str, name: &str, ty: &ExternType) -> Support {
        match ty {
            ExternType::Func(ty) if Protocols::default().provides(module, name, ty) => {
                Support::Works
            }
            ExternType::Func(ty) => wfaas_wasi::preview1::support(module, name, ty),
            _ => Support::Missing,
        }
    }

    /// The guest ABI.
    pub fn abi(&self) -> &'static About {
        self.about
    }

    /// The specification, with all limits.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Whether guests read a [body that arrives while they run](Body::stream).
    pub fn reads_streams(&self) -> bool {
        self.conversation.reads_streams()
    }

    /// Whether answers go to the exchange's [reply](Exchange::reply), as they are made.
    pub fn replies(&self) -> bool {
        self.conversation.replies()
    }

    /// Longest time that a request may take.
    pub fn time_limit(&self) -> Duration {
        self.limits.time
    }

    /// Most processor time that a request may use.
    pub fn cpu_limit(&self) -> Option<Duration> {
        self.limits.cpu
    }

    /// Suspends guests of [`Function::handle_async`] each time they have used so much processor time, so
    /// that others have theirs; `None` lets them run until they wait.
    pub fn set_time_slice(&mut self, slice: Option<Duration>) {
        self.time_slice = slice;
    }

    /// Has resets that take long, of faaslets of [`Function::handle_async`], done by `background`: those
    /// of guests that may have written to many pages. It is called once for each, on the thread that ends
    /// the guest.
    pub fn set_background(&mut self, background: Background) {
        self.background = Some(background);
    }

    /// Has guests' requests to the hosts of the specification sent by `client`. Without one, none are.
    pub fn set_client(&mut self, client: Arc<dyn HttpClient>) {
        self.outgoing = Outgoing::new(Some(client), &self.spec.allowed_hosts);
    }

    /// Opens the directories of the specification, for guests of requests that begin from now on. `pool`
    /// does what may block; without one, a guest holds the thread meanwhile.
    ///
    /// # Errors
    /// [`SpecError`] names the first directory that is not `allowed`, or is none.
    pub fn open_dirs(
        &mut self,
        allowed: AllowedDirs<'_>,
        pool: Option<BlockingPool>,
    ) -> Result<(), SpecError> {
        let mut files = Files::default();
        allowed.open(&self.spec.dirs, &self.spec.limits, &mut files)?;
        trees::add(self.bundle.clone(), &self.spec.limits, &mut files);
        if let Some(pool) = pool {
            files.set_pool(pool);
        }
        self.files = some_files(files);
        Ok(())
    }

    /// Opens the directories of the specification as they are [while it is initialised](crate::AtInit), for
    /// the requests of a warm-up.
    ///
    /// # Errors
    /// As [`Function::open_dirs`].
    pub fn open_dirs_at_init(&mut self, allowed: AllowedDirs<'_>) -> Result<(), SpecError> {
        let files = trees::at_init(self.bundle.clone(), &self.spec, allowed)?;
        self.files = some_files(files);
        Ok(())
    }

    /// Bytes that a request may need besides its memory: of stack, of files in memory, for each tree
    /// that may be written to there, and of its protocol on the host's side.
    pub fn more_bytes(&self) -> u64 {
        let Spec { limits, dirs, .. } = &self.spec;
        let trees = 1 + dirs.iter().filter(|dir| dir.overlay).count() as u64;
        let files = limits.tmp.map_or(0, |tmp| tmp.0.saturating_mul(trees));
        self.stack_bytes.saturating_add(files).saturating_add(self.conversation.more_bytes())
    }

    /// Where the instances come from.
    pub fn pool(&self) -> &Pool<State> {
        &self.pool
    }

    /// Answers a request in a faaslet of its own. Blocks until the answer is there.
    ///
    /// # Errors
    /// [`InvokeError`] if the guest fails, exceeds a limit, or there is no memory for it.
    pub fn handle(
        &self,
        exchange: impl Into<Box<Exchange>>,
    ) -> Result<Response<Body>, InvokeError> {
        let mut target = self.begin(exchange.into(), None)?;
        if let Some(initialize) = &self.initialize {
            target.call(initialize.index, &mut Default::default())?;
        }
        drive(&*self.conversation, &mut target, self.limits.output)?;
        target.take_answer()
    }

    /// Answers a request in a faaslet of its own. The guest runs whenever the future is polled; it is
    /// suspended while it waits, and at the end of each [time slice](Function::set_time_slice), when the
    /// future is woken at once. Dropping the future ends the guest.
    ///
    /// # Errors
    /// As [`Function::handle`].
    pub fn handle_async(
        &self,
        exchange: impl Into<Box<Exchange>>,
    ) -> impl Future<Output = Result<Response<Body>, InvokeError>> + Send {
        // The future is moved, and with it all that it holds by value.
        self.answer(exchange.into())
    }

    async fn answer(&self, exchange: Box<Exchange>) -> Result<Response<Body>, InvokeError> {
        let mut target = self.begin(exchange, self.background.as_ref())?;
        let store = target.faaslet().store();
        store.set_time_slice(self.time_slice);
        // Then it is known how many pages a guest can have written to.
        store.count_cpu_time(self.background.is_some() && self.is_large);
        if let Some(initialize) = &self.initialize {
            target.call_async(initialize.index, &mut Default::default()).await?;
        }
        drive_async(&*self.conversation, &mut target, self.limits.output).await?;
        target.take_answer()
    }

    /// The environment of an exchange: that of the function, unless there are more arguments.
    fn environment(&self, exchange: &Exchange) -> Result<Arc<Environment>, InvokeError> {
        if exchange.arguments.is_empty() {
            return Ok(self.environment.clone());
        }
        let mut arguments = self.spec.guest_args(None);
        arguments.extend(exchange.arguments.iter().cloned());
        let environment = Environment::new(arguments, self.spec.env.clone());
        environment.map(Arc::new).map_err(InvokeError::protocol)
    }

    /// A faaslet with an exchange in its state, and its limits.
    fn begin<'a>(
        &'a self,
        mut exchange: Box<Exchange>,
        background: Option<&'a Background>,
    ) -> Result<FaasletTarget<'a>, InvokeError> {
        if self.conversation.replies() {
            exchange.reply.get_or_insert_with(Reply::collecting).set_limit(self.limits.output);
        }
        self.conversation.begin(&mut exchange)?;
        let Numbers { memory, time, cpu, output, log } = self.limits;
        let overhead = (LINE_BYTES + self.spec.name().len() + exchange.id.len()) as u64;
        let deadline = exchange.deadline.or_else(|| Instant::now().checked_add(time));
        let mut finish = None;
        let (stdin, stdout) = match self.conversation.streams() {
            Streams::Exchange | Streams::Captured => {
                (exchange.request.body_mut().take_input(), Output::capture(output))
            }
            Streams::Log => (Input::default(), Output::log_with(log, overhead)),
            Streams::Opened => {
                let opening = self.conversation.open(&exchange);
                finish = Some(opening.finish);
                (exchange.request.body_mut().take_input(), opening.stdout)
            }
        };
        let (environment, stderr) = (self.environment(&exchange)?, Output::log_with(log, overhead));
        let mut state = State::new(exchange, || Wasi::new(environment, stdin, stdout, stderr));
        if finish.is_some() {
            state.live().finish = finish;
        }
        if let Some(files) = &self.files {
            state.live().wasi.set_files(files.clone());
        }
        if self.outgoing.is_some() {
            state.live().outgoing = self.outgoing.clone();
        }
        let mut faaslet = self.pool.acquire(state)?;
        faaslet.store().set_deadline(deadline);
        if cpu.is_some() {
            faaslet.store().set_cpu_limit(cpu);
        }
        faaslet.store().set_memory_limit(Some(memory));
        Ok(FaasletTarget::new(faaslet, &self.exports, background))
    }
}

/// Files, if there are any.
fn some_files(files: Files) -> Option<Arc<Files>> {
    (!files.directories().is_empty()).then(|| Arc::new(files))
}

/// Whether instances have to call [`INITIALIZE`] before anything else.
pub(crate) fn wants_initialize(module: &Module) -> bool {
    !module.is_initialised() && module.get_export(INITIALIZE).is_some()
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Function");
        debug.field("spec", &self.spec).field("abi", &self.about.name).finish_non_exhaustive()
    }
}
