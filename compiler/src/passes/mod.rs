//! Passes over the intermediate code of a function, around the code generator's own. They know
//! facts that its rewriting rules and register allocator cannot: that BASE is one value, how far an
//! address goes, that an induction variable is stepped on.
//!
//! Each is a file, and a [switch](crate::switches::Pass). The order is that of [`optimise`].

mod base_remat;
mod bswap;
mod effort;
mod fault_positions;
mod iv_widening;
mod jump_threading;
mod lftr;
mod reassociate;
mod redundant_phis;
mod source_order;
mod switch_lowering;
mod tail_dup;
mod unroll;
mod wide_mul;
mod zext_in_reg;
mod zext_load;

use crate::Effort;
use crate::arch::x86_64::isa::Generators;
use crate::bounds::remove_unused;
use crate::emit::Storage;
use crate::switches::{Pass, Passes};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::settings::OptLevel;
use cranelift_codegen::{CodegenError, CompiledCode, Context};

/// Optimises and compiles the function in `context`, in this way or one that fits its size. `None`
/// if it has to be translated anew, to [`Storage::Frame`]. With the way that was taken.
pub(crate) fn compile(
    context: &mut Context,
    registers: &mut regalloc2::Ctx,
    isas: &Generators,
    passes: Passes,
    storage: Storage,
    effort: Option<Effort>,
) -> Result<Option<(CompiledCode, Effort)>, CodegenError> {
    let fixed = if storage == Storage::Frame { Some(Effort::Frame) } else { effort };
    if passes.contains(Pass::SwitchLowering) {
        switch_lowering::run(&mut context.func);
    }
    if passes.contains(Pass::TailDup) {
        tail_dup::run(&mut context.func);
    }
    context.flowgraph();
    let effort = fixed.unwrap_or_else(|| effort::before(context, isas));
    if effort == Effort::Frame && storage != Storage::Frame {
        return Ok(None);
    }
    let passes = match effort {
        Effort::Usual | Effort::Unmapped => passes,
        Effort::Linear | Effort::Least | Effort::Frame => Passes::NONE,
    };
    let isa = isas.of(effort);
    optimise(context, isa, passes)?;
    if jump_threading::run(context) {
        reach(context, isa)?;
        context.verify_if(isa)?;
    }
    let effort = fixed.unwrap_or_else(|| effort::after(context, effort));
    if effort == Effort::Frame && storage != Storage::Frame {
        return Ok(None);
    }
    fault_positions::run(&mut context.func);
    let stencil = isas.of(effort).compile_function(
        &context.func,
        &context.domtree,
        registers,
        context.want_disasm,
        &mut ControlPlane::default(),
    )?;
    Ok(Some((stencil.apply_params(&context.func.params), effort)))
}

/// Runs these passes and the code generator's own. The flow of control in the context is the function's,
/// before and afterwards: it is computed anew only after a pass that has changed it.
fn optimise(
    context: &mut Context,
    isa: &dyn TargetIsa,
    passes: Passes,
) -> Result<(), CodegenError> {
    context.verify_if(isa)?;
    context.eliminate_unreachable_code(isa)?;
    remove_phis(context, isa, passes)?;
    if passes.contains(Pass::WideMul) {
        wide_mul::run(&mut context.func);
    }
    if passes.contains(Pass::Bswap) {
        bswap::run(&mut context.func);
    }
    let base =
        passes.contains(Pass::BaseRemat).then(|| base_remat::merge(&mut context.func)).flatten();
    let mut has_new_phis = false;
    if passes.contains(Pass::Reassociate) || passes.contains(Pass::Unroll) {
        context.compute_loop_analysis();
    }
    if passes.contains(Pass::Reassociate) {
        has_new_phis |= reassociate::run(context);
        context.verify_if(isa)?;
    }
    if passes.contains(Pass::Unroll) {
        has_new_phis |= unroll::run(context);
        context.verify_if(isa)?;
    }
    if has_new_phis {
        remove_phis(context, isa, passes)?;
    }
    if passes.contains(Pass::ZextLoad) {
        zext_load::run(&mut context.func);
        context.verify_if(isa)?;
    }
    let source = passes.contains(Pass::SourceOrder).then(|| source_order::note(&context.func));
    rewrite(context, isa)?;
    if passes == Passes::NONE {
        return Ok(());
    }
    context.compute_loop_analysis();
    if passes.contains(Pass::Lftr) {
        lftr::run(context);
    }
    if passes.contains(Pass::IvWidening) {
        iv_widening::run(context);
    }
    if passes.contains(Pass::ZextInReg) {
        zext_in_reg::run(&mut context.func);
    }
    if let Some(source) = source {
        source_order::restore(&mut context.func, &source);
    }
    if let Some(base) = base {
        base_remat::spread(context, base);
    }
    context.verify_if(isa)
}

/// Removes parameters of blocks that always are the same value, with our own pass or the code generator's.
fn remove_phis(
    context: &mut Context,
    isa: &dyn TargetIsa,
    passes: Passes,
) -> Result<(), CodegenError> {
    if !passes.contains(Pass::RedundantPhis) {
        return context.remove_constant_phis(isa);
    }
    redundant_phis::run(&mut context.func);
    context.verify_if(isa)
}

/// The rest of the code generator's own passes, as [`Context::optimize`] has them.
fn rewrite(context: &mut Context, isa: &dyn TargetIsa) -> Result<(), CodegenError> {
    context.func.dfg.resolve_all_aliases();
    if isa.flags().opt_level() != OptLevel::None {
        context.egraph_pass(isa, &mut ControlPlane::default())?;
        // Branches may have become jumps.
        context.eliminate_unreachable_code(isa)?;
    }
    Ok(())
}

/// Removes parameters of blocks that always are the same value, in a function just translated: they hide the
/// induction variables that checks of bounds are proved unnecessary by.
pub(crate) fn remove_redundant_phis(func: &mut Function) {
    redundant_phis::run(func);
}

/// Makes products of 128 bits one instruction, in a function whose size is measured before it is
/// inlined. The rest of what they were written with is removed.
pub(crate) fn shrink(func: &mut Function) {
    if wide_mul::run(func) {
        remove_unused(func);
    }
}

/// Computes the flow of control anew, and removes code that it does not reach.
pub(crate) fn reach(context: &mut Context, isa: &dyn TargetIsa) -> Result<(), CodegenError> {
    context.flowgraph();
    context.eliminate_unreachable_code(isa)
}
