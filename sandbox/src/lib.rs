//! A sandbox for code that nobody has read: a customer's, or a model's. It runs a program as often as it is
//! asked to, each time pristine, and tells what came of it, whatever that is.
//!
//! * a [`Sandbox`] is a program (an artifact whose guest is a WASI command) with [`Options`];
//! * [`Limits`] bound every resource of one run;
//! * [`Sandbox::run`] gives the program some input, and returns its [`Output`]: what it wrote, its
//!   [`Exit`], and the [`Usage`]. A program that loops, fills its memory or traps is an ordinary outcome;
//! * a [`SandboxError`] is the host's own trouble.
//!
//! An interpreter is a program too: built with `init = { until = "stdin" }` it waits for its input in the
//! image, so that a script starts in microseconds (`docs/sandbox.md`, `examples/python-sandbox`).
//!
//! ```
//! use std::time::Duration;
//! use wfaas_sandbox::{Exit, Limits, Options, Sandbox};
//!
//! let program = br#"(module
//!     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
//!     (memory (export "memory") 1)
//!     (func (export "_start") (call $exit (i32.const 3))))"#;
//! let built = wfaas_build::build(program, &Default::default(), &Default::default(), &())?;
//!
//! let limits = Limits { cpu: Duration::from_millis(100), ..Limits::default() };
//! let sandbox = Sandbox::from_artifact(&built.artifact, Options { limits, ..Options::default() })?;
//! let output = sandbox.run("some input")?;
//! assert_eq!(output.exit, Exit::Code(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The artifact itself is machine code, and trusted like any program of the host's: make it from a module
//! with `wfaas-build`, whose checks are what keeps the module inside. The *input* is what needs no trust.
#![forbid(unsafe_code)]

mod options;
mod output;

pub use options::{Limits, Options};
pub use output::{Exit, Output};
pub use wfaas_function::{AllowedDirs, Dir, HttpClient, Usage};

use output::Kept;
use wfaas_function::{Function, FunctionError, InvokeError, Ran};
use wfaas_vm::{Config, Engine, Module};

/// A program with its limits. Runs on any number of threads at the same time.
#[derive(Debug)]
pub struct Sandbox {
    function: Function,
    /// Most bytes of both outputs of a run together.
    output: u64,
}

/// Why there is no sandbox, or no output: the host's trouble, or the artifact's. Never the input's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The artifact is none for this machine or VM.
    #[error(transparent)]
    Vm(#[from] wfaas_vm::Error),
    /// The artifact and the options do not fit; the message names the field.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The artifact answers requests, instead of being run.
    #[error("a sandbox runs programs, and the artifact is a {guest}")]
    NoProgram {
        /// What the artifact is.
        guest: &'static str,
    },
    /// A run could not begin, or the host could not go on with it.
    #[error("cannot run the program: {0}")]
    Run(InvokeError),
}

impl Sandbox {
    /// A sandbox of an artifact's bytes, with an engine of its own.
    ///
    /// # Errors
    /// As [`Sandbox::new`], and [`SandboxError::Vm`] if the artifact cannot be loaded.
    pub fn from_artifact(artifact: &[u8], options: Options) -> Result<Sandbox, SandboxError> {
        let engine = Engine::new(Config::default())?;
        let module = Module::from_bytes(&engine, artifact)?;
        Sandbox::new(&engine, &module, options)
    }

    /// A sandbox of a module.
    ///
    /// # Errors
    /// [`SandboxError::NoProgram`] if the module is no program, [`SandboxError::Function`] if it does not
    /// fit the options, as when it starts with more memory than it may have.
    pub fn new(
        engine: &Engine,
        module: &Module,
        options: Options,
    ) -> Result<Sandbox, SandboxError> {
        let output = options.limits.output;
        let Options { slice, client, .. } = &options;
        let (slice, client) = (*slice, client.clone());
        let mut function = Function::new(engine, module, options.into_spec()?)?;
        if !function.is_program() {
            return Err(SandboxError::NoProgram { guest: function.abi().guest });
        }
        function.open_dirs(AllowedDirs::Any, None).map_err(FunctionError::from)?;
        function.set_time_slice(slice);
        if let Some(client) = client {
            function.set_client(client);
        }
        Ok(Sandbox { function, output })
    }

    /// Runs the program to its end, with `input` as its standard input. Blocks meanwhile.
    ///
    /// # Errors
    /// [`SandboxError::Run`] if there is no memory or slot for it, or the host fails.
    pub fn run(&self, input: impl Into<Vec<u8>>) -> Result<Output, SandboxError> {
        let kept = Kept::new(self.output);
        let ran = self.function.run_program(kept.streams(input.into()));
        finish(kept, ran)
    }

    /// The same. The program runs whenever the future is polled, and is suspended while it waits and after
    /// each [slice](Options::slice). Dropping the future ends the program.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub async fn run_async(
        &self,
        input: impl Into<Vec<u8>> + Send,
    ) -> Result<Output, SandboxError> {
        let kept = Kept::new(self.output);
        let ran = self.function.run_program_async(kept.streams(input.into())).await;
        finish(kept, ran)
    }
}

/// The output of a run that is over.
fn finish(kept: Kept, ran: Result<Ran, InvokeError>) -> Result<Output, SandboxError> {
    let Ran { end, usage } = ran.map_err(SandboxError::Run)?;
    let exit = Exit::of(end).map_err(SandboxError::Run)?;
    let (stdout, stderr) = kept.into_bytes();
    Ok(Output { stdout, stderr, exit, usage })
}
