//! The index spaces of a component.

use super::cores::CoreScope;
use crate::error::{ComponentError, invalid};
use crate::parse::{Component, Module};
use std::collections::BTreeMap;
use std::rc::Rc;
use wasmparser::{ComponentAlias, ComponentExport, ComponentExternalKind, ComponentOuterAliasKind};
use wfaas_abi::component::FunctionName;

/// A thing that components import and export.
#[derive(Clone)]
pub(super) enum Item<'a> {
    Module(Rc<Module<'a>>),
    Component(Rc<Component<'a>>),
    Func(Func),
    Instance(Rc<Exports<'a>>),
    /// A resource type of the graph, or another type.
    Type(Option<usize>),
}

/// A function of a component.
#[derive(Clone)]
pub(super) enum Func {
    Imported(Rc<FunctionName>),
    /// By its place among the lifted functions.
    Lifted(usize),
}

/// The exports of an instance.
pub(super) type Exports<'a> = BTreeMap<String, Item<'a>>;

/// The index spaces of an instance of a component, as far as they have been filled.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// Its place among the [scopes of types](super::TypeScope).
    pub(super) place: usize,
    pub(super) cores: CoreScope<'a>,
    pub(super) modules: Vec<Rc<Module<'a>>>,
    pub(super) components: Vec<Rc<Component<'a>>>,
    pub(super) funcs: Vec<Func>,
    pub(super) instances: Vec<Rc<Exports<'a>>>,
    /// The resource types of the graph behind types; `None` for those of values.
    pub(super) types: Vec<Option<usize>>,
    pub(super) exports: Exports<'a>,
    /// Types and instances of which the resource types are [noted](super::TypeScope).
    pub(super) noted_types: usize,
    pub(super) noted_instances: usize,
}

impl<'a> Scope<'a> {
    /// Adds an item to its index space.
    pub(super) fn add(&mut self, item: Item<'a>) {
        match item {
            Item::Module(module) => self.modules.push(module),
            Item::Component(component) => self.components.push(component),
            Item::Func(func) => self.funcs.push(func),
            Item::Instance(exports) => self.instances.push(exports),
            Item::Type(resource) => self.types.push(resource),
        }
    }

    pub(super) fn item(
        &self,
        kind: ComponentExternalKind,
        index: u32,
    ) -> Result<Item<'a>, ComponentError> {
        let index = index as usize;
        let item = match kind {
            ComponentExternalKind::Module => self.modules.get(index).cloned().map(Item::Module),
            ComponentExternalKind::Component => {
                self.components.get(index).cloned().map(Item::Component)
            }
            ComponentExternalKind::Func => self.funcs.get(index).cloned().map(Item::Func),
            ComponentExternalKind::Instance => {
                self.instances.get(index).cloned().map(Item::Instance)
            }
            ComponentExternalKind::Type => self.types.get(index).copied().map(Item::Type),
            ComponentExternalKind::Value => {
                return Err(ComponentError::Unsupported("values as imports or exports"));
            }
        };
        item.ok_or(invalid("an index is outside of its index space"))
    }

    /// The resource type of the graph behind a type.
    pub(super) fn resource(&self, ty: u32) -> Result<usize, ComponentError> {
        let resource = self.types.get(ty as usize).copied().flatten();
        resource.ok_or(ComponentError::Unsupported("resources that cannot be followed"))
    }

    /// An export is a new item of the exporting component, too.
    pub(super) fn export(&mut self, export: &ComponentExport<'a>) -> Result<(), ComponentError> {
        let item = self.item(export.kind, export.index)?;
        self.add(item.clone());
        self.exports.insert(export.name.full_name().into_owned(), item);
        Ok(())
    }

    pub(super) fn alias(&mut self, alias: &ComponentAlias<'a>) -> Result<(), ComponentError> {
        match alias {
            ComponentAlias::InstanceExport { instance_index, name, .. } => {
                let instance = self.instances.get(*instance_index as usize);
                let item = instance.and_then(|exports| exports.get(*name)).cloned();
                self.add(item.ok_or(invalid("an alias of an export that is not there"))?);
            }
            // Types of values: resource types are no outer ones of a component.
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => {
                self.types.push(None);
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreType, .. } => {}
            _ => {
                return Err(ComponentError::Unsupported("outer aliases of modules or components"));
            }
        }
        Ok(())
    }
}
