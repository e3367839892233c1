//! The index spaces of a component.

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
    Type,
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

/// The index spaces of a component, as far as they have been filled.
#[derive(Default)]
pub(super) struct Scope<'a> {
    pub(super) modules: Vec<Rc<Module<'a>>>,
    pub(super) components: Vec<Rc<Component<'a>>>,
    pub(super) funcs: Vec<Func>,
    pub(super) instances: Vec<Rc<Exports<'a>>>,
    /// Number of types.
    pub(super) types: u32,
    pub(super) exports: Exports<'a>,
}

impl<'a> Scope<'a> {
    /// Adds an item to its index space.
    pub(super) fn add(&mut self, item: Item<'a>) {
        match item {
            Item::Module(module) => self.modules.push(module),
            Item::Component(component) => self.components.push(component),
            Item::Func(func) => self.funcs.push(func),
            Item::Instance(exports) => self.instances.push(exports),
            Item::Type => self.types += 1,
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
            ComponentExternalKind::Type => Some(Item::Type),
            ComponentExternalKind::Value => {
                return Err(ComponentError::Unsupported("values as imports or exports"));
            }
        };
        item.ok_or(invalid("an index is outside of its index space"))
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
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. } => self.types += 1,
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreType, .. } => {}
            _ => {
                return Err(ComponentError::Unsupported("outer aliases of modules or components"));
            }
        }
        Ok(())
    }
}
