//! Configuration: of the gateway, and of one deployed function.

use crate::name::{FunctionName, Route, RouteError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use wfaas_host::{FunctionConfig, GuestAbi, Limits};

/// How a gateway works. [`Config::new`] has sensible values for everything but two.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on; port 0 for any free one.
    pub listen: SocketAddr,
    /// Directory of the store; created if it is not there.
    pub store_dir: PathBuf,
    /// Token that management requests have to bring. Without one they are taken only if `listen`
    /// is a loopback address.
    pub token: Option<String>,
    /// Threads that run guests.
    pub workers: usize,
    /// Most requests that wait for a worker; more are answered with 503.
    pub queue: usize,
    /// Most open connections; more wait to be accepted.
    pub max_connections: usize,
    /// Most bytes of a request's body.
    pub max_body: u64,
    /// Most bytes of an artifact to deploy.
    pub max_artifact: u64,
    /// Most bytes of bodies and answers in memory at the same time, all requests together.
    pub max_buffered: u64,
    /// Longest time to receive a request's headers.
    pub header_timeout: Duration,
    /// Longest time to receive a request's body; of an upload, longest time without any progress.
    pub body_timeout: Duration,
    /// Longest time a connection may be open without a request or any progress.
    pub idle_timeout: Duration,
    /// Longest time that requests in flight get to finish at the end.
    pub drain_timeout: Duration,
    /// Limits of a function that does not set its own.
    pub limits: Limits,
    /// The VM's configuration.
    pub engine: wfaas_vm::Config,
}

impl Config {
    /// The default configuration, on this address and with this store.
    pub fn new(listen: SocketAddr, store_dir: impl Into<PathBuf>) -> Config {
        Config {
            listen,
            store_dir: store_dir.into(),
            token: None,
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            queue: 256,
            max_connections: 1024,
            max_body: 8 << 20,
            max_artifact: 256 << 20,
            max_buffered: 512 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(15),
            limits: Limits::default(),
            engine: wfaas_vm::Config::default(),
        }
    }
}

/// What a deployment says about a function besides its code: the JSON object of the header
/// `x-wfaas-config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeployConfig {
    /// Path of the function; `None` for `/NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Guest ABI, `wasi` or `reactor`; `None` to find it out from the exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abi: Option<String>,
    /// The guest's arguments after its name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// `content-type` of answers; `None` for plain text in UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Limits that differ from the gateway's.
    pub limits: DeployLimits,
}

/// Limits of one function; what is `None` is as the gateway's configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeployLimits {
    /// Most bytes of linear memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Longest time of a request, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Most bytes of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
}

/// What is wrong with a [`DeployConfig`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON object it has to be.
    #[error("the configuration is not valid: {0}")]
    Json(String),
    /// Not a route.
    #[error("route: {0}")]
    Route(#[from] RouteError),
    /// Not a guest ABI.
    #[error("abi: {0:?} is unknown, use \"wasi\" or \"reactor\"")]
    Abi(String),
    /// Not a header's value.
    #[error("content_type: {0:?} cannot be the value of a header")]
    ContentType(String),
    /// A limit that allows nothing.
    #[error("limits.{0}: has to be greater than 0")]
    Zero(&'static str),
}

/// The type of answers if the function does not set one.
const DEFAULT_CONTENT_TYPE: &str = "text/plain; charset=utf-8";

impl DeployConfig {
    /// Reads the JSON object.
    ///
    /// # Errors
    /// [`ConfigError::Json`] names the place and the field.
    pub fn from_json(json: &str) -> Result<DeployConfig, ConfigError> {
        serde_json::from_str(json).map_err(|error| ConfigError::Json(error.to_string()))
    }

    /// The route of a function of this name.
    pub(crate) fn route(&self, name: &FunctionName) -> Result<Route, ConfigError> {
        let text = self.route.clone().unwrap_or_else(|| format!("/{name}"));
        Ok(text.parse()?)
    }

    /// The header's value.
    pub(crate) fn content_type(&self) -> Result<hyper::header::HeaderValue, ConfigError> {
        let text = self.content_type.as_deref().unwrap_or(DEFAULT_CONTENT_TYPE);
        text.parse().map_err(|_| ConfigError::ContentType(text.to_owned()))
    }

    /// What the host needs to know.
    pub(crate) fn function(
        &self,
        name: &FunctionName,
        defaults: &Limits,
    ) -> Result<FunctionConfig, ConfigError> {
        let abi = match self.abi.as_deref() {
            None => None,
            Some(text) => {
                Some(GuestAbi::from_name(text).ok_or_else(|| ConfigError::Abi(text.to_owned()))?)
            }
        };
        Ok(FunctionConfig {
            name: name.as_str().to_owned(),
            args: self.args.clone(),
            env: self.env.clone().into_iter().collect(),
            abi,
            limits: self.limits.over(defaults)?,
        })
    }
}

impl DeployLimits {
    fn over(&self, defaults: &Limits) -> Result<Limits, ConfigError> {
        let positive = |name, value: Option<u64>| match value {
            Some(0) => Err(ConfigError::Zero(name)),
            value => Ok(value),
        };
        let time = positive("time_ms", self.time_ms)?.map(Duration::from_millis);
        Ok(Limits {
            memory_bytes: positive("memory_bytes", self.memory_bytes)?
                .unwrap_or(defaults.memory_bytes),
            time: time.unwrap_or(defaults.time),
            output_bytes: positive("output_bytes", self.output_bytes)?
                .unwrap_or(defaults.output_bytes),
            log_bytes: defaults.log_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(json: &str) -> Result<FunctionConfig, ConfigError> {
        let name = "f".parse().unwrap();
        DeployConfig::from_json(json)?.function(&name, &Limits::default())
    }

    #[test]
    fn limits_not_given_are_the_gateways() {
        let config = function(r#"{"limits": {"time_ms": 1500}, "env": {"A": "b"}}"#).unwrap();
        let expected = Limits { time: Duration::from_millis(1500), ..Limits::default() };
        assert_eq!(config.limits, expected);
        assert_eq!(config.env, [("A".to_owned(), "b".to_owned())]);
        assert_eq!(config.abi, None);
    }

    #[test]
    fn mistakes_name_the_field() {
        for (json, named) in [
            (r#"{"limit": {}}"#, "limit"),
            (r#"{"limits": {"time": 1}}"#, "time"),
            (r#"{"env": {"A": 1}}"#, "expected a string"),
            (r#"{"abi": "cgi"}"#, "cgi"),
            (r#"{"limits": {"memory_bytes": 0}}"#, "memory_bytes"),
            ("[1", "line 1"),
        ] {
            let error = function(json).unwrap_err().to_string();
            assert!(error.contains(named), "{json}: {error}");
        }
    }

    #[test]
    fn the_route_is_the_name_unless_given() {
        let name: FunctionName = "f".parse().unwrap();
        assert_eq!(DeployConfig::default().route(&name).unwrap().as_str(), "/f");
        let config = DeployConfig { route: Some("/a/b".into()), ..Default::default() };
        assert_eq!(config.route(&name).unwrap().as_str(), "/a/b");
        let config = DeployConfig { content_type: Some("a\nb".into()), ..Default::default() };
        assert!(config.content_type().is_err());
    }
}
