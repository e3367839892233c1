//! `/init`: the code of an action becomes a function.

use super::Asked;
use super::code::{self, Code};
use super::few::Few;
use super::log::Activation;
use crate::http::{BoxResponse, Incoming, Problem, blocking, json, receive};
use crate::server::Shared;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use wfaas_abi::Artifact;
use wfaas_function::protocols::action;
use wfaas_function::{Abi, Dir, FunctionName, Spec};

/// The request.
#[derive(Deserialize)]
struct Init {
    value: Value,
}

/// The action. Further fields are of no use here.
#[derive(Deserialize)]
struct Value {
    /// The export to call, if it is one.
    #[serde(default)]
    main: Option<String>,
    #[serde(default)]
    code: Option<String>,
    /// Whether the code is in base64.
    #[serde(default)]
    binary: bool,
    #[serde(default)]
    env: Few<Box<RawValue>>,
    /// What an action of an executor's may reach, an object. Anything else is of no use here.
    #[serde(default)]
    annotations: Option<Box<RawValue>>,
}

impl Value {
    /// The directory of the host that the action finds under the same name.
    fn dirs(&self) -> Result<Vec<Dir>, String> {
        let annotations = self.annotations.as_ref().map_or("{}", |annotations| annotations.get());
        let Few(annotations): Few<&RawValue> =
            serde_json::from_str(annotations).unwrap_or_default();
        let dir = annotations.get("dir").map_or("null", |dir| dir.get());
        let dir: Option<String> = serde_json::from_str(dir)
            .map_err(|_| "annotations.dir has to be the path of a directory, as text")?;
        let dir = dir.map(|guest| Dir { host: (&guest).into(), guest, ..Dir::default() });
        Ok(dir.into_iter().collect())
    }
}

/// Initialises a container.
pub(super) async fn handle(
    asked: Asked<'_>,
    container: &str,
    head: &Parts,
    body: &mut Incoming,
) -> Result<BoxResponse, Problem> {
    let Asked { shared, containers, caller, .. } = asked;
    let beginning = containers.begin(container)?;
    let lease = caller.managing(head)?;
    let limit = shared.config.max_body;
    let received = receive(body, limit, u64::MAX, lease, caller.exchange).await?;
    let turn = shared.background.clone().acquire_owned().await;
    let host = containers.host.clone();
    // It goes on to its end though the client may have left.
    let made = blocking(shared, move |shared| {
        let _turn = turn;
        let value = parse(&received.bytes)?;
        // Its bytes are counted as long as the code is there.
        let _lease = received.lease;
        drop(received.bytes);
        let log = Activation::default();
        let made = make(shared, &*host, beginning.name.clone(), value);
        match &made {
            Ok(()) => beginning.finish(),
            Err(reason) => {
                log.say(reason);
                log.end(&*host);
            }
        }
        made.map_err(failed)
    });
    made.await??;
    Ok(json(StatusCode::OK, &json!({ "ok": true })))
}

fn failed(reason: String) -> Problem {
    let message = format!("Initialization has failed due to: {reason}");
    Problem::new(StatusCode::BAD_GATEWAY, message)
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    let init: Init = serde_json::from_slice(body).map_err(|error| {
        let message = format!("Error unmarshaling request: {error}");
        Problem::new(StatusCode::BAD_REQUEST, message)
    })?;
    if init.value.code.as_ref().is_none_or(String::is_empty) {
        let message = "Missing main/no code to execute.";
        return Err(Problem::new(StatusCode::FORBIDDEN, message));
    }
    Ok(init.value)
}

/// Makes a function of an action.
fn make(
    shared: &Shared,
    host: &dyn super::ActionHost,
    name: FunctionName,
    value: Value,
) -> Result<(), String> {
    let limit = shared.config.max_artifact;
    let code = code::unwrap(value.code.as_deref().unwrap_or_default(), value.binary, limit);
    let spec = Spec {
        dirs: value.dirs()?,
        abi: Some(Abi::new(action::NAME)),
        export: value.main.filter(|main| !main.is_empty()),
        env: value.env.0.into_iter().map(|(name, value)| (name, text(&value))).collect(),
        ..Spec::default()
    };
    let artifact = match code.map_err(|error| error.to_string())? {
        Code::Module(module) => host.compile(&module, &spec)?,
        Code::Artifact(_) if !host.takes_native() => {
            return Err("native code is not taken here, send a .wasm module".to_owned());
        }
        Code::Artifact(artifact) => {
            let parsed = Artifact::parse(&artifact).and_then(|parsed| parsed.verify());
            parsed.map_err(|error| error.to_string())?;
            artifact
        }
    };
    let installed = shared.deployer.install(name, spec, &artifact);
    installed.map(drop).map_err(|error| error.to_string())
}

/// A value as an environment variable: a string itself, anything else as it is written.
pub(super) fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}
