//! The options of a sandbox: everything that its program may have and reach.

use crate::SandboxError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wfaas_function::{ByteSize, Dir, HttpClient, Span, Spec};

/// Bounds of one run. Each holds however the program goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all memories and tables of the program. Beyond them `memory.grow` fails, which programs see
    /// as memory that ran out.
    pub memory: u64,
    /// Processor time, with that of the host for the program.
    pub cpu: Duration,
    /// Time from the beginning to the end, waits included.
    pub time: Duration,
    /// Bytes that the program may write to standard output and standard error together.
    pub output: u64,
    /// Bytes of files that the program may write in memory: to `/tmp` and over the files of its artifact
    /// together, and as many over each directory that is an overlay. A run with two of these takes up to three
    /// times as much. Such files are gone with the run. 0 for none.
    pub files: u64,
}

impl Default for Limits {
    /// 256 MiB of memory, a second of processor time, ten seconds, 1 MiB of output, no files.
    fn default() -> Limits {
        Limits {
            memory: 256 << 20,
            cpu: Duration::from_secs(1),
            time: Duration::from_secs(10),
            output: 1 << 20,
            files: 0,
        }
    }
}

/// The world of a sandbox's program. The default has nothing but clocks and random numbers.
#[derive(Clone, Default)]
pub struct Options {
    /// Bounds of each run.
    pub limits: Limits,
    /// Arguments, after the program's name. A program that was captured where it waits has read its
    /// arguments before.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Directories of the host. One that is neither read-only nor an overlay outlives the run.
    pub dirs: Vec<Dir>,
    /// Hosts that the program may send requests to by `wasi:http`; `*` for any, `*.example.com` for all
    /// below. None without a client.
    pub hosts: Vec<String>,
    /// Sends these requests. It is the client's to refuse addresses that no program should reach.
    pub client: Option<Arc<dyn HttpClient>>,
    /// Processor time after which [`Sandbox::run_async`](crate::Sandbox::run_async) lets others have the
    /// thread; `None` for only when the program waits.
    pub slice: Option<Duration>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Options { limits, args, env, dirs, hosts, client, slice } = self;
        f.debug_struct("Options")
            .field("limits", limits)
            .field("args", args)
            .field("env", env)
            .field("dirs", dirs)
            .field("hosts", hosts)
            .field("client", &client.is_some())
            .field("slice", slice)
            .finish()
    }
}

impl Options {
    /// The specification of the program as a function.
    pub(crate) fn into_spec(self) -> Result<Spec, SandboxError> {
        let Limits { memory, cpu, time, output, files } = self.limits;
        let limits = wfaas_function::Limits {
            memory: Some(ByteSize(memory)),
            time: Some(Span(time)),
            cpu: Some(Span(cpu)),
            output: Some(ByteSize(output)),
            log: None,
            tmp: (files > 0).then_some(ByteSize(files)),
        };
        limits.check().map_err(wfaas_function::FunctionError::from)?;
        let Options { args, env, dirs, hosts, .. } = self;
        Ok(Spec { args, env, dirs, allowed_hosts: hosts, limits, ..Spec::default() })
    }
}
