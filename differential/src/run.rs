//! All properties of one module.

use crate::build::Build;
use crate::exports::Exports;
use crate::generate::{self, Choice, Generated};
use crate::ours::Loaded;
use crate::{compare, restore};
use std::panic::{AssertUnwindSafe, catch_unwind};
use wfaas_compiler::CompileError;

/// How far a property could be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Agreed,
    /// Somebody does not take the module, for a limit or a proposal.
    Refused(String),
    /// Somebody ran out of something; engines may differ in that.
    Inconclusive(String),
    /// The property says nothing of this module.
    NotApplicable,
}

/// What is known of a module in which nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// wfaas = peer.
    pub peer: Verdict,
    /// Restored = fresh.
    pub restore: Verdict,
    /// Calls of the seed.
    pub calls: usize,
    /// Those that returned, wfaas and peer alike.
    pub returned: usize,
}

/// What is wrong, and with which module.
#[derive(Debug, Clone)]
pub struct Disagreement {
    /// What differs, or what panicked.
    pub what: String,
    /// How the module was compiled.
    pub build: Build,
    /// The module.
    pub wasm: Vec<u8>,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (module of {} bytes, {})", self.what, self.wasm.len(), self.build)
    }
}

impl std::error::Error for Disagreement {}

/// Checks the module and the calls of `seed`.
///
/// # Errors
/// What does not hold.
pub fn run_seed(seed: u64, choice: &Choice) -> Result<Outcome, Disagreement> {
    run(generate::module(seed, choice), seed, choice)
}

/// Checks the module that `bytes` describe.
///
/// # Errors
/// What does not hold.
pub fn run_bytes(bytes: &[u8], choice: &Choice) -> Result<Outcome, Disagreement> {
    let seed = seed_of(bytes);
    run(generate::from_bytes(bytes, seed, choice), seed, choice)
}

/// Checks the module that `bytes` describe, without the peer.
///
/// # Errors
/// What does not hold.
pub fn restore_bytes(bytes: &[u8], choice: &Choice) -> Result<Outcome, Disagreement> {
    let seed = seed_of(bytes);
    let generated = generate::from_bytes(bytes, seed, choice);
    run(generated.map(|generated| Generated { peer: false, ..generated }), seed, choice)
}

/// A number that depends on all the bytes.
fn seed_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |seed, byte| seed.rotate_left(7) ^ u64::from(*byte))
}

fn run(generated: Option<Generated>, seed: u64, choice: &Choice) -> Result<Outcome, Disagreement> {
    match generated {
        Some(Generated { wasm, peer }) => run_module(&wasm, seed, peer, choice),
        None => {
            let nothing = Verdict::Refused("by the generator".into());
            Ok(Outcome { peer: nothing.clone(), restore: nothing, calls: 0, returned: 0 })
        }
    }
}

/// Checks a binary module with the calls of `seed`, compiled in the way that `seed` chooses;
/// against the peer if `peer`.
///
/// # Errors
/// What does not hold; a panic too.
pub fn run_module(
    wasm: &[u8],
    seed: u64,
    peer: bool,
    choice: &Choice,
) -> Result<Outcome, Disagreement> {
    let build = Build::of(seed, choice);
    let checked = catch_unwind(AssertUnwindSafe(|| check(wasm, seed, peer, build)));
    let result = checked.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("without a message")))
    });
    result.map_err(|what| Disagreement { what, build, wasm: wasm.to_vec() })
}

fn check(wasm: &[u8], seed: u64, peer: bool, build: Build) -> Result<Outcome, String> {
    let exports = Exports::of(wasm).map_err(|error| format!("not a valid module: {error}"))?;
    let calls = exports.calls(seed);
    let compiled = match wfaas_compiler::compile(wasm, &build.options()) {
        Ok(compiled) => compiled,
        Err(error) => return refused(&error),
    };
    let module = Loaded::new(&compiled.artifact, build);
    let module = module.map_err(|error| format!("loading: {error}"))?;
    let mut returned = 0;
    let peer = match peer {
        true => compare::with_peer(&module, wasm, &exports, &calls, &mut returned)?,
        false => Verdict::NotApplicable,
    };
    let restore = restore::with_fresh(&module, &exports, &calls, seed)?;
    Ok(Outcome { peer, restore, calls: calls.len(), returned })
}

/// Valid modules may be refused for what they need, never for being invalid.
fn refused(error: &CompileError) -> Result<Outcome, String> {
    match error {
        CompileError::Unsupported { .. }
        | CompileError::TooLarge { .. }
        | CompileError::TooComplex { .. }
        | CompileError::State(_) => {
            let verdict = Verdict::Refused(error.to_string());
            Ok(Outcome { peer: verdict.clone(), restore: verdict, calls: 0, returned: 0 })
        }
        _ => Err(format!("compiling: {error}")),
    }
}
