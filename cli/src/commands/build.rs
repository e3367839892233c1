//! `faascli build`

use crate::bounds;
use crate::failure::Failure;
use crate::function;
use crate::output::{self, human_bytes};
use crate::recipe::{Made, Recipe};
use crate::subject::{self, Subject};
use serde::Serialize;
use std::path::{Path, PathBuf};
use wfaas_abi::Artifact;
use wfaas_build::Built;

/// Compile a function to native code, initialise it, and keep both in one artifact
///
/// PATH is a folder with a faas.toml, or a .wasm or .wat file. Initialisation calls `_initialize`
/// if it is exported, then the init export; the memory it leaves is what every instance starts
/// from. Its output is shown; a trap fails the build. Environment and arguments are taken from the
/// faas.toml and the command line. The warm-up requests of a faas.toml are made after that, to find
/// out what requests write to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli build                                # the function in this folder
  faascli build examples/rust-words
  faascli build app.wasm -o app.faas --init warm_up
  faascli build app.wasm --env MODEL=small -- --verbose
  faascli build app.wat --cpu native --json
  faascli build app.wasm --bounds trap --explain-bounds")]
pub(crate) struct Args {
    /// The folder, or the .wasm or .wat file
    #[arg(default_value = ".")]
    path: PathBuf,

    /// Where to write the artifact [default: target/NAME.faas in a folder, beside a file]
    #[arg(short, long, value_name = "OUT.faas")]
    output: Option<PathBuf>,

    #[command(flatten)]
    guest: super::guest::Guest,

    #[command(flatten)]
    recipe: Recipe,

    /// Print how many memory accesses need no check, by reason; see docs/bounds.md
    #[arg(long)]
    explain_bounds: bool,

    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

/// What was built; sizes in bytes, times in milliseconds.
#[derive(Serialize)]
struct Summary {
    artifact: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<PathBuf>,
    hash: String,
    bytes: usize,
    functions: usize,
    bounds: bounds::Report,
    initialised: bool,
    image_pages: usize,
    compile_ms: u128,
    init_ms: Option<u128>,
    profile_pages: Option<u64>,
    warm_up_ms: Option<u128>,
    notes: Vec<String>,
    /// Whether the artifact was taken from the cache of builds. The times are the first build's.
    cached: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let layer = args.guest.layer();
    let (made, default_output) = match Subject::at(&args.path)? {
        Subject::Folder(mut manifest) => {
            manifest.spec = layer.over(manifest.spec);
            (function::build_folder(&manifest, &args.recipe)?, function::artifact_path(&manifest))
        }
        Subject::Module(path) => {
            (args.recipe.make(&path, &layer, &[])?, path.with_extension("faas"))
        }
        Subject::Artifact(path) => {
            return Err(Failure::user(format_args!(
                "{} is an artifact already; build takes a folder, a .wasm or a .wat",
                path.display()
            )));
        }
    };
    let output = args.output.clone().unwrap_or(default_output);
    subject::write_built(&output, &made.built)?;
    let summary = summary(&output, &made)?;
    if args.json {
        output::json(&summary)?;
    } else {
        print(&summary)?;
        if args.explain_bounds {
            summary.bounds.explain()?;
        }
    }
    Ok(0)
}

fn summary(output: &Path, made: &Made) -> Result<Summary, Failure> {
    let Built { artifact: bytes, debug, report } = &made.built;
    let artifact = Artifact::parse(bytes)?;
    Ok(Summary {
        artifact: output.to_owned(),
        debug: debug.as_ref().map(|_| subject::debug_path(output)),
        hash: artifact.content_hash_hex(),
        bytes: bytes.len(),
        functions: artifact.functions().len() - usize::from(artifact.continued().is_some()),
        bounds: bounds::Report::of(&artifact),
        initialised: artifact.is_initialised(),
        image_pages: artifact.image().bytes.len() / wfaas_abi::layout::PAGE,
        compile_ms: report.compile.as_millis(),
        init_ms: report.init.map(|time| time.as_millis()),
        profile_pages: artifact.profile().map(|profile| profile.pages()),
        warm_up_ms: report.warm_up.map(|time| time.as_millis()),
        notes: report.notes.clone(),
        cached: made.cached,
    })
}

fn print(summary: &Summary) -> output::Result {
    let init = match summary.init_ms {
        Some(time) => format!("initialised in {time} ms"),
        None => "not initialised".to_owned(),
    };
    output::line(format_args!(
        "{}: {}, {} functions compiled in {} ms, {init}, {} image pages",
        summary.artifact.display(),
        human_bytes(summary.bytes as u64),
        summary.functions,
        summary.compile_ms,
        summary.image_pages,
    ))?;
    if let (Some(pages), Some(time)) = (summary.profile_pages, summary.warm_up_ms) {
        output::line(format_args!("warmed up in {time} ms: requests write to {pages} pages"))?;
    }
    if summary.cached {
        output::line(format_args!("taken from the cache of builds; --no-cache builds anew"))?;
    }
    if let Some(debug) = &summary.debug {
        output::line(format_args!("{}: files and lines for backtraces", debug.display()))?;
    }
    for note in &summary.notes {
        output::line(format_args!("note: {note}"))?;
    }
    Ok(())
}
