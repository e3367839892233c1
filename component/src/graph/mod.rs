//! The graph of a component: its core instances in the order of instantiation, the definition behind each of their
//! imports, and the functions of the canonical ABI.
//!
//! `components` evaluates definitions of components, `cores` those of core modules and of the canonical ABI.
//! Core modules are instantiated by the outermost component only: one inside of another has a memory of its
//! own. Inner components that only give functions new names and types, as `wit-component` makes them, hold none.

mod components;
mod cores;
mod options;
mod scope;

pub(crate) use options::Options;

use crate::error::ComponentError;
use crate::parse::{Kind, Module, Parsed};
use components::Evaluator;
use std::rc::Rc;
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
    /// Resource types that the component defines, by index of the type, with their destructors.
    pub(crate) resources: Vec<(u32, Option<Def>)>,
    /// Imported instances (the interfaces) and types.
    pub(crate) imports: Vec<NamedImport<'a>>,
}

/// An import of the component.
pub(crate) struct NamedImport<'a> {
    /// The name by which types are found.
    pub(crate) name: &'a str,
    /// The name with its whole version.
    pub(crate) full_name: String,
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

/// A function of the canonical ABI that a core module may import. Indices are those of the component's index
/// spaces.
pub(crate) enum Canon {
    /// `canon lower` of an imported function.
    Lower {
        /// Name of the function.
        name: Rc<FunctionName>,
        /// The function.
        func: u32,
        /// The core function.
        core_func: u32,
        /// Options.
        options: Options,
    },
    /// `canon resource.new`, of a type.
    ResourceNew(u32),
    /// `canon resource.rep`, of a type.
    ResourceRep(u32),
    /// `canon resource.drop`, of a type.
    ResourceDrop(u32),
}

/// `canon lift`.
pub(crate) struct Lift {
    /// The core function.
    pub(crate) core: Def,
    /// The function, by its index in the component.
    pub(crate) func: u32,
    /// Options.
    pub(crate) options: Options,
}

/// The graph of a parsed component.
pub(crate) fn resolve<'a>(parsed: &Parsed<'a>) -> Result<Graph<'a>, ComponentError> {
    let mut evaluator = Evaluator::new();
    evaluator.root(parsed)?;
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
