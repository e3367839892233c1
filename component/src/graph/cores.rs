//! Evaluates definitions of core modules, core instances and the canonical ABI.

use super::components::Evaluator;
use super::scope::{Func, Scope};
use super::{Canon, CoreInstance, Def, Lift, Options, Source};
use crate::MAX_MODULE_BYTES;
use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use crate::parse::{Definition, Kind};
use std::collections::HashMap;
use wasmparser::{CanonicalFunction, ComponentAlias, Instance, InstantiationArg};

/// Most imports of all core instances together.
const MAX_IMPORTS: usize = 1 << 20;

/// The core index spaces of the outermost component.
pub(super) struct CoreScope<'a> {
    funcs: Vec<Def>,
    /// Tables, memories, globals and tags; nothing but exports refers to them.
    others: HashMap<Kind, Vec<Def>>,
    instances: Vec<Exports<'a>>,
    /// Bytes of modules that may still be instantiated.
    bytes: Budget,
    /// Imports that modules may still have.
    imports: Budget,
}

impl Default for CoreScope<'_> {
    fn default() -> Self {
        CoreScope {
            funcs: Vec::new(),
            others: HashMap::new(),
            instances: Vec::new(),
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
    /// Evaluates a definition of the outermost component that has to do with core modules.
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
                let def = self.core_export(*instance_index, name)?;
                if def.kind != Kind::from(*kind) {
                    return Err(invalid("an alias of another kind than the export"));
                }
                self.cores.add(def);
            }
            Definition::Resource { destructor } => {
                let dtor = destructor.map(|index| self.cores.func(index)).transpose()?;
                self.graph.resources.push((scope.types, dtor));
                scope.types += 1;
            }
            Definition::Canon(function) => self.canon(function, scope)?,
            _ => return Err(invalid("a definition in a place where none can be")),
        }
        Ok(())
    }

    fn core_instance(
        &mut self,
        instance: &Instance<'a>,
        scope: &Scope<'a>,
    ) -> Result<(), ComponentError> {
        let exports = match instance {
            Instance::Instantiate { module_index, args } => {
                let module = scope.modules.get(*module_index as usize).cloned();
                let module = module.ok_or(invalid("a module is not there"))?;
                self.cores.bytes.spend(module.bytes)?;
                self.cores.imports.spend(module.imports.len())?;
                let named = |arg: &InstantiationArg<'a>| (arg.name, arg.index);
                let args: HashMap<&str, u32> = args.iter().map(named).collect();
                let mut imports = Vec::with_capacity(module.imports.len());
                for import in &module.imports {
                    let instance = args.get(import.module);
                    let instance = instance.ok_or(invalid("an argument is missing"))?;
                    imports.push(self.core_export(*instance, import.name)?);
                }
                self.graph.instances.push(CoreInstance { module, imports });
                Exports::Instance(self.graph.instances.len() - 1)
            }
            Instance::FromExports(exports) => {
                let mut chosen = HashMap::new();
                for export in exports {
                    let def = self.cores.item(Kind::from(export.kind), export.index)?;
                    chosen.insert(export.name, def);
                }
                Exports::Chosen(chosen)
            }
        };
        self.cores.instances.push(exports);
        Ok(())
    }

    fn core_export(&self, instance: u32, name: &str) -> Result<Def, ComponentError> {
        let exports = self.cores.instances.get(instance as usize);
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
                let core = self.cores.func(*core_func_index)?;
                let options = Options::read(options, &self.cores.funcs)?;
                let func = scope.funcs.len() as u32;
                self.add_lift(scope, Lift { core, func, options });
                return Ok(());
            }
            CanonicalFunction::Lower { func_index, options } => {
                let options = Options::read(options, &self.cores.funcs)?;
                let core_func = self.cores.funcs.len() as u32;
                match scope.funcs.get(*func_index as usize) {
                    Some(Func::Imported(name)) => {
                        Canon::Lower { name: name.clone(), func: *func_index, core_func, options }
                    }
                    Some(Func::Lifted(_)) => {
                        return Err(ComponentError::Unsupported("imports of their own exports"));
                    }
                    None => return Err(invalid("a function is not there")),
                }
            }
            CanonicalFunction::ResourceNew { resource } => Canon::ResourceNew(*resource),
            CanonicalFunction::ResourceRep { resource } => Canon::ResourceRep(*resource),
            CanonicalFunction::ResourceDrop { resource } => Canon::ResourceDrop(*resource),
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
            _ => return Err(ComponentError::Unsupported("async functions (WASI 0.3)")),
        };
        let source = Source::Canon(self.graph.canons.len());
        self.graph.canons.push(canon);
        self.cores.funcs.push(Def { kind: Kind::Func, source });
        Ok(())
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

    fn item(&self, kind: Kind, index: u32) -> Result<Def, ComponentError> {
        let items = match kind {
            Kind::Func => Some(&self.funcs),
            kind => self.others.get(&kind),
        };
        let def = items.and_then(|items| items.get(index as usize)).copied();
        def.ok_or(invalid("an index is outside of its core index space"))
    }
}
