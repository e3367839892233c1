//! The world of a guest that runs here: requests to the hosts of its specification, sockets to its addresses, and its
//! key-value stores.

use anyhow::Context;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use wfaas_function::stores::StoreBackend;
use wfaas_gateway::NetworkClient;
use wfaas_stores::{DEFAULT_TENANT_BYTES, Embedded};

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
    pub(crate) fn client(&self) -> Arc<NetworkClient> {
        Arc::new(NetworkClient::new(self.0.handle().clone(), true))
    }

    /// Stores that are empty, and end with the guest.
    pub(crate) fn stores(&self) -> Arc<dyn StoreBackend> {
        Arc::new(Embedded::in_memory(DEFAULT_TENANT_BYTES, self.0.handle().clone()))
    }
}
