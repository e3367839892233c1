//! Passes over the intermediate code of a function, around the code generator's own. They know
//! what its rewriting rules and register allocator cannot: what BASE is, what an address may be,
//! and that a counter is counted on.
//!
//! Each is a file and can be switched off by name. The order is that of [`compile`].

mod base_remat;
mod iv_widening;
mod lftr;
mod reassociate;
mod redundant_phis;
mod tail_dup;
mod unroll;
mod wide_mul;

use crate::CompileError;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{CodegenError, CompiledCode, Context};

/// A set of passes.
///
/// ```
/// use wfaas_compiler::Passes;
///
/// assert!(Passes::ALL.without("base").is_ok());
/// assert!(Passes::ALL.without("magic").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passes(u16);

/// A pass by its place in the list of names.
#[derive(Clone, Copy)]
enum Pass {
    Params,
    Products,
    Base,
    Addresses,
    Counters,
    Extended,
    Returns,
    Relax,
    Inline,
    Unroll,
}

const NAMES: &[&str] = &[
    "params",
    "products",
    "base",
    "addresses",
    "counters",
    "extended",
    "returns",
    "relax",
    "inline",
    "unroll",
];

impl Passes {
    /// All of them.
    pub const ALL: Passes = Passes((1 << NAMES.len()) - 1);

    /// None of them.
    pub const NONE: Passes = Passes(0);

    /// The names of all of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().copied()
    }

    /// The set without a pass.
    ///
    /// # Errors
    /// [`CompileError::UnknownPass`] with the names that are known.
    pub fn without(self, name: &str) -> Result<Passes, CompileError> {
        match NAMES.iter().position(|known| *known == name) {
            Some(index) => Ok(Passes(self.0 & !(1 << index))),
            None => {
                Err(CompileError::UnknownPass { name: name.to_owned(), known: NAMES.join(", ") })
            }
        }
    }

    /// Whether calls are inlined, which is done before any other pass.
    pub(crate) fn inlines(self) -> bool {
        self.contains(Pass::Inline)
    }

    /// Whether machine code is laid out anew.
    pub(crate) fn relaxes(self) -> bool {
        self.contains(Pass::Relax)
    }

    fn contains(self, pass: Pass) -> bool {
        self.0 & (1 << pass as u8) != 0
    }
}

/// Optimises and compiles the function in `context`.
pub(crate) fn compile(
    context: &mut Context,
    registers: &mut regalloc2::Ctx,
    isa: &dyn TargetIsa,
    passes: Passes,
) -> Result<CompiledCode, CodegenError> {
    context.verify_if(isa)?;
    if passes.contains(Pass::Params) {
        context.flowgraph();
        context.eliminate_unreachable_code(isa)?;
        redundant_phis::run(&mut context.func);
    }
    if passes.contains(Pass::Products) {
        wide_mul::run(&mut context.func);
    }
    let base = passes.contains(Pass::Base).then(|| base_remat::merge(&mut context.func)).flatten();
    if passes.contains(Pass::Addresses) {
        context.flowgraph();
        context.eliminate_unreachable_code(isa)?;
        context.remove_constant_phis(isa)?;
        context.compute_loop_analysis();
        reassociate::run(context);
        context.verify_if(isa)?;
    }
    if passes.contains(Pass::Unroll) {
        unroll::run(context);
        context.verify_if(isa)?;
    }
    context.optimize(isa, &mut ControlPlane::default())?;
    if passes != Passes::NONE {
        // Branches may have become jumps.
        context.flowgraph();
        context.eliminate_unreachable_code(isa)?;
        context.compute_loop_analysis();
    }
    if passes.contains(Pass::Counters) {
        lftr::run(&mut context.func);
    }
    if passes.contains(Pass::Extended) {
        iv_widening::run(context);
    }
    if let Some(base) = base {
        base_remat::spread(context, base);
    }
    if passes.contains(Pass::Returns) {
        tail_dup::run(&mut context.func);
    }
    // The order of blocks is that of the dominator tree's traversal.
    context.flowgraph();
    context.eliminate_unreachable_code(isa)?;
    context.verify_if(isa)?;
    let stencil = isa.compile_function(
        &context.func,
        &context.domtree,
        registers,
        context.want_disasm,
        &mut ControlPlane::default(),
    )?;
    Ok(stencil.apply_params(&context.func.params))
}
