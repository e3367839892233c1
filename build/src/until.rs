//! Programs that wait: runs a program until it waits for its first request, and makes the artifact that
//! goes on from there.
//!
//! The module is compiled twice: to code of which the frames can be recorded, which runs once, here; and
//! to the code that instances run, which has twins for the functions that were under way.

use crate::component::Core;
use crate::init::{InitError, failed};
use crate::{BuildError, Options, Progress, WarmUp, with_bundle};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_abi::artifact::{relocate_references, replace_image};
use wfaas_abi::untrusted;
use wfaas_compiler::{Continuation, compile_continued, compile_recorded};
use wfaas_function::{Protocol, Protocols, Spec, State};
use wfaas_vm::{Artifact, BoxError, Engine, ExternType, FuncType, Linker, Module, Store};
use wfaas_wasi::{ByteStream, HasWasi, Input, Output, Wasi};

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

/// The artifact of a program that goes on where it waits.
pub(crate) fn build(
    core: &Core<'_>,
    spec: &Spec,
    options: &Options,
    until: &Until,
    progress: &dyn Progress,
) -> Result<Vec<u8>, BuildError> {
    let compiled = |done, total| progress.compiled(done, total);
    let compile = wfaas_compiler::Options {
        component: &core.bindings,
        progress: Some(&compiled),
        ..options.compile
    };
    let (recorded, areas) = compile_recorded(&core.module, &compile)?;
    let recorded = with_bundle(recorded.artifact, options)?;
    let from = Artifact::parse(&recorded).map_err(wfaas_vm::Error::from)?;
    let engine = Engine::new(wfaas_vm::Config::default())?;
    let loaded = Module::from_bytes(&engine, &recorded).map_err(InitError::from)?;
    let protocol =
        Protocols::default().choose(spec.abi.as_ref(), &loaded).map_err(InitError::Abi)?;
    let entry = protocol.about().program().ok_or(InitError::NoProgram(protocol.about().guest))?;
    let inputs = inputs(protocol, spec, &options.warm_up)?;
    let has_inputs = !inputs.0.is_empty();
    let (mut store, instance) = start(&engine, &loaded, spec, options, until, inputs)?;
    store.record_frames(areas);
    run(&mut store, instance, entry)?;
    // What was written before are the answers to warm-up requests.
    let written = store.data_mut().wasi().take_captured();
    if !has_inputs && !written.is_empty() {
        return Err(InitError::Wrote(written.len()).into());
    }
    let frames = store.take_frames().map_err(InitError::from)?;
    let mut capture = instance.capture(&mut store).map_err(InitError::from)?;
    let text_offsets = from.functions().iter().map(|record| record.text_offset.get()).collect();
    let continuation = Continuation { export: entry.to_owned(), frames, text_offsets };
    let continued = compile_continued(&core.module, &compile, &continuation)?;
    let continued = with_bundle(continued.artifact, options)?;
    let to = Artifact::parse(&continued).map_err(wfaas_vm::Error::from)?;
    relocate_references(&mut capture.image, &from, &to).map_err(wfaas_vm::Error::from)?;
    let artifact = replace_image(&to, &capture.image, &capture.memory_pages);
    Ok(artifact.map_err(wfaas_vm::Error::from)?)
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
        .files(Arc::new(wfaas_function::trees(module, spec)))
        .stdin(Input::stream(Box::new(inputs)))
        .stdout(Output::capture(MAX_OUTPUT))
        .stderr(Output::process_stderr())
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
        Err(error) if error.downcast_ref::<Waits>().is_some() => {}
        Err(error) => return Err(failed("the program", error)),
        Ok(()) => return Err(InitError::NeverWaits),
    }
    let wasi = store.data_mut().wasi();
    match wasi.first_changed_descriptor() {
        Some((fd, change)) => Err(InitError::Descriptor { fd, change }),
        None => Ok(()),
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
