//! From the frames of a program that waits to the twins and records to make.

use super::types::{self, SiteTypes};
use super::{Alike, Continuation, RecordLayout, Site, Twin, WaitSite};
use crate::CompileError;
use crate::emit::signature::clif_type;
use crate::front::index::{FuncIndex, TypeIndex};
use crate::front::module::{Export, Module};
use crate::front::parse::Body;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wfaas_abi::artifact::records::ExternKind;
use wfaas_abi::continuation::{MAX_RECORD_BYTES, SavedFrame};
use wfaas_abi::types::{CELL_BYTES, cells_of};

/// Most bytes of code to look at. A function is looked at once for each of its sites, and has as many as its stack.
const MAX_CODE_BYTES: usize = 256 << 20;

/// The twins and records to make.
pub(crate) struct Plan {
    /// The export that continues, and the type it has.
    pub(crate) export: String,
    pub(crate) ty: TypeIndex,
    /// The outermost function of the frames.
    pub(crate) outermost: FuncIndex,
    /// The import that the program waits in.
    pub(crate) import: FuncIndex,
    /// The imports that it may wait in again.
    pub(crate) imports: BTreeSet<FuncIndex>,
    /// Whether it is captured when it waits again.
    pub(crate) is_mapped: bool,
    /// The functions among the frames.
    pub(crate) twins: BTreeMap<FuncIndex, Twin>,
    /// Frames but the innermost, outermost first, and the entry of each.
    pub(super) frames: Vec<(SavedFrame, usize)>,
    /// Arguments of the import.
    pub(super) arguments: Vec<u8>,
    /// The types at each site of each function, in the order of its entries.
    pub(super) types: HashMap<FuncIndex, Vec<SiteTypes>>,
    /// The place of each function in the text that was recorded.
    pub(super) text_offsets: Vec<u32>,
    /// Bytes of code that were looked at.
    code_bytes: usize,
}

impl Plan {
    /// Takes the frames apart.
    pub(crate) fn new(
        module: &Module<'_>,
        bodies: &[Body<'_>],
        continuation: &Continuation,
    ) -> Result<Plan, CompileError> {
        let inconsistent = || CompileError::Internal("frames of another module".to_owned());
        let (innermost, outer) = continuation.frames.split_last().ok_or_else(inconsistent)?;
        let bytes = |frame: &SavedFrame| frame.locals.len() + frame.operands.len();
        let total = continuation.frames.iter().map(bytes).sum::<usize>();
        // Records are data behind the code, in pages that are executable: a module should not choose many of their bytes.
        if total > MAX_RECORD_BYTES {
            return Err(CompileError::TooLarge {
                what: "the frames of the program that waits, in bytes,",
                actual: total as u64,
                limit: MAX_RECORD_BYTES as u64,
            });
        }
        if innermost.function >= module.counts.funcs {
            return Err(inconsistent());
        }
        let import = FuncIndex::from_u32(innermost.function);
        let outermost = FuncIndex::from_u32(outer.first().ok_or_else(inconsistent)?.function);
        let exported = exported(module, &continuation.export).ok_or_else(inconsistent)?;
        let mut plan = Plan {
            export: continuation.export.clone(),
            ty: module.funcs[exported],
            outermost,
            import,
            imports: BTreeSet::from([import]),
            is_mapped: continuation.again.is_some(),
            twins: BTreeMap::new(),
            frames: Vec::with_capacity(outer.len()),
            arguments: innermost.locals.clone(),
            types: HashMap::new(),
            text_offsets: continuation.text_offsets.clone(),
            code_bytes: 0,
        };
        for frame in outer {
            let site = WaitSite::of(frame);
            let entry = plan.add_site(module, bodies, site)?.ok_or_else(inconsistent)?;
            plan.twin(site).alike.add(&frame.locals);
            plan.frames.push((frame.clone(), entry));
        }
        for site in continuation.again.iter().flatten() {
            plan.add_wait(module, bodies, *site)?.ok_or_else(inconsistent)?;
        }
        if plan.is_mapped {
            plan.prepare_for_others()?;
        }
        if plan.is_consistent(module) { Ok(plan) } else { Err(inconsistent()) }
    }

    /// Whether each frame returns what the one around it expects, and the import has its arguments.
    fn is_consistent(&self, module: &Module<'_>) -> bool {
        let results = |function: FuncIndex| {
            let types = module.func_type(function).results().iter();
            types.map(|ty| clif_type(*ty)).collect::<Vec<_>>()
        };
        let function = |frame: &SavedFrame| FuncIndex::from_u32(frame.function);
        let inner = self.frames.iter().skip(1).map(|(frame, _)| function(frame));
        let mut pairs = self.frames.iter().zip(inner.chain([self.import]));
        let bytes = cells_of(module.func_type(self.import).params()) * CELL_BYTES;
        let exported = module.types[self.ty].results().iter().map(|ty| clif_type(*ty));
        self.arguments.len() == bytes
            && results(self.outermost) == exported.collect::<Vec<_>>()
            && pairs.all(|((frame, entry), inner)| {
                self.types[&function(frame)][*entry].results == results(inner)
            })
    }

    /// Whether calling `export` continues the program.
    pub(crate) fn continues(&self, export: &Export<'_>) -> bool {
        export.kind == ExternKind::Func && export.name == self.export
    }

    /// The twin of the function that a frame is of.
    fn twin(&mut self, site: WaitSite) -> &mut Twin {
        self.twins.entry(FuncIndex::from_u32(site.function)).or_default()
    }

    /// Adds a call that a frame may be in when the program waits again. `None` if there is no such function.
    fn add_wait(
        &mut self,
        module: &Module<'_>,
        bodies: &[Body<'_>],
        site: WaitSite,
    ) -> Result<Option<()>, CompileError> {
        if site.function < module.counts.funcs {
            self.imports.insert(FuncIndex::from_u32(site.function));
            return Ok(Some(()));
        }
        Ok(self.add_site(module, bodies, site)?.map(drop))
    }

    /// Makes twins that go on with any frames, of which nothing but WebAssembly's numbers and vectors is kept.
    fn prepare_for_others(&mut self) -> Result<(), CompileError> {
        self.twins.values_mut().for_each(|twin| twin.alike = Alike::default());
        let has_references = |types: &&SiteTypes| {
            !types.local_references.is_empty() || !types.operand_references.is_empty()
        };
        let refused = self.types.values().flatten().find(has_references);
        let reason = "it has references, which are not kept when it waits again";
        refused.map_or(Ok(()), |types| Err(types.site.error(reason)))
    }

    /// The calls before which a function copies its values to its frame.
    pub(crate) fn mapped(&self, function: FuncIndex) -> &[Site] {
        let twin = self.twins.get(&function).filter(|_| self.is_mapped);
        twin.map_or(&[], |twin| &twin.sites)
    }

    /// Adds the site of a frame to its function's twin; its entry. `None` if there is no such function.
    fn add_site(
        &mut self,
        module: &Module<'_>,
        bodies: &[Body<'_>],
        site: WaitSite,
    ) -> Result<Option<usize>, CompileError> {
        let function = FuncIndex::from_u32(site.function);
        let body = site.function.checked_sub(module.counts.funcs);
        let Some(body) = body.and_then(|index| bodies.get(index as usize)) else { return Ok(None) };
        let sites = &self.twin(site).sites;
        if let Some(known) = sites.iter().position(|known| known.offset == site.offset) {
            return Ok(Some(known));
        }
        self.code_bytes += body.body.as_bytes().len();
        if self.code_bytes > MAX_CODE_BYTES {
            return Err(CompileError::TooLarge {
                what: "the code around the places where the program waits, in bytes,",
                actual: self.code_bytes as u64,
                limit: MAX_CODE_BYTES as u64,
            });
        }
        let types = types::at(module, body.clone(), site.offset)?;
        let sites = &mut self.twin(site).sites;
        sites.push(types.site);
        let entry = sites.len() - 1;
        self.types.entry(function).or_default().push(types);
        Ok(Some(entry))
    }
}

fn exported(module: &Module<'_>, name: &str) -> Option<FuncIndex> {
    let is_it = |export: &&Export<'_>| export.kind == ExternKind::Func && export.name == name;
    module.exports.iter().find(is_it).map(|export| FuncIndex::from_u32(export.index))
}

/// The layouts of the records of each function, in the order of its entries.
pub(crate) type Layouts = HashMap<FuncIndex, Vec<RecordLayout>>;
