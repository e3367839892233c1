//! `faascli snapshot`

use crate::failure::Failure;
use crate::output::{self, human_bytes};
use crate::recipe::init_failure;
use crate::subject;
use serde::Serialize;
use std::path::PathBuf;
use wfaas_abi::Artifact;
use wfaas_abi::artifact::Proto;
use wfaas_build::{Init, snapshot};
use wfaas_function::Span;
use wfaas_vm::{Config, Engine};

/// Initialise an artifact once more and keep the image in a file of its own
///
/// The .proto file names its artifact by hash; `run --proto` starts from it. Several protos of one
/// artifact can be kept beside each other.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli snapshot app.faas --init load_model
  faascli snapshot app.faas --init load_model --env MODEL=small -o small.proto
  faascli run app.faas --proto small.proto")]
pub(crate) struct Args {
    /// The artifact
    #[arg(value_name = "APP.faas")]
    artifact: PathBuf,

    /// Run this export [default: wizer.initialize, if exported]
    #[arg(long, value_name = "EXPORT")]
    init: Option<String>,

    /// Longest time initialisation may take
    #[arg(long, value_name = "TIME", default_value = crate::recipe::INIT_TIME)]
    init_time: Span,

    #[command(flatten)]
    guest: super::guest::Guest,

    /// Where to write the image [default: beside the artifact]
    #[arg(short, long, value_name = "OUT.proto")]
    output: Option<PathBuf>,

    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

/// What was written; sizes in bytes.
#[derive(Serialize)]
struct Summary {
    proto: PathBuf,
    artifact_hash: String,
    bytes: usize,
    image_pages: usize,
    memory_wasm_pages: u64,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let artifact = subject::read_artifact(&args.artifact)?;
    let engine = Engine::new(Config::default())?;
    let (export, time) = (args.init.clone(), Some(args.init_time.0));
    let program = Some(subject::stem(&args.artifact));
    let init = Init { program, export, time, ..Init::default() };
    let bytes = snapshot(&engine, &artifact, &args.guest.layer(), &init).map_err(|error| {
        init_failure(error, &format!("make a snapshot of {}", args.artifact.display()))
    })?;
    let path = args.output.clone().unwrap_or_else(|| args.artifact.with_extension("proto"));
    subject::write_atomically(&path, &bytes)?;
    let image = Proto::parse(&bytes)?.image();
    let summary = Summary {
        proto: path,
        artifact_hash: Artifact::parse(&artifact)?.content_hash_hex(),
        bytes: bytes.len(),
        image_pages: image.bytes.len() / wfaas_abi::layout::PAGE,
        memory_wasm_pages: image.memory_pages(),
    };
    if args.json {
        output::json(&summary)?
    } else {
        print(&summary)?
    }
    Ok(0)
}

fn print(summary: &Summary) -> output::Result {
    output::line(format_args!(
        "{}: {}, {} image pages",
        summary.proto.display(),
        human_bytes(summary.bytes as u64),
        summary.image_pages,
    ))
}
