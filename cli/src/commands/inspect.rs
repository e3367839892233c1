//! `faascli inspect`

mod captured;
mod component;

use crate::bounds;
use crate::failure::{Blame, Failure};
use crate::output::{self, human_bytes};
use crate::subject;
use anyhow::Context;
use serde::Serialize;
use std::path::PathBuf;
use wfaas_abi::artifact::bundle::BundleStats;
use wfaas_abi::artifact::records::{ExternKind, ExternType, NO_MAXIMUM, limits};
use wfaas_abi::artifact::{FORMAT_VERSION, SectionId};
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::{Artifact, ArtifactError, untrusted};
use wfaas_function::protocols::component::support as component_support;
use wfaas_function::{About, Function, Protocols, Support};
use wfaas_vm::diagnostics::{self, cost};
use wfaas_vm::{Limits, MemoryType};

/// Show what is in an artifact
///
/// Sections and their sizes, imports and what there is for them, exports, the image, how memory
/// accesses are kept in bounds, and what CPU the code needs. Nothing of it is run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli inspect app.faas
  faascli inspect app.faas --json | jq .image
  faascli inspect app.wasm --disassemble main
  objdump -d app.faas    # the code, by function name")]
pub(crate) struct Args {
    /// The artifact
    #[arg(value_name = "APP.faas")]
    artifact: PathBuf,

    /// Show the code of a function instead, operator by operator: WebAssembly, Cranelift's intermediate
    /// code as translated, and machine code. APP is the module or folder then; FUNC an index or a name
    #[arg(long, value_name = "FUNC")]
    disassemble: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What is said about an artifact; sizes are in bytes.
#[derive(Serialize)]
struct Report {
    format_version: u32,
    hash: String,
    bytes: u64,
    initialised: bool,
    /// The program that goes on where it waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    captured: Option<captured::Report>,
    cpu_features: Vec<&'static str>,
    functions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    abi: Option<Abi>,
    bounds: bounds::Report,
    image: Image,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Files>,
    sections: Vec<Section>,
    imports: Vec<Item>,
    exports: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<component::Report>,
}

/// The guest ABI that the exports speak for.
#[derive(Serialize)]
struct Abi {
    name: &'static str,
    description: &'static str,
}

/// The image, in host pages of 4096 bytes unless it says otherwise.
#[derive(Serialize)]
struct Image {
    state_bytes: usize,
    memory_wasm_pages: u64,
    pages: usize,
    stored_pages: usize,
    runs: usize,
}

/// What warm-up requests wrote to, and what resets should cost for it on this machine.
#[derive(Serialize)]
struct Profile {
    /// Host pages.
    pages: u64,
    /// WebAssembly pages by which memories grew.
    grown_wasm_pages: usize,
    tracking: &'static str,
    reset_nanos: u64,
}

/// The files that the artifact has taken along.
#[derive(Serialize)]
struct Files {
    files: u64,
    directories: u64,
    symlinks: u64,
    /// Bytes of all files together.
    bytes: u64,
}

#[derive(Serialize)]
struct Section {
    name: &'static str,
    offset: u64,
    bytes: u64,
}

/// An import or export.
#[derive(Serialize)]
struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    name: String,
    kind: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    ty: Option<String>,
    /// The host's answer to an import of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    support: Option<&'static str>,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    if let Some(function) = &args.disassemble {
        return super::disassemble::run(&args.artifact, function, args.json);
    }
    let bytes = subject::read(&args.artifact)?;
    let report = Artifact::parse(&bytes)
        .and_then(|artifact| report(&artifact))
        .with_context(|| format!("cannot inspect {}", args.artifact.display()))
        .user_error()?;
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(0)
}

fn report(artifact: &Artifact<'_>) -> Result<Report, ArtifactError> {
    Ok(Report {
        format_version: FORMAT_VERSION,
        hash: artifact.content_hash_hex(),
        bytes: artifact.bytes().len() as u64,
        initialised: artifact.is_initialised(),
        cpu_features: artifact.cpu_features().names(),
        captured: captured::Report::of(artifact)?,
        functions: artifact.functions().len() - usize::from(artifact.continued().is_some()),
        abi: abi(artifact)?,
        bounds: bounds::Report::of(artifact),
        image: image(artifact),
        profile: profile(artifact)?,
        files: files(artifact)?,
        sections: sections(artifact),
        imports: imports(artifact)?,
        exports: exports(artifact)?,
        component: artifact.component()?.map(|bindings| component::Report::of(&bindings)),
    })
}

fn abi(artifact: &Artifact<'_>) -> Result<Option<Abi>, ArtifactError> {
    let mut exports = Vec::new();
    for record in artifact.exports() {
        let function = artifact.functions().get(record.index.get() as usize);
        let ty = match (ExternKind::from_u32(record.kind.get()), function) {
            (Some(ExternKind::Func), Some(function)) => {
                wfaas_vm::ExternType::Func(artifact.func_type(function.type_index.get())?)
            }
            (Some(ExternKind::Memory), _) => wfaas_vm::ExternType::Memory(ANY_MEMORY),
            _ => continue,
        };
        exports.push((artifact.string(record.name)?, ty));
    }
    let imports = artifact.imports().iter().map(|record| artifact.string(record.module));
    let imports = imports.collect::<Result<Vec<_>, _>>()?;
    let protocols = Protocols::default();
    let protocol = match artifact.component()? {
        _ if let Some(captured) = artifact.checkpoint()? => protocols.get(&captured.abi).ok(),
        Some(component) => protocols.recognise_component(&component).ok(),
        None => protocols.recognise_interface(&exports, &imports).ok(),
    };
    Ok(protocol.map(|protocol| {
        let About { name, description, .. } = protocol.about();
        Abi { name, description }
    }))
}

/// Guest ABIs ask only whether there is a memory.
const ANY_MEMORY: MemoryType =
    MemoryType { limits: Limits { minimum: 0, maximum: None }, index64: false, shared: false };

fn image(artifact: &Artifact<'_>) -> Image {
    let image = artifact.image();
    Image {
        state_bytes: image.state_bytes,
        memory_wasm_pages: image.memory_pages(),
        pages: image.parts().map(|part| part.bytes).sum::<usize>() / wfaas_abi::layout::PAGE,
        stored_pages: image.bytes.len() / wfaas_abi::layout::PAGE,
        runs: image.runs.len(),
    }
}

fn profile(artifact: &Artifact<'_>) -> Result<Option<Profile>, ArtifactError> {
    let Some(profile) = artifact.profile() else { return Ok(None) };
    let sets = diagnostics::working_sets(artifact)?;
    let wanted = wfaas_vm::Config::default().tracking;
    let way = |set| cost::choose(wanted, diagnostics::userfaultfd().is_ok(), Some(set));
    Ok(Some(Profile {
        pages: profile.pages(),
        grown_wasm_pages: sets.iter().map(|set| set.grown).sum::<usize>() / WASM_PAGE,
        // The first memory is the one with the state.
        tracking: sets.first().map_or("", |set| way(set).name()),
        reset_nanos: sets.iter().map(|set| cost::reset_nanos(way(set), set)).sum(),
    }))
}

fn files(artifact: &Artifact<'_>) -> Result<Option<Files>, ArtifactError> {
    Ok(artifact.bundle()?.map(|bundle| {
        let BundleStats { directories, files, links, bytes } = bundle.stats();
        Files { files, directories, symlinks: links, bytes }
    }))
}

fn sections(artifact: &Artifact<'_>) -> Vec<Section> {
    let refs = artifact.header().sections;
    let section = |(id, place): (&SectionId, _)| {
        let place: wfaas_abi::artifact::SectionRef = place;
        Section { name: id.elf_name(), offset: place.offset.get(), bytes: place.size.get() }
    };
    SectionId::ALL.iter().zip(refs).map(section).collect()
}

fn imports(artifact: &Artifact<'_>) -> Result<Vec<Item>, ArtifactError> {
    let component = artifact.component()?;
    let item = |(index, record): (usize, &wfaas_abi::artifact::records::ImportRecord)| {
        let (module, name) = (artifact.string(record.module)?, artifact.string(record.name)?);
        let bound = component.as_ref().and_then(|bindings| bindings.imports.get(index));
        let support = match (record.ty.extern_kind()?, bound) {
            (_, Some(import)) => component_support(import),
            (ExternKind::Func, None) => {
                let ty = artifact.func_type(record.ty.ty.get())?;
                Function::support(module, name, &wfaas_vm::ExternType::Func(ty))
            }
            _ => Support::Missing,
        };
        Ok(Item {
            module: Some(module.to_owned()),
            name: name.to_owned(),
            kind: record.ty.extern_kind()?.name(),
            ty: Some(describe(artifact, &record.ty)?),
            support: Some(in_words(support)),
        })
    };
    artifact.imports().iter().enumerate().map(item).collect()
}

/// What there is for an import, as the report has it.
fn in_words(support: Support) -> &'static str {
    match support {
        Support::Works => WORKS,
        Support::Enosys => "answers ENOSYS",
        Support::Missing => "missing",
    }
}

/// The word for an import with which all is well.
const WORKS: &str = "works";

fn exports(artifact: &Artifact<'_>) -> Result<Vec<Item>, ArtifactError> {
    let item = |record: &wfaas_abi::artifact::records::ExportRecord| {
        let kind = ExternKind::from_u32(record.kind.get())
            .ok_or(ArtifactError::Corrupt("unknown kind of export"))?;
        let function = artifact.functions().get(record.index.get() as usize);
        let ty = match (kind, function) {
            (ExternKind::Func, Some(function)) => {
                Some(artifact.func_type(function.type_index.get())?.to_string())
            }
            _ => None,
        };
        let name = artifact.string(record.name)?.to_owned();
        Ok(Item { module: None, name, kind: kind.name(), ty, support: None })
    };
    artifact.exports().iter().map(item).collect()
}

/// The type of an import in words.
fn describe(artifact: &Artifact<'_>, ty: &ExternType) -> Result<String, ArtifactError> {
    let range = match ty.maximum.get() {
        NO_MAXIMUM => format!("at least {}", ty.minimum),
        maximum => format!("{} to {maximum}", ty.minimum),
    };
    let bit = |bit: u32, word| if ty.limits.get() & bit != 0 { word } else { "" };
    let index = bit(limits::INDEX64, "i64 ");
    Ok(match ty.extern_kind()? {
        ExternKind::Func => artifact.func_type(ty.ty.get())?.to_string(),
        ExternKind::Memory => format!("{index}{range} pages{}", bit(limits::SHARED, ", shared")),
        ExternKind::Table => format!("{index}{range} of {}", artifact.val_type(ty.ty)?),
        ExternKind::Global if ty.mutable == 1 => {
            format!("mutable {}", artifact.val_type(ty.ty)?)
        }
        ExternKind::Global => artifact.val_type(ty.ty)?.to_string(),
        ExternKind::Tag => artifact.func_type(ty.ty.get())?.to_string(),
    })
}

fn print(report: &Report) -> output::Result {
    let image = &report.image;
    let initialised = if report.initialised { "initialised" } else { "not initialised" };
    output::line(format_args!("hash       {}", report.hash))?;
    output::line(format_args!("size       {}", human_bytes(report.bytes)))?;
    output::line(format_args!("format     version {}, {initialised}", report.format_version))?;
    report.captured.as_ref().map_or(Ok(()), captured::Report::print)?;
    output::line(format_args!("cpu        {}", report.cpu_features.join(" ")))?;
    output::line(format_args!("functions  {}", report.functions))?;
    let abi = report.abi.as_ref().map_or("none: it is no function", |abi| abi.description);
    output::line(format_args!("guest ABI  {abi}"))?;
    output::line(format_args!(
        "image      {} of {} pages stored, in runs: {}; state {}, memory {}",
        image.stored_pages,
        image.pages,
        image.runs,
        human_bytes(image.state_bytes as u64),
        human_bytes(image.memory_wasm_pages * wfaas_abi::layout::WASM_PAGE as u64),
    ))?;
    if let Some(profile) = &report.profile {
        output::line(format_args!(
            "profile    requests write to {} pages and grow memory by {}; a reset should take \
             {:.1} µs here (tracking: {})",
            profile.pages,
            human_bytes((profile.grown_wasm_pages * WASM_PAGE) as u64),
            profile.reset_nanos as f64 / 1000.0,
            profile.tracking,
        ))?;
    }
    if let Some(files) = &report.files {
        output::line(format_args!(
            "files      {} with {}, in {} directories; symbolic links: {}",
            files.files,
            human_bytes(files.bytes),
            files.directories,
            files.symlinks,
        ))?;
    }
    output::line(format_args!("bounds     {}", report.bounds.line()))?;
    output::line("sections")?;
    for section in report.sections.iter().filter(|section| section.bytes > 0) {
        output::line(format_args!(
            "  {:20} {:>12} at {:#x}",
            section.name,
            human_bytes(section.bytes),
            section.offset
        ))?;
    }
    print_items("imports", &report.imports)?;
    print_items("exports", &report.exports)?;
    report.component.as_ref().map_or(Ok(()), component::Report::print)
}

fn print_items(title: &str, items: &[Item]) -> output::Result {
    output::line(format_args!("{title} ({})", items.len()))?;
    for item in items {
        let shown = |name| untrusted::name(name).to_string();
        let module = item.module.as_ref().map_or(String::new(), |module| shown(module) + ".");
        let ty = item.ty.as_ref().map_or(String::new(), |ty| format!(" {ty}"));
        let name = module + &shown(&item.name);
        let support = item.support.filter(|support| *support != WORKS);
        let support = support.map_or(String::new(), |support| format!(" ({support})"));
        output::line(format_args!("  {:8} {name}{ty}{support}", item.kind))?;
    }
    Ok(())
}
