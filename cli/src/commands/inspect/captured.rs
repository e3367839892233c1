//! A program that was captured where it waits, for `faascli inspect`.

use crate::output;
use serde::Serialize;
use wfaas_abi::artifact::records::Allocator;
use wfaas_abi::checkpoint::{Checkpoint, SavedDescriptor, SavedObject};
use wfaas_abi::{Artifact, ArtifactError, untrusted};

/// A captured program: the call that it waits in, and its surroundings at the capture.
#[derive(Serialize)]
pub(super) struct Report {
    /// The export that goes on.
    #[serde(rename = "continues")]
    pub(super) export: String,
    pub(super) abi: String,
    /// `stdin`, or the imported function.
    until: String,
    arguments: Vec<String>,
    /// Names of environment variables; their values are nowhere but in the image.
    variables: Vec<String>,
    directories: Vec<String>,
    /// Open descriptors.
    descriptors: Vec<Descriptor>,
    /// The things that the program has asked its host for: they are the same in every instance.
    learned: Vec<&'static str>,
    /// Time of its monotonic clock, in nanoseconds.
    monotonic_nanos: u64,
    /// Ranges of memory that are random in each instance: address and bytes.
    reseeds: Vec<(u64, u64)>,
    /// Functions that go on behind a call, and how their registers were allocated.
    twins: Vec<Twin>,
    /// Number of the calls at which it may wait again, in a session; zero if it has none.
    stack_maps: usize,
}

/// An open descriptor.
#[derive(Serialize)]
struct Descriptor {
    number: u32,
    what: String,
}

/// A function that goes on behind a call.
#[derive(Serialize)]
struct Twin {
    function: u32,
    name: String,
    allocator: &'static str,
}

impl Report {
    /// The report of an artifact with such a program.
    pub(super) fn of(artifact: &Artifact<'_>) -> Result<Option<Report>, ArtifactError> {
        let (Some(record), Some(checkpoint)) = (artifact.continued(), artifact.checkpoint()?)
        else {
            return Ok(None);
        };
        let export = artifact.string(record.name)?.to_owned();
        let Checkpoint { abi, until, arguments, variables, directories, .. } = checkpoint;
        let until =
            until.map_or_else(|| "stdin".to_owned(), |(module, name)| module + "::" + &name);
        let describe = |one| Descriptor::of(one, &directories);
        Ok(Some(Report {
            export,
            abi,
            until,
            arguments,
            variables: variables.into_iter().map(|one| one.name).collect(),
            descriptors: checkpoint.descriptors.iter().map(describe).collect(),
            learned: checkpoint.learned.names(),
            monotonic_nanos: checkpoint.monotonic,
            reseeds: checkpoint.reseeds.iter().map(|one| (one.address, one.bytes)).collect(),
            twins: twins(artifact)?,
            stack_maps: artifact.stack_maps().len(),
            directories,
        }))
    }

    pub(super) fn print(&self) -> output::Result {
        let shown = |texts: &[String]| match texts {
            [] => "(none)".to_owned(),
            texts => {
                let shown = texts.iter().map(|text| untrusted::name(text).to_string());
                shown.collect::<Vec<_>>().join(" ")
            }
        };
        let [export, abi, until] =
            [&self.export, &self.abi, &self.until].map(|text| untrusted::name(text).to_string());
        output::line(format_args!("continues  {export}, which waits for {until} (abi {abi})"))?;
        output::line(format_args!("  arguments    {}", shown(&self.arguments)))?;
        output::line(format_args!("  variables    {}", shown(&self.variables)))?;
        output::line(format_args!("  directories  {}", shown(&self.directories)))?;
        for Descriptor { number, what } in &self.descriptors {
            output::line(format_args!("  descriptor   {number}: {}", untrusted::text(what)))?;
        }
        let learned =
            if self.learned.is_empty() { "nothing".to_owned() } else { self.learned.join(", ") };
        output::line(format_args!("  has read     {learned}"))?;
        for (address, bytes) in &self.reseeds {
            output::line(format_args!("  reseeded     {bytes} bytes at {address:#x}"))?;
        }
        if self.stack_maps > 0 {
            output::line(format_args!("  sessions     waits again at {} calls", self.stack_maps))?;
        }
        for Twin { function, name, allocator } in &self.twins {
            let name = untrusted::name(name);
            output::line(format_args!(
                "  twin         {function} {name}: registers by {allocator}"
            ))?;
        }
        Ok(())
    }
}

impl Descriptor {
    fn of(saved: &SavedDescriptor, directories: &[String]) -> Descriptor {
        let tree = |tree: u32| directories.get(tree as usize).map_or("?", String::as_str);
        let what = match &saved.object {
            SavedObject::Stream(number) => {
                let name = match number {
                    0 => "standard input",
                    1 => "standard output",
                    2 => "standard error",
                    _ => "results",
                };
                name.to_owned()
            }
            SavedObject::Preopen(place) => format!("the directory {}", tree(*place)),
            SavedObject::Directory { tree: place, path } => {
                format!("the directory {path} in {}", tree(*place))
            }
            SavedObject::File(file) => {
                let host = if file.host.is_some() { ", of the host" } else { "" };
                let (path, position) = (&file.path, file.position);
                format!("the file {path} in {}{host}, at {position}", tree(file.tree))
            }
        };
        Descriptor { number: saved.number, what }
    }
}

fn twins(artifact: &Artifact<'_>) -> Result<Vec<Twin>, ArtifactError> {
    let twin = |record: &wfaas_abi::artifact::records::TwinRecord| {
        let function = record.function.get();
        let known = artifact.functions().get(function as usize);
        let name = known.map_or(Ok(""), |known| artifact.string(known.name))?.to_owned();
        let allocator = Allocator::from_u32(record.allocator.get());
        let unknown = ArtifactError::Corrupt("a twin with an unknown allocator");
        Ok(Twin { function, name, allocator: allocator.ok_or(unknown)?.name() })
    };
    artifact.twins().iter().map(twin).collect()
}
