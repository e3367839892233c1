//! Running scripts.

use crate::folded::unfold;
use crate::report::{Failure, Report};
use crate::snapshot::restored;
use crate::spectest;
use crate::values::{HostObjects, argument, check_results};
use std::collections::HashMap;
use wast::parser::ParseBuffer;
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke};
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::{Options, Proposals};
use wfaas_vm::{Config, Engine, Error, Extern, Instance, Linker, Module, Store, Val};

/// How the modules of a script are compiled, and what becomes of an instance before the directives
/// meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// As `faascli build` does it; nothing.
    Direct,
    /// As `faascli build` does it; a restored copy takes the instance's place, if it can be
    /// captured.
    Snapshot,
    /// With this bounds strategy, and with elided checks as assertions; nothing.
    Bounds(BoundsStrategy),
}

impl Route {
    /// All there are.
    pub const ALL: [Route; 6] = [
        Route::Direct,
        Route::Snapshot,
        Route::Bounds(BoundsStrategy::GuardUffd),
        Route::Bounds(BoundsStrategy::Trap),
        Route::Bounds(BoundsStrategy::Clamp),
        Route::Bounds(BoundsStrategy::None),
    ];

    /// What stands before the names of its tests.
    pub fn prefix(self) -> String {
        match self {
            Route::Direct => String::new(),
            Route::Snapshot => "snapshot/".to_owned(),
            Route::Bounds(strategy) => format!("{}/", strategy.name()),
        }
    }

    /// Whether a script says anything that others have not said on this route.
    pub fn concerns(self, script: &str) -> bool {
        !matches!(self, Route::Bounds(_)) || script.contains("memory")
    }

    fn options(self, proposals: Proposals) -> Options<'static> {
        let options = Options { proposals, ..Options::default() };
        match self {
            Route::Direct | Route::Snapshot => options,
            Route::Bounds(bounds) => Options { bounds, verify_bounds: true, ..options },
        }
    }

    /// Whether accesses outside of the memory trap.
    fn traps(self) -> bool {
        !matches!(self, Route::Bounds(BoundsStrategy::Clamp | BoundsStrategy::None))
    }
}

/// Runs the script `text`, whose modules may use `proposals`.
pub fn run_script(text: &str, proposals: Proposals, route: Route) -> Report {
    let text = &*unfold(text);
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let parsed = ParseBuffer::new_with_lexer(lexer);
    let script = parsed.as_ref().map_err(|error| error.to_string()).and_then(|buffer| {
        wast::parser::parse::<Wast<'_>>(buffer).map_err(|error| error.to_string())
    });
    let script = match script {
        Ok(script) => script,
        Err(error) => {
            return broken(format!("the script cannot be parsed: {error}"));
        }
    };
    let mut runner = match Runner::new(proposals, route) {
        Ok(runner) => runner,
        Err(error) => {
            return broken(format!("setting up: {error}"));
        }
    };
    let mut report = Report::default();
    for directive in script.directives {
        let (line, _) = directive.span().linecol_in(text);
        match runner.directive(directive) {
            Ok(Outcome::Passed) => report.passed += 1,
            Ok(Outcome::Skipped) => report.skipped += 1,
            Err(reason) => report.failed.push(Failure { line: line + 1, reason }),
        }
    }
    report.restored = runner.restored;
    report.not_captured = runner.not_captured;
    report
}

/// Of a script that could not even begin.
fn broken(reason: String) -> Report {
    Report { failed: vec![Failure { line: 0, reason }], ..Report::default() }
}

/// What a call is expected to say that some strategies go on after: it is not made then.
const OUT_OF_BOUNDS: &str = "out of bounds memory access";

enum Outcome {
    Passed,
    Skipped,
}

struct Runner {
    proposals: Proposals,
    route: Route,
    engine: Engine,
    linker: Linker<()>,
    store: Store<()>,
    objects: HostObjects,
    /// The last instance, or why there is none.
    current: Option<Instance>,
    instances: HashMap<String, Instance>,
    definitions: HashMap<String, Module>,
    restored: usize,
    not_captured: usize,
}

impl Runner {
    fn new(proposals: Proposals, route: Route) -> Result<Runner, Error> {
        let engine = Engine::new(Config::default())?;
        let mut linker = Linker::new(&engine);
        let mut store = Store::new(&engine, ());
        spectest::define(&mut linker, &mut store)?;
        Ok(Runner {
            proposals,
            route,
            engine,
            linker,
            store,
            objects: HostObjects::default(),
            current: None,
            instances: HashMap::new(),
            definitions: HashMap::new(),
            restored: 0,
            not_captured: 0,
        })
    }

    fn directive(&mut self, directive: WastDirective<'_>) -> Result<Outcome, String> {
        match directive {
            WastDirective::Module(mut module) => {
                self.current = None;
                let name = module.name();
                let instance = self.module(&mut module).and_then(|m| self.instantiate(&m))?;
                self.name(name, instance);
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = module.name();
                let compiled = self.module(&mut module)?;
                self.definitions.insert(key(name), compiled);
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let module = self.definitions.get(&key(module)).ok_or("no such module")?.clone();
                let made = self.instantiate(&module)?;
                self.name(instance, made);
            }
            WastDirective::Register { name, module, .. } => {
                let instance = self.instance(module)?;
                self.linker.instance(&mut self.store, name, instance);
            }
            WastDirective::AssertMalformed { mut module, message, .. }
            | WastDirective::AssertInvalid { mut module, message, .. } => {
                if self.module(&mut module).is_ok() {
                    return Err(format!("should have been refused: {message}"));
                }
            }
            WastDirective::AssertUnlinkable { module, message, .. } => {
                let module = self.module(&mut QuoteWat::Wat(module))?;
                let result = self.linker.instantiate(&mut self.store, &module);
                expect_message(result.map(|_| ()), message)?;
            }
            WastDirective::Invoke(invoke) => {
                self.invoke(&invoke)?.map_err(|error| error.to_string())?;
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                let found = self.execute(exec)?.map_err(|error| error.to_string())?;
                check_results(&found, &results)?;
            }
            WastDirective::AssertTrap { exec: WastExecute::Invoke(_), message, .. }
                if message == OUT_OF_BOUNDS && !self.route.traps() =>
            {
                return Ok(Outcome::Skipped);
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                expect_message(self.execute(exec)?.map(|_| ()), message)?;
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                expect_message(self.invoke(&call)?.map(|_| ()), message)?;
            }
            WastDirective::AssertException { exec, .. } => {
                expect_message(self.execute(exec)?.map(|_| ()), "uncaught exception")?;
            }
            WastDirective::AssertInvalidCustom { .. }
            | WastDirective::AssertMalformedCustom { .. } => return Ok(Outcome::Skipped),
            other => return Err(format!("the directive {other:?} is not supported")),
        }
        Ok(Outcome::Passed)
    }

    fn module(&self, module: &mut QuoteWat<'_>) -> Result<Module, String> {
        let wasm = module.encode().map_err(|error| error.to_string())?;
        let options = self.route.options(self.proposals);
        let compiled = wfaas_compiler::compile(&wasm, &options);
        let compiled = compiled.map_err(|error| error.to_string())?;
        Module::from_bytes(&self.engine, &compiled.artifact).map_err(|error| error.to_string())
    }

    fn instantiate(&mut self, module: &Module) -> Result<Instance, String> {
        let made = self.linker.instantiate(&mut self.store, module);
        let made = made.map_err(|error| error.to_string())?;
        if self.route != Route::Snapshot {
            return Ok(made);
        }
        let copy = restored(&self.linker, &mut self.store, module, made)?;
        match copy {
            Some(_) => self.restored += 1,
            None => self.not_captured += 1,
        }
        Ok(copy.unwrap_or(made))
    }

    fn name(&mut self, name: Option<Id<'_>>, instance: Instance) {
        self.current = Some(instance);
        if name.is_some() {
            self.instances.insert(key(name), instance);
        }
    }

    fn instance(&self, name: Option<Id<'_>>) -> Result<Instance, String> {
        match name {
            None => self.current.ok_or("there is no instance".into()),
            Some(id) => {
                self.instances.get(id.name()).copied().ok_or(format!("no instance {}", id.name()))
            }
        }
    }

    /// The outer error is one of the script or the harness, the inner one the guest's.
    fn execute(&mut self, exec: WastExecute<'_>) -> Result<Result<Vec<Val>, Error>, String> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(module) => {
                let module = self.module(&mut QuoteWat::Wat(module))?;
                let result = self.linker.instantiate(&mut self.store, &module);
                Ok(result.map(|_| Vec::new()))
            }
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module)?;
                let global =
                    instance.get_global(&mut self.store, global).ok_or("no such global")?;
                Ok(global.get(&self.store).map(|value| vec![value]))
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<Result<Vec<Val>, Error>, String> {
        let instance = self.instance(invoke.module)?;
        let export = instance.get_export(&mut self.store, invoke.name);
        let Some(Extern::Func(func)) = export else {
            return Err(format!("no function {}", invoke.name));
        };
        let mut args = Vec::new();
        for arg in &invoke.args {
            args.push(argument(arg, &mut self.objects)?);
        }
        Ok(func.call(&mut self.store, &args))
    }
}

fn key(name: Option<Id<'_>>) -> String {
    name.map_or(String::new(), |id| id.name().to_owned())
}

/// The suite's messages are prefixes of what an implementation may say, or the other way round.
fn expect_message(result: Result<(), Error>, message: &str) -> Result<(), String> {
    let error = match result {
        Ok(()) => return Err(format!("should have failed: {message}")),
        Err(error) => error.to_string(),
    };
    let first = error.lines().next().unwrap_or_default();
    let found = first.strip_prefix("trap: ").unwrap_or(first);
    if found.starts_with(message) || message.starts_with(found) {
        return Ok(());
    }
    Err(format!("expected the message \"{message}\", found \"{found}\""))
}
