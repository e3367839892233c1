//! The specification of a function: everything about it but its code.
//!
//! A [`Spec`] is a layer: a field that it leaves open is as the layer below says. Lowest are the
//! server's defaults, then come the folder's `faas.toml`, the deployment, and the command line. One
//! structure is read from all of them, TOML and JSON alike:
//!
//! ```
//! use wfaas_function::Spec;
//!
//! let below = Spec::from_json(r#"{"env": {"A": "1", "B": "2"}, "limits": {"time": "2s"}}"#)?;
//! let above = Spec::from_json(r#"{"env": {"B": "3"}, "limits": {"memory": "64MiB"}}"#)?;
//! let spec = above.over(below);
//! assert_eq!(spec.env["B"], "3");
//! assert_eq!(spec.limits.memory.unwrap().0, 64 << 20);
//! assert_eq!(spec.limits.time.unwrap().0.as_secs(), 2);
//! # Ok::<(), wfaas_function::SpecError>(())
//! ```

mod dirs;
mod layer;
mod name;
mod quantity;
mod session;

pub use dirs::{AllowedDirs, AtInit, Dir};
pub use layer::{Fields, Key};
pub use name::{FunctionName, NameError, Route, RouteError, TenantName, TenantNameError};
pub use quantity::{ByteSize, Span};
pub use session::{Carrier, Session};

use crate::protocol::Protocols;
use crate::sockets::SocketGrant;
use crate::stores::{StoreGrant, StoreName};
use layer::layer;
use quantity::Millis;
use serde::Serialize;
use std::collections::BTreeMap;

layer! {
    /// Everything about a function but its code; a layer of it.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct Spec, "a function's specification" in "" {
        /// Name: in listings and the log, and the guest's argument 0.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<FunctionName> { "name" => FunctionName },
        /// Path under which it is served; `/NAME` if no layer says otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub route: Option<Route> { "route" => Route },
        /// Guest ABI; if no layer says otherwise, the one that the exports speak for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub abi: Option<Abi> { "abi" => Abi },
        /// The export that answers, for guest ABIs that leave its name open.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub export: Option<String> { "export" => String },
        /// The guest's arguments after its name. A layer with any replaces all of those below.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub args: Vec<String> { "args" => Vec<String> },
        /// Environment variables, added to those below.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub env: BTreeMap<String, String> { "env" => layer::Variables },
        /// Directories of the host. A layer with any replaces all of those below.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub dirs: Vec<Dir> { "dirs" => Vec<Dir> },
        /// Settings that a guest asks for by name, added to those below.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub config: BTreeMap<String, String> { "config" => BTreeMap<String, String> },
        /// Hosts that a guest may make requests to, `*` for any characters. A layer with any replaces
        /// all of those below.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub allowed_hosts: Vec<String> { "allowed_hosts" => Vec<String> },
        /// Addresses that a guest may open sockets to. A layer with any replaces all of those below.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub allowed_sockets: Vec<SocketGrant> { "allowed_sockets" => Vec<SocketGrant> },
        /// Key-value stores that a guest may open, by name, added to those below.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        pub stores: BTreeMap<StoreName, StoreGrant> { "stores" => layer::Grants },
        /// `content-type` of answers; plain text in UTF-8 if no layer says otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub content_type: Option<String> { "content_type" => String },
        /// Content codings that answers may have, the best one first; none if no layer says otherwise.
        /// A layer with any replaces all of those below.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub compress: Vec<Coding> { "compress" => Vec<Coding> },
        /// Whether a CGI program sees credentials: the headers `authorization` and
        /// `proxy-authorization` of requests. It does not if no layer says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub pass_authorization: Option<bool> { "pass_authorization" => bool },
        /// Tenant that it is charged to and limited with; that of the deployment's token if no layer
        /// says otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tenant: Option<TenantName> { "tenant" => TenantName },
        /// Fate of a request after its client has left; it is cancelled if no layer says otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub on_disconnect: Option<OnDisconnect> { "on_disconnect" => OnDisconnect },
        /// How its guests go on from one request to the next; each begins anew if no layer says otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub session: Option<Session> { "session" => Session },
        /// What a request may use.
        pub limits: Limits { "limits" => Limits },
    }
}

layer! {
    /// What one request may use; a layer of it. Going beyond ends the request, not the process.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct Limits, "a table of limits" in "limits." {
        /// Most bytes of linear memory, tables and exceptions together; `memory.grow` and `table.grow`
        /// beyond answer -1.
        #[serde(rename = "memory_bytes", skip_serializing_if = "Option::is_none")]
        pub memory: Option<ByteSize> { "memory" => ByteSize, "memory_bytes" => ByteSize },
        /// Longest time a request may take.
        #[serde(rename = "time_ms", skip_serializing_if = "Option::is_none")]
        #[serde(serialize_with = "quantity::as_millis")]
        pub time: Option<Span> { "time" => Span, "time_ms" => Millis },
        /// Most processor time a request may use, in host functions too.
        #[serde(rename = "cpu_ms", skip_serializing_if = "Option::is_none")]
        #[serde(serialize_with = "quantity::as_millis")]
        pub cpu: Option<Span> { "cpu" => Span, "cpu_ms" => Millis },
        /// Most bytes of an answer.
        #[serde(rename = "output_bytes", skip_serializing_if = "Option::is_none")]
        pub output: Option<ByteSize> { "output" => ByteSize, "output_bytes" => ByteSize },
        /// Most bytes a request may write to the log; the rest is dropped.
        #[serde(rename = "log_bytes", skip_serializing_if = "Option::is_none")]
        pub log: Option<ByteSize> { "log" => ByteSize, "log_bytes" => ByteSize },
        /// Most bytes of files that a guest may write in memory: to `/tmp`, and over the files of its
        /// artifact. None if no layer says otherwise.
        #[serde(rename = "tmp_bytes", skip_serializing_if = "Option::is_none")]
        pub tmp: Option<ByteSize> { "tmp" => ByteSize, "tmp_bytes" => ByteSize },
    }
}

/// What is wrong with a specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not the JSON object it has to be; the message names field or place.
    #[error("the specification is not valid: {0}")]
    Json(String),
    /// A field's value.
    #[error("{field}: {reason}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl SpecError {
    /// That the value of a field is wrong.
    pub fn field(field: &'static str, reason: impl ToString) -> SpecError {
        SpecError::Field { field, reason: reason.to_string() }
    }
}

impl Spec {
    /// A layer with nothing but a name.
    pub fn named(name: FunctionName) -> Spec {
        Spec { name: Some(name), ..Spec::default() }
    }

    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`SpecError::Json`] names the field and what is wrong with it.
    pub fn from_json(json: &str) -> Result<Spec, SpecError> {
        serde_json::from_str(json).map_err(|error| SpecError::Json(error.to_string()))
    }

    /// The layer as a JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    /// The name; `function` if no layer has one.
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or("function", FunctionName::as_str)
    }

    /// The route: `/` and the name if no layer has one.
    pub fn route(&self) -> String {
        self.route.as_ref().map_or_else(|| format!("/{}", self.name()), Route::to_string)
    }

    /// The guest's arguments, the name first, or what the program is called instead.
    pub fn guest_args(&self, program: Option<&str>) -> Vec<String> {
        let first = program.unwrap_or(self.name());
        std::iter::once(first)
            .chain(self.args.iter().map(String::as_str))
            .map(String::from)
            .collect()
    }
}

impl Limits {
    /// The limits of a server that sets none: 256 MiB, 10 s, answers of 8 MiB, 64 KiB of log.
    /// Processor time is limited by the time.
    pub const fn of_server() -> Limits {
        Limits {
            memory: Some(ByteSize(256 << 20)),
            time: Some(Span(std::time::Duration::from_secs(10))),
            cpu: None,
            output: Some(ByteSize(8 << 20)),
            log: Some(ByteSize(64 << 10)),
            tmp: None,
        }
    }

    /// Refuses limits that allow nothing at all.
    ///
    /// # Errors
    /// [`SpecError::Field`] names the first one.
    pub fn check(&self) -> Result<(), SpecError> {
        let Limits { memory, time, cpu, output, log: _, tmp: _ } = self;
        let zero = |field| Err(SpecError::field(field, "has to be greater than 0"));
        const NO_TIME: Option<Span> = Some(Span(std::time::Duration::ZERO));
        match (memory, output) {
            (Some(ByteSize(0)), _) => zero("limits.memory"),
            (_, Some(ByteSize(0))) => zero("limits.output"),
            _ if *time == NO_TIME => zero("limits.time"),
            _ if *cpu == NO_TIME => zero("limits.cpu"),
            _ => Ok(()),
        }
    }
}

/// A content coding of answers (RFC 9110, 8.4.1; RFC 7932).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Brotli.
    Br,
    /// gzip.
    Gzip,
}

impl Coding {
    /// Its name in headers and configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Br => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// Fate of a request that is not answered yet after its client has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// The guest is ended.
    #[default]
    Cancel,
    /// The guest goes on, for work that must not be cut.
    Finish,
}

/// A guest ABI by its [name](crate::Protocol::about).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Abi(String);

impl Abi {
    /// The ABI of this name, which may be one that only some set of [`Protocols`] has.
    pub fn new(name: impl Into<String>) -> Abi {
        Abi(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> serde::Deserialize<'de> for Abi {
    /// Only names that [`Protocols::default`] has.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Abi, D::Error> {
        let name = String::deserialize(from)?;
        match Protocols::default().get(&name) {
            Ok(_) => Ok(Abi(name)),
            Err(error) => Err(serde::de::Error::custom(error)),
        }
    }
}

#[cfg(test)]
mod tests;
