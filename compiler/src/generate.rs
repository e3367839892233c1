//! Generating code: guest functions in parallel, then the thunks and stubs that they refer to.

use crate::arch::x86_64::collect::{collect, frame_area, locations};
use crate::arch::x86_64::isa::Generators;
use crate::arch::x86_64::relax;
use crate::bounds::{self, Policy};
use crate::code::Code;
use crate::continuation::{Purpose, RecordLayout, Site};
use crate::emit::builder::CodeBuilder;
use crate::emit::{self, Manner, RecordedSlots, Storage, Translation, Version, thunk};
use crate::front::escape::types_called_by_host;
use crate::front::index::FuncIndex;
use crate::front::layout::Layout;
use crate::front::module::Module;
use crate::front::names;
use crate::front::parse::Body;
use crate::inline::{self, Callees, Positions};
use crate::switches::{Pass, Passes};
use crate::symbol::Symbol;
use crate::{CompileError, Effort, OptLevel, Options, passes};
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
    pub(crate) effort: Option<Effort>,
    pub(crate) purpose: Purpose<'m>,
}

/// Buffers that a thread uses again and again.
pub(crate) struct Worker {
    pub(crate) context: Context,
    /// The function whose room the next one gets, while there is a copy of another one in its place.
    room: Option<Function>,
    registers: regalloc2::Ctx,
    builder: FunctionBuilderContext,
    allocations: FuncValidatorAllocations,
    /// Where the function in the context keeps locals and operands.
    pub(crate) storage: Storage,
    /// Where its frame keeps them, if it is to be recorded, or has stack maps.
    recorded: Option<RecordedSlots>,
    /// The layouts of the records that it goes on with, if it is a twin.
    pub(crate) records: Vec<RecordLayout>,
    /// The way in which code was generated for it.
    effort: Effort,
    /// Whether assembly is made too.
    assembly: bool,
    /// Whether the locations of all instructions are kept.
    located: bool,
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
        let (isas, effort) = (Generators::new(options)?, options.effort);
        let (policy, purpose) = (Policy::new(options), Purpose::Usual);
        Ok(Generator { module, layout, isas, policy, passes, effort, purpose })
    }

    /// The same for another purpose.
    pub(crate) fn with_purpose(self, purpose: Purpose<'m>) -> Self {
        match purpose {
            // No frame of a function may be in another's, and all are to be found.
            Purpose::Recorded => {
                Generator { purpose, passes: Passes::NONE, effort: Some(Effort::Frame), ..self }
            }
            Purpose::Usual | Purpose::Continued(_) => Generator { purpose, ..self },
        }
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
        let continued = self.continued(&bodies, &callees)?;
        code.extend(self.functions(bodies, &callees, options)?);
        code.extend(continued);
        let trampolines = types_called_by_host(self.module).into_iter().map(Symbol::Trampoline);
        let trampolines: Vec<Symbol> = trampolines.collect();
        let mut others = self.pieces(&trampolines)?;
        // Thunks refer to stubs and to one another, so more may be missing once they are there.
        let mut known: BTreeSet<_> =
            code.iter().chain(&others).map(|code| code.symbol.order()).collect();
        let mut missing = missing(code.iter().chain(&others), &mut known);
        while !missing.is_empty() {
            let more = self.pieces(&missing)?;
            missing = self::missing(&more, &mut known);
            others.extend(more);
        }
        others.sort_by_key(|code| code.symbol.order());
        code.extend(others);
        if let Purpose::Continued(plan) = self.purpose {
            code.iter_mut().for_each(|code| plan.add_maps(code));
        }
        Ok(code)
    }

    /// The functions that may be inlined, and others of few bytes, which are not translated again. An invalid one is
    /// none, it will be reported in its turn.
    pub(crate) fn callees(&self, bodies: &[Body<'_>]) -> Callees {
        if !self.passes.contains(Pass::Inline) {
            return Callees::default();
        }
        let bytes = bodies.iter().map(|body| body.body.as_bytes());
        let called = inline::may_be_called(bytes, self.module.funcs.len());
        // A frame with a stack map is not in another one.
        let may_be = |body: &&Body<'_>| {
            let func = body.func();
            inline::is_small(&body.body)
                && called[func.as_u32() as usize]
                && self.mapped(func).is_empty()
        };
        let small = bodies.iter().filter(may_be);
        let small: Vec<_> = small.take(inline::MOST_CALLEES).collect();
        let translate = |worker: &mut Worker, body: &Body<'_>| {
            let index = body.func();
            let stats = self.translate(worker, body.clone()).ok()?;
            if self.passes.contains(Pass::WideMul) {
                passes::shrink(&mut worker.context.func);
            }
            if worker.storage == Storage::Frame {
                return None;
            }
            Some((index, worker.context.func.clone(), stats))
        };
        let translated = small.into_par_iter().map_init(Worker::new, translate);
        let mut callees = Callees::default();
        for (index, function, stats) in translated.collect::<Vec<_>>().into_iter().flatten() {
            callees.insert(index, function, stats);
        }
        callees
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

    pub(crate) fn pieces(&self, symbols: &[Symbol]) -> Result<Vec<Code>, CompileError> {
        let results: Vec<Result<Code, CompileError>> = symbols
            .par_iter()
            .map_init(Worker::new, |worker, symbol| self.piece(worker, *symbol))
            .collect();
        results.into_iter().collect()
    }

    /// Generates a guest function, with the locations of all instructions.
    pub(crate) fn located(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<Code, CompileError> {
        worker.located = true;
        self.function(worker, body, callees)
    }

    /// Generates a guest function.
    fn function(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<Code, CompileError> {
        let symbol = Symbol::Func(body.func());
        let (compiled, stats, positions) = self.compiled(worker, body, callees)?;
        let code = self.collect(worker, symbol, compiled)?;
        Ok(Code { stats, positions, ..code })
    }

    /// A guest function, with what is known about its code.
    fn compiled(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<(CompiledCode, BoundsStats, Positions), CompileError> {
        let index = body.func();
        let (stats, positions) = self.prepare(worker, body.clone(), callees)?;
        if let Some(compiled) = self.run(worker, Symbol::Func(index), self.effort)? {
            return Ok((compiled, stats, positions));
        }
        let stats = self.translate_to_frame(worker, body)?;
        let compiled = self.run(worker, Symbol::Func(index), self.effort)?;
        Ok((compiled.ok_or_else(too_many_values)?, stats, Positions::of(index)))
    }

    /// Translates a guest function into the worker's context, and inlines functions that it calls.
    pub(crate) fn prepare(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<(BoundsStats, Positions), CompileError> {
        let index = body.func();
        let stats = match callees.translated(index) {
            Some((function, stats)) => {
                worker.context.clear();
                let own = std::mem::replace(&mut worker.context.func, function);
                worker.room.get_or_insert(own);
                worker.storage = Storage::Values;
                worker.recorded = None;
                stats
            }
            None => self.translate(worker, body)?,
        };
        if worker.storage == Storage::Frame {
            return Ok((stats, Positions::of(index)));
        }
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
        if self.effort == Some(Effort::Frame) {
            return self.translate_to_frame(worker, body);
        }
        match self.translate_to(Storage::Values, worker, body.clone())? {
            Some(stats) => Ok(stats),
            None => self.translate_to_frame(worker, body),
        }
    }

    /// The same, so that no local or operand is a value in more than one block.
    fn translate_to_frame(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
    ) -> Result<BoundsStats, CompileError> {
        self.translate_to(Storage::Frame, worker, body)?.ok_or_else(too_many_values)
    }

    /// `None` if there would be too many values.
    fn translate_to(
        &self,
        storage: Storage,
        worker: &mut Worker,
        body: Body<'_>,
    ) -> Result<Option<BoundsStats>, CompileError> {
        self.start(worker, Symbol::Func(body.func()));
        let version = match self.purpose {
            Purpose::Recorded => Version::Recorded,
            Purpose::Usual | Purpose::Continued(_) => Version::Usual,
        };
        self.translate_version(version, storage, worker, body)
    }

    /// The calls of a function that have stack maps.
    fn mapped(&self, function: FuncIndex) -> &'m [Site] {
        match self.purpose {
            Purpose::Continued(plan) => plan.mapped(function),
            Purpose::Usual | Purpose::Recorded => &[],
        }
    }

    /// Translates a version of a function that was started in the worker's context.
    pub(crate) fn translate_version(
        &self,
        version: Version<'_>,
        storage: Storage,
        worker: &mut Worker,
        body: Body<'_>,
    ) -> Result<Option<BoundsStats>, CompileError> {
        let Worker { context, builder, allocations, .. } = worker;
        let (code, arguments) =
            CodeBuilder::new(&mut context.func, builder, self.module, self.layout);
        let isa = &*self.isas.usual;
        let mapped = self.mapped(body.func());
        let manner = Manner { version, policy: self.policy, storage, mapped };
        let result = emit::function(code, &arguments, body, allocations, isa, manner);
        let Ok(Some(translation)) = result else {
            // It holds half a function.
            worker.builder = FunctionBuilderContext::new();
            return result.map(|_| None);
        };
        let Translation { checks, mut stats, storage, recorded, records } = translation;
        worker.storage = storage;
        worker.recorded = recorded;
        worker.records = records;
        stats += match storage {
            Storage::Values => {
                if !checks.is_empty() && self.passes.contains(Pass::RedundantPhis) {
                    passes::remove_redundant_phis(&mut worker.context.func);
                }
                bounds::elide(&mut worker.context, &checks, self.policy)
            }
            Storage::Variables | Storage::Frame => bounds::keep(&checks),
        };
        Ok(Some(stats))
    }

    /// Generates anything but a guest function.
    fn piece(&self, worker: &mut Worker, symbol: Symbol) -> Result<Code, CompileError> {
        self.start(worker, symbol);
        let Worker { context, builder, .. } = worker;
        let (mut code, arguments) =
            CodeBuilder::new(&mut context.func, builder, self.module, self.layout);
        match (symbol, self.purpose) {
            (Symbol::Func(func), Purpose::Recorded) => {
                worker.recorded = Some(thunk::recorded_import(&mut code, func, &arguments));
            }
            (Symbol::Func(func), Purpose::Continued(plan))
                if plan.is_mapped && plan.imports.contains(&func) =>
            {
                worker.recorded = Some(thunk::recorded_import(&mut code, func, &arguments));
            }
            (Symbol::Twin(func), _) => thunk::repeat(&mut code, func, arguments[0]),
            (Symbol::Continue(_), Purpose::Continued(plan)) => thunk::resume(&mut code, plan),
            (Symbol::Continue(_) | Symbol::Records, _) => {
                return Err(CompileError::Internal(format!("{symbol:?} is no piece of code")));
            }
            (Symbol::Func(func) | Symbol::Thunk(func), _) => {
                thunk::import(&mut code, func, &arguments);
            }
            (Symbol::Trampoline(ty), _) => thunk::trampoline(&mut code, ty, &arguments),
            (Symbol::Foreign(ty), _) => thunk::foreign(&mut code, ty, &arguments),
            (Symbol::Bridge(ty), _) => thunk::bridge(&mut code, ty, &arguments),
            (Symbol::Hostcall(call), _) => thunk::hostcall(&mut code, call, &arguments),
            (Symbol::Trap(trap), _) => thunk::trap(&mut code, trap),
            (Symbol::MemoryCopy, _) => thunk::memory_copy(&mut code, &arguments),
            (Symbol::MemoryFill, _) => thunk::memory_fill(&mut code, &arguments),
        }
        code.finish(&*self.isas.usual);
        // A piece has no locals.
        let least = |effort| if effort == Effort::Frame { Effort::Least } else { effort };
        let compiled = self.run(worker, symbol, self.effort.map(least))?;
        let compiled = compiled.ok_or_else(too_many_values)?;
        self.collect(worker, symbol, compiled)
    }

    /// Starts a function in the worker's context.
    pub(crate) fn start(&self, worker: &mut Worker, symbol: Symbol) {
        if let Some(own) = worker.room.take() {
            worker.context.func = own;
        }
        worker.context.clear();
        // These are not cleared with the rest.
        worker.context.func.dfg.exception_tables.clear();
        worker.storage = Storage::Values;
        worker.recorded = None;
        worker.context.func.signature = symbol.signature(self.module);
        worker.context.func.name = UserFuncName::User(symbol.external_name());
    }

    /// Generates a guest function, as assembly.
    pub(crate) fn assembly(
        &self,
        worker: &mut Worker,
        body: Body<'_>,
        callees: &Callees,
    ) -> Result<String, CompileError> {
        worker.assembly = true;
        let (compiled, ..) = self.compiled(worker, body, callees)?;
        Ok(compiled.vcode.unwrap_or_default())
    }

    pub(crate) fn collect(
        &self,
        worker: &Worker,
        symbol: Symbol,
        compiled: CompiledCode,
    ) -> Result<Code, CompileError> {
        let mut code = collect(symbol, &worker.context.func, &compiled)?;
        code.effort = worker.effort;
        if worker.located {
            code.locations = locations(&compiled);
        }
        if let Some(slots) = worker.recorded {
            code.area = Some(frame_area(&worker.context.func, &compiled, slots)?);
        }
        if self.passes.contains(Pass::Relax) && !compiled.bb_starts.is_empty() {
            let mut blocks = compiled.bb_starts;
            blocks.sort_unstable();
            relax::run(&mut code, &blocks, self.passes);
        }
        Ok(code)
    }

    /// Generates code for the function in the context; `None` if it has to be translated to
    /// [`Storage::Frame`].
    pub(crate) fn run(
        &self,
        worker: &mut Worker,
        symbol: Symbol,
        effort: Option<Effort>,
    ) -> Result<Option<CompiledCode>, CompileError> {
        let Worker { context, registers, storage, assembly, .. } = worker;
        context.set_disasm(*assembly);
        let result = passes::compile(context, registers, &self.isas, self.passes, *storage, effort);
        let compiled = result.map_err(|error| self.failed(symbol, error.to_string()))?;
        Ok(compiled.map(|(code, effort)| {
            worker.effort = effort;
            code
        }))
    }

    pub(crate) fn failed(&self, symbol: Symbol, message: String) -> CompileError {
        let function = symbol.name(self.module, &names::of_functions(self.module));
        CompileError::Codegen { function, message }
    }
}

impl Worker {
    pub(crate) fn new() -> Self {
        Worker {
            context: Context::new(),
            room: None,
            registers: regalloc2::Ctx::default(),
            builder: FunctionBuilderContext::new(),
            allocations: FuncValidatorAllocations::default(),
            storage: Storage::Values,
            recorded: None,
            records: Vec::new(),
            effort: Effort::Usual,
            assembly: false,
            located: false,
        }
    }

    /// The text of the function translated last.
    pub(crate) fn intermediate(&self) -> String {
        self.context.func.display().to_string()
    }
}

pub(crate) fn too_many_values() -> CompileError {
    CompileError::Internal("too many values in a function that keeps them in its frame".to_owned())
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
