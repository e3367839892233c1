//! The code generator, set up for x86-64.

use crate::{CompileError, OptLevel, Options};
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use wfaas_abi::cpu::CPU_FEATURES;

/// How registers are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allocator {
    /// Well: for functions of a usual size.
    Thorough,
    /// In time proportional to the function.
    Linear,
}

/// The code generator for these options.
pub(crate) fn generator(
    options: &Options<'_>,
    allocator: Allocator,
) -> Result<OwnedTargetIsa, CompileError> {
    // Without these, rounding and shuffling would be calls of library functions.
    for needed in ["ssse3", "sse4.1"] {
        if !options.cpu.names().contains(&needed) {
            return Err(CompileError::CpuTooOld(needed));
        }
    }
    build_isa(options, allocator)
        .map_err(|message| CompileError::Internal(format!("settings: {message}")))
}

fn build_isa(options: &Options<'_>, allocator: Allocator) -> Result<OwnedTargetIsa, String> {
    let allocator = match allocator {
        Allocator::Thorough => "backtracking",
        Allocator::Linear => "single_pass",
    };
    let opt_level = match options.opt {
        OptLevel::Speed => "speed",
        OptLevel::Fast => "none",
    };
    let mut shared = settings::builder();
    for (name, value) in [
        ("opt_level", opt_level),
        ("regalloc_algorithm", allocator),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("enable_alias_analysis", "true"),
        // This is about reaching symbols through a global offset table; there is none. With all
        // pieces colocated, the code is position independent all the same.
        ("is_pic", "false"),
        ("enable_pinned_reg", "true"),       // BASE lives there
        ("preserve_frame_pointers", "true"), // backtraces follow them
        ("unwind_info", "true"),
        ("machine_code_cfg_info", "true"), // tables in the code end where blocks start
        ("enable_multi_ret_implicit_sret", "true"),
        ("enable_probestack", "true"), // a large frame must not jump over the guard page
        ("probestack_strategy", "inline"),
        ("probestack_size_log2", "12"),
        ("enable_table_access_spectre_mitigation", "true"),
    ] {
        shared.set(name, value).map_err(|error| format!("{name}: {error}"))?;
    }
    let mut builder = isa::lookup_by_name("x86_64-unknown-linux").map_err(|e| e.to_string())?;
    for (_, bit, setting) in CPU_FEATURES {
        let value = if options.cpu.0 & bit != 0 { "true" } else { "false" };
        builder.set(setting, value).map_err(|error| format!("{setting}: {error}"))?;
    }
    builder.finish(settings::Flags::new(shared)).map_err(|error| error.to_string())
}
