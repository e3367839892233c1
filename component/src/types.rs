//! Types of the component model, from the validator's form to the one of bindings.

use crate::budget::Budget;
use crate::error::{ComponentError, invalid};
use crate::graph::{Graph, NamedImport};
use std::collections::HashMap;
use wasmparser::PrimitiveValType;
use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType,
    ComponentFuncTypeId, ComponentValType, ResourceId,
};
use wasmparser::types::TypesRef;
use wfaas_abi::component::{
    Case, Field, Function, FunctionIndex, MAX_DEPTH, MAX_ITEMS, Param, Resource, ResourceIndex,
    Type, TypeIndex,
};

/// The types of a component's bindings while they are collected. Equal ones are one.
pub(crate) struct Interfaces<'t> {
    source: TypesRef<'t>,
    pub(crate) types: Vec<Type>,
    pub(crate) functions: Vec<Function>,
    pub(crate) resources: Vec<Resource>,
    /// Bytes of names that may still be copied.
    pub(crate) names: Budget,
    /// Of each type, whether values have a list or a string in them.
    with_list: Vec<bool>,
    known: HashMap<Type, TypeIndex>,
    known_defined: HashMap<ComponentDefinedTypeId, TypeIndex>,
    known_functions: HashMap<ComponentFuncTypeId, FunctionIndex>,
    known_resources: HashMap<ResourceId, ResourceIndex>,
}

impl<'t> Interfaces<'t> {
    /// With the resources of a graph; `destructors` are the names of core exports for those that it defines.
    pub(crate) fn new(
        graph: &Graph<'_>,
        destructors: &[Option<String>],
        source: TypesRef<'t>,
    ) -> Result<Interfaces<'t>, ComponentError> {
        let mut interfaces = Interfaces {
            source,
            types: Vec::new(),
            functions: Vec::new(),
            resources: Vec::new(),
            names: Budget::names(),
            with_list: Vec::new(),
            known: HashMap::new(),
            known_defined: HashMap::new(),
            known_functions: HashMap::new(),
            known_resources: HashMap::new(),
        };
        for import in &graph.imports {
            interfaces.imported_resources(import)?;
        }
        for ((ty, _), destructor) in graph.resources.iter().zip(destructors) {
            let ComponentAnyTypeId::Resource(id) = source.component_any_type_at(*ty) else {
                return Err(invalid("a resource type is none"));
            };
            let resource = Resource::Defined { destructor: destructor.clone() };
            interfaces.add_resource(id.resource(), resource);
        }
        Ok(interfaces)
    }

    /// The resource types that an import brings along. One that it uses from an earlier import is known.
    fn imported_resources(&mut self, import: &NamedImport<'_>) -> Result<(), ComponentError> {
        let source = self.source;
        let item = source.component_item_for_import(import.name);
        match item.ok_or(invalid("an import without a type"))?.ty {
            ComponentEntityType::Instance(id) => {
                for (name, item) in &source[id].exports {
                    self.imported_resource(&import.full_name, name, item.ty)?;
                }
            }
            ty => self.imported_resource("", &import.full_name, ty)?,
        }
        Ok(())
    }

    fn imported_resource(
        &mut self,
        interface: &str,
        name: &str,
        ty: ComponentEntityType,
    ) -> Result<(), ComponentError> {
        if let ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } = ty {
            let (interface, name) = (self.name(interface)?, self.name(name)?);
            self.add_resource(id.resource(), Resource::Imported { interface, name });
        }
        Ok(())
    }

    /// A copy of a name.
    fn name(&mut self, name: &str) -> Result<String, ComponentError> {
        self.names.spend(name.len())?;
        Ok(name.to_owned())
    }

    fn add_resource(&mut self, id: ResourceId, resource: Resource) {
        if !self.known_resources.contains_key(&id) {
            self.known_resources.insert(id, ResourceIndex(self.resources.len() as u32));
            self.resources.push(resource);
        }
    }

    /// The resource with type index `index` of the component.
    pub(crate) fn resource_at(&self, index: u32) -> Result<ResourceIndex, ComponentError> {
        match self.source.component_any_type_at(index) {
            ComponentAnyTypeId::Resource(id) => self.resource(id.resource()),
            _ => Err(invalid("a resource type is none")),
        }
    }

    fn resource(&self, id: ResourceId) -> Result<ResourceIndex, ComponentError> {
        let known = self.known_resources.get(&id).copied();
        known.ok_or(ComponentError::Unsupported("resources of inner components"))
    }

    /// The type of function `func` of the component.
    pub(crate) fn function_at(&mut self, func: u32) -> Result<FunctionIndex, ComponentError> {
        let source = self.source;
        let id = source.component_function_at(func);
        if let Some(known) = self.known_functions.get(&id) {
            return Ok(*known);
        }
        let ty = &source[id];
        let mut params = Vec::with_capacity(ty.params.len());
        for (name, ty) in &ty.params {
            params.push(Param { name: self.name(name)?, ty: self.value(*ty, 0)? });
        }
        let result = ty.result.map(|ty| self.value(ty, 0)).transpose()?;
        let index = FunctionIndex(self.functions.len() as u32);
        self.functions.push(Function { params, result, is_async: ty.async_ });
        self.known_functions.insert(id, index);
        Ok(index)
    }

    /// Whether results of a function have a list or a string in them.
    pub(crate) fn allocates(&self, func: FunctionIndex) -> bool {
        let result = self.functions.get(func.index()).and_then(|func| func.result);
        result.is_some_and(|ty| self.with_list[ty.index()])
    }

    fn value(&mut self, ty: ComponentValType, depth: usize) -> Result<TypeIndex, ComponentError> {
        match ty {
            ComponentValType::Primitive(primitive) => self.intern(primitive_type(primitive)?),
            ComponentValType::Type(id) => {
                if let Some(known) = self.known_defined.get(&id) {
                    return Ok(*known);
                }
                // Recursion is as deep as types are.
                if depth >= MAX_DEPTH {
                    let what = "the number of types inside of each other";
                    return Err(ComponentError::TooLarge { what, limit: MAX_DEPTH });
                }
                let ty = self.defined(id, depth + 1)?;
                let index = self.intern(ty)?;
                self.known_defined.insert(id, index);
                Ok(index)
            }
        }
    }

    fn optional(
        &mut self,
        ty: Option<ComponentValType>,
        depth: usize,
    ) -> Result<Option<TypeIndex>, ComponentError> {
        ty.map(|ty| self.value(ty, depth)).transpose()
    }

    fn defined(
        &mut self,
        id: ComponentDefinedTypeId,
        depth: usize,
    ) -> Result<Type, ComponentError> {
        let source = self.source;
        Ok(match &source[id] {
            ComponentDefinedType::Primitive(primitive) => primitive_type(*primitive)?,
            ComponentDefinedType::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len());
                for (name, ty) in &record.fields {
                    fields.push(Field { name: self.name(name)?, ty: self.value(*ty, depth)? });
                }
                Type::Record(fields)
            }
            ComponentDefinedType::Variant(variant) => {
                let mut cases = Vec::with_capacity(variant.cases.len());
                for (name, case) in &variant.cases {
                    let ty = self.optional(case.ty, depth)?;
                    cases.push(Case { name: self.name(name)?, ty });
                }
                Type::Variant(cases)
            }
            ComponentDefinedType::Tuple(tuple) => {
                let types = tuple.types.iter().map(|ty| self.value(*ty, depth));
                Type::Tuple(types.collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::List { element, .. } => Type::List(self.value(*element, depth)?),
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                Type::FixedList(self.value(*element, depth)?, *length)
            }
            ComponentDefinedType::Flags(names) => {
                Type::Flags(names.iter().map(|name| self.name(name)).collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::Enum(names) => {
                Type::Enum(names.iter().map(|name| self.name(name)).collect::<Result<_, _>>()?)
            }
            ComponentDefinedType::Option { ty, .. } => Type::Option(self.value(*ty, depth)?),
            ComponentDefinedType::Result { ok, err, .. } => {
                Type::Result { ok: self.optional(*ok, depth)?, err: self.optional(*err, depth)? }
            }
            ComponentDefinedType::Own(id) => Type::Own(self.resource(id.resource())?),
            ComponentDefinedType::Borrow(id) => Type::Borrow(self.resource(id.resource())?),
            ComponentDefinedType::Future { .. } | ComponentDefinedType::Stream { .. } => {
                return Err(ComponentError::Unsupported("futures and streams (WASI 0.3)"));
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
        let with_list = list || ty.parts().iter().any(|part| self.with_list[part.index()]);
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
