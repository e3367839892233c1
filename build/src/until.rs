//! Programs that wait: runs a program until it waits for its first request, and makes the artifact that
//! goes on from there.
//!
//! The module is compiled twice: to code of which the frames can be recorded, which runs once, here; and
//! to the code that instances run, which has twins for the functions that were under way.

use crate::component::Core;
use crate::init::{Init, InitError, failed};
use crate::uniqueness::{self, Dependence, Symbol, Uniqueness};
use crate::{BuildError, Options, Progress, WarmUp, with_bundle};
use std::collections::{BTreeSet, VecDeque};
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_abi::artifact::{relocate_references, replace_image};
use wfaas_abi::checkpoint::{Checkpoint, Learned, Variable};
use wfaas_abi::continuation::{FrameArea, SavedFrame};
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::untrusted;
use wfaas_compiler::{Continuation, WaitSite, compile_continued, compile_recorded};
use wfaas_function::{AllowedDirs, AtInit, Protocol, Protocols, Spec, State, trees_at_init};
use wfaas_vm::{Artifact, BoxError, Capture, Engine, ExternType, FuncType, Instance};
use wfaas_vm::{Linker, Module, Store, Val};
use wfaas_wasi::{ByteSink, ByteStream, HasWasi, Input, Output, Rerun, Saved, Source, Wasi};

/// Most bytes of the answers to inputs that come before the wait.
const MAX_OUTPUT: u64 = 16 << 20;

/// Most requests with which a program is run again, to see where it waits then.
const MAX_MORE: usize = 4;

/// The moment that a program is captured at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// It reads standard input, and there is nothing more to read.
    Stdin,
    /// It calls this import.
    Import {
        /// Module name of the import.
        module: String,
        /// Field name of the import.
        name: String,
    },
}

/// The error that ends the program's call.
#[derive(Debug, thiserror::Error)]
#[error("the program waits")]
struct Waits;

/// Standard input up to the wait: each input is a piece of its own.
struct Inputs(VecDeque<Vec<u8>>);

impl ByteStream for Inputs {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<bytes::Bytes, BoxError>>> {
        Poll::Ready(Some(self.0.pop_front().map(bytes::Bytes::from).ok_or_else(|| Waits.into())))
    }
}

/// The stderr of this process, which a program does not find to be a terminal.
struct Stderr;

impl ByteSink for Stderr {
    fn is_full(&self) -> bool {
        false
    }

    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        // Nobody may be there to read it.
        let _ = std::io::stderr().write_all(bytes);
        Ok(bytes.len())
    }
}

/// A program to run until it waits.
struct Program<'a> {
    engine: Engine,
    /// Its code, of which the frames can be recorded.
    module: Module,
    areas: Vec<FrameArea>,
    spec: &'a Spec,
    options: &'a Options,
    init: &'a Init,
    until: &'a Until,
}

/// A program where it waits.
struct Waiting {
    frames: Vec<SavedFrame>,
    capture: Capture,
    /// The export that was called.
    entry: &'static str,
    /// All that it has outside of its memory.
    checkpoint: Checkpoint,
    /// The tree that it has written, if it has.
    tree: Option<Vec<u8>>,
    /// Exported addresses.
    symbols: Vec<Symbol>,
    /// Size of memory 0, if it is exported and not shared: instances can be reseeded there.
    memory_bytes: Option<u64>,
}

/// An artifact of a program that goes on where it waits.
pub(crate) struct Continued {
    pub(crate) artifact: Vec<u8>,
    /// What people should know about its memory.
    pub(crate) notes: Vec<String>,
}

/// The artifact of a program that goes on where it waits.
pub(crate) fn build(
    core: &Core<'_>,
    spec: &Spec,
    options: &Options,
    (init, until): (&Init, &Until),
    progress: &dyn Progress,
) -> Result<Continued, BuildError> {
    let compiled = |done, total| progress.compiled(done, total);
    let compile = core.compiler_options(options, &compiled);
    let (recorded, areas) = compile_recorded(&core.module, &compile)?;
    let recorded = with_bundle(recorded.artifact, options.bundle.as_ref())?;
    let engine = Engine::new(wfaas_vm::Config::default()).map_err(InitError::from)?;
    let module = Module::from_bytes(&engine, &recorded).map_err(InitError::from)?;
    let program = Program { engine, module, areas, spec, options, init, until };
    let (waiting, notes) = program.wait_uniquely()?;
    let again = spec.session.as_ref().map(|_| program.waits_again()).transpose()?;
    let Waiting { frames, mut capture, entry, checkpoint, tree, .. } = waiting;
    let checkpoint = checkpoint.encode().map_err(InitError::from)?;
    let from = Artifact::parse(&recorded).map_err(wfaas_vm::Error::from)?;
    let text_offsets = from.functions().iter().map(|record| record.text_offset.get()).collect();
    let continuation = Continuation { export: entry.to_owned(), frames, text_offsets, again };
    let compile = wfaas_compiler::Options { checkpoint: &checkpoint, ..compile };
    let continued = compile_continued(&core.module, &compile, &continuation)?;
    let bundle = tree.as_ref().or(options.bundle.as_ref());
    let continued = with_bundle(continued.artifact, bundle)?;
    let to = Artifact::parse(&continued).map_err(wfaas_vm::Error::from)?;
    relocate_references(&mut capture.image, &from, &to).map_err(wfaas_vm::Error::from)?;
    let artifact = replace_image(&to, &capture.image, &capture.memory_pages);
    Ok(Continued { artifact: artifact.map_err(wfaas_vm::Error::from)?, notes })
}

impl Program<'_> {
    /// Runs the program until it waits, and again to see which parts of its memory depend on random bytes or the time.
    fn wait_uniquely(&self) -> Result<(Waiting, Vec<String>), InitError> {
        let first = Rerun::first().map_err(InitError::Random)?;
        let mut waiting = self.wait(&first)?;
        let Waiting { symbols, memory_bytes, .. } = &waiting;
        waiting.checkpoint.reseeds =
            uniqueness::resolve(&self.init.reseed, symbols, *memory_bytes)?;
        let notes = match self.init.uniqueness {
            Uniqueness::Off => Vec::new(),
            Uniqueness::Report => match self.dependences(&first, &waiting) {
                Ok(found) => {
                    let told = uniqueness::told(&found).into_iter();
                    told.map(|note| format!("the same in all instances, from {note}")).collect()
                }
                Err(error) => vec![format!("memory could not be compared: {error}")],
            },
            Uniqueness::Strict => {
                uniqueness::check(&self.dependences(&first, &waiting)?)?;
                Vec::new()
            }
        };
        Ok((waiting, notes))
    }

    /// Bytes that depend on a source, and are not reseeded.
    fn dependences(&self, first: &Rerun, waiting: &Waiting) -> Result<Vec<Dependence>, InitError> {
        let reseeds = &waiting.checkpoint.reseeds;
        let mut found = Vec::new();
        let learned = waiting.checkpoint.learned;
        let has_time = learned.has(Learned::WALL_CLOCK)
            || learned.has(Learned::MONOTONIC)
            || first.has_file_times();
        for (source, is_used) in
            [(Source::RandomBytes, learned.has(Learned::RANDOM)), (Source::Times, has_time)]
        {
            if !is_used {
                continue;
            }
            if self.spec.dirs.iter().any(|dir| dir.init == AtInit::Write) {
                return Err(InitError::OnceOnly);
            }
            let again = first.again(source).map_err(InitError::Random)?;
            let again = again.ok_or(InitError::ManyTimes)?;
            let other = self.wait(&again)?;
            let images = (&waiting.capture.image, &other.capture.image);
            found.extend(uniqueness::differences(source, images, &waiting.symbols, reseeds));
        }
        Ok(found)
    }

    /// The calls that the program may be in when it waits for other requests than the first, for sessions: it is run
    /// again with more and more of the warm-up requests once more.
    fn waits_again(&self) -> Result<Vec<WaitSite>, InitError> {
        let writes = self.spec.dirs.iter().any(|dir| dir.init == AtInit::Write);
        let most = if writes { 0 } else { self.options.warm_up.len().min(MAX_MORE) };
        let mut sites = BTreeSet::new();
        for more in 1..=most {
            let rerun = Rerun::first().map_err(InitError::Random)?;
            let waiting = self.wait_after(&rerun, more);
            let waiting = waiting.map_err(|error| InitError::Again(Box::new(error)))?;
            sites.extend(waiting.frames.iter().map(WaitSite::of));
        }
        Ok(sites.into_iter().collect())
    }

    /// Runs the program until it waits.
    fn wait(&self, rerun: &Rerun) -> Result<Waiting, InitError> {
        self.wait_after(rerun, 0)
    }

    /// Runs the program until it waits, after `more` of the warm-up requests once more.
    fn wait_after(&self, rerun: &Rerun, more: usize) -> Result<Waiting, InitError> {
        let module = &self.module;
        let protocol = Protocols::default().choose(self.spec.abi.as_ref(), module);
        let protocol = protocol.map_err(InitError::Abi)?;
        let about = protocol.about();
        let entry = about.program().ok_or(InitError::NoProgram(about.guest))?;
        let inputs = inputs(protocol, self.spec, &self.options.warm_up, more)?;
        let has_inputs = !inputs.0.is_empty();
        let (mut store, instance) = self.start(protocol, inputs)?;
        store.data_mut().wasi().set_rerun(rerun.clone());
        store.record_frames(self.areas.clone());
        run(&mut store, instance, entry)?;
        check(store.data_mut().wasi(), protocol, has_inputs)?;
        let saved = store.data_mut().wasi().checkpoint()?;
        let symbols = symbols(&mut store, instance, module);
        let (frames, capture) = (store.take_frames()?, instance.capture(&mut store)?);
        let memory = module.memory_export(0).and_then(|name| instance.get_memory(&mut store, name));
        let pages = memory.and_then(|_| capture.memory_pages.first());
        let memory_bytes = pages.map(|pages| pages * WASM_PAGE as u64);
        let arguments = self.spec.guest_args(self.init.program.as_deref());
        let (checkpoint, tree) = checkpoint(saved, about.name, self.until, arguments, self.spec);
        Ok(Waiting { frames, capture, entry, checkpoint, tree, symbols, memory_bytes })
    }

    /// An instance of the program, before its entry point is called.
    fn start(
        &self,
        protocol: &dyn Protocol,
        inputs: Inputs,
    ) -> Result<(Store<State>, Instance), InitError> {
        let Program { engine, module, .. } = self;
        let mut linker = Linker::new(engine);
        wfaas_wasi::add_to_linker(&mut linker);
        Protocols::default().link(&mut linker, module);
        if let Until::Import { module: namespace, name } = self.until {
            let ty = import_type(module, namespace, name)?;
            linker.func_new(namespace, name, ty, |_, _, _| Err(Waits.into()));
        }
        let mut store = Store::new(engine, State::of_wasi(self.wasi(protocol, inputs)?));
        let time = self.init.time;
        store.set_deadline(time.and_then(|time| Instant::now().checked_add(time)));
        store.set_memory_limit(self.spec.limits.memory.map(|size| size.0));
        let instance = linker.instantiate(&mut store, module);
        Ok((store, instance.map_err(|error| failed("instantiation", error))?))
    }

    /// The world of the program until it waits.
    fn wasi(&self, protocol: &dyn Protocol, inputs: Inputs) -> Result<Wasi, InitError> {
        let files = trees_at_init(&self.module, self.spec, AllowedDirs::Any)?;
        let has_files = !files.directories().is_empty();
        let (stderr, captured) = (|| Output::stream(Box::new(Stderr)), Output::capture(MAX_OUTPUT));
        let (stdout, results) = match protocol.has_results() && !has_files {
            true => (stderr(), Some(captured)),
            false => (captured, None),
        };
        let wasi = Wasi::builder()
            .args(self.spec.guest_args(self.init.program.as_deref()))
            .envs(&self.spec.env)
            .stdin(Input::stream(Box::new(inputs)))
            .stdout(stdout)
            .stderr(stderr())
            .start_monotonic();
        let wasi = if has_files { wasi.files(Arc::new(files)) } else { wasi };
        let mut wasi = wasi.build()?;
        results.into_iter().for_each(|results| wasi.set_result(results));
        wasi.note_origins();
        Ok(wasi)
    }
}

/// The exported globals that cannot change, as linkers export the addresses of data.
fn symbols(store: &mut Store<State>, instance: Instance, module: &Module) -> Vec<Symbol> {
    let names: Vec<String> = module
        .exports()
        .filter(|(_, ty)| matches!(ty, ExternType::Global(ty) if !ty.mutable))
        .map(|(name, _)| name.to_owned())
        .collect();
    let symbol = |name: String| match instance.get_global(store, &name)?.get(store) {
        Ok(Val::I32(address)) => Some((name, u64::from(address as u32))),
        Ok(Val::I64(address)) => Some((name, address as u64)),
        _ => None,
    };
    names.into_iter().filter_map(symbol).collect()
}

/// The checkpoint of a program, and the tree that it has written, if it has.
fn checkpoint(
    saved: Saved,
    abi: &str,
    until: &Until,
    arguments: Vec<String>,
    spec: &Spec,
) -> (Checkpoint, Option<Vec<u8>>) {
    let Saved { descriptors, directories, monotonic, learned, tree } = saved;
    let until = match until {
        Until::Stdin => None,
        Until::Import { module, name } => Some((module.clone(), name.clone())),
    };
    // Nobody compares variables that the program has not read: no digest of a secret is kept for nothing.
    let has_variables = learned.has(Learned::VARIABLES);
    let variables = spec.env.iter().filter(|_| has_variables);
    let checkpoint = Checkpoint {
        abi: abi.to_owned(),
        until,
        arguments,
        variables: variables.map(|(name, value)| Variable::new(name, value)).collect(),
        directories,
        root: tree.as_ref().map_or_else(String::new, |tree| tree.name.clone()),
        descriptors,
        monotonic,
        learned,
        reseeds: Vec::new(),
    };
    (checkpoint, tree.map(|tree| tree.bundle))
}

/// Checks that requests can be told to the program, and that no output of its is lost.
fn check(wasi: &mut Wasi, protocol: &dyn Protocol, has_inputs: bool) -> Result<(), InitError> {
    if protocol.tells_by_environment() && wasi.learned().has(Learned::VARIABLES) {
        return Err(InitError::HasVariables(protocol.about().guest));
    }
    // Output up to here: answers to warm-up requests.
    let written = wasi.take_captured().len();
    if written > 0 && !has_inputs { Err(InitError::Wrote(written)) } else { Ok(()) }
}

/// Requests that the program answers before it is captured: warm-up requests, if its protocol has
/// programs that answer one after another. `more` of them come once more.
fn inputs(
    protocol: &dyn Protocol,
    spec: &Spec,
    requests: &[WarmUp],
    more: usize,
) -> Result<Inputs, InitError> {
    let mut inputs = VecDeque::new();
    for (number, request) in requests.iter().chain(&requests[..more]).enumerate() {
        let exchange = request.clone().exchange(number + 1, &spec.route());
        let mut exchange = exchange.map_err(InitError::Request)?;
        if let Some(record) = protocol.record(&mut exchange) {
            inputs.push_back(record.map_err(InitError::Record)?);
        }
    }
    Ok(Inputs(inputs))
}

/// Calls the entry point until the program waits.
fn run(store: &mut Store<State>, instance: Instance, entry: &str) -> Result<(), InitError> {
    let start = instance.get_typed_func::<(), ()>(store, entry)?;
    match start.call(store, ()) {
        Err(error) if error.downcast_ref::<Waits>().is_some() => Ok(()),
        Err(error) => Err(failed("the program", error)),
        Ok(()) => Err(InitError::NeverWaits),
    }
}

fn import_type(module: &Module, namespace: &str, name: &str) -> Result<FuncType, InitError> {
    let found = module.imports().find(|import| (import.0, import.1) == (namespace, name));
    match found {
        Some((_, _, ExternType::Func(ty))) => Ok(ty),
        _ => Err(InitError::NoImport {
            module: untrusted::name(namespace).to_string(),
            name: untrusted::name(name).to_string(),
        }),
    }
}
