//! The definitions of a component, in order, and of the components and core modules in it. Everything but the
//! bodies of functions is validated.

use crate::error::{ComponentError, invalid};
use std::collections::HashMap;
use std::rc::Rc;
use wasmparser::types::{Types, TypesRef};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExport, ComponentImport, ComponentInstance,
    ComponentType, DataSectionReader, ElementSectionReader, Encoding, ExternalKind, FunctionBody,
    FunctionSectionReader, GlobalSectionReader, Import, Instance, KnownCustom, MemorySectionReader,
    NameSectionReader, Parser, Payload, TableSectionReader, TagSectionReader, TypeRef,
    TypeSectionReader, ValidPayload, Validator, WasmFeatures,
};

/// The definitions of a component, in order, and the types of its index spaces.
#[derive(Default)]
pub(crate) struct Component<'a> {
    pub(crate) definitions: Vec<Definition<'a>>,
    /// Set at the end.
    types: Option<Types>,
}

impl Component<'_> {
    /// The types of its index spaces.
    pub(crate) fn types(&self) -> Result<TypesRef<'_>, ComponentError> {
        let types = self.types.as_ref().ok_or(invalid("a component without an end"))?;
        Ok(types.as_ref())
    }
}

/// One definition of a component.
pub(crate) enum Definition<'a> {
    CoreModule(Rc<Module<'a>>),
    CoreInstance(Instance<'a>),
    Component(Rc<Component<'a>>),
    Instance(ComponentInstance<'a>),
    Alias(ComponentAlias<'a>),
    /// A type that is no resource.
    Type,
    /// A resource type, with its destructor among the core functions.
    Resource {
        destructor: Option<u32>,
    },
    Canon(CanonicalFunction),
    Import(ComponentImport<'a>),
    Export(ComponentExport<'a>),
}

/// A core module, by section.
#[derive(Default)]
pub(crate) struct Module<'a> {
    /// Bytes of the module.
    pub(crate) bytes: usize,
    /// Its name in the name section.
    pub(crate) name: Option<&'a str>,
    pub(crate) types: Option<TypeSectionReader<'a>>,
    pub(crate) imports: Vec<Import<'a>>,
    /// Of each kind, the places of its imports among all of them.
    imported: HashMap<Kind, Vec<usize>>,
    pub(crate) functions: Option<FunctionSectionReader<'a>>,
    pub(crate) tables: Option<TableSectionReader<'a>>,
    pub(crate) memories: Option<MemorySectionReader<'a>>,
    pub(crate) tags: Option<TagSectionReader<'a>>,
    pub(crate) globals: Option<GlobalSectionReader<'a>>,
    pub(crate) exports: HashMap<&'a str, (ExternalKind, u32)>,
    pub(crate) start: Option<u32>,
    pub(crate) elements: Option<ElementSectionReader<'a>>,
    pub(crate) data: Option<DataSectionReader<'a>>,
    pub(crate) bodies: Vec<FunctionBody<'a>>,
    pub(crate) names: Option<NameSectionReader<'a>>,
    /// The sections of DWARF, by name.
    pub(crate) debug: Vec<(&'a str, &'a [u8])>,
    /// The start of the code section, in the component.
    pub(crate) code_start: u64,
}

/// The component or module that is being read.
enum Open<'a> {
    Component(Box<Component<'a>>),
    Module(Box<Module<'a>>),
}

/// The features that the validator lets pass: all that are either supported, or refused by name later on.
fn features() -> WasmFeatures {
    WasmFeatures::default()
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::CM_ASYNC_STACKFUL
        | WasmFeatures::CM_MORE_ASYNC_BUILTINS
        | WasmFeatures::CM_ERROR_CONTEXT
        | WasmFeatures::CM_FIXED_LENGTH_LISTS
}

/// Parses and validates a binary component, except for the bodies of functions.
pub(crate) fn parse(bytes: &[u8]) -> Result<Rc<Component<'_>>, ComponentError> {
    let mut validator = Validator::new_with_features(features());
    let mut parser = Parser::new(0);
    parser.set_features(features());
    let mut open: Vec<Open<'_>> = Vec::new();
    for payload in parser.parse_all(bytes) {
        let payload = payload?;
        let valid = validator.payload(&payload)?;
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => {
                open.push(Open::Component(Box::default()));
            }
            Payload::Version { encoding: Encoding::Module, range, .. } => {
                let module = Module { bytes: range.start as usize, ..Module::default() };
                open.push(Open::Module(Box::new(module)));
            }
            Payload::End(offset) => {
                let closed = open.pop().ok_or(invalid("an end without a beginning"))?;
                let ValidPayload::End(types) = valid else {
                    return Err(invalid("an end without types"));
                };
                match (close(closed, offset, types), open.last_mut()) {
                    (Definition::Component(root), None) => return Ok(root),
                    (definition, Some(Open::Component(outer))) => {
                        outer.definitions.push(definition);
                    }
                    _ => return Err(invalid("a module outside of a component")),
                }
            }
            payload => match open.last_mut() {
                Some(Open::Component(component)) => definitions(component, payload)?,
                Some(Open::Module(module)) => section(module, payload)?,
                None => return Err(invalid("a section outside of a component")),
            },
        }
    }
    Err(invalid("the component has no end"))
}

/// The definition of a component or module that has been read up to `offset`.
fn close(open: Open<'_>, offset: u64, types: Types) -> Definition<'_> {
    match open {
        Open::Component(mut component) => {
            component.types = Some(types);
            Definition::Component(Rc::new(*component))
        }
        Open::Module(mut module) => {
            module.bytes = (offset as usize).saturating_sub(module.bytes);
            Definition::CoreModule(Rc::new(*module))
        }
    }
}

/// Adds the definitions of a section of a component.
fn definitions<'a>(
    component: &mut Component<'a>,
    payload: Payload<'a>,
) -> Result<(), ComponentError> {
    let definitions = &mut component.definitions;
    match payload {
        Payload::InstanceSection(section) => {
            for instance in section {
                definitions.push(Definition::CoreInstance(instance?));
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section {
                definitions.push(Definition::Instance(instance?));
            }
        }
        Payload::ComponentAliasSection(section) => {
            for alias in section {
                definitions.push(Definition::Alias(alias?));
            }
        }
        Payload::ComponentTypeSection(section) => {
            for ty in section {
                definitions.push(match ty? {
                    ComponentType::Resource { dtor, .. } => {
                        Definition::Resource { destructor: dtor }
                    }
                    _ => Definition::Type,
                });
            }
        }
        Payload::ComponentCanonicalSection(section) => {
            for function in section {
                definitions.push(Definition::Canon(function?));
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section {
                definitions.push(Definition::Import(import?));
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section {
                definitions.push(Definition::Export(export?));
            }
        }
        Payload::ComponentStartSection { .. } => {
            return Err(ComponentError::Unsupported("a start function of their own"));
        }
        // Core types, and what only people read; modules and components follow as payloads of their own.
        _ => {}
    }
    Ok(())
}

/// Adds a section to a core module.
fn section<'a>(module: &mut Module<'a>, payload: Payload<'a>) -> Result<(), ComponentError> {
    match payload {
        Payload::TypeSection(section) => module.types = Some(section),
        Payload::ImportSection(section) => {
            for import in section.into_imports() {
                module.add_import(import?);
            }
        }
        Payload::FunctionSection(section) => module.functions = Some(section),
        Payload::TableSection(section) => module.tables = Some(section),
        Payload::MemorySection(section) => module.memories = Some(section),
        Payload::TagSection(section) => module.tags = Some(section),
        Payload::GlobalSection(section) => module.globals = Some(section),
        Payload::ExportSection(section) => {
            for export in section {
                let export = export?;
                module.exports.insert(export.name, (export.kind, export.index));
            }
        }
        Payload::StartSection { func, .. } => module.start = Some(func),
        Payload::ElementSection(section) => module.elements = Some(section),
        Payload::DataSection(section) => module.data = Some(section),
        Payload::CodeSectionStart { unchecked_range: range, .. } => module.code_start = range.start,
        Payload::CodeSectionEntry(body) => module.bodies.push(body),
        Payload::CustomSection(custom) => {
            if let KnownCustom::Name(names) = custom.as_known() {
                module.name = module_name(names.clone());
                module.names = Some(names);
            } else if custom.name().starts_with(".debug_") {
                module.debug.push((custom.name(), custom.data()));
            }
        }
        _ => {}
    }
    Ok(())
}

fn module_name(names: NameSectionReader<'_>) -> Option<&str> {
    names.into_iter().map_while(Result::ok).find_map(|name| match name {
        wasmparser::Name::Module { name, .. } => Some(name),
        _ => None,
    })
}

impl<'a> Module<'a> {
    fn add_import(&mut self, import: Import<'a>) {
        self.imported.entry(Kind::of(&import.ty)).or_default().push(self.imports.len());
        self.imports.push(import);
    }

    /// The imports of a kind, in the order of its index space, by their places among all imports.
    pub(crate) fn imports_of(&self, kind: Kind) -> &[usize] {
        self.imported.get(&kind).map_or(&[], Vec::as_slice)
    }
}

/// The index spaces of core modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Func,
    Table,
    Memory,
    Global,
    Tag,
}

impl Kind {
    pub(crate) fn of(ty: &TypeRef) -> Kind {
        match ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => Kind::Func,
            TypeRef::Table(_) => Kind::Table,
            TypeRef::Memory(_) => Kind::Memory,
            TypeRef::Global(_) => Kind::Global,
            TypeRef::Tag(_) => Kind::Tag,
        }
    }
}

impl From<ExternalKind> for Kind {
    fn from(kind: ExternalKind) -> Kind {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => Kind::Func,
            ExternalKind::Table => Kind::Table,
            ExternalKind::Memory => Kind::Memory,
            ExternalKind::Global => Kind::Global,
            ExternalKind::Tag => Kind::Tag,
        }
    }
}
