//! Evaluates definitions of components: imports, exports, instances, aliases.

use super::cores::Modules;
use super::scope::{Exports, Func, Item, Scope};
use super::{Graph, Lift, ResourceType, TypeScope};
use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use crate::parse::{Component, Definition};
use std::collections::HashMap;
use std::rc::Rc;
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::TypesRef;
use wasmparser::{ComponentAlias, ComponentExport, ComponentImport, ComponentInstance};
use wfaas_abi::component::{FunctionName, MAX_ITEMS};

/// Most components inside of each other that are instantiated.
const MAX_DEPTH: usize = 16;

/// Most definitions that are evaluated, those of a component as often as it is instantiated. Exports and arguments
/// of an instance count as definitions.
const MAX_DEFINITIONS: usize = 1 << 20;

/// The source of imports.
enum Imports<'a> {
    /// The host.
    Host,
    /// The component that instantiates.
    Given(HashMap<&'a str, Item<'a>>),
}

/// Evaluates a component, and collects its graph.
pub(super) struct Evaluator<'a> {
    pub(super) graph: Graph<'a>,
    pub(super) modules: Modules,
    /// Definitions that may still be evaluated.
    pub(super) definitions: Budget,
    /// Bytes of names that may still be looked up or copied.
    names: Budget,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new() -> Evaluator<'a> {
        Evaluator {
            graph: Graph::default(),
            modules: Modules::default(),
            definitions: Budget::new("the number of definitions", MAX_DEFINITIONS),
            names: Budget::names(),
        }
    }

    /// Evaluates the outermost component.
    pub(super) fn root(&mut self, root: &Rc<Component<'a>>) -> Result<(), ComponentError> {
        let exports = self.evaluate(root, &Imports::Host, 0)?;
        for (name, item) in exports {
            self.export(&name, &item)?;
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        component: &Rc<Component<'a>>,
        imports: &Imports<'a>,
        depth: usize,
    ) -> Result<Exports<'a>, ComponentError> {
        if depth > MAX_DEPTH {
            return Err(ComponentError::Unsupported("many levels of inner components"));
        }
        let types = component.types()?;
        let mut scope = Scope { place: self.graph.scopes.len(), ..Scope::default() };
        self.graph.scopes.push(TypeScope::new(component.clone()));
        for definition in &component.definitions {
            let Cost { definitions, names } = Cost::of(definition);
            self.definitions.spend(definitions)?;
            self.names.spend(names)?;
            match definition {
                Definition::Component(component) => scope.components.push(component.clone()),
                Definition::Type => scope.types.push(None),
                Definition::Import(import) => {
                    let item = self.import(scope.place, import, imports, types)?;
                    scope.add(item);
                }
                Definition::Export(export) => scope.export(export)?,
                Definition::Instance(instance) => {
                    let exports = self.instance(&scope, instance, depth)?;
                    scope.instances.push(Rc::new(exports));
                }
                Definition::Alias(alias @ ComponentAlias::InstanceExport { .. })
                | Definition::Alias(alias @ ComponentAlias::Outer { .. }) => scope.alias(alias)?,
                core => self.core_definition(core, &mut scope)?,
            }
            self.note_resources(&mut scope, types)?;
        }
        Ok(scope.exports)
    }

    fn import(
        &mut self,
        scope: usize,
        import: &ComponentImport<'a>,
        imports: &Imports<'a>,
        types: TypesRef<'_>,
    ) -> Result<Item<'a>, ComponentError> {
        match imports {
            Imports::Host => {
                let item = types.component_item_for_import(import.name.name);
                let ty = item.ok_or(invalid("an import without a type"))?.ty;
                let full_name = import.name.full_name().into_owned();
                self.import_from_host(scope, &full_name, ty, types)
            }
            Imports::Given(given) => {
                let item = given.get(import.name.name).cloned();
                item.ok_or(invalid("an argument is missing"))
            }
        }
    }

    /// An import of the outermost component: functions and types only.
    fn import_from_host(
        &mut self,
        scope: usize,
        name: &str,
        ty: ComponentEntityType,
        types: TypesRef<'_>,
    ) -> Result<Item<'a>, ComponentError> {
        let refused = |ty: &ComponentEntityType| ComponentError::UnsupportedItem {
            place: "import",
            name: name.to_owned(),
            kind: kind_of(ty),
        };
        match ty {
            ComponentEntityType::Func(_) => self.imported("", name),
            ComponentEntityType::Type { created, .. } => {
                self.imported_type(scope, "", name, created)
            }
            ComponentEntityType::Instance(id) => {
                let mut exports = Exports::new();
                for (export, item) in &types[id].exports {
                    self.definitions.spend(1)?;
                    self.names.spend(export.len())?;
                    let item = match item.ty {
                        ComponentEntityType::Func(_) => self.imported(name, export)?,
                        ComponentEntityType::Type { created, .. } => {
                            self.imported_type(scope, name, export, created)?
                        }
                        ref other => return Err(refused(other)),
                    };
                    exports.insert(export.clone(), item);
                }
                Ok(Item::Instance(Rc::new(exports)))
            }
            ref other => Err(refused(other)),
        }
    }

    /// A function of the host.
    fn imported(&mut self, interface: &str, name: &str) -> Result<Item<'a>, ComponentError> {
        self.names.spend(interface.len() + name.len())?;
        let (interface, name) = (interface.to_owned(), name.to_owned());
        Ok(Item::Func(Func::Imported(Rc::new(FunctionName { interface, name }))))
    }

    /// A type of the host's.
    fn imported_type(
        &mut self,
        scope: usize,
        interface: &str,
        name: &str,
        ty: ComponentAnyTypeId,
    ) -> Result<Item<'a>, ComponentError> {
        let ComponentAnyTypeId::Resource(id) = ty else { return Ok(Item::Type(None)) };
        let next = self.graph.resources.len();
        let known = self.graph.scopes[scope].note(id.resource(), next);
        if known == next {
            self.names.spend(interface.len() + name.len())?;
            let (interface, name) = (interface.to_owned(), name.to_owned());
            self.graph.resources.push(ResourceType::Imported { interface, name });
        }
        Ok(Item::Type(Some(known)))
    }

    fn instance(
        &mut self,
        scope: &Scope<'a>,
        instance: &ComponentInstance<'a>,
        depth: usize,
    ) -> Result<Exports<'a>, ComponentError> {
        match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let component = scope.components.get(*component_index as usize).cloned();
                let component = component.ok_or(invalid("a component is not there"))?;
                let mut given = HashMap::new();
                for arg in args {
                    given.insert(arg.name, scope.item(arg.kind, arg.index)?);
                }
                self.evaluate(&component, &Imports::Given(given), depth + 1)
            }
            ComponentInstance::FromExports(exports) => {
                let named = |export: &ComponentExport<'a>| {
                    let item = scope.item(export.kind, export.index)?;
                    Ok((export.name.name.to_owned(), item))
                };
                exports.iter().map(named).collect()
            }
        }
    }

    /// Adds an export of the outermost component.
    fn export(&mut self, name: &str, item: &Item<'a>) -> Result<(), ComponentError> {
        let refused =
            |kind| ComponentError::UnsupportedItem { place: "export", name: name.to_owned(), kind };
        match item {
            Item::Func(func) => self.export_func("", name, func),
            Item::Type(_) => Ok(()),
            Item::Instance(exports) => {
                for (member, item) in exports.iter() {
                    match item {
                        Item::Func(func) => self.export_func(name, member, func)?,
                        Item::Type(_) => {}
                        _ => return Err(refused("instance with modules, components or instances")),
                    }
                }
                Ok(())
            }
            Item::Module(_) => Err(refused("core module")),
            Item::Component(_) => Err(refused("component")),
        }
    }

    fn export_func(
        &mut self,
        interface: &str,
        name: &str,
        func: &Func,
    ) -> Result<(), ComponentError> {
        let Func::Lifted(lift) = func else {
            let (name, kind) = (name.to_owned(), "function that is imported");
            return Err(ComponentError::UnsupportedItem { place: "export", name, kind });
        };
        self.names.spend(interface.len() + name.len())?;
        if self.graph.exports.len() >= MAX_ITEMS {
            return Err(ComponentError::TooLarge {
                what: "the number of exports",
                limit: MAX_ITEMS,
            });
        }
        let (interface, name) = (interface.to_owned(), name.to_owned());
        self.graph.exports.push((FunctionName { interface, name }, *lift));
        Ok(())
    }

    /// Adds a lifted function to the index space of functions.
    pub(super) fn add_lift(&mut self, scope: &mut Scope<'a>, lift: Lift) {
        scope.funcs.push(Func::Lifted(self.graph.lifts.len()));
        self.graph.lifts.push(lift);
    }
}

/// The things that the evaluation of a definition makes, apart from the component that it instantiates.
struct Cost {
    definitions: usize,
    /// Bytes.
    names: usize,
}

impl Cost {
    fn of(definition: &Definition<'_>) -> Cost {
        let of = |names: &mut dyn Iterator<Item = &str>| {
            let one = Cost { definitions: 1, names: 0 };
            names.fold(one, |Cost { definitions, names }, name| Cost {
                definitions: definitions + 1,
                names: names + name.len(),
            })
        };
        match definition {
            Definition::Instance(ComponentInstance::Instantiate { args, .. }) => {
                of(&mut args.iter().map(|arg| arg.name))
            }
            Definition::Instance(ComponentInstance::FromExports(exports)) => {
                of(&mut exports.iter().map(|export| export.name.name))
            }
            Definition::Import(import) => of(&mut [import.name.name].into_iter()),
            Definition::Export(export) => of(&mut [export.name.name].into_iter()),
            Definition::Alias(ComponentAlias::InstanceExport { name, .. }) => {
                of(&mut [*name].into_iter())
            }
            _ => of(&mut [].into_iter()),
        }
    }
}

fn kind_of(ty: &ComponentEntityType) -> &'static str {
    match ty {
        ComponentEntityType::Module(_) => "core module",
        ComponentEntityType::Func(_) => "function",
        ComponentEntityType::Value(_) => "value",
        ComponentEntityType::Type { .. } => "type",
        ComponentEntityType::Instance(_) => "instance inside of an instance",
        ComponentEntityType::Component(_) => "component",
    }
}
