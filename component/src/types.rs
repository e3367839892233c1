//! Types of the component model, from the validator's form to the one of bindings.

use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use crate::graph::{Graph, ResourceType, TypeScope};
use std::collections::HashMap;
use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    AliasableResourceId, ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId,
    ComponentFuncTypeId, ComponentValType,
};
use wasmparser::types::TypesRef;
use wfaas_abi::component::{
    Case, Field, Function, FunctionIndex, MAX_DEPTH, MAX_ITEMS, Param, Resource, ResourceIndex,
    Type, TypeIndex,
};

/// Most types and parts of types that are looked up for all functions of all instances: each instance of a component has
/// its own resource types, so equal types are looked up once for each.
const MAX_LOOKUPS: usize = 1 << 20;

/// The types of a component's bindings while they are collected. Equal ones are one.
pub(crate) struct Interfaces<'t> {
    scopes: &'t [TypeScope<'t>],
    pub(crate) types: Vec<Type>,
    pub(crate) functions: Vec<Function>,
    pub(crate) resources: Vec<Resource>,
    /// Bytes of names that may still be copied.
    pub(crate) names: Budget,
    /// Types and parts of types that may still be looked up.
    lookups: Budget,
    /// Of each type, whether values have a list or a string in them.
    with_list: Vec<bool>,
    known: HashMap<Type, TypeIndex>,
    /// By the scope, too: an id has other resource types in each instance of a component.
    known_defined: HashMap<(usize, ComponentDefinedTypeId), TypeIndex>,
    known_functions: HashMap<(usize, ComponentFuncTypeId), FunctionIndex>,
}

impl<'t> Interfaces<'t> {
    /// With the resources of a graph; `destructors` are the names of core exports for those that it defines.
    pub(crate) fn new(
        graph: &'t Graph<'t>,
        destructors: &[Option<String>],
    ) -> Result<Interfaces<'t>, ComponentError> {
        let mut interfaces = Interfaces {
            scopes: &graph.scopes,
            types: Vec::new(),
            functions: Vec::new(),
            resources: Vec::new(),
            names: Budget::names(),
            lookups: Budget::new("the number of types of all instances", MAX_LOOKUPS),
            with_list: Vec::new(),
            known: HashMap::new(),
            known_defined: HashMap::new(),
            known_functions: HashMap::new(),
        };
        for (resource, destructor) in graph.resources.iter().zip(destructors) {
            let resource = match resource {
                ResourceType::Imported { interface, name } => Resource::Imported {
                    interface: interfaces.name(interface)?,
                    name: interfaces.name(name)?,
                },
                ResourceType::Defined { .. } => {
                    Resource::Defined { destructor: destructor.clone() }
                }
            };
            interfaces.resources.push(resource);
        }
        Ok(interfaces)
    }

    /// A copy of a name.
    fn name(&mut self, name: &str) -> Result<String, ComponentError> {
        self.names.spend(name.len())?;
        Ok(name.to_owned())
    }

    /// The types of a scope.
    pub(crate) fn source(&self, scope: usize) -> Result<TypesRef<'t>, ComponentError> {
        self.scopes.get(scope).ok_or(invalid("a scope that is not there"))?.types()
    }

    fn resource(
        &self,
        scope: usize,
        id: AliasableResourceId,
    ) -> Result<ResourceIndex, ComponentError> {
        let scope = self.scopes.get(scope).ok_or(invalid("a scope that is not there"))?;
        Ok(ResourceIndex(scope.resource(id.resource())? as u32))
    }

    /// The type of function `func` of a scope.
    pub(crate) fn function_at(
        &mut self,
        scope: usize,
        func: u32,
    ) -> Result<FunctionIndex, ComponentError> {
        let source = self.source(scope)?;
        let id = source.component_function_at(func);
        if let Some(known) = self.known_functions.get(&(scope, id)) {
            return Ok(*known);
        }
        self.lookups.spend(1)?;
        let ty = &source[id];
        let mut params = Vec::with_capacity(ty.params.len());
        for (name, ty) in &ty.params {
            params.push(Param { name: self.name(name)?, ty: self.value(scope, *ty, 0)? });
        }
        let result = ty.result.map(|ty| self.value(scope, ty, 0)).transpose()?;
        let index = FunctionIndex(self.functions.len() as u32);
        self.functions.push(Function { params, result, is_async: ty.async_ });
        self.known_functions.insert((scope, id), index);
        Ok(index)
    }

    /// A function type with a result as its only parameter, for `task.return`.
    pub(crate) fn result_function(
        &mut self,
        scope: usize,
        result: Option<wasmparser::ComponentValType>,
    ) -> Result<FunctionIndex, ComponentError> {
        let ty = match result {
            None => None,
            Some(wasmparser::ComponentValType::Primitive(ty)) => {
                Some(self.intern(primitive_type(ty)?)?)
            }
            Some(wasmparser::ComponentValType::Type(index)) => Some(self.type_at(scope, index)?),
        };
        let params: Vec<Param> =
            ty.into_iter().map(|ty| Param { name: "result".to_owned(), ty }).collect();
        let function = Function { params, result: None, is_async: false };
        self.functions.push(function);
        Ok(FunctionIndex(self.functions.len() as u32 - 1))
    }

    /// The type with index `index` of a scope, which is one of values.
    pub(crate) fn type_at(
        &mut self,
        scope: usize,
        index: u32,
    ) -> Result<TypeIndex, ComponentError> {
        match self.source(scope)?.component_any_type_at(index) {
            ComponentAnyTypeId::Defined(id) => self.value(scope, ComponentValType::Type(id), 0),
            _ => Err(invalid("a type of values is none")),
        }
    }

    /// Whether elements of a stream or a future have a list or a string in them.
    pub(crate) fn element_allocates(&self, ty: TypeIndex) -> bool {
        let parts = self.types[ty.index()].parts();
        parts.iter().any(|part| self.with_list[part.index()])
    }

    /// Whether results of a function have a list or a string in them.
    pub(crate) fn allocates(&self, func: FunctionIndex) -> bool {
        let result = self.functions.get(func.index()).and_then(|func| func.result);
        result.is_some_and(|ty| self.with_list[ty.index()])
    }

    fn value(
        &mut self,
        scope: usize,
        ty: ComponentValType,
        depth: usize,
    ) -> Result<TypeIndex, ComponentError> {
        self.lookups.spend(1)?;
        match ty {
            ComponentValType::Primitive(primitive) => self.intern(primitive_type(primitive)?),
            ComponentValType::Type(id) => {
                if let Some(known) = self.known_defined.get(&(scope, id)) {
                    return Ok(*known);
                }
                // Recursion is as deep as types are.
                if depth >= MAX_DEPTH {
                    let what = "the number of types inside of each other";
                    return Err(ComponentError::TooLarge { what, limit: MAX_DEPTH });
                }
                let ty = self.defined(scope, id, depth + 1)?;
                let index = self.intern(ty)?;
                self.known_defined.insert((scope, id), index);
                Ok(index)
            }
        }
    }

    fn optional(
        &mut self,
        scope: usize,
        ty: Option<ComponentValType>,
        depth: usize,
    ) -> Result<Option<TypeIndex>, ComponentError> {
        ty.map(|ty| self.value(scope, ty, depth)).transpose()
    }

    fn defined(
        &mut self,
        scope: usize,
        id: ComponentDefinedTypeId,
        depth: usize,
    ) -> Result<Type, ComponentError> {
        let source = self.source(scope)?;
        Ok(match &source[id] {
            ComponentDefinedType::Primitive(primitive) => primitive_type(*primitive)?,
            ComponentDefinedType::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len());
                for (name, ty) in &record.fields {
                    fields
                        .push(Field { name: self.name(name)?, ty: self.value(scope, *ty, depth)? });
                }
                Type::Record(fields)
            }
            ComponentDefinedType::Variant(variant) => {
                let mut cases = Vec::with_capacity(variant.cases.len());
                for (name, case) in &variant.cases {
                    let ty = self.optional(scope, case.ty, depth)?;
                    cases.push(Case { name: self.name(name)?, ty });
                }
                Type::Variant(cases)
            }
            ComponentDefinedType::Tuple(tuple) => {
                let types = tuple.types.iter().map(|ty| self.value(scope, *ty, depth));
                Type::Tuple(types.collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::List { element, .. } => {
                Type::List(self.value(scope, *element, depth)?)
            }
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                Type::FixedList(self.value(scope, *element, depth)?, *length)
            }
            ComponentDefinedType::Flags(names) => {
                Type::Flags(names.iter().map(|name| self.name(name)).collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::Enum(names) => {
                Type::Enum(names.iter().map(|name| self.name(name)).collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::Option { ty, .. } => Type::Option(self.value(scope, *ty, depth)?),
            ComponentDefinedType::Result { ok, err, .. } => Type::Result {
                ok: self.optional(scope, *ok, depth)?,
                err: self.optional(scope, *err, depth)?,
            },
            ComponentDefinedType::Own(id) => Type::Own(self.resource(scope, *id)?),
            ComponentDefinedType::Borrow(id) => Type::Borrow(self.resource(scope, *id)?),
            ComponentDefinedType::Future { ty, .. } => {
                Type::Future(self.optional(scope, *ty, depth)?)
            }
            ComponentDefinedType::Stream { ty, .. } => {
                Type::Stream(self.optional(scope, *ty, depth)?)
            }
            ComponentDefinedType::Map { .. } => return Err(ComponentError::Unsupported("maps")),
        })
    }

    /// The place of a type, which is added unless it is there.
    fn intern(&mut self, ty: Type) -> Result<TypeIndex, ComponentError> {
        if let Some(known) = self.known.get(&ty) {
            return Ok(*known);
        }
        if self.types.len() >= MAX_ITEMS {
            return Err(ComponentError::TooLarge { what: "the number of types", limit: MAX_ITEMS });
        }
        let list = matches!(ty, Type::List(_) | Type::String);
        let is_handle = matches!(ty, Type::Stream(_) | Type::Future(_));
        let in_parts = || ty.parts().iter().any(|part| self.with_list[part.index()]);
        let with_list = list || !is_handle && in_parts();
        let index = TypeIndex(self.types.len() as u32);
        self.with_list.push(with_list);
        self.types.push(ty.clone());
        self.known.insert(ty, index);
        Ok(index)
    }
}

fn primitive_type(ty: PrimitiveValType) -> Result<Type, ComponentError> {
    Ok(match ty {
        PrimitiveValType::Bool => Type::Bool,
        PrimitiveValType::S8 => Type::S8,
        PrimitiveValType::U8 => Type::U8,
        PrimitiveValType::S16 => Type::S16,
        PrimitiveValType::U16 => Type::U16,
        PrimitiveValType::S32 => Type::S32,
        PrimitiveValType::U32 => Type::U32,
        PrimitiveValType::S64 => Type::S64,
        PrimitiveValType::U64 => Type::U64,
        PrimitiveValType::F32 => Type::F32,
        PrimitiveValType::F64 => Type::F64,
        PrimitiveValType::Char => Type::Char,
        PrimitiveValType::String => Type::String,
        PrimitiveValType::ErrorContext => {
            return Err(ComponentError::Unsupported("error contexts"));
        }
    })
}
