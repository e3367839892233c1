//! Programs: functions whose guests take part in an exchange by their standard streams alone. They can be
//! run to their end with streams of the embedder's, whatever the end is.

use crate::exchange::Exchange;
use crate::function::Function;
use crate::invoke::InvokeError;
use crate::protocol::Streams;
use crate::target::FaasletTarget;
use std::time::{Duration, Instant};
use wfaas_wasi::{Input, Output};

/// Standard streams of one run.
#[derive(Debug)]
pub struct Stdio {
    /// Standard input.
    pub stdin: Input,
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
}

/// A run that is over.
#[derive(Debug)]
pub struct Ran {
    /// The end: `Ok` if the program returned or exited with 0.
    pub end: Result<(), InvokeError>,
    /// The resources that it took.
    pub usage: Usage,
}

/// Resources that a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, with the host functions that the guest called.
    pub cpu: Duration,
    /// Time from its beginning to its end.
    pub time: Duration,
    /// Bytes of memories and tables at the end, that of the image included. Memories never shrink.
    pub memory: u64,
}

impl Function {
    /// Whether the guest is a program, which [`Function::run_program`] can run: its standard streams are all
    /// that it has of a request.
    pub fn is_program(&self) -> bool {
        self.conversation().streams() == Streams::Exchange
    }

    /// Runs a program in a faaslet of its own, with the limits of the specification but those of output,
    /// which are the streams' own. Blocks until it has ended.
    ///
    /// # Errors
    /// [`InvokeError`] if it could not begin: there is no memory for it, or it is [no
    /// program](Function::is_program).
    pub fn run_program(&self, streams: Stdio) -> Result<Ran, InvokeError> {
        let (started, mut target) = self.begin_program(streams)?;
        target.faaslet().store().count_cpu_time(true);
        let end = self.drive(&mut target).map(drop);
        Ok(ran(started, &mut target, end))
    }

    /// The same. The guest runs whenever the future is polled, as in [`Function::handle_async`].
    ///
    /// # Errors
    /// As [`Function::run_program`].
    pub async fn run_program_async(&self, streams: Stdio) -> Result<Ran, InvokeError> {
        let (started, mut target) = self.begin_program(streams)?;
        let end = self.drive_async(&mut target, true).await.map(drop);
        Ok(ran(started, &mut target, end))
    }

    fn begin_program(&self, streams: Stdio) -> Result<(Instant, FaasletTarget<'_>), InvokeError> {
        if !self.is_program() {
            let guest = self.abi().guest;
            return Err(InvokeError::protocol(format!("a {guest} is no program to be run")));
        }
        let started = Instant::now();
        let mut exchange = Box::<Exchange>::default();
        self.conversation().begin(&mut exchange)?;
        let target = self.acquire(exchange, streams, None, None, None)?;
        // What it has used is asked of its slot.
        Ok((started, target.in_its_slot()))
    }
}

/// The end of a run, and the resources that it took.
fn ran(started: Instant, target: &mut FaasletTarget<'_>, end: Result<(), InvokeError>) -> Ran {
    let store = target.faaslet().store();
    let (cpu, memory) = (store.cpu_time(), store.memory_bytes());
    Ran { end, usage: Usage { cpu, time: started.elapsed(), memory } }
}
