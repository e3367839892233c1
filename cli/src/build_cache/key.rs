//! The key of a build: a hash of all that the result depends on.

use crate::identity::Identity;
use wfaas_abi::artifact::FORMAT_VERSION;
use wfaas_build::{Options, Spec};

/// Tells hashes of this kind from others; the number changes with the form of entries or keys.
const CONTEXT: &str = "wfaas 2026 build cache 3";

/// This program: its version, and the identity of its file, since versions of a checkout have one
/// number. `None` if it cannot be told.
pub(super) fn program() -> Option<String> {
    let file = Identity::of_program()?;
    Some(format!("{} {FORMAT_VERSION} {file:?}", env!("CARGO_PKG_VERSION")))
}

/// The key, as the name of a file. Everything is taken apart, so that a new option does not compile until it
/// is in here.
pub(super) fn of(program: &str, module: &[u8], spec: &Spec, options: &Options) -> String {
    let Options { compile, bundle, init, warm_up } = options;
    let wfaas_compiler::Options {
        opt,
        cpu,
        proposals,
        bounds,
        elide,
        verify_bounds,
        passes,
        effort,
        component: _,  // made from the module
        checkpoint: _, // made while it runs
        progress: _,
    } = compile;
    let compile = format!(
        "{opt:?} {cpu:?} {proposals:?} {bounds:?} {elide:?} {verify_bounds} {passes:?} {effort:?}"
    );
    let (init, warm_up) = (format!("{init:?}"), format!("{warm_up:?}"));
    let mut hash = blake3::Hasher::new_derive_key(CONTEXT);
    for part in [program, &compile, &init, &warm_up, &spec.to_json()] {
        add(&mut hash, part.as_bytes());
    }
    add(&mut hash, module);
    add(&mut hash, bundle.as_deref().unwrap_or_default());
    hash.finalize().to_hex().to_string()
}

/// Adds a part, which its length divides from the next one.
fn add(hash: &mut blake3::Hasher, part: &[u8]) {
    hash.update(&(part.len() as u64).to_le_bytes());
    hash.update(part);
}
