//! Running programs to their end, or until they wait.

use std::time::Duration;
use wfaas_abi::artifact::{relocate_references, replace_image};
use wfaas_abi::continuation::{FrameArea, SavedFrame};
use wfaas_compiler::{
    CompileError, Continuation, Effort, OptLevel, Options, WaitSite, compile, compile_continued,
    compile_recorded,
};
use wfaas_vm::{
    Artifact, BoxError, Caller, Engine, Error, Instance, Linker, Module, Pool, Snapshot, Store, Val,
};

/// The error that ends the call of a program that waits.
#[derive(Debug, thiserror::Error)]
#[error("the program waits")]
struct Waits;

/// Calls of imports.
#[derive(Clone, Copy, Default)]
struct Calls {
    made: usize,
    wait_at: Option<usize>,
}

/// The outcome of a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its result, or how it failed.
    result: Result<i64, String>,
    trace: i64,
    memory: [u8; 64],
    /// Calls of imports, all together.
    pub(crate) calls: usize,
}

/// Host functions that answer by the number of the call and their arguments.
fn linker(engine: &Engine) -> Linker<Calls> {
    let mut linker = Linker::new(engine);
    let wait = |mut caller: Caller<'_, Calls>, argument: i32| -> Result<i32, BoxError> {
        let number = arrive(caller.data_mut())?;
        Ok(argument.wrapping_mul(31).wrapping_add(number * 7))
    };
    let wait_for =
        |mut caller: Caller<'_, Calls>, a: i64, b: f64| -> Result<(f64, i64), BoxError> {
            let number = arrive(caller.data_mut())?;
            Ok((f64::from(number) - b, a.wrapping_add(i64::from(number))))
        };
    linker.func_wrap("host", "wait", wait).func_wrap("host", "wait_for", wait_for);
    linker
}

/// The number of this call.
fn arrive(calls: &mut Calls) -> Result<i32, Waits> {
    if calls.wait_at == Some(calls.made) {
        return Err(Waits);
    }
    calls.made += 1;
    Ok(calls.made as i32)
}

fn instance(engine: &Engine, artifact: &[u8], calls: Calls) -> (Store<Calls>, Instance) {
    let module = Module::from_bytes(engine, artifact).expect("it loads");
    let mut store = Store::new(engine, calls);
    let instance = linker(engine).instantiate(&mut store, &module).expect("it is instantiated");
    (store, instance)
}

/// Runs a program, of which so many calls were made, to its end.
pub(crate) fn finish(engine: &Engine, artifact: &[u8], made: usize) -> Outcome {
    let (mut store, instance) = instance(engine, artifact, Calls { made, wait_at: None });
    outcome(&mut store, instance)
}

/// Runs an instance to its end.
fn outcome(store: &mut Store<Calls>, instance: Instance) -> Outcome {
    let run = instance.get_typed_func::<(), i64>(store, "run").expect("it is exported");
    let result = run.call(store, ()).map_err(|error| match error {
        Error::Trap(trap) => trap.code.to_string(),
        Error::Exception(_) => "an exception".to_owned(),
        error => panic!("{error}"),
    });
    let trace = instance.get_global(store, "trace").expect("it is exported").get(store);
    let Ok(Val::I64(trace)) = trace else { panic!("{trace:?}") };
    let mut memory = [0; 64];
    let exported = instance.get_memory(store, "memory").expect("it is exported");
    exported.read(store, 0, &mut memory).expect("it has a page");
    Outcome { result, trace, memory, calls: store.data().made }
}

/// The artifact of code that is not interrupted, made by the simplest of the usual ways: other tests compare these ways.
pub(crate) fn usual(text: &str) -> Vec<u8> {
    let simple =
        Options { opt: OptLevel::Fast, effort: Some(Effort::Linear), ..Options::default() };
    compile(text.as_bytes(), &simple).expect("it compiles").artifact
}

/// A program that was run until it waits.
pub(crate) struct Waiting {
    text: String,
    recorded: Vec<u8>,
    areas: Vec<FrameArea>,
    capture: wfaas_vm::Capture,
    pub(crate) continuation: Continuation,
}

impl Waiting {
    /// Runs a program until it makes call number `wait_at`.
    pub(crate) fn at(engine: &Engine, text: &str, wait_at: usize) -> Waiting {
        let compiled = compile_recorded(text.as_bytes(), &Options::default());
        let (recorded, areas) = compiled.expect("it compiles");
        let (frames, capture) = record(engine, &recorded.artifact, &areas, wait_at);
        let artifact = Artifact::parse(&recorded.artifact).expect("it is one");
        let functions = artifact.functions().iter();
        let text_offsets = functions.map(|record| record.text_offset.get()).collect();
        let export = "run".to_owned();
        let continuation = Continuation { export, frames, text_offsets, again: None };
        Waiting { text: text.to_owned(), recorded: recorded.artifact, areas, capture, continuation }
    }

    /// Has the program captured again when it makes these calls.
    pub(crate) fn waits_again(&mut self, engine: &Engine, calls: &[usize]) {
        let sites = calls.iter().flat_map(|wait_at| {
            let (frames, _) = record(engine, &self.recorded, &self.areas, *wait_at);
            frames.iter().map(WaitSite::of).collect::<Vec<_>>()
        });
        self.continuation.again = Some(sites.collect());
    }

    /// The artifact that goes on from there.
    pub(crate) fn continued(&self, options: &Options<'_>) -> Result<Vec<u8>, CompileError> {
        let compiled = compile_continued(self.text.as_bytes(), options, &self.continuation)?;
        let from = Artifact::parse(&self.recorded).expect("it is one");
        let to = Artifact::parse(&compiled.artifact).expect("it is one");
        let mut image = self.capture.image.clone();
        relocate_references(&mut image, &from, &to).expect("they are of one module");
        Ok(replace_image(&to, &image, &self.capture.memory_pages).expect("it has an image"))
    }
}

/// The frames of recorded code at call number `wait_at`, and the image there.
fn record(
    engine: &Engine,
    recorded: &[u8],
    areas: &[FrameArea],
    wait_at: usize,
) -> (Vec<SavedFrame>, wfaas_vm::Capture) {
    let calls = Calls { made: 0, wait_at: Some(wait_at) };
    let (mut store, instance) = instance(engine, recorded, calls);
    store.record_frames(areas.to_vec());
    assert!(waits(&mut store, instance), "it waits");
    let frames = store.take_frames().expect("they were recorded");
    (frames, instance.capture(&mut store).expect("it refers to nothing else"))
}

/// Runs an instance, which ends otherwise or waits.
fn waits(store: &mut Store<Calls>, instance: Instance) -> bool {
    let run = instance.get_typed_func::<(), i64>(store, "run").expect("it is exported");
    run.call(store, ()).is_err_and(|error| error.downcast_ref::<Waits>().is_some())
}

/// Runs a program, of which so many calls were made, to its end, captured again at each of `calls` and continued
/// in another faaslet. `None` if it does not wait there.
pub(crate) fn finish_in_pieces(
    engine: &Engine,
    artifact: &[u8],
    made: usize,
    calls: &[usize],
) -> Option<Outcome> {
    let module = Module::from_bytes(engine, artifact).expect("it loads");
    assert!(module.has_stack_maps());
    let pool = Pool::new(&linker(engine), &module).expect("it is initialised");
    let mut snapshot: Option<Snapshot> = None;
    let begin = |snapshot: Option<&Snapshot>, calls| {
        let faaslet = match snapshot {
            Some(snapshot) => pool.acquire_from(snapshot, calls),
            None => pool.acquire(calls),
        };
        let mut faaslet = faaslet.expect("there is memory");
        // With wrong locals a loop may have any number of rounds.
        faaslet.store().set_cpu_limit(Some(Duration::from_secs(1)));
        faaslet
    };
    let mut made = made;
    for wait_at in calls {
        let mut faaslet = begin(snapshot.as_ref(), Calls { made, wait_at: Some(*wait_at) });
        let instance = faaslet.instance();
        faaslet.store().record_again();
        if !waits(faaslet.store(), instance) {
            return None;
        }
        snapshot = Some(instance.snapshot(faaslet.store(), usize::MAX).ok()?);
        made = *wait_at;
    }
    let mut faaslet = begin(snapshot.as_ref(), Calls { made, wait_at: None });
    let instance = faaslet.instance();
    Some(outcome(faaslet.store(), instance))
}
