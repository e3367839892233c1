//! Evaluates definitions of core modules, core instances and the canonical ABI.

use super::components::Evaluator;
use super::scope::{Func, Scope};
use super::{Canon, CoreInstance, Def, Lift, Options, ResourceType, Source};
use crate::MAX_MODULE_BYTES;
use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use crate::parse::{Definition, Kind};
use std::collections::HashMap;
use wasmparser::{CanonicalFunction, CanonicalOption, ComponentAlias, Instance, InstantiationArg};

/// Most imports of all core instances together.
const MAX_IMPORTS: usize = 1 << 20;

/// The core index spaces of an instance of a component.
#[derive(Default)]
pub(super) struct CoreScope<'a> {
    funcs: Vec<Def>,
    /// Tables, memories, globals and tags; exports refer to them, and options to memories.
    others: HashMap<Kind, Vec<Def>>,
    instances: Vec<Exports<'a>>,
}

/// The modules that may still be instantiated.
pub(super) struct Modules {
    /// Bytes.
    bytes: Budget,
    imports: Budget,
}

impl Default for Modules {
    fn default() -> Self {
        Modules {
            bytes: Budget::new("the size in bytes of all instantiated modules", MAX_MODULE_BYTES),
            imports: Budget::new("the number of imports of all core instances", MAX_IMPORTS),
        }
    }
}

/// The exports of a core instance.
enum Exports<'a> {
    /// Those of an instance of a module, by its place in the graph.
    Instance(usize),
    /// Chosen one by one.
    Chosen(HashMap<&'a str, Def>),
}

impl<'a> Evaluator<'a> {
    /// Evaluates a definition of a component that has to do with core modules.
    pub(super) fn core_definition(
        &mut self,
        definition: &Definition<'a>,
        scope: &mut Scope<'a>,
    ) -> Result<(), ComponentError> {
        match definition {
            Definition::CoreModule(module) => scope.modules.push(module.clone()),
            Definition::CoreInstance(instance) => self.core_instance(instance, scope)?,
            Definition::Alias(ComponentAlias::CoreInstanceExport {
                kind,
                instance_index,
                name,
            }) => {
                let def = self.core_export(&scope.cores, *instance_index, name)?;
                if def.kind != Kind::from(*kind) {
                    return Err(invalid("an alias of another kind than the export"));
                }
                scope.cores.add(def);
            }
            Definition::Resource { destructor } => {
                let destructor = destructor.map(|index| scope.cores.func(index)).transpose()?;
                scope.types.push(Some(self.graph.resources.len()));
                let scope = scope.place;
                self.graph.resources.push(ResourceType::Defined { destructor, scope });
            }
            Definition::Canon(function) => self.canon(function, scope)?,
            _ => return Err(invalid("a definition in a place where none can be")),
        }
        Ok(())
    }

    fn core_instance(
        &mut self,
        instance: &Instance<'a>,
        scope: &mut Scope<'a>,
    ) -> Result<(), ComponentError> {
        let exports = match instance {
            Instance::Instantiate { module_index, args } => {
                let module = scope.modules.get(*module_index as usize).cloned();
                let module = module.ok_or(invalid("a module is not there"))?;
                self.modules.bytes.spend(module.bytes)?;
                self.modules.imports.spend(module.imports.len())?;
                let named = |arg: &InstantiationArg<'a>| (arg.name, arg.index);
                let args: HashMap<&str, u32> = args.iter().map(named).collect();
                let mut imports = Vec::with_capacity(module.imports.len());
                for import in &module.imports {
                    let instance = args.get(import.module);
                    let instance = instance.ok_or(invalid("an argument is missing"))?;
                    imports.push(self.core_export(&scope.cores, *instance, import.name)?);
                }
                self.graph.instances.push(CoreInstance { module, imports });
                Exports::Instance(self.graph.instances.len() - 1)
            }
            Instance::FromExports(exports) => {
                let mut chosen = HashMap::new();
                for export in exports {
                    let def = scope.cores.item(Kind::from(export.kind), export.index)?;
                    chosen.insert(export.name, def);
                }
                Exports::Chosen(chosen)
            }
        };
        scope.cores.instances.push(exports);
        Ok(())
    }

    fn core_export(
        &self,
        cores: &CoreScope<'a>,
        instance: u32,
        name: &str,
    ) -> Result<Def, ComponentError> {
        let exports = cores.instances.get(instance as usize);
        let def = match exports.ok_or(invalid("a core instance is not there"))? {
            Exports::Instance(instance) => self.graph.export_of(*instance, name),
            Exports::Chosen(chosen) => chosen.get(name).copied(),
        };
        def.ok_or(invalid("a core export is not there"))
    }

    fn canon(
        &mut self,
        function: &CanonicalFunction,
        scope: &mut Scope<'a>,
    ) -> Result<(), ComponentError> {
        let canon = match function {
            CanonicalFunction::Lift { core_func_index, options, .. } => {
                let core = scope.cores.func(*core_func_index)?;
                let options = Options::read(options, &scope.cores)?;
                if options.is_async && options.callback.is_none() {
                    return Err(ComponentError::Unsupported(
                        "async functions without a callback (stackful)",
                    ));
                }
                let func = scope.funcs.len() as u32;
                let lift = Lift { core, func, scope: scope.place, options };
                self.add_lift(scope, lift);
                return Ok(());
            }
            CanonicalFunction::Lower { func_index, options } => {
                let options = Options::read(options, &scope.cores)?;
                let core_func = scope.cores.funcs.len() as u32;
                match scope.funcs.get(*func_index as usize) {
                    Some(Func::Imported(name)) => {
                        let (name, func, scope) = (name.clone(), *func_index, scope.place);
                        Canon::Lower { name, func, core_func, scope, options }
                    }
                    Some(Func::Lifted(lift)) => {
                        Canon::Adapt { lift: *lift, core_func, scope: scope.place, options }
                    }
                    None => return Err(invalid("a function is not there")),
                }
            }
            CanonicalFunction::ResourceNew { resource } => {
                Canon::ResourceNew(scope.resource(*resource)?)
            }
            CanonicalFunction::ResourceRep { resource } => {
                Canon::ResourceRep(scope.resource(*resource)?)
            }
            CanonicalFunction::ResourceDrop { resource } => {
                Canon::ResourceDrop(scope.resource(*resource)?)
            }
            CanonicalFunction::ThreadSpawnRef { .. }
            | CanonicalFunction::ThreadSpawnIndirect { .. }
            | CanonicalFunction::ThreadAvailableParallelism => {
                return Err(ComponentError::Unsupported("threads"));
            }
            CanonicalFunction::ErrorContextNew { .. }
            | CanonicalFunction::ErrorContextDebugMessage { .. }
            | CanonicalFunction::ErrorContextDrop => {
                return Err(ComponentError::Unsupported("error contexts"));
            }
            other => {
                let options = Options::read(builtin_options(other), &scope.cores)?;
                let core_func = scope.cores.funcs.len() as u32;
                let (function, scope) = (other.clone(), scope.place);
                Canon::Builtin { function, core_func, scope, options }
            }
        };
        let source = Source::Canon(self.graph.canons.len());
        self.graph.canons.push(canon);
        scope.cores.funcs.push(Def { kind: Kind::Func, source });
        Ok(())
    }
}

/// The options of a built-in, if it has any.
fn builtin_options(function: &CanonicalFunction) -> &[CanonicalOption] {
    match function {
        CanonicalFunction::TaskReturn { options, .. }
        | CanonicalFunction::StreamRead { options, .. }
        | CanonicalFunction::StreamWrite { options, .. }
        | CanonicalFunction::FutureRead { options, .. }
        | CanonicalFunction::FutureWrite { options, .. } => options,
        _ => &[],
    }
}

impl CoreScope<'_> {
    /// Adds a definition to its index space.
    fn add(&mut self, def: Def) {
        match def.kind {
            Kind::Func => self.funcs.push(def),
            kind => self.others.entry(kind).or_default().push(def),
        }
    }

    fn func(&self, index: u32) -> Result<Def, ComponentError> {
        self.item(Kind::Func, index)
    }

    pub(super) fn item(&self, kind: Kind, index: u32) -> Result<Def, ComponentError> {
        let items = match kind {
            Kind::Func => Some(&self.funcs),
            kind => self.others.get(&kind),
        };
        let def = items.and_then(|items| items.get(index as usize)).copied();
        def.ok_or(invalid("an index is outside of its core index space"))
    }
}
