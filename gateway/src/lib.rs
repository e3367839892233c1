//! The HTTP side of wfaas: a server that answers requests with functions, and takes new ones. It
//! moves bytes between sockets and exchanges; the use that a function makes of an exchange is its
//! own matter.
//!
//! * a [`Gateway`] listens, and owns everything below;
//! * the **store** keeps deployed functions on disk: artifacts by content hash, and one small file
//!   a function that names its artifact; either the old or the new one is there, whenever the
//!   process dies;
//! * the **registry** holds the functions in memory, by name and by route; replacing one does
//!   not touch the requests in flight;
//! * the **scheduler** says which guest runs next: guests run inline, on the threads that do the I/O,
//!   a slice at a time, by tenant and function;
//! * **tenants** are who is accounted and limited, each with a token for its deployments;
//! * a [`NetworkClient`] sends requests of guests to other servers;
//! * management is under `/v1`: see [`Client`] for the other end of it.
//!
//! The way of a request, each step a file: `server` accepts, `admission` finds a place,
//! `connection` speaks with the client and `watch` looks at its clocks, `turns` says when its tasks
//! go on, `http` routes, `http::invoke` reads the body and runs the function, whenever the `scheduler`
//! lets it, and `http::answer` says how it went. The way of a deployment: `http::manage` stages the upload,
//! `deploy` checks it and commits it to `store` and `registry`.
//!
//! ```no_run
//! use wfaas_function::Spec;
//! use wfaas_gateway::{Config, Gateway};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new("127.0.0.1:8080".parse()?, "store");
//! let gateway = Gateway::bind(config)?;
//! gateway.install("hello".parse()?, Spec::default(), &std::fs::read("hello.faas")?)?;
//! gateway.run(wfaas_gateway::termination()).await?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod admission;
mod boxed;
mod budget;
mod client;
mod clock;
mod config;
mod connection;
mod deploy;
mod descriptors;
mod failed;
mod fair;
mod http;
mod kept;
mod limits;
mod load;
mod network;
mod openwhisk;
mod outgoing;
mod pace;
mod parking;
mod random;
mod registry;
mod resets;
mod scheduler;
mod server;
mod sessions;
mod standing;
mod store;
mod tenants;
mod turns;
mod upkeep;
mod watch;

pub use client::{Client, ClientError};
pub use config::Config;
pub use deploy::DeployError;
pub use descriptors::raise_descriptor_limit;
pub use failed::FailedFunction;
pub use limits::{ClientAddress, ClientLimits};
pub use network::{Network, NetworkError};
pub use openwhisk::ActionHost;
pub use outgoing::NetworkClient;
pub use registry::{FunctionInfo, FunctionStatus, RouteTaken};
pub use server::{Gateway, GatewayError, Installer, runtime, termination};
pub use store::StoreError;
pub use tenants::{TenantError, TenantTerms};
