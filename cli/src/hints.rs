//! What to do about an error of a library. Those know nothing of commands and options.

use std::error::Error;
use wfaas_abi::ArtifactError;
use wfaas_build::{InitError, WarmUpError};
use wfaas_compiler::CompileError;
use wfaas_function::FunctionError;
use wfaas_function::run::RunError;
use wfaas_gateway::DeployError;

/// A hint for an error, or for what it consists of.
pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(CompileError::Disabled { name, .. }) = error.downcast_ref() {
        return Some(format!("`--disable {name}` refuses it"));
    }
    if let Some(ArtifactError::CpuFeatures(_)) = error.downcast_ref() {
        return Some("build it for this machine, with `--cpu native`".to_owned());
    }
    if let Some(error) = error.downcast_ref::<wfaas_vm::Error>() {
        return of_vm(error);
    }
    if let Some(error) = error.downcast_ref::<FunctionError>() {
        return of_function(error);
    }
    match error.downcast_ref::<DeployError>() {
        Some(DeployError::Function(error)) => return of_function(error),
        Some(DeployError::Artifact(error)) => return of(error),
        _ => {}
    }
    match error.downcast_ref::<RunError>() {
        Some(RunError::NothingToRun { .. }) => {
            return Some("call one of its exports with `--invoke`".to_owned());
        }
        Some(RunError::Vm(error)) => return of_vm(error),
        _ => {}
    }
    match error.downcast_ref::<InitError>() {
        Some(InitError::Vm(error)) => return of_vm(error),
        Some(InitError::Artifact(error)) => return of(error),
        Some(InitError::Lost { export, .. }) => {
            let hint =
                format!("`build --no-init` makes it all the same; nothing calls {export:?} then");
            return Some(hint);
        }
        _ => {}
    }
    match error.downcast_ref::<WarmUpError>() {
        Some(WarmUpError::Vm(error)) => of_vm(error),
        Some(WarmUpError::Function(error)) => of_function(error),
        Some(WarmUpError::Artifact(error)) => of(error),
        _ => None,
    }
}

fn of_function(error: &FunctionError) -> Option<String> {
    match error {
        FunctionError::NotInitialised => {
            let hint = "build it without `--no-init`; `build` has a note if there can be no image";
            Some(hint.to_owned())
        }
        FunctionError::Vm(error) => of_vm(error),
        _ => None,
    }
}

fn of_vm(error: &wfaas_vm::Error) -> Option<String> {
    match error {
        wfaas_vm::Error::Artifact(error) => of(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_inside_of_others_has_its_hint() {
        let missing = || ArtifactError::CpuFeatures("avx512f".to_owned());
        let vm = || wfaas_vm::Error::Artifact(missing());
        for error in [
            Box::new(missing()) as Box<dyn Error>,
            Box::new(vm()),
            Box::new(FunctionError::Vm(vm())),
            Box::new(RunError::Vm(vm())),
            Box::new(InitError::Vm(vm())),
            Box::new(WarmUpError::Function(FunctionError::Vm(vm()))),
            Box::new(DeployError::Function(FunctionError::Vm(vm()))),
        ] {
            assert!(of(&*error).is_some_and(|hint| hint.contains("--cpu")), "{error}");
        }
        let lost = InitError::Lost { export: "prepare".into(), reason: String::new() };
        for error in [Box::new(FunctionError::NotInitialised) as Box<dyn Error>, Box::new(lost)] {
            assert!(of(&*error).is_some_and(|hint| hint.contains("--no-init")), "{error}");
        }
        assert_eq!(of(&ArtifactError::ContentHash), None);
    }
}
