//! The bindings of a graph, and what the fused module needs for them: imports, stubs and exports.

mod adapters;
mod builtins;
mod exports;
mod signature;

pub(crate) use adapters::{Adapter, Side};
pub(crate) use signature::Signature;

use crate::error::{ComponentError, invalid};
use crate::graph::{Canon, Def, Graph, Lift, Memories, Options, ResourceType, Source};
use crate::parse::Kind;
use crate::types::Interfaces;
use adapters::Passing;
use exports::{Exports, numbered};
use std::collections::{HashMap, HashSet};
use wasm_encoder::ValType;
use wfaas_abi::component::{
    Bindings, Export, FunctionName, Import, ImportKind, Resource, ResourceIndex,
};

/// The fused module's side of its bindings.
pub(crate) struct Plan {
    pub(crate) bindings: Bindings,
    /// Types of the imports, in the order of the bindings' imports.
    pub(crate) imports: Vec<Signature>,
    pub(crate) stubs: Vec<Stub>,
    pub(crate) memories: Memories,
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
    Realloc {
        import: usize,
        next: usize,
        realloc: Def,
        params: Vec<ValType>,
        /// Whether it returns a number.
        returns: bool,
    },
    /// Calls an import that drops a handle, and the destructor if it has to be called. See
    /// [`ImportKind::ResourceDrop`].
    Drop { import: usize, destructor: Def },
    /// Calls a function of another component.
    Adapt(Adapter),
    /// Checks that bytes of a memory, with this number, are UTF-8.
    Utf8(u32),
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
            Stub::Realloc { params, returns: false, .. } => Signature::new(params, &[]),
            Stub::Realloc { params, .. } => Signature::new(params, &[ValType::I32]),
            Stub::Drop { .. } => Signature::new(&[ValType::I32], &[]),
            Stub::Adapt(adapter) => adapter.signature.clone(),
            Stub::Utf8(_) => Signature::new(&[ValType::I32, ValType::I32], &[]),
        }
    }
}

/// Makes the plan of a graph.
pub(crate) fn bind(graph: &Graph<'_>) -> Result<Plan, ComponentError> {
    let mut exports = Exports::default();
    let destructors: Vec<Option<String>> = graph
        .resources
        .iter()
        .map(|resource| Some(exports.name("canon#destructor", resource.destructor()?)))
        .collect();
    let interfaces = Interfaces::new(graph, &destructors)?;
    let memories = Memories::of(graph)?;
    let used = used(graph);
    adapters::check(graph, &used, &memories)?;
    let allocator = builtins::allocator(graph, &used)?;
    let mut binder = Binder {
        graph,
        allocator,
        interfaces,
        memories,
        known: HashMap::new(),
        passing: Passing::new(),
        names: HashMap::new(),
        imports: Vec::new(),
        signatures: Vec::new(),
        stubs: Vec::new(),
    };
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
    let Binder { interfaces, imports, signatures, stubs, memories, .. } = binder;
    let Interfaces { types, functions, resources, .. } = interfaces;
    let realloc = allocator.map(|def| exports.name("canon#realloc", def));
    let bindings = Bindings { types, functions, resources, imports, exports: lifted, realloc };
    let (imports, exports) = (signatures, exports.functions);
    Ok(Plan { bindings, imports, stubs, memories, canons, exports })
}

/// The canonical functions that anything uses.
fn used(graph: &Graph<'_>) -> HashSet<usize> {
    let imports = graph.instances.iter().flat_map(|instance| &instance.imports);
    let lifted = graph.lifts.iter().map(|lift| &lift.core);
    let destructors = graph.resources.iter().filter_map(ResourceType::destructor);
    let canon = |def: &Def| match def.source {
        Source::Canon(index) => Some(index),
        Source::Instance { .. } => None,
    };
    let defs = imports.chain(lifted).copied().chain(destructors);
    defs.filter_map(|def| canon(&def)).collect()
}

/// Collects imports and stubs.
struct Binder<'g> {
    graph: &'g Graph<'g>,
    memories: Memories,
    /// The function that allocates for events.
    allocator: Option<Def>,
    interfaces: Interfaces<'g>,
    /// Imports by their kinds and the memories of their values, each once.
    known: HashMap<(ImportKind, u32), usize>,
    passing: Passing,
    /// How many imports want the same module and field names.
    names: HashMap<(String, String), u32>,
    imports: Vec<Import>,
    signatures: Vec<Signature>,
    stubs: Vec<Stub>,
}

/// Module name of the imports that are no functions of interfaces.
const CANON: &str = "canon";

impl Binder<'_> {
    fn canon(&mut self, canon: &Canon) -> Result<Behind, ComponentError> {
        match canon {
            Canon::Lower { name, func, core_func, scope, options } => {
                self.lower(name, (*scope, *func), *core_func, options)
            }
            Canon::Adapt { lift, core_func, scope, options } => {
                self.adapt(*lift, (*scope, *core_func), options)
            }
            Canon::ResourceNew(resource) => {
                let resource = ResourceIndex(*resource as u32);
                let signature = Signature::new(&[ValType::I32], &[ValType::I32]);
                let kind = ImportKind::ResourceNew(resource);
                self.resource("resource.new", resource, kind, signature).map(Behind::Import)
            }
            Canon::ResourceRep(resource) => {
                self.resource_rep(ResourceIndex(*resource as u32)).map(Behind::Import)
            }
            Canon::ResourceDrop(resource) => self.drop_resource(*resource),
            Canon::Builtin { function, core_func, scope, options } => {
                self.builtin(function, (*scope, *core_func), options)
            }
        }
    }

    fn lower(
        &mut self,
        name: &FunctionName,
        (scope, func): (usize, u32),
        core_func: u32,
        options: &Options,
    ) -> Result<Behind, ComponentError> {
        self.spend(&name.interface, &name.name)?;
        let ty = self.interfaces.function_at(scope, func)?;
        let signature = self.core_signature(scope, core_func)?;
        let realloc = self.interfaces.allocates(ty);
        let kind = ImportKind::Lowered {
            name: name.clone(),
            ty,
            encoding: options.encoding,
            realloc,
            is_async: options.is_async,
        };
        if realloc && options.realloc.is_none() {
            return Err(invalid("a function that allocates without realloc"));
        }
        let allocator = options.realloc.filter(|_| realloc);
        let memory = self.memory(options)?;
        self.lowered((&name.interface, &name.name), kind, signature, allocator, memory)
    }

    /// The number of the memory of a function's values.
    fn memory(&self, options: &Options) -> Result<u32, ComponentError> {
        options.memory.map_or(Ok(0), |memory| self.memories.number(memory))
    }

    fn resource_rep(&mut self, resource: ResourceIndex) -> Result<usize, ComponentError> {
        let signature = Signature::new(&[ValType::I32], &[ValType::I32]);
        self.resource("resource.rep", resource, ImportKind::ResourceRep(resource), signature)
    }

    fn drop_resource(&mut self, resource: usize) -> Result<Behind, ComponentError> {
        let defined = self.graph.resources.get(resource).and_then(ResourceType::destructor);
        let resource = ResourceIndex(resource as u32);
        let results: &[ValType] = if defined.is_some() { &[ValType::I64] } else { &[] };
        let signature = Signature::new(&[ValType::I32], results);
        let kind = ImportKind::ResourceDrop(resource);
        let import = self.resource("resource.drop", resource, kind, signature)?;
        let Some(destructor) = defined else { return Ok(Behind::Import(import)) };
        self.stubs.push(Stub::Drop { import, destructor });
        Ok(Behind::Stub(self.stubs.len() - 1))
    }

    fn realloc_next(&mut self, memory: u32) -> Result<usize, ComponentError> {
        let signature = Signature::new(&[ValType::I32], &[ValType::I64]);
        self.import(CANON, "realloc.next", ImportKind::ReallocNext, signature, memory)
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
        self.import(CANON, &field, kind, signature, 0)
    }

    fn import(
        &mut self,
        module: &str,
        wanted: &str,
        kind: ImportKind,
        signature: Signature,
        memory: u32,
    ) -> Result<usize, ComponentError> {
        let key = (kind, memory);
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        self.spend(module, wanted)?;
        let number = self.names.entry((module.to_owned(), wanted.to_owned())).or_default();
        *number += 1;
        let field = numbered(wanted, *number);
        let (kind, module) = (key.0.clone(), module.to_owned());
        self.known.insert(key, self.imports.len());
        self.imports.push(Import { module, field, kind, memory });
        self.signatures.push(signature);
        Ok(self.imports.len() - 1)
    }

    /// Spends the bytes of a function's name, before it is copied.
    fn spend(&mut self, interface: &str, name: &str) -> Result<(), ComponentError> {
        self.interfaces.names.spend(interface.len() + name.len())
    }

    /// The type of a core function of a scope.
    fn core_signature(&self, scope: usize, core_func: u32) -> Result<Signature, ComponentError> {
        let source = self.interfaces.source(scope)?;
        let ty = source.get(source.core_function_at(core_func));
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
        // The name itself, and the names of one to three core functions.
        let Options { post_return, callback, .. } = lift.options;
        let copies = 2 + usize::from(post_return.is_some()) + usize::from(callback.is_some());
        self.interfaces.names.spend(copies * (interface.len() + function.len()))?;
        let core = exports.name(&format!("{interface}#{function}"), lift.core);
        let callback = format!("[callback]{interface}#{function}");
        let post = format!("cabi_post_{interface}#{function}");
        Ok(Export {
            name: name.clone(),
            ty: self.interfaces.function_at(lift.scope, lift.func)?,
            core,
            encoding: lift.options.encoding,
            realloc: lift.options.realloc.map(|def| exports.name("canon#realloc", def)),
            post_return: lift.options.post_return.map(|def| exports.name(&post, def)),
            callback: lift.options.callback.map(|def| exports.name(&callback, def)),
        })
    }
}
