//! The graph of a component: its core instances in the order of instantiation, the definition behind each of their
//! imports, and the functions of the canonical ABI.
//!
//! `components` evaluates definitions of components, `cores` those of core modules and of the canonical ABI, `types` finds
//! the resource types behind those that components name.

mod components;
mod cores;
mod memories;
mod options;
mod scope;
mod types;

pub(crate) use memories::Memories;
pub(crate) use options::Options;
pub(crate) use types::{ResourceType, TypeScope};

use crate::error::ComponentError;
use crate::parse::{Component, Kind, Module};
use components::Evaluator;
use std::rc::Rc;
use wasmparser::CanonicalFunction;
use wfaas_abi::component::FunctionName;

/// Steps of the instantiation of a component.
#[derive(Default)]
pub(crate) struct Graph<'a> {
    /// Core instances, in the order of instantiation.
    pub(crate) instances: Vec<CoreInstance<'a>>,
    /// Functions of the canonical ABI that core modules may import.
    pub(crate) canons: Vec<Canon>,
    /// Lifted functions.
    pub(crate) lifts: Vec<Lift>,
    /// Exports: a name, and the place of a lifted function.
    pub(crate) exports: Vec<(FunctionName, usize)>,
    /// Resource types: imported ones, and those that components define.
    pub(crate) resources: Vec<ResourceType>,
    /// The types of each instance of a component, the outermost one first.
    pub(crate) scopes: Vec<TypeScope<'a>>,
}

/// An instance of a core module.
pub(crate) struct CoreInstance<'a> {
    pub(crate) module: Rc<Module<'a>>,
    /// The definition behind each import of the module.
    pub(crate) imports: Vec<Def>,
}

/// The definition of a core function, table, memory, global or tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Def {
    pub(crate) kind: Kind,
    pub(crate) source: Source,
}

/// The place of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// In the module of a core instance, never one of its imports.
    Instance {
        /// The instance.
        instance: usize,
        /// Index in the module's index space.
        index: u32,
    },
    /// A function of the canonical ABI.
    Canon(usize),
}

/// A function of the canonical ABI that a core module may import. Indices are those of the index spaces of an instance of
/// a component, its `scope`.
pub(crate) enum Canon {
    /// `canon lower` of a function of the host.
    Lower {
        /// Name of the function.
        name: Rc<FunctionName>,
        /// The function.
        func: u32,
        /// The core function.
        core_func: u32,
        /// Whose indices these are.
        scope: usize,
        /// Options.
        options: Options,
    },
    /// `canon lower` of a function that another component has lifted.
    Adapt {
        /// The lifted function, by its place.
        lift: usize,
        /// The core function.
        core_func: u32,
        /// Whose index this is.
        scope: usize,
        /// Options.
        options: Options,
    },
    /// `canon resource.new`, of a resource type of the graph.
    ResourceNew(usize),
    /// `canon resource.rep`, of a resource type of the graph.
    ResourceRep(usize),
    /// `canon resource.drop`, of a resource type of the graph.
    ResourceDrop(usize),
    /// A built-in of tasks, waitables, streams and futures.
    Builtin {
        /// Which one.
        function: CanonicalFunction,
        /// The core function.
        core_func: u32,
        /// Whose indices these are.
        scope: usize,
        /// Options.
        options: Options,
    },
}

/// `canon lift`.
pub(crate) struct Lift {
    /// The core function.
    pub(crate) core: Def,
    /// The function, by its index in the component.
    pub(crate) func: u32,
    /// Whose index this is.
    pub(crate) scope: usize,
    /// Options.
    pub(crate) options: Options,
}

/// The graph of a parsed component.
pub(crate) fn resolve<'a>(root: &Rc<Component<'a>>) -> Result<Graph<'a>, ComponentError> {
    let mut evaluator = Evaluator::new();
    evaluator.root(root)?;
    Ok(evaluator.graph)
}

impl Graph<'_> {
    /// The definition that core instance `instance` exports under `name`.
    fn export_of(&self, instance: usize, name: &str) -> Option<Def> {
        let CoreInstance { module, imports } = self.instances.get(instance)?;
        let (kind, index) = *module.exports.get(name)?;
        let kind = Kind::from(kind);
        match module.imports_of(kind).get(index as usize) {
            Some(import) => imports.get(*import).copied(),
            None => Some(Def { kind, source: Source::Instance { instance, index } }),
        }
    }
}
