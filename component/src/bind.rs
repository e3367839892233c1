//! The bindings of a graph, and what the fused module needs for them: imports, stubs and exports.

mod exports;
mod signature;

pub(crate) use signature::Signature;

use crate::error::{ComponentError, invalid};
use crate::graph::{Canon, Def, Graph, Lift, Options, Source};
use crate::parse::Kind;
use crate::types::Interfaces;
use exports::{Exports, numbered};
use std::collections::{HashMap, HashSet};
use wasm_encoder::ValType;
use wasmparser::types::{Types, TypesRef};
use wfaas_abi::component::{
    Bindings, Export, FunctionName, Import, ImportKind, Resource, ResourceIndex,
};

/// The fused module's side of its bindings.
pub(crate) struct Plan {
    pub(crate) bindings: Bindings,
    /// Types of the imports, in the order of the bindings' imports.
    pub(crate) imports: Vec<Signature>,
    pub(crate) stubs: Vec<Stub>,
    /// The function behind each canonical function of the graph; `None` if no module uses it.
    pub(crate) canons: Vec<Option<Behind>>,
    /// Functions to export.
    pub(crate) exports: Vec<(String, Def)>,
}

/// A function of the fused module that is no core instance's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behind {
    /// By its place among the imports.
    Import(usize),
    /// By its place among the stubs.
    Stub(usize),
}

/// A generated function between core modules and an import.
pub(crate) enum Stub {
    /// Calls an import, and allocates as long as it asks for memory. See
    /// [`ImportKind::ReallocNext`].
    Realloc { import: usize, next: usize, realloc: Def, params: Vec<ValType> },
    /// Calls an import that drops a handle, and the destructor if it has to be called. See
    /// [`ImportKind::ResourceDrop`].
    Drop { import: usize, destructor: Def },
}

impl Plan {
    /// The type of a function of the fused module, if it is an import or a stub.
    pub(crate) fn signature_of(&self, func: usize) -> Option<Signature> {
        match self.imports.get(func) {
            Some(import) => Some(import.clone()),
            None => self.stubs.get(func - self.imports.len()).map(Stub::signature),
        }
    }
}

impl Stub {
    /// The type of the stub.
    pub(crate) fn signature(&self) -> Signature {
        match self {
            Stub::Realloc { params, .. } => Signature::new(params, &[]),
            Stub::Drop { .. } => Signature::new(&[ValType::I32], &[]),
        }
    }
}

/// Makes the plan of a graph.
pub(crate) fn bind(graph: &Graph<'_>, types: &Types) -> Result<Plan, ComponentError> {
    let mut exports = Exports::default();
    let destructors: Vec<Option<String>> = graph
        .resources
        .iter()
        .map(|(_, destructor)| destructor.map(|def| exports.name("canon#destructor", def)))
        .collect();
    let source = types.as_ref();
    let interfaces = Interfaces::new(graph, &destructors, source)?;
    let mut destructors = HashMap::new();
    for (ty, destructor) in &graph.resources {
        destructors.extend(
            destructor
                .map(|def| (interfaces.resource_at(*ty), def))
                .and_then(|(resource, def)| resource.ok().map(|resource| (resource, def))),
        );
    }
    let mut binder = Binder {
        source,
        interfaces,
        known: HashMap::new(),
        names: HashMap::new(),
        destructors,
        imports: Vec::new(),
        signatures: Vec::new(),
        stubs: Vec::new(),
    };
    let used = used(graph);
    let mut canons = Vec::with_capacity(graph.canons.len());
    for (index, canon) in graph.canons.iter().enumerate() {
        let behind = used.contains(&index).then(|| binder.canon(canon)).transpose()?;
        canons.push(behind);
    }
    let mut lifted = Vec::with_capacity(graph.exports.len());
    for (name, lift) in &graph.exports {
        let lift = graph.lifts.get(*lift).ok_or(invalid("a lifted function is not there"))?;
        lifted.push(binder.export(name, lift, &mut exports)?);
    }
    let Binder { interfaces, imports, signatures, stubs, .. } = binder;
    let Interfaces { types, functions, resources, .. } = interfaces;
    let bindings = Bindings { types, functions, resources, imports, exports: lifted };
    Ok(Plan { bindings, imports: signatures, stubs, canons, exports: exports.functions })
}

/// The canonical functions that anything uses.
fn used(graph: &Graph<'_>) -> HashSet<usize> {
    let imports = graph.instances.iter().flat_map(|instance| &instance.imports);
    let lifted = graph.lifts.iter().map(|lift| &lift.core);
    let destructors = graph.resources.iter().filter_map(|(_, destructor)| destructor.as_ref());
    let canon = |def: &Def| match def.source {
        Source::Canon(index) => Some(index),
        Source::Instance { .. } => None,
    };
    imports.chain(lifted).chain(destructors).filter_map(canon).collect()
}

/// Collects imports and stubs.
struct Binder<'g> {
    source: TypesRef<'g>,
    interfaces: Interfaces<'g>,
    /// Imports by their kinds, each once.
    known: HashMap<ImportKind, usize>,
    /// How many imports want the same module and field names.
    names: HashMap<(String, String), u32>,
    /// Destructors of resources that the component defines.
    destructors: HashMap<ResourceIndex, Def>,
    imports: Vec<Import>,
    signatures: Vec<Signature>,
    stubs: Vec<Stub>,
}

/// Module name of the imports that are no functions of interfaces.
const CANON: &str = "canon";

impl Binder<'_> {
    fn canon(&mut self, canon: &Canon) -> Result<Behind, ComponentError> {
        match canon {
            Canon::Lower { name, func, core_func, options } => {
                self.lower(name, *func, *core_func, options)
            }
            Canon::ResourceNew(ty) => {
                let resource = self.interfaces.resource_at(*ty)?;
                let signature = Signature::new(&[ValType::I32], &[ValType::I32]);
                let kind = ImportKind::ResourceNew(resource);
                self.resource("resource.new", resource, kind, signature).map(Behind::Import)
            }
            Canon::ResourceRep(ty) => {
                let resource = self.interfaces.resource_at(*ty)?;
                let signature = Signature::new(&[ValType::I32], &[ValType::I32]);
                let kind = ImportKind::ResourceRep(resource);
                self.resource("resource.rep", resource, kind, signature).map(Behind::Import)
            }
            Canon::ResourceDrop(ty) => self.drop_resource(*ty),
        }
    }

    fn lower(
        &mut self,
        name: &FunctionName,
        func: u32,
        core_func: u32,
        options: &Options,
    ) -> Result<Behind, ComponentError> {
        self.spend(&name.interface, &name.name)?;
        let ty = self.interfaces.function_at(func)?;
        let mut signature = self.core_signature(core_func)?;
        let realloc = self.interfaces.allocates(ty);
        let kind = ImportKind::Lowered {
            name: name.clone(),
            ty,
            encoding: options.encoding,
            realloc,
            is_async: false,
        };
        if !realloc {
            let import = self.import(&name.interface, &name.name, kind, signature);
            return import.map(Behind::Import);
        }
        let allocator =
            options.realloc.ok_or(invalid("a function that allocates without realloc"))?;
        let params = signature.params.clone();
        if !signature.results.is_empty() {
            return Err(invalid("a lowered function returns a list without memory"));
        }
        signature.results = vec![ValType::I64];
        let import = self.import(&name.interface, &name.name, kind, signature)?;
        let next = self.realloc_next()?;
        self.stubs.push(Stub::Realloc { import, next, realloc: allocator, params });
        Ok(Behind::Stub(self.stubs.len() - 1))
    }

    fn drop_resource(&mut self, ty: u32) -> Result<Behind, ComponentError> {
        let resource = self.interfaces.resource_at(ty)?;
        let defined = self.destructors.get(&resource).copied();
        let results: &[ValType] = if defined.is_some() { &[ValType::I64] } else { &[] };
        let signature = Signature::new(&[ValType::I32], results);
        let kind = ImportKind::ResourceDrop(resource);
        let import = self.resource("resource.drop", resource, kind, signature)?;
        let Some(destructor) = defined else { return Ok(Behind::Import(import)) };
        self.stubs.push(Stub::Drop { import, destructor });
        Ok(Behind::Stub(self.stubs.len() - 1))
    }

    fn realloc_next(&mut self) -> Result<usize, ComponentError> {
        let signature = Signature::new(&[ValType::I32], &[ValType::I64]);
        self.import(CANON, "realloc.next", ImportKind::ReallocNext, signature)
    }

    /// Adds an import of a resource's intrinsic, with the resource in its name.
    fn resource(
        &mut self,
        intrinsic: &str,
        resource: ResourceIndex,
        kind: ImportKind,
        signature: Signature,
    ) -> Result<usize, ComponentError> {
        let field = match self.interfaces.resources.get(resource.index()) {
            Some(Resource::Imported { interface, name }) => {
                self.interfaces.names.spend(interface.len() + name.len())?;
                format!("{intrinsic} {interface}/{name}")
            }
            _ => format!("{intrinsic} {}", resource.0),
        };
        self.import(CANON, &field, kind, signature)
    }

    fn import(
        &mut self,
        module: &str,
        wanted: &str,
        kind: ImportKind,
        signature: Signature,
    ) -> Result<usize, ComponentError> {
        if let Some(known) = self.known.get(&kind) {
            return Ok(*known);
        }
        self.spend(module, wanted)?;
        let number = self.names.entry((module.to_owned(), wanted.to_owned())).or_default();
        *number += 1;
        let field = numbered(wanted, *number);
        self.known.insert(kind.clone(), self.imports.len());
        self.imports.push(Import { module: module.to_owned(), field, kind });
        self.signatures.push(signature);
        Ok(self.imports.len() - 1)
    }

    /// Spends the bytes of a function's name, before it is copied.
    fn spend(&mut self, interface: &str, name: &str) -> Result<(), ComponentError> {
        self.interfaces.names.spend(interface.len() + name.len())
    }

    /// The type of a core function of the component.
    fn core_signature(&self, core_func: u32) -> Result<Signature, ComponentError> {
        let ty = self.source.get(self.source.core_function_at(core_func));
        let ty = ty.ok_or(invalid("a core function without a type"))?.unwrap_func();
        let signature = Signature::of(ty);
        signature.ok_or(invalid("a lowered function of other values than numbers"))
    }

    fn export(
        &mut self,
        name: &FunctionName,
        lift: &Lift,
        exports: &mut Exports,
    ) -> Result<Export, ComponentError> {
        debug_assert_eq!(lift.core.kind, Kind::Func);
        let FunctionName { interface, name: function } = name;
        // The name itself, and the names of one or two core functions.
        let copies = 2 + usize::from(lift.options.post_return.is_some());
        self.interfaces.names.spend(copies * (interface.len() + function.len()))?;
        let core = exports.name(&format!("{interface}#{function}"), lift.core);
        let post = format!("cabi_post_{interface}#{function}");
        Ok(Export {
            name: name.clone(),
            ty: self.interfaces.function_at(lift.func)?,
            core,
            encoding: lift.options.encoding,
            realloc: lift.options.realloc.map(|def| exports.name("canon#realloc", def)),
            post_return: lift.options.post_return.map(|def| exports.name(&post, def)),
            callback: None,
        })
    }
}
