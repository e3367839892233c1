//! What one instance has outside of its memory.

use crate::config::Environment;
use crate::invoke::RequestInfo;
use crate::stdio::{Input, Output};
use std::sync::Arc;

/// Descriptor of the first preopened directory, after the standard streams.
const FIRST_PREOPEN: u32 = 3;

/// The host's side of one instance: the data of its store. The default has empty streams that
/// take nothing.
#[derive(Debug, Default)]
pub struct HostState {
    environment: Arc<Environment>,
    request: Option<RequestInfo>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    /// Which of the descriptors 0, 1 and 2 the guest has closed. What it wrote before stays.
    pub(crate) closed: [bool; 3],
}

impl HostState {
    /// A state with these streams.
    pub fn new(
        environment: Arc<Environment>,
        stdin: Input,
        stdout: Output,
        stderr: Output,
    ) -> HostState {
        HostState { environment, request: None, stdin, stdout, stderr, closed: [false; 3] }
    }

    /// The same state, with a request's metadata among the environment variables.
    pub(crate) fn with_request(mut self, request: Option<RequestInfo>) -> HostState {
        self.request = request;
        self
    }

    /// What was written to stdout, if that is a buffer.
    pub fn into_output(self) -> Vec<u8> {
        self.stdout.into_bytes()
    }

    /// The guest's name of the preopened directory with this descriptor.
    pub(crate) fn preopened(&self, fd: u32) -> Option<&str> {
        let index = usize::try_from(fd.checked_sub(FIRST_PREOPEN)?).ok()?;
        self.environment.dirs().get(index).map(String::as_str)
    }

    /// The arguments as C strings.
    pub(crate) fn args(&self) -> Vec<Vec<u8>> {
        self.environment.args().iter().map(|arg| c_string(&[arg])).collect()
    }

    /// The environment as C strings, `name=value`. A request's own variables come first, so that
    /// a lookup finds them even if the configuration has others of the same name.
    pub(crate) fn env(&self) -> Vec<Vec<u8>> {
        let request = self.request.iter().flat_map(RequestInfo::variables);
        let configured = self.environment.env().iter().map(|(n, v)| (n.as_str(), v.as_str()));
        request.chain(configured).map(|(name, value)| c_string(&[name, "=", value])).collect()
    }
}

fn c_string(parts: &[&str]) -> Vec<u8> {
    let mut bytes = parts.concat().into_bytes();
    bytes.push(0);
    bytes
}
