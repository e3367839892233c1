//! Programs that wait: runs a program until it waits for its first request, and makes the artifact that
//! goes on from there.
//!
//! The module is compiled twice: to code of which the frames can be recorded, which runs once, here; and
//! to the code that instances run, which has twins for the functions that were under way.

use crate::component::Core;
use crate::init::{InitError, failed};
use crate::{BuildError, Options, Progress, WarmUp, with_bundle};
use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_abi::artifact::{relocate_references, replace_image};
use wfaas_abi::continuation::{FrameArea, SavedFrame};
use wfaas_abi::untrusted;
use wfaas_compiler::{Continuation, compile_continued, compile_recorded};
use wfaas_function::{AllowedDirs, Protocol, Protocols, Spec, State, trees_at_init};
use wfaas_vm::{Artifact, BoxError, Capture, Engine, ExternType, FuncType, Linker, Module, Store};
use wfaas_wasi::{ByteSink, ByteStream, HasWasi, Input, Output, Wasi};

/// Most bytes of the answers to inputs that come before the wait.
const MAX_OUTPUT: u64 = 16 << 20;

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

/// A program where it waits.
struct Waiting {
    frames: Vec<SavedFrame>,
    capture: Capture,
    /// The export that was called.
    entry: &'static str,
}

/// The artifact of a program that goes on where it waits.
pub(crate) fn build(
    core: &Core<'_>,
    spec: &Spec,
    options: &Options,
    until: &Until,
    progress: &dyn Progress,
) -> Result<Vec<u8>, BuildError> {
    let compiled = |done, total| progress.compiled(done, total);
    let compile = core.compiler_options(options, &compiled);
    let (recorded, areas) = compile_recorded(&core.module, &compile)?;
    let recorded = with_bundle(recorded.artifact, options)?;
    let Waiting { frames, mut capture, entry } = wait(&recorded, areas, spec, options, until)?;
    let from = Artifact::parse(&recorded).map_err(wfaas_vm::Error::from)?;
    let text_offsets = from.functions().iter().map(|record| record.text_offset.get()).collect();
    let continuation = Continuation { export: entry.to_owned(), frames, text_offsets };
    let continued = compile_continued(&core.module, &compile, &continuation)?;
    let continued = with_bundle(continued.artifact, options)?;
    let to = Artifact::parse(&continued).map_err(wfaas_vm::Error::from)?;
    relocate_references(&mut capture.image, &from, &to).map_err(wfaas_vm::Error::from)?;
    let artifact = replace_image(&to, &capture.image, &capture.memory_pages);
    Ok(artifact.map_err(wfaas_vm::Error::from)?)
}

/// Runs the program of a recorded artifact until it waits.
fn wait(
    recorded: &[u8],
    areas: Vec<FrameArea>,
    spec: &Spec,
    options: &Options,
    until: &Until,
) -> Result<Waiting, InitError> {
    let engine = Engine::new(wfaas_vm::Config::default())?;
    let module = Module::from_bytes(&engine, recorded)?;
    let protocol = Protocols::default().choose(spec.abi.as_ref(), &module);
    let protocol = protocol.map_err(InitError::Abi)?;
    let entry = protocol.about().program().ok_or(InitError::NoProgram(protocol.about().guest))?;
    let inputs = inputs(protocol, spec, &options.warm_up)?;
    let has_inputs = !inputs.0.is_empty();
    let (mut store, instance) = start(&engine, &module, spec, options, until, inputs)?;
    store.record_frames(areas);
    run(&mut store, instance, entry)?;
    check(store.data_mut().wasi(), protocol, has_inputs)?;
    let (frames, capture) = (store.take_frames()?, instance.capture(&mut store)?);
    Ok(Waiting { frames, capture, entry })
}

/// Checks that a request finds all that the program has outside of its memory.
fn check(wasi: &mut Wasi, protocol: &dyn Protocol, has_inputs: bool) -> Result<(), InitError> {
    if let Some((fd, change)) = wasi.first_changed_descriptor() {
        return Err(InitError::Descriptor { fd, change });
    }
    if protocol.tells_by_environment() && wasi.gave_variables() {
        return Err(InitError::HasVariables(protocol.about().guest));
    }
    // Output up to here: answers to warm-up requests.
    let written = wasi.take_captured().len();
    if written > 0 && !has_inputs { Err(InitError::Wrote(written)) } else { Ok(()) }
}

/// An instance of the program, before its entry point is called.
fn start(
    engine: &Engine,
    module: &Module,
    spec: &Spec,
    options: &Options,
    until: &Until,
    inputs: Inputs,
) -> Result<(Store<State>, wfaas_vm::Instance), InitError> {
    let mut linker = Linker::new(engine);
    wfaas_wasi::add_to_linker(&mut linker);
    Protocols::default().link(&mut linker, module);
    if let Until::Import { module: namespace, name } = until {
        let ty = import_type(module, namespace, name)?;
        linker.func_new(namespace, name, ty, |_, _, _| Err(Waits.into()));
    }
    let init = options.init.clone().unwrap_or_default();
    let wasi = Wasi::builder()
        .args(spec.guest_args(init.program.as_deref()))
        .envs(&spec.env)
        .files(Arc::new(trees_at_init(module, spec, AllowedDirs::Any)?))
        .stdin(Input::stream(Box::new(inputs)))
        .stdout(Output::capture(MAX_OUTPUT))
        .stderr(Output::stream(Box::new(Stderr)))
        .start_monotonic();
    let mut store = Store::new(engine, State::of_wasi(wasi.build()?));
    store.set_deadline(init.time.and_then(|time| Instant::now().checked_add(time)));
    store.set_memory_limit(spec.limits.memory.map(|size| size.0));
    let instance = linker.instantiate(&mut store, module);
    Ok((store, instance.map_err(|error| failed("instantiation", error))?))
}

/// Requests that the program answers before it is captured: warm-up requests, if its protocol has
/// programs that answer one after another.
fn inputs(protocol: &dyn Protocol, spec: &Spec, requests: &[WarmUp]) -> Result<Inputs, InitError> {
    let mut inputs = VecDeque::new();
    for (number, request) in requests.iter().enumerate() {
        let exchange = request.clone().exchange(number + 1, &spec.route());
        let mut exchange = exchange.map_err(InitError::Request)?;
        if let Some(record) = protocol.record(&mut exchange) {
            inputs.push_back(record.map_err(InitError::Record)?);
        }
    }
    Ok(Inputs(inputs))
}

/// Calls the entry point until the program waits.
fn run(
    store: &mut Store<State>,
    instance: wfaas_vm::Instance,
    entry: &str,
) -> Result<(), InitError> {
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
