//! Components: the core module that is compiled in place of one.

use crate::{BuildError, Options};
use std::borrow::Cow;
use std::collections::BTreeMap;
use wfaas_abi::component::Bindings;
use wfaas_component::{Fused, fuse, is_component};
use wfaas_function::protocols::component::missing_imports;

/// The core module that is compiled for `module`, a module or a component as a binary or as text.
///
/// # Errors
/// [`BuildError::Component`] or [`BuildError::Compile`] if there is none.
pub fn core_module(module: &[u8]) -> Result<Cow<'_, [u8]>, BuildError> {
    Core::of(module).map(|core| core.module)
}

/// A core module to compile, and the section of the artifact that says how it speaks with its host.
pub(crate) struct Core<'a> {
    /// The bytes of the module.
    pub(crate) module: Cow<'a, [u8]>,
    /// The bytes of the section; empty if the module was none of a component.
    pub(crate) bindings: Vec<u8>,
    /// Functions that it imports, and that no instance is given.
    missing: Vec<String>,
}

impl<'a> Core<'a> {
    /// `module` itself, given as a binary or as text, or the fused module if it is a component.
    pub(crate) fn of(module: &'a [u8]) -> Result<Core<'a>, BuildError> {
        let module = wfaas_compiler::binary(module)?;
        if !is_component(&module) {
            return Ok(Core { module, bindings: Vec::new(), missing: Vec::new() });
        }
        let Fused { module, bindings } = fuse(&module)?;
        let missing = missing_imports(&bindings);
        let bindings =
            Bindings::encode(&bindings).map_err(wfaas_component::ComponentError::from)?;
        Ok(Core { module: module.into(), bindings, missing })
    }

    /// A sentence about imports that no instance is given.
    pub(crate) fn note(&self) -> Option<String> {
        let mut interfaces: BTreeMap<&str, u32> = BTreeMap::new();
        for name in &self.missing {
            let interface = name.split(' ').next().unwrap_or_default();
            *interfaces.entry(interface).or_default() += 1;
        }
        let counted = interfaces.iter().map(|(name, functions)| format!("{name} ({functions})"));
        let all = counted.collect::<Vec<_>>().join(", ");
        let note =
            "functions that are not supported, a call ends the instance (`inspect` lists them)";
        (!all.is_empty()).then(|| format!("{note}: {all}"))
    }

    /// Options of the compiler.
    pub(crate) fn compiler_options<'b>(
        &'b self,
        options: &'b Options,
        progress: &'b wfaas_compiler::Progress<'b>,
    ) -> wfaas_compiler::Options<'b> {
        wfaas_compiler::Options {
            component: &self.bindings,
            progress: Some(progress),
            ..options.compile
        }
    }
}
