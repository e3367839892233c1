//! The state of one instance, and how guests reach it in the data of their store.

use crate::canonical::Resources;
use crate::environment::{EMPTY, Environment, EnvironmentError};
use crate::files::{Files, MemoryDirectory};
use crate::preview2;
use crate::sockets::Network;
use crate::sources::{Rerun, Sources};
use crate::stdio::{Input, LogEvent, Output, Shared, WriteError, Written};
use crate::table::{Descriptor, Object, Table};
use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use wfaas_vm::checkpoint::Learned;

/// Data of a store whose guests may call WASI.
pub trait HasWasi: Any {
    /// The state that the guest's calls see and change.
    fn wasi(&mut self) -> &mut Wasi;

    /// Environment variables of this call alone: `each` gets name and value of every one. They come
    /// before those of the [`Environment`], and hide those of the same name. They are asked for only
    /// when the guest wants to see its environment.
    fn variables(&self, _each: &mut dyn FnMut(&str, &str)) {}

    /// Whether the call's deadline stands still while the guest waits for more of a
    /// [stream](crate::Input::stream), or until one [takes more](crate::Output::stream), and for nothing
    /// else. That is the other side's time then, and the stream has to bound it.
    fn stops_clock(&self) -> bool {
        false
    }

    /// Takes what the guest wrote to a stream that goes to the [log](Output::log).
    fn log(&self, event: LogEvent) {
        match event {
            LogEvent::Line(line) => tracing::info!(target: "wfaas::guest", "{line}"),
            LogEvent::Limit => tracing::warn!(target: "wfaas::guest", "{}", LogEvent::LIMIT),
        }
    }

    /// Takes note of a `function` of WASI that answered `ENOSYS`, because it does nothing here. It is
    /// told of each once for all guests of one [`Environment`].
    fn missing(&self, function: &'static str) {
        tracing::debug!(target: "wfaas::wasi", "{function} is not supported: it answers ENOSYS");
    }
}

/// The state of one instance: environment and descriptors. The default has neither arguments nor
/// variables, nothing to read, and streams that take nothing.
#[derive(Default)]
pub struct Wasi {
    environment: Option<Arc<Environment>>,
    pub(crate) table: Table,
    files: Option<Arc<Files>>,
    /// Of all output streams, whether they are still open or not.
    shared: Shared,
    /// Handles of a component. Others have none.
    resources: Resources,
    /// Times and random bytes.
    pub(crate) sources: Sources,
    /// The network; `None` if there is none.
    network: Option<Box<dyn Network>>,
}

impl fmt::Debug for Wasi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Wasi");
        debug.field("environment", &self.environment).field("table", &self.table);
        debug.field("resources", &self.resources).finish_non_exhaustive()
    }
}

impl Drop for Wasi {
    /// Files that close slowly are closed where a thread may be blocked.
    fn drop(&mut self) {
        let Some(pool) = self.files.as_ref().and_then(|files| files.pool()) else { return };
        let slow = self.table.take_slow();
        if !slow.is_empty() {
            pool(Box::new(move || drop(slow)));
        }
    }
}

impl HasWasi for Wasi {
    fn wasi(&mut self) -> &mut Wasi {
        self
    }
}

impl Wasi {
    /// A state with these streams; see [`Wasi::builder`] for more.
    #[inline]
    pub fn new(
        environment: Arc<Environment>,
        stdin: Input,
        stdout: Output,
        stderr: Output,
    ) -> Wasi {
        let table = Table::with_streams(stdin, stdout, stderr);
        let (environment, shared) = (Some(environment), Shared::default());
        Wasi {
            environment,
            table,
            files: None,
            shared,
            resources: Resources::default(),
            sources: Sources::default(),
            network: None,
        }
    }

    /// Opens directories and listeners for the guest, with descriptors from 3 on. To be called before
    /// the guest runs.
    pub fn set_files(&mut self, files: Arc<Files>) {
        self.table.set_files(files.clone());
        self.files = Some(files);
    }

    /// Directories and listeners that were open from the start.
    pub fn files(&self) -> Option<&Arc<Files>> {
        self.files.as_ref()
    }

    /// Numbers of descriptors that the guest has opened for files and directories of the host, and has not
    /// closed, each with its path if that is known. No other instance has these descriptors.
    pub fn opened_on_host(&self) -> Vec<(usize, Option<PathBuf>)> {
        self.table.opened_on_host()
    }

    /// A state to be described step by step. To begin with it is the default one. It has arguments
    /// and variables of its own; the instances of a pool share theirs by [`Wasi::new`].
    pub fn builder() -> WasiBuilder {
        WasiBuilder::default()
    }

    /// Arguments and variables.
    pub fn environment(&self) -> &Environment {
        self.environment.as_deref().unwrap_or(&EMPTY)
    }

    /// Takes what was written to the streams that are [captured](Output::capture).
    pub fn take_captured(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.shared.captured)
    }

    /// Takes a last line that no line end has completed, of any stream that goes to the log. To be
    /// called until there is none, when the guest has ended.
    pub fn take_unfinished_line(&mut self) -> Option<LogEvent> {
        let Wasi { table, shared, .. } = self;
        let unfinished = table.descriptors_mut().find_map(|one| one.take_unfinished_line(shared));
        unfinished.or_else(|| shared.logged.take_limit())
    }

    /// The things that the guest has asked for, and will not look at again.
    pub fn learned(&self) -> Learned {
        self.sources.learned
    }

    /// Has times and random bytes come from a run that is noted, or from one before. To be called before the
    /// guest runs, and after [`Wasi::note_origins`].
    pub fn set_rerun(&mut self, rerun: Rerun) {
        for root in self.table.roots() {
            if let Some(memory) = (&**root as &dyn Any).downcast_ref::<MemoryDirectory>() {
                memory.set_rerun(rerun.clone());
            }
        }
        self.sources.set_rerun(rerun);
    }

    /// Adds a stream for results, with descriptor 3. There must be no [files](Wasi::set_files).
    pub fn set_result(&mut self, output: Output) {
        self.table.set_result(output);
    }

    /// The end of a descriptor that is closed, for the log.
    pub(crate) fn last_line(&mut self, closed: &mut Descriptor) -> Option<LogEvent> {
        closed.take_unfinished_line(&mut self.shared)
    }

    /// Has the guest reach a network.
    pub fn set_network(&mut self, network: Box<dyn Network>) {
        self.network = Some(network);
    }

    /// The network that the guest reaches.
    pub(crate) fn network(&mut self) -> Option<&mut dyn Network> {
        Some(&mut **self.network.as_mut()?)
    }

    /// Handles of a component.
    #[inline]
    pub fn resources(&mut self) -> &mut Resources {
        &mut self.resources
    }

    /// The same, with descriptors and what output streams have in common.
    #[inline]
    pub(crate) fn resources_and_table(&mut self) -> (&mut Resources, &mut Table, &mut Shared) {
        let Wasi { table, shared, resources, .. } = self;
        (resources, table, shared)
    }

    /// How many handles a component has.
    pub fn handles(&self) -> usize {
        self.resources.len()
    }

    /// Ready when the thing that a component's handle stands for is. One that is not there is.
    pub(crate) fn poll_handle(&mut self, handle: u32, context: &mut Context<'_>) -> Poll<()> {
        let (resources, table, _) = self.resources_and_table();
        preview2::poll_handle(resources, table, handle, context)
    }

    /// Ready when reading or writing a descriptor takes no wait for a stream.
    pub(crate) fn poll_stream(&mut self, fd: u32, context: &mut Context<'_>) -> Poll<()> {
        match self.table.get(fd).map(|descriptor| &mut descriptor.object) {
            Ok(Object::Input(input)) => input.poll(context),
            Ok(Object::Output(output)) => output.poll(context),
            _ => Poll::Ready(()),
        }
    }

    /// The guest is about to wait: its output goes on its way.
    pub(crate) fn flush(&mut self) {
        for descriptor in self.table.descriptors_mut() {
            if let Object::Output(output) = &mut descriptor.object {
                output.flush();
            }
        }
    }

    /// Writes to a descriptor as much as it takes at once.
    pub(crate) fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<Written, WriteError> {
        match self.table.get(fd).map(|descriptor| &mut descriptor.object) {
            Ok(Object::Output(output)) => output.write(bytes, &mut self.shared),
            _ => Err(WriteError::NoOutput),
        }
    }
}

/// Describes a [`Wasi`].
#[derive(Debug, Default)]
pub struct WasiBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    files: Option<Arc<Files>>,
    starts_monotonic: bool,
}

impl WasiBuilder {
    /// Adds an argument; the first one is the program's name.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets environment variables.
    pub fn envs<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.env.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Where stdin comes from.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.stdin = stdin;
        self
    }

    /// Where stdout goes.
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.stdout = stdout;
        self
    }

    /// Where stderr goes.
    pub fn stderr(mut self, stderr: Output) -> Self {
        self.stderr = stderr;
        self
    }

    /// Directories and listeners that are open when the guest starts.
    pub fn files(mut self, files: Arc<Files>) -> Self {
        self.files = Some(files);
        self
    }

    /// Has the monotonic clock begin at zero now, for a guest that will go on elsewhere, later.
    pub fn start_monotonic(mut self) -> Self {
        self.starts_monotonic = true;
        self
    }

    /// The state.
    ///
    /// # Errors
    /// [`EnvironmentError`] names the argument or variable that no guest can be given.
    pub fn build(self) -> Result<Wasi, EnvironmentError> {
        let environment = Arc::new(Environment::new(self.args, self.env)?);
        let mut wasi = Wasi::new(environment, self.stdin, self.stdout, self.stderr);
        if let Some(files) = self.files {
            wasi.set_files(files);
        }
        if self.starts_monotonic {
            wasi.sources.set_monotonic(0);
        }
        Ok(wasi)
    }
}
