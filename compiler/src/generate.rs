//! Generating code: guest functions in parallel, then the thunks and stubs that they refer to.

use crate::arch::x86_64::collect::collect;
use crate::arch::x86_64::isa::Generators;
use crate::arch::x86_64::relax;
use crate::bounds::{self, Policy};
use crate::code::Code;
use crate::emit::builder::CodeBuilder;
use crate::emit::{self, thunk};
use crate::front::index::TypeIndex;
use crate::front::layout::Layout;
use crate::front::module::Module;
use crate::front::names;
use crate::front::parse::Body;
use crate::inline::{self, Callee, Callees, Positions};
use crate::switches::{Pass, Passes};
use crate::symbol::Symbol;
use crate::{CompileError, OptLevel, Options, passes};
use cranelift_codegen::ir::{Function, UserFuncName};
use cranelift_codegen::{CompiledCode, Context};
use cranelift_frontend::FunctionBuilderContext;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use wasmparser::FuncValidatorAllocations;
use wfaas_abi::BoundsStats;

/// Everything that pieces of code have in common.
pub(crate) struct Generator<'m> {
    pub(crate) module: &'m Module<'m>,
    pub(crate) layout: &'m Layout,
    pub(crate) isas: Generators,
    policy: Policy,
    passes: Passes,
}

/// Buffers that a thread uses again and again.
pub(crate) struct Worker {
    context: Context,
    registers: regalloc2::Ctx,
    builder: FunctionBuilderContext,
    allocations: FuncValidatorAllocations,
}

impl<'m> Generator<'m> {
    pub(crate) fn new(
        module: &'m Module<'m>,
        layout: &'m Layout,
        options: &Options<'_>,
    ) -> Result<Self, CompileError> {
        let passes = match options.opt {
            OptLevel::Speed => options.passes,
            OptLevel::Fast => Passes::NONE,
        };
        let isas = Generators::new(options)?;
        Ok(Generator { module, layout, isas, policy: Policy::new(options), passes })
    }

    /// All code of the module, in the order of the text. The order of the threads does not show
    /// in it, nor in which error is reported: the first in the order of the module.
    pub(crate) fn generate(
        &self,
        bodies: Vec<Body<'_>>,
        options: &Options<'_>,
    ) -> Result<Vec<Code>, CompileError> {
        let imports: Vec<Symbol> = self.module.imported_funcs().map(Symbol::Func).collect();
        let mut code = self.pieces(&imports)?;
        let callees = self.callees(&bodies);
        code.extend(self.functions(bodies, &callees, options)?);
        let types = self.module.funcs.values().map(|ty| self.module.first_equal[*ty]);
        let trampolines: BTreeSet<TypeIndex> = types.collect();
        let trampolines: Vec<Symbol> = trampolines.into_iter().map(Symbol::Trampoline).collect();
        let mut others = self.pieces(&trampolines)?;
        // Thunks refer to stubs and to one another, so more may be missing once they are there.
        let mut known: BTreeSet<_> = others.iter().map(|code| code.symbol.order()).collect();
        let mut missing = missing(code.iter().chain(&others), &mut known);
        while !missing.is_empty() {
            let more = self.pieces(&missing)?;
            missing = self::missing(&more, &mut known);
            others.extend(more);
        }
        others.sort_by_key(|code| code.symbol.order());
        code.extend(others);
        Ok(code)
    }

    /// The functions that may be inlined. An invalid one is none, it will be reported in its turn.
    pub(crate) fn callees(&self, bodies: &[Body<'_>]) -> Callees {
        if !self.passes.contains(Pass::Inline) {
            return Callees::new();
        }
        let small = bodies.iter().filter(|body| inline::is_small(&body.body));
        let small: Vec<_> = small.take(inline::MOST_CALLEES).collect();
        let translate = |worker: &mut Worker, body: &Body<'_>| {
            let index = body.func();
            let stats = self.translate(worker, body.clone()).ok()?;
            Some((index, Callee::new(&worker.context.func, stats)?))
        };
        let callees = small.into_par_iter().map_init(Worker::new, translate);
        callees.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn functions(
        &self,
        bodies: Vec<Body<'_>>,
        callees: &Callees,
        options: &Options<'_>,
    ) -> Result<Vec<Code>, CompileError> {
        let (done, total) = (AtomicUsize::new(0), bodies.len());
        // The first body with an error so far: bodies after it need not be compiled.
        let failed = AtomicUsize::new(usize::MAX);
        let compile = |worker: &mut Worker, (index, body): (usize, Body<'_>)| {
            if index > failed.load(Ordering::Relaxed) {
                return None;
            }
            let result = self.function(worker, body, callees);
            if result.is_err() {
                failed.fetch_min(index, Ordering::Relaxed);
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(progress) = options.progress {
                progress(done, total);
            }
            Some(result)
        };
        let bodies = bodies.into_par_iter().enumerate();
        let results: Vec<Option<Result<Code, CompileError>>> =
            bodies.map_init(Worker::new, compile).collect();
        results.into_iter().flatten().collect()
    }

    fn pieces(&self, symbols: &[Symbol]) -> Result<Vec<Code>, CompileError> {
        let results: Vec<Result<Code, CompileError>> = symbols
            .par_iter()
            .map_init(Worker::new, |worker, symbol| self.piece(worker, *symbol))
            .collect();
        results.into_iter().collect()
    }

    /// Generates a guest function.
    fn function(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<Code, CompileError> {
        let symbol = Symbol::Func(body.func());
        let (stats, positions) = self.prepare(worker, body, callees)?;
        let code = self.compile(worker, symbol)?;
        Ok(Code { stats, positions, ..code })
    }

    /// Translates a guest function into the worker's context, and inlines functions that it calls.
    pub(crate) fn prepare(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<(BoundsStats, Positions), CompileError> {
        let index = body.func();
        let stats = match callees.get(&index) {
            Some(callee) => {
                worker.context.clear();
                worker.context.func.clone_from(&callee.function);
                callee.stats
            }
            None => self.translate(worker, body)?,
        };
        let positions = inline::run(&mut worker.context, index, callees)
            .map_err(|error| self.failed(Symbol::Func(index), error.to_string()))?;
        Ok((stats, positions))
    }

    /// Translates a guest function into the worker's context, without generating code.
    pub(crate) fn translate(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
    ) -> Result<BoundsStats, CompileError> {
        let index = body.func();
        self.start(worker, Symbol::Func(index));
        let Worker { context, builder, allocations, .. } = worker;
        let (code, arguments) =
            CodeBuilder::new(&mut context.func, builder, self.module, self.layout);
        let result =
            emit::function(code, &arguments, body, allocations, &*self.isas.usual, self.policy);
        let Ok((checks, mut stats)) = result else {
            // It holds half a function.
            worker.builder = FunctionBuilderContext::new();
            return result.map(|(_, stats)| stats);
        };
        stats += bounds::elide(&mut worker.context, &checks, self.policy);
        Ok(stats)
    }

    /// Generates anything but a guest function.
    fn piece(&self, worker: &mut Worker, symbol: Symbol) -> Result<Code, CompileError> {
        self.start(worker, symbol);
        let Worker { context, builder, .. } = worker;
        let (mut code, arguments) =
            CodeBuilder::new(&mut context.func, builder, self.module, self.layout);
        match symbol {
            Symbol::Func(func) => thunk::import(&mut code, func, &arguments),
            Symbol::Trampoline(ty) => thunk::trampoline(&mut code, ty, &arguments),
            Symbol::Foreign(ty) => thunk::foreign(&mut code, ty, &arguments),
            Symbol::Bridge(ty) => thunk::bridge(&mut code, ty, &arguments),
            Symbol::Hostcall(call) => thunk::hostcall(&mut code, call, &arguments),
            Symbol::Trap(trap) => thunk::trap(&mut code, trap),
        }
        code.finish(&*self.isas.usual);
        self.compile(worker, symbol)
    }

    /// Starts a function in the worker's context.
    fn start(&self, worker: &mut Worker, symbol: Symbol) {
        worker.context.clear();
        let signature = symbol.signature(self.module);
        let name = UserFuncName::User(symbol.external_name());
        worker.context.func = Function::with_name_signature(name, signature);
    }

    /// Generates code for the function translated last, as assembly.
    pub(crate) fn assembly(
        &self,
        worker: &mut Worker,
        symbol: Symbol,
    ) -> Result<String, CompileError> {
        worker.context.set_disasm(true);
        let compiled = self.run(worker, symbol)?;
        Ok(compiled.vcode.unwrap_or_default())
    }

    fn compile(&self, worker: &mut Worker, symbol: Symbol) -> Result<Code, CompileError> {
        let compiled = self.run(worker, symbol)?;
        let mut code = collect(symbol, &worker.context.func, &compiled)?;
        if self.passes.contains(Pass::Relax) && !compiled.bb_starts.is_empty() {
            let mut blocks = compiled.bb_starts;
            blocks.sort_unstable();
            relax::run(&mut code, &blocks);
        }
        Ok(code)
    }

    fn run(&self, worker: &mut Worker, symbol: Symbol) -> Result<CompiledCode, CompileError> {
        let Worker { context, registers, .. } = worker;
        let result = passes::compile(context, registers, &self.isas, self.passes);
        result.map_err(|error| self.failed(symbol, error.to_string()))
    }

    fn failed(&self, symbol: Symbol, message: String) -> CompileError {
        let function = symbol.name(self.module, &names::of_functions(self.module));
        CompileError::Codegen { function, message }
    }
}

impl Worker {
    pub(crate) fn new() -> Self {
        Worker {
            context: Context::new(),
            registers: regalloc2::Ctx::default(),
            builder: FunctionBuilderContext::new(),
            allocations: FuncValidatorAllocations::default(),
        }
    }

    /// The text of the function translated last.
    pub(crate) fn intermediate(&self) -> String {
        self.context.func.display().to_string()
    }
}

/// The symbols that `code` refers to, but for functions and those `known`; they are known afterwards.
fn missing<'c>(
    code: impl IntoIterator<Item = &'c Code>,
    known: &mut BTreeSet<(u32, u32)>,
) -> Vec<Symbol> {
    let relocations = code.into_iter().flat_map(|code| &code.relocations);
    let others = relocations
        .map(|relocation| relocation.target)
        .filter(|symbol| !matches!(symbol, Symbol::Func(_)));
    others.filter(|symbol| known.insert(symbol.order())).collect()
}
