//! `faascli deploy`

use crate::failure::{Failure, Kind};
use crate::function::Function;
use crate::output::{self, human_bytes};
use anyhow::Context;
use serde::Serialize;
use std::path::PathBuf;
use wfaas_function::FunctionName;
use wfaas_gateway::{Client, ClientError, FunctionInfo};

/// Send a function to a running server
///
/// PATH is built if it is not built yet or has changed. The server checks every byte, stores the
/// function and swaps it in between two requests; requests in flight finish on the old one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli deploy examples/hello
  faascli deploy app.faas --name hello-2 --server http://127.0.0.1:9000
  faascli deploy app.wasm --env MODEL=small -- --verbose
  WFAAS_TOKEN=... faascli deploy . --server http://functions.example:8080")]
pub(crate) struct Args {
    /// A folder with a faas.toml, or a .faas, .wasm or .wat file
    #[arg(default_value = ".")]
    path: PathBuf,

    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,

    /// Deploy under this name; it is served as /NAME then [default: that of the folder or file]
    #[arg(long)]
    name: Option<FunctionName>,

    #[command(flatten)]
    guest: super::guest::Guest,

    #[command(flatten)]
    token: super::token::Token,

    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

/// What was deployed.
#[derive(Serialize)]
struct Summary {
    url: String,
    #[serde(flatten)]
    function: FunctionInfo,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let token = args.token.read()?;
    let mut function = Function::load(&args.path, args.guest.layer())?;
    if let Some(name) = &args.name {
        function.spec.name = Some(name.clone());
        function.spec.route = None;
        function.name = name.clone();
    }
    let client = Client::new(&args.server, token).map_err(|error| failure(error, args))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let deployment = client.deploy(&function.name, function.artifact, &function.spec);
    let function = runtime.block_on(deployment).map_err(|error| failure(error, args))?;
    let url = format!("{}{}", args.server.trim_end_matches('/'), function.route);
    let summary = Summary { url, function };
    if args.json {
        output::json(&summary)?;
    } else {
        let function = &summary.function;
        output::line(format_args!(
            "{} is deployed: {} ({}, {})",
            function.name,
            summary.url,
            function.abi,
            human_bytes(function.artifact_bytes)
        ))?;
    }
    Ok(0)
}

/// Refusals are about what was sent; the rest, and 5xx, about the server and the way to it.
fn failure(error: ClientError, args: &Args) -> Failure {
    let kind = match error {
        ClientError::Url { .. } | ClientError::Header(_) => Kind::User,
        ClientError::Refused { status, .. } if status < 500 => Kind::User,
        _ => Kind::Host,
    };
    let context = format!("cannot deploy to {}", args.server);
    Failure::new(kind, anyhow::Error::new(error).context(context))
}
