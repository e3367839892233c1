//! The network of a guest that runs here: requests to the hosts of its specification.

use anyhow::Context;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use wfaas_function::HttpClient;
use wfaas_gateway::NetworkClient;

/// A thread that sends requests and receives answers, while the guest waits on its own.
pub(crate) struct Network(Runtime);

impl Network {
    /// Starts the thread.
    ///
    /// # Errors
    /// If it, or what it waits with, cannot be had.
    pub(crate) fn start() -> anyhow::Result<Network> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map(Network).context("cannot start a thread for the guest's requests")
    }

    /// The way to it. Whoever runs a guest here may connect to private networks anyway.
    pub(crate) fn client(&self) -> Arc<dyn HttpClient> {
        Arc::new(NetworkClient::new(self.0.handle().clone(), true))
    }
}
