//! Resource types, and the names that components have for them.
//!
//! Each component has type ids of its own for the resource types that it imports. An instance of it is given some: its
//! [`TypeScope`] says which.

use super::Def;
use super::components::Evaluator;
use super::scope::{Item, Scope};
use crate::error::ComponentError;
use crate::parse::Component;
use std::collections::HashMap;
use std::rc::Rc;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentEntityType, ComponentInstanceTypeId, ResourceId,
};
use wasmparser::types::TypesRef;

/// A resource type.
pub(crate) enum ResourceType {
    /// The host's.
    Imported {
        /// Its interface; empty for a resource type of the world itself.
        interface: String,
        /// Its name there.
        name: String,
    },
    /// That of an instance of a component.
    Defined {
        destructor: Option<Def>,
        /// The instance.
        scope: usize,
    },
}

impl ResourceType {
    /// The function to call with what is dropped, if there is one.
    pub(crate) fn destructor(&self) -> Option<Def> {
        match self {
            ResourceType::Imported { .. } => None,
            ResourceType::Defined { destructor, .. } => *destructor,
        }
    }
}

/// The types of an instance of a component.
pub(crate) struct TypeScope<'a> {
    component: Rc<Component<'a>>,
    /// The place in the graph of each resource type.
    resources: HashMap<ResourceId, usize>,
}

impl<'a> TypeScope<'a> {
    pub(super) fn new(component: Rc<Component<'a>>) -> TypeScope<'a> {
        TypeScope { component, resources: HashMap::new() }
    }

    /// The types of the component's index spaces.
    pub(crate) fn types(&self) -> Result<TypesRef<'_>, ComponentError> {
        self.component.types()
    }

    /// The resource type with this id: `resource`, if it was not known.
    pub(super) fn note(&mut self, id: ResourceId, resource: usize) -> usize {
        *self.resources.entry(id).or_insert(resource)
    }

    /// The resource type with this id.
    pub(crate) fn resource(&self, id: ResourceId) -> Result<usize, ComponentError> {
        let known = self.resources.get(&id).copied();
        known.ok_or(ComponentError::Unsupported("resources that cannot be followed"))
    }
}

impl<'a> Evaluator<'a> {
    /// Notes the ids of resource types that came with the last definition.
    pub(super) fn note_resources(
        &mut self,
        scope: &mut Scope<'a>,
        types: TypesRef<'_>,
    ) -> Result<(), ComponentError> {
        for index in scope.noted_types..scope.types.len() {
            let ty = types.component_any_type_at(index as u32);
            if let (ComponentAnyTypeId::Resource(id), Some(resource)) = (ty, scope.types[index]) {
                self.graph.scopes[scope.place].note(id.resource(), resource);
            }
        }
        for index in scope.noted_instances..scope.instances.len() {
            self.note_instance(scope, index, types.component_instance_at(index as u32), types)?;
        }
        (scope.noted_types, scope.noted_instances) = (scope.types.len(), scope.instances.len());
        Ok(())
    }

    fn note_instance(
        &mut self,
        scope: &Scope<'a>,
        instance: usize,
        id: ComponentInstanceTypeId,
        types: TypesRef<'_>,
    ) -> Result<(), ComponentError> {
        let given = &scope.instances[instance];
        for (name, item) in &types[id].exports {
            self.definitions.spend(1)?;
            let ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } =
                item.ty
            else {
                continue;
            };
            if let Some(Item::Type(Some(resource))) = given.get(name) {
                self.graph.scopes[scope.place].note(id.resource(), *resource);
            }
        }
        Ok(())
    }
}
