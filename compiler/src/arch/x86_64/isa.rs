//! The code generator, set up for x86-64.

use crate::{CompileError, Effort, OptLevel, Options};
use cranelift_codegen::isa::{self, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use wfaas_abi::cpu::CPU_FEATURES;

/// The code generator for functions of a usual size, and cheaper ones for others.
pub(crate) struct Generators {
    /// For functions of a usual size.
    pub(crate) usual: OwnedTargetIsa,
    /// Does not tell where blocks start.
    pub(crate) unmapped: OwnedTargetIsa,
    /// Allocates registers in one pass.
    pub(crate) linear: OwnedTargetIsa,
    /// Does both, and optimises nothing.
    pub(crate) least: OwnedTargetIsa,
}

impl Generators {
    /// The code generator for a way.
    pub(crate) fn of(&self, effort: Effort) -> &dyn TargetIsa {
        match effort {
            Effort::Usual => &*self.usual,
            Effort::Unmapped => &*self.unmapped,
            Effort::Linear => &*self.linear,
            Effort::Least | Effort::Frame => &*self.least,
        }
    }

    /// The code generators for these options.
    pub(crate) fn new(options: &Options<'_>) -> Result<Self, CompileError> {
        // Without these, rounding and shuffling would be calls of library functions.
        for needed in ["ssse3", "sse4.1"] {
            if !options.cpu.names().contains(&needed) {
                return Err(CompileError::CpuTooOld(needed));
            }
        }
        let build = |opt_level, allocator, map| {
            build_isa(options, opt_level, allocator, map)
                .map_err(|message| CompileError::Internal(format!("settings: {message}")))
        };
        let least = build("none", "single_pass", "false")?;
        if options.opt == OptLevel::Fast {
            let same = || least.clone();
            return Ok(Generators { usual: same(), unmapped: same(), linear: same(), least });
        }
        Ok(Generators {
            usual: build("speed", "backtracking", "true")?,
            unmapped: build("speed", "backtracking", "false")?,
            linear: build("speed", "single_pass", "true")?,
            least,
        })
    }
}

fn build_isa(
    options: &Options<'_>,
    opt_level: &str,
    allocator: &str,
    map: &str,
) -> Result<OwnedTargetIsa, String> {
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
        ("machine_code_cfg_info", map), // tables in the code end where blocks start
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
