//! The index of each item of a core instance in the fused module.

use super::Signatures;
use crate::bind::{Behind, Plan};
use crate::error::{ComponentError, invalid};
use crate::graph::{CoreInstance, Def, Graph, Source};
use crate::parse::{Kind, Module};
use wasmparser::{ConstExpr, MemoryType, Operator, TypeRef};

/// Most functions of the fused module. The same goes for tables, globals, tags, types and segments, of each.
const MAX_ITEMS: u32 = 1_000_000;

/// The index spaces of the fused module.
pub(super) struct Spaces {
    pub(super) signatures: Signatures,
    /// Of each core instance.
    pub(super) instances: Vec<InstanceSpaces>,
    /// The function behind each canonical function.
    canons: Vec<Option<u32>>,
    /// Number of functions so far.
    functions: u32,
    tables: u32,
    globals: u32,
    /// Number of globals that core instances define, constants included.
    defined_globals: u32,
    tags: u32,
    types: u32,
    elements: u32,
    data: u32,
}

/// The indices in the fused module of a core instance's items.
#[derive(Default)]
pub(super) struct InstanceSpaces {
    pub(super) funcs: Space,
    pub(super) tables: Space,
    pub(super) memories: Memories,
    pub(super) tags: Space,
    pub(super) globals: Vec<Global>,
    pub(super) types: Space,
    pub(super) elements: Space,
    pub(super) data: Space,
}

/// An index space: imported items, then defined ones, which follow each other.
#[derive(Default)]
pub(super) struct Space {
    imported: Vec<u32>,
    first: u32,
    defined: u32,
}

/// The numbers of a core instance's memories: imported ones, then defined ones.
#[derive(Default)]
pub(super) struct Memories {
    numbers: Vec<u32>,
    imported: usize,
}

impl Memories {
    /// The number in the fused module.
    pub(super) fn get(&self, index: u32) -> Option<u32> {
        self.numbers.get(index as usize).copied()
    }

    /// The numbers of defined memories.
    pub(super) fn defined(&self) -> impl Iterator<Item = u32> {
        self.numbers.iter().copied().skip(self.imported)
    }
}

/// The memories of a core instance, which is at `place`.
fn memories(
    plan: &Plan,
    place: usize,
    instance: &CoreInstance<'_>,
) -> Result<Memories, ComponentError> {
    let CoreInstance { module, imports } = instance;
    let (kind, imported) = (Kind::Memory, module.imports_of(Kind::Memory));
    let mut numbers = Vec::new();
    for import in imported {
        let def = imports.get(*import).ok_or(invalid("an import without a definition"))?;
        numbers.push(plan.memories.number(*def)?);
    }
    for index in 0..module.memories.as_ref().map_or(0, |section| section.count()) {
        let index = imported.len() as u32 + index;
        let source = Source::Instance { instance: place, index };
        numbers.push(plan.memories.number(Def { kind, source })?);
    }
    Ok(Memories { numbers, imported: imported.len() })
}

/// A global of a core instance.
#[derive(Debug, Clone, Copy)]
pub(super) enum Global {
    /// By its index.
    Index(u32),
    /// It never has another value, and is none in the fused module.
    Constant(Constant),
}

/// The value of a global that is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Constant {
    I32(i32),
    I64(i64),
}

impl Space {
    /// The next `defined` items, behind `next`, which is moved behind them.
    fn defining(imported: Vec<u32>, next: &mut u32, defined: u32) -> Result<Space, ComponentError> {
        let first = *next;
        *next = end(first, defined)?;
        Ok(Space { imported, first, defined })
    }

    /// The index in the fused module.
    pub(super) fn get(&self, index: u32) -> Option<u32> {
        match self.imported.get(index as usize) {
            Some(imported) => Some(*imported),
            None => {
                let place = index - self.imported.len() as u32;
                (place < self.defined).then(|| self.first + place)
            }
        }
    }

    /// All indices, imported items first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.imported.iter().copied().chain(self.defined())
    }

    /// The indices of defined items.
    pub(super) fn defined(&self) -> impl Iterator<Item = u32> + use<> {
        self.first..self.first + self.defined
    }

    /// The index in the fused module, if the item is defined.
    pub(super) fn get_defined(&self, index: u32) -> Option<u32> {
        self.get(index).filter(|_| index as usize >= self.imported.len())
    }
}

/// The end of `defined` items that begin at `first`, if it is within the limit.
fn end(first: u32, defined: u32) -> Result<u32, ComponentError> {
    let what = "the number of functions, or of other items of a kind,";
    let end = first.checked_add(defined).filter(|end| *end <= MAX_ITEMS);
    end.ok_or(ComponentError::TooLarge { what, limit: MAX_ITEMS as usize })
}

impl Spaces {
    pub(super) fn new(graph: &Graph<'_>, plan: &Plan) -> Result<Spaces, ComponentError> {
        let (imports, stubs) = (plan.imports.len() as u32, plan.stubs.len() as u32);
        let signatures = Signatures::of(plan);
        let types = signatures.list().len() as u32;
        let behind = |behind: Behind| match behind {
            Behind::Import(place) => place as u32,
            Behind::Stub(place) => imports + place as u32,
        };
        let canons = plan.canons.iter().map(|canon| canon.map(behind)).collect();
        let mut spaces = Spaces {
            signatures,
            instances: Vec::with_capacity(graph.instances.len()),
            canons,
            functions: imports + stubs,
            tables: 0,
            globals: 0,
            defined_globals: 0,
            tags: 0,
            types,
            elements: 0,
            data: 0,
        };
        for (place, instance) in graph.instances.iter().enumerate() {
            let memories = memories(plan, place, instance)?;
            let instance = spaces.instance(instance, memories)?;
            spaces.instances.push(instance);
        }
        Ok(spaces)
    }

    /// The index behind the last function of a core instance.
    pub(super) fn next_function(&self) -> u32 {
        self.functions
    }

    /// The index of a function.
    pub(super) fn func(&self, def: Def) -> Result<u32, ComponentError> {
        self.find(def, |spaces, index| spaces.funcs.get(index))
    }

    fn find(
        &self,
        def: Def,
        get: impl Fn(&InstanceSpaces, u32) -> Option<u32>,
    ) -> Result<u32, ComponentError> {
        let found = match def.source {
            Source::Canon(canon) => self.canons.get(canon).copied().flatten(),
            Source::Instance { instance, index } => {
                self.instances.get(instance).and_then(|spaces| get(spaces, index))
            }
        };
        found.ok_or(invalid("an import of something that is not there"))
    }

    fn instance(
        &mut self,
        instance: &CoreInstance<'_>,
        memories: Memories,
    ) -> Result<InstanceSpaces, ComponentError> {
        let CoreInstance { module, imports } = instance;
        let defs = |kind| {
            let defs = module.imports_of(kind).iter().map(|place| imports.get(*place).copied());
            defs.collect::<Option<Vec<Def>>>().ok_or(invalid("an import without a definition"))
        };
        let funcs = self.imported(&defs(Kind::Func)?, |spaces, index| spaces.funcs.get(index))?;
        let tables =
            self.imported(&defs(Kind::Table)?, |spaces, index| spaces.tables.get(index))?;
        let tags = self.imported(&defs(Kind::Tag)?, |spaces, index| spaces.tags.get(index))?;
        let globals = self.globals(module, &defs(Kind::Global)?)?;
        self.check_memories(module)?;
        let count = |count: Option<u32>| count.unwrap_or(0);
        let functions = count(module.functions.as_ref().map(|section| section.count()));
        let defined_tables = count(module.tables.as_ref().map(|section| section.count()));
        let defined_tags = count(module.tags.as_ref().map(|section| section.count()));
        let elements = count(module.elements.as_ref().map(|section| section.count()));
        let data = count(module.data.as_ref().map(|section| section.count()));
        Ok(InstanceSpaces {
            funcs: Space::defining(funcs, &mut self.functions, functions)?,
            tables: Space::defining(tables, &mut self.tables, defined_tables)?,
            memories,
            tags: Space::defining(tags, &mut self.tags, defined_tags)?,
            types: Space::defining(Vec::new(), &mut self.types, type_count(module)?)?,
            elements: Space::defining(Vec::new(), &mut self.elements, elements)?,
            data: Space::defining(Vec::new(), &mut self.data, data)?,
            globals,
        })
    }

    fn imported(
        &self,
        defs: &[Def],
        get: impl Fn(&InstanceSpaces, u32) -> Option<u32>,
    ) -> Result<Vec<u32>, ComponentError> {
        defs.iter().map(|def| self.find(*def, &get)).collect()
    }

    fn globals(
        &mut self,
        module: &Module<'_>,
        imported: &[Def],
    ) -> Result<Vec<Global>, ComponentError> {
        let defined = module.globals.as_ref().map_or(0, |section| section.count());
        self.defined_globals = end(self.defined_globals, defined)?;
        let mut globals = Vec::with_capacity(imported.len());
        for def in imported {
            let Source::Instance { instance, index } = def.source else {
                return Err(invalid("a global of the canonical ABI"));
            };
            let spaces = self.instances.get(instance);
            let global = spaces.and_then(|spaces| spaces.globals.get(index as usize));
            globals.push(*global.ok_or(invalid("an import of something that is not there"))?);
        }
        for global in module.globals.clone().into_iter().flatten() {
            let global = global?;
            let constant =
                if global.ty.mutable { None } else { constant(&global.init_expr, &globals)? };
            globals.push(match constant {
                Some(constant) => Global::Constant(constant),
                None => {
                    self.globals += 1;
                    Global::Index(self.globals - 1)
                }
            });
        }
        Ok(globals)
    }

    fn check_memories(&self, module: &Module<'_>) -> Result<(), ComponentError> {
        let check = |memory: &MemoryType| match (memory.memory64, memory.shared) {
            (false, false) => Ok(()),
            (true, _) => Err(ComponentError::Unsupported("a 64-bit memory")),
            (_, true) => Err(ComponentError::Unsupported("a shared memory")),
        };
        for memory in module.memories.clone().into_iter().flatten() {
            check(&memory?)?;
        }
        let imported = module.imports_of(Kind::Memory).iter();
        for import in imported.filter_map(|place| module.imports.get(*place)) {
            if let TypeRef::Memory(memory) = &import.ty {
                check(memory)?;
            }
        }
        Ok(())
    }
}

/// Number of types, those of recursion groups included.
fn type_count(module: &Module<'_>) -> Result<u32, ComponentError> {
    let mut count = 0;
    for group in module.types.clone().into_iter().flatten() {
        count += group?.types().len() as u32;
    }
    Ok(count)
}

/// The value of a constant expression, if it is known.
pub(super) fn constant(
    expr: &ConstExpr<'_>,
    globals: &[Global],
) -> Result<Option<Constant>, ComponentError> {
    let mut operators = expr.get_operators_reader();
    let first = operators.read()?;
    if !operators.is_end_then_eof() {
        return Ok(None);
    }
    Ok(match first {
        Operator::I32Const { value } => Some(Constant::I32(value)),
        Operator::I64Const { value } => Some(Constant::I64(value)),
        Operator::GlobalGet { global_index } => match globals.get(global_index as usize) {
            Some(Global::Constant(constant)) => Some(*constant),
            _ => None,
        },
        _ => None,
    })
}
