//! Functions: modules that answer requests.

use crate::captured::{Captured, RESTORED};
use crate::driver::{drive, drive_async};
use crate::exchange::{Body, Exchange};
use crate::invoke::InvokeError;
use crate::outgoing::{HttpClient, Outgoing};
use crate::parking::Parking;
use crate::program::Stdio;
use crate::protocol::{AbiError, About, Conversation, Finish, Protocols, Replies, Streams};
use crate::records::Records;
use crate::reply::Reply;
use crate::resolver::{Entry, Resolver};
use crate::session::SessionState;
use crate::sockets::{SocketCount, SocketProvider, Sockets};
use crate::spec::{AllowedDirs, ByteSize, Limits, Span, Spec, SpecError};
use crate::state::State;
use crate::stores::{MAX_OPERATION, StoreBackend, Stores};
use crate::target::{Background, FaasletTarget, PoolExports, Target};
use crate::trees::{self, Base};
use http::Response;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wfaas_vm::{Engine, ExternType, Fault, Linker, Module, Pool};
use wfaas_wasi::files::{BlockingPool, Files};
use wfaas_wasi::preview1::Support;
use wfaas_wasi::{Environment, EnvironmentError, INITIALIZE, Input, Output, Wasi};

/// A module that answers requests, each in a pristine faaslet.
pub struct Function {
    spec: Spec,
    about: &'static About,
    conversation: Box<dyn Conversation>,
    /// What every instance has to call first.
    first: Option<Entry<(), ()>>,
    exports: PoolExports,
    environment: Arc<Environment>,
    /// The artifact's own files.
    base: Base,
    /// The program that was captured where it waits, if it was.
    captured: Option<Captured>,
    /// Directories that guests find open; `None` if there are none.
    files: Option<Arc<Files>>,
    /// Requests that guests may send.
    outgoing: Outgoing,
    /// Sockets that its guests may open.
    sockets: Sockets,
    /// Stores that guests may open.
    stores: Stores,
    limits: Numbers,
    stack_bytes: u64,
    time_slice: Option<Duration>,
    background: Option<Background>,
    parking: Option<Box<dyn Parking>>,
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
        let mut captured = Captured::of(module)?;
        let spec = captured.iter().try_fold(spec, |spec, captured| captured.complete(spec))?;
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
        let first = first_export(module).map(|name| resolver.func(name)).transpose()?;
        if let Some(captured) = &mut captured {
            captured.resolve(&mut resolver)?;
        }
        let conversation = protocol.prepare(&mut resolver)?;
        if spec.session.is_some() {
            let initializes = first.is_some() && !module.is_initialised();
            match &captured {
                Some(_) => check_program_sessions(about, &*conversation, module)?,
                None => check_sessions(about, &*conversation, initializes)?,
            }
        }
        let stack_bytes = engine.config().stack_bytes as u64;
        let files = some_files(trees::trees(module, &spec));
        // Directories of the host come later.
        if let Some(captured) = captured.as_mut().filter(|_| spec.dirs.is_empty()) {
            captured.open(files.as_deref())?;
        }
        let outgoing = Outgoing::new(None, &spec.allowed_hosts);
        let stores = Stores::new(None, &spec);
        Ok(Function {
            spec,
            about,
            conversation,
            first,
            exports,
            environment,
            base: Base::of(module),
            captured,
            files,
            outgoing,
            sockets: Sockets::default(),
            stores,
            limits,
            stack_bytes,
            time_slice: None,
            background: None,
            parking: None,
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
    pub fn replies(&self) -> Replies {
        // There is no answer yet of a guest that may not wait for its next request.
        if self.waits_again() { Replies::Never } else { self.conversation.replies() }
    }

    /// Whether an answer may be a [local redirect](crate::LocalRedirect).
    pub fn redirects(&self) -> bool {
        self.conversation.redirects() && !self.waits_again()
    }

    /// Whether guests are programs that were captured where they wait, and are run until they wait again: of functions
    /// with sessions.
    pub(crate) fn waits_again(&self) -> bool {
        self.captured.is_some() && self.spec.session.is_some()
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

    /// Has guests of [`Function::handle_async`] that wait long without a stack give their slots back, as `parking`
    /// says.
    pub fn set_parking(&mut self, parking: Box<dyn Parking>) {
        self.parking = Some(parking);
    }

    /// Has guests' requests to the hosts of the specification sent by `client`. Without one, none are.
    pub fn set_client(&mut self, client: Arc<dyn HttpClient>) {
        self.outgoing = Outgoing::new(Some(client), &self.spec.allowed_hosts);
    }

    /// Has guests' sockets to the addresses of the specification opened by `provider`, as many as `count` has left.
    /// Without one, guests have none.
    pub fn set_sockets(&mut self, provider: Arc<dyn SocketProvider>, count: SocketCount) {
        self.sockets = Sockets::new(Some(provider), count, &self.spec.allowed_sockets);
    }

    /// Has values of the stores of the specification kept by `backend`. Without one, no operation on them
    /// succeeds.
    pub fn set_stores(&mut self, backend: Arc<dyn StoreBackend>) {
        self.stores = Stores::new(Some(backend), &self.spec);
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
        trees::add(self.base.clone(), &self.spec.limits, &mut files);
        if let Some(pool) = pool {
            files.set_pool(pool);
        }
        self.set_files(files)
    }

    fn set_files(&mut self, files: Files) -> Result<(), SpecError> {
        let files = some_files(files);
        if let Some(captured) = &mut self.captured {
            captured.open(files.as_deref())?;
        }
        self.files = files;
        Ok(())
    }

    /// Opens the directories of the specification as they are [while it is initialised](crate::AtInit), for
    /// the requests of a warm-up.
    ///
    /// # Errors
    /// As [`Function::open_dirs`].
    pub fn open_dirs_at_init(&mut self, allowed: AllowedDirs<'_>) -> Result<(), SpecError> {
        let files = trees::at_init(self.base.clone(), &self.spec, allowed)?;
        self.set_files(files)
    }

    /// Bytes that a request may need besides its memory: of stack, of files in memory, for each tree
    /// that may be written to there, of a session's state, of an operation on a store, and of its protocol on the
    /// host's side.
    pub fn more_bytes(&self) -> u64 {
        let Spec { limits, dirs, .. } = &self.spec;
        let trees = 1 + dirs.iter().filter(|dir| dir.overlay).count() as u64;
        let files = limits.tmp.map_or(0, |tmp| tmp.0.saturating_mul(trees));
        let session = self.spec.session.as_ref().map_or(0, |session| session.bytes.0);
        let stores = if self.stores.is_empty() { 0 } else { 2 * MAX_OPERATION as u64 };
        let more = [files, session, stores, self.conversation.more_bytes()];
        more.into_iter().fold(self.stack_bytes, u64::saturating_add)
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
        let mut target = self.begin(exchange.into(), None, None)?;
        self.drive(&mut target)?;
        target.take_answer()
    }

    /// Has a guest take part in its exchange, to its end. Whether it reads its next request then.
    pub(crate) fn drive(&self, target: &mut FaasletTarget<'_>) -> Result<bool, InvokeError> {
        if let Some(first) = &self.first {
            target.call(first.index, &mut Default::default())?;
        }
        drive(&*self.conversation, target, self.limits.output)
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
        let exchange = exchange.into();
        async move { Ok(self.answer_async(exchange).await?.take_typed()) }
    }

    /// As [`Function::handle_async`]; the exchange comes back, with its [answer](Exchange::answer), of which
    /// headers may be [plain](Exchange::plain_fields). Nothing but its box is moved.
    ///
    /// # Errors
    /// As [`Function::handle`].
    pub async fn answer_async(
        &self,
        exchange: Box<Exchange>,
    ) -> Result<Box<Exchange>, InvokeError> {
        let mut target = self.begin(exchange, None, self.background.as_ref())?;
        self.drive_async(&mut target, false).await?;
        target.end()
    }

    /// As [`Function::drive`]; host functions that the guest calls may wait. Processor time is counted if
    /// somebody wants to know it.
    pub(crate) async fn drive_async(
        &self,
        target: &mut FaasletTarget<'_>,
        counts: bool,
    ) -> Result<bool, InvokeError> {
        let store = target.faaslet().store();
        store.set_time_slice(self.time_slice);
        // Then it is known how many pages a guest can have written to.
        store.count_cpu_time(counts || self.background.is_some() && self.is_large);
        if let Some(first) = &self.first {
            target.call_async(first.index, &mut Default::default()).await?;
        }
        drive_async(&*self.conversation, target, self.limits.output).await
    }

    /// The protocol, prepared.
    pub(crate) fn conversation(&self) -> &dyn Conversation {
        &*self.conversation
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

    /// Does resets that take long.
    pub(crate) fn background(&self) -> Option<&Background> {
        self.background.as_ref()
    }

    /// A faaslet with an exchange in its data, and its limits. It is as the state of a session is, if there is one.
    pub(crate) fn begin<'a>(
        &'a self,
        mut exchange: Box<Exchange>,
        state: Option<&SessionState>,
        background: Option<&'a Background>,
    ) -> Result<FaasletTarget<'a>, InvokeError> {
        if self.replies() == Replies::Never {
            exchange.reply = None;
        }
        if self.conversation.replies() == Replies::Always {
            exchange.reply.get_or_insert_with(Reply::collecting);
        }
        if let Some(reply) = &exchange.reply {
            reply.set_limit(self.limits.output);
        }
        self.conversation.begin(&mut exchange)?;
        let output = self.limits.output;
        let mut finish = None;
        let (stdin, stdout) = match self.conversation.streams() {
            Streams::Exchange | Streams::Captured => {
                let stdout = match &exchange.reply {
                    Some(reply) => reply.output(),
                    None => Output::capture(output),
                };
                (exchange.request.body_mut().take_input(), stdout)
            }
            Streams::Log => (Input::default(), self.log(&exchange)),
            Streams::Line if self.waits_again() => {
                let record = exchange.request.body_mut().take();
                (Body::stream(Records::one(record)).take_input(), Output::capture(output))
            }
            Streams::Line => {
                (exchange.request.body_mut().take_input(), Output::capture_line(output))
            }
            Streams::Opened => {
                let opening = self.conversation.open(&exchange);
                finish = Some(opening.finish);
                (exchange.request.body_mut().take_input(), opening.stdout)
            }
        };
        let streams = Stdio { stdin, stdout, stderr: self.log(&exchange) };
        self.acquire(exchange, streams, finish, state, background)
    }

    /// A stream that goes to the log.
    fn log(&self, exchange: &Exchange) -> Output {
        let overhead = (LINE_BYTES + self.spec.name().len() + exchange.id.len()) as u64;
        Output::log_with(self.limits.log, overhead)
    }

    /// A faaslet with an exchange that has begun, streams, and its limits.
    pub(crate) fn acquire<'a>(
        &'a self,
        exchange: Box<Exchange>,
        streams: Stdio,
        finish: Option<Finish>,
        session: Option<&SessionState>,
        background: Option<&'a Background>,
    ) -> Result<FaasletTarget<'a>, InvokeError> {
        let Numbers { memory, time, cpu, .. } = self.limits;
        let deadline = exchange.deadline.or_else(|| Instant::now().checked_add(time));
        let environment = self.environment(&exchange)?;
        let Stdio { stdin, stdout, stderr } = streams;
        // Descriptors from 3 on are directories, if there are any.
        let has_results = self.conversation.streams() == Streams::Line && self.files.is_none();
        let (stdout, results) = match has_results {
            true => (self.log(&exchange), Some(stdout)),
            false => (stdout, None),
        };
        let mut state = State::new(exchange, || Wasi::new(environment, stdin, stdout, stderr));
        if finish.is_some() {
            state.live().finish = finish;
        }
        if let Some(results) = results {
            state.live().wasi.set_result(results);
        }
        if let Some(files) = &self.files {
            state.live().wasi.set_files(files.clone());
        }
        if let Some(captured) = &self.captured {
            let wasi = &mut state.live().wasi;
            if self.waits_again() {
                wasi.note_origins();
            }
            match session.and_then(|session| session.host.as_ref()) {
                Some(host) => wasi.restore(host),
                None => captured.restore(wasi)?,
            }
        }
        if self.outgoing.is_some() {
            state.live().outgoing = self.outgoing.clone();
        }
        if let Some(network) = self.sockets.network() {
            state.live().wasi.set_network(network);
        }
        if !self.stores.is_empty() {
            state.live().stores = self.stores.clone();
        }
        let mut faaslet = match session {
            Some(session) => self.pool.acquire_from(&session.snapshot, state)?,
            None => self.pool.acquire(state)?,
        };
        faaslet.store().set_deadline(deadline);
        if cpu.is_some() {
            faaslet.store().set_cpu_limit(cpu);
        }
        faaslet.store().set_memory_limit(Some(memory));
        let parking = self.parking.as_deref();
        let mut target = FaasletTarget::new(faaslet, &self.exports, background, parking);
        // A session goes on with the numbers that it has.
        if let Some(captured) = self.captured.as_ref().filter(|_| session.is_none()) {
            captured.reseed(&mut target)?;
        }
        Ok(target)
    }
}

/// Refuses sessions of a captured program that has none.
fn check_program_sessions(
    about: &About,
    conversation: &dyn Conversation,
    module: &Module,
) -> Result<(), SpecError> {
    if conversation.answers_in_turn() && module.has_stack_maps() {
        return Ok(());
    }
    let reason = if conversation.answers_in_turn() {
        "the program was captured without sessions: build it anew, with this field and `init = { until = \"stdin\" }`"
            .to_owned()
    } else {
        format!("a {} does not answer one request after another", about.guest)
    };
    Err(SpecError::field("session", reason))
}

/// Refuses sessions of a function that has none.
fn check_sessions(
    about: &About,
    conversation: &dyn Conversation,
    initializes: bool,
) -> Result<(), SpecError> {
    let refused = |reason: String| Err(SpecError::field("session", reason));
    if initializes {
        return refused("the function has to be initialised when it is built".to_owned());
    }
    if !conversation.has_sessions() {
        let guest = about.guest;
        return refused(format!(
            "this {guest} has no sessions: only functions do that are called for each request, and \
             answer when they have ended"
        ));
    }
    Ok(())
}

/// Files, if there are any.
fn some_files(files: Files) -> Option<Arc<Files>> {
    (!files.directories().is_empty()).then(|| Arc::new(files))
}

/// The export that instances have to call before anything else: to initialise, or to be no copies of each other.
pub(crate) fn first_export(module: &Module) -> Option<&'static str> {
    let name = if module.is_initialised() { RESTORED } else { INITIALIZE };
    module.get_export(name).map(|_| name)
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Function");
        debug.field("spec", &self.spec).field("abi", &self.about.name).finish_non_exhaustive()
    }
}
