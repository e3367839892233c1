//! Programs that were captured where they wait: the specification that fits them, and their descriptors.
//!
//! Such a program has read its arguments and variables, and has directories and files open. A specification that
//! says something else would be without effect, so it is refused by the name of its field; one that leaves
//! something open goes on with what the artifact knows.

use crate::invoke::InvokeError;
use crate::resolver::{GuestMemory, Resolver};
use crate::spec::{Abi, Spec, SpecError};
use crate::target::Target;
use std::sync::Arc;
use wfaas_vm::checkpoint::{Checkpoint, Learned, Reseed, Variable};
use wfaas_vm::{Module, untrusted};
use wfaas_wasi::files::Files;
use wfaas_wasi::{Restored, Wasi};

/// The export that is called first in each instance that begins with an initialised image: there a guest seeds its
/// generators anew.
pub(crate) const RESTORED: &str = "faas_restored";

/// Random bytes fetched at once, into a buffer: the kernel writes to no page that is write-protected or not there
/// yet.
const CHUNK: usize = 4096;

/// A program that was captured.
pub(crate) struct Captured {
    checkpoint: Checkpoint,
    /// The memory that has ranges to reseed, if there are any.
    memory: Option<GuestMemory>,
    /// Its descriptors, once its directories are open.
    restored: Option<Arc<Restored>>,
}

/// The directories of a captured program were never opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program was captured with directories of the host, which nobody has opened")]
struct Unopened;

/// A range to reseed is not in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range to reseed at {0:#x} is outside of the program's memory")]
struct Unseeded(u64);

impl Captured {
    /// The captured program of a module, if it is one.
    ///
    /// # Errors
    /// If the artifact is damaged.
    pub(crate) fn of(module: &Module) -> Result<Option<Captured>, wfaas_vm::Error> {
        let checkpoint = module.checkpoint()?;
        Ok(checkpoint.map(|checkpoint| Captured { checkpoint, memory: None, restored: None }))
    }

    /// A specification with all that the artifact knows.
    ///
    /// # Errors
    /// [`SpecError`] names the field that says something else.
    pub(crate) fn complete(&self, mut spec: Spec) -> Result<Spec, SpecError> {
        let Checkpoint { abi, arguments, variables, learned, .. } = &self.checkpoint;
        match &spec.abi {
            Some(other) if other.as_str() != abi => {
                let reason = format!(
                    "the program waits for a request as `{abi}` has it, and was not captured for `{}`: build it anew",
                    other.as_str()
                );
                return Err(SpecError::field("abi", reason));
            }
            _ => spec.abi = Some(Abi::new(abi.as_str())),
        }
        let arguments = arguments.get(1..).unwrap_or_default();
        if spec.args.is_empty() {
            spec.args = arguments.to_vec();
        } else if learned.has(Learned::ARGUMENTS) && spec.args != arguments {
            let reason =
                "the program has read other arguments before it was captured: build it anew";
            return Err(SpecError::field("args", reason));
        }
        if learned.has(Learned::VARIABLES) {
            check_variables(&spec, variables)?;
        }
        Ok(spec)
    }

    /// Looks up memory 0, if it has ranges to reseed.
    ///
    /// # Errors
    /// If it is not exported.
    pub(crate) fn resolve(&mut self, resolver: &mut Resolver<'_>) -> Result<(), wfaas_vm::Error> {
        if self.checkpoint.reseeds.is_empty() {
            return Ok(());
        }
        let name = resolver.module().memory_export(0).map(str::to_owned);
        self.memory = Some(resolver.memory(name.as_deref().unwrap_or("memory"))?);
        Ok(())
    }

    /// Fills the ranges to reseed of an instance with random bytes.
    ///
    /// # Errors
    /// The host has none, or the memory is smaller than it was.
    pub(crate) fn reseed(&self, target: &mut dyn Target) -> Result<(), InvokeError> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let bytes = target.memory(memory.index);
        for Reseed { address, bytes: len } in &self.checkpoint.reseeds {
            let end = address.saturating_add(*len);
            let range = usize::try_from(*address).ok().zip(usize::try_from(end).ok());
            let range = range.and_then(|(start, end)| bytes.get_mut(start..end));
            let range = range.ok_or_else(|| InvokeError::protocol(Unseeded(*address)))?;
            for chunk in range.chunks_mut(CHUNK) {
                let random = &mut [0; CHUNK][..chunk.len()];
                wfaas_wasi::fill_random(random).map_err(InvokeError::protocol)?;
                chunk.copy_from_slice(random);
            }
        }
        Ok(())
    }

    /// Takes note of the directories that instances get.
    ///
    /// # Errors
    /// [`SpecError`] names directories that are missing, and open files that have changed.
    pub(crate) fn open(&mut self, files: Option<&Files>) -> Result<(), SpecError> {
        let restored = Restored::new(&self.checkpoint, files);
        let restored = restored.map_err(|error| SpecError::field("dirs", error))?;
        self.restored = Some(Arc::new(restored));
        Ok(())
    }

    /// Gives an instance the descriptors and clocks that it goes on with.
    ///
    /// # Errors
    /// If its directories were never [opened](Captured::open).
    pub(crate) fn restore(&self, wasi: &mut Wasi) -> Result<(), InvokeError> {
        let restored = self.restored.as_ref().ok_or_else(|| InvokeError::protocol(Unopened))?;
        wasi.restore(restored);
        Ok(())
    }
}

/// Checks that no variable is another one than the program has read.
fn check_variables(spec: &Spec, variables: &[Variable]) -> Result<(), SpecError> {
    let differs =
        |(name, value): &(&String, &String)| !variables.contains(&Variable::new(name, value));
    match spec.env.iter().find(differs) {
        None => Ok(()),
        Some((name, _)) => {
            let reason = format!(
                "the program has read its variables before it was captured, and {} was not this: build it anew",
                untrusted::name(name)
            );
            Err(SpecError::field("env", reason))
        }
    }
}
