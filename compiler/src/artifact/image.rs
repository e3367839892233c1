//! The initial image: the work of instantiation, done once here.
//!
//! Constant globals and active segments with constant offsets are written into the image. Those that
//! depend on imports, or would trap, become steps that the VM takes at instantiation. Steps are
//! in the specification's order (globals, elements, data). Since a step may trap or be overwritten
//! by a later segment, everything after the first segment that is left to the VM is left to it
//! too.

use crate::artifact::link::Linked;
use crate::front::index::*;
use crate::front::layout::Layout;
use crate::front::module::*;
use cranelift_codegen::entity::PrimaryMap;
use wfaas_abi::artifact::records::InitKind;
use wfaas_abi::image::SparseImage;
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::memories::image_offset;
use wfaas_abi::state::{ELEMENT_BYTES, MEMORY_PAGES_OFFSET};

/// Pages that segments may add to the image of any module, and one more for so many bytes of it:
/// tiny segments far apart, a page each, are better copied at instantiation. Segments that share a
/// page take it once.
const FREE_PAGES: usize = 16384;
const BYTES_PER_PAGE: usize = 256;

/// State and memory that instances start with.
pub(crate) struct Initial {
    pub(crate) image: SparseImage,
    /// The steps left to instantiation, in order.
    pub(crate) steps: Vec<Step>,
    /// Whether each element segment is still needed.
    pub(crate) keep_elements: Vec<bool>,
    /// Whether each data segment is still needed.
    pub(crate) keep_data: Vec<bool>,
}

/// A step left to instantiation.
pub(crate) struct Step {
    pub(crate) kind: InitKind,
    /// Index of the global, table or memory.
    pub(crate) target: u32,
    /// Index of the segment, zero for a global.
    pub(crate) segment: u32,
    /// The value, or the offset.
    pub(crate) value: Expr,
}

/// Computes the initial image.
pub(crate) fn initial(module: &Module<'_>, layout: &Layout, linked: &Linked) -> Initial {
    let mut builder = Builder {
        module,
        layout,
        linked,
        image: SparseImage::new(layout.state.state_bytes),
        steps: Vec::new(),
        globals: (0..module.counts.globals).map(|_| None).collect(),
        pages_left: FREE_PAGES + module.bytes / BYTES_PER_PAGE,
        filling: false,
        deferring: false,
    };
    builder.sizes();
    builder.globals();
    builder.tables();
    let keep_elements = builder.elements();
    let keep_data = builder.data();
    Initial { image: builder.image, steps: builder.steps, keep_elements, keep_data }
}

struct Builder<'m> {
    module: &'m Module<'m>,
    layout: &'m Layout,
    linked: &'m Linked,
    image: SparseImage,
    steps: Vec<Step>,
    /// The initial value of each global so far, if that is known.
    globals: PrimaryMap<GlobalIndex, Option<u128>>,
    pages_left: usize,
    /// Whether filling a table was left to instantiation.
    filling: bool,
    /// Whether a segment was left to instantiation.
    deferring: bool,
}

impl Builder<'_> {
    fn sizes(&mut self) {
        for (memory, place) in
            self.module.defined_memories().iter().zip(self.layout.places.values())
        {
            let at = image_offset(*place) + i64::from(MEMORY_PAGES_OFFSET);
            self.image.write(at, &memory.limits.minimum.to_le_bytes());
        }
        for (table, offset) in
            self.module.defined_tables().iter().zip(&self.layout.state.table_sizes)
        {
            self.image.write(i64::from(*offset), &table.limits.minimum.to_le_bytes());
        }
    }

    fn globals(&mut self) {
        for (index, value) in self.module.global_values.iter() {
            let bits = self.bits(value);
            match bits {
                Some(bits) => {
                    let offset = self.layout.global(index);
                    self.image.write(i64::from(offset), &bits.to_le_bytes());
                }
                None => self.steps.push(Step {
                    kind: InitKind::Global,
                    target: self.module.global_index(index).as_u32(),
                    segment: 0,
                    value: value.clone(),
                }),
            }
            self.globals.push(bits);
        }
    }

    /// Fills tables whose elements are not null at first.
    fn tables(&mut self) {
        for (index, value) in self.module.table_values.iter() {
            let Some(value) = value else { continue };
            let len = self.module.table(index).initial_len() as usize;
            let at = i64::from(self.layout.table_elements(index));
            match self.bits(value) {
                Some(bits) if self.take_pages(at, len * ELEMENT_BYTES) => {
                    let bytes = (bits as u64).to_le_bytes().repeat(len);
                    self.image.write(at, &bytes);
                }
                _ => {
                    self.filling = true;
                    self.steps.push(Step {
                        kind: InitKind::TableFill,
                        target: self.module.table_index(index).as_u32(),
                        segment: 0,
                        value: value.clone(),
                    });
                }
            }
        }
    }

    /// Applies element segments; whether each is still needed.
    fn elements(&mut self) -> Vec<bool> {
        let mut keep = Vec::with_capacity(self.module.elements.len());
        for (index, segment) in self.module.elements.iter() {
            let done = match &segment.mode {
                SegmentMode::Passive => false,
                SegmentMode::Declared => true,
                SegmentMode::Active { target, offset } => {
                    let (target, done) = (*target, self.may_apply(InitKind::Elem));
                    let done = done && self.element(segment, target, offset);
                    if !done {
                        self.defer(InitKind::Elem, target.as_u32(), index.as_u32(), offset);
                    }
                    done
                }
            };
            if done {
                self.mark_dropped(self.layout.state.elem_dropped, index.as_u32());
            }
            keep.push(!done);
        }
        keep
    }

    /// Writes an element segment into the image, if that can be done here.
    fn element(&mut self, segment: &ElementSegment, target: TableIndex, offset: &Expr) -> bool {
        let Some(table) = self.module.defined_table(target) else { return false };
        let Some(values) =
            segment.items.iter().map(|item| self.reference(item)).collect::<Option<Vec<u64>>>()
        else {
            return false;
        };
        let size = self.module.table(table).initial_len();
        let Some(first) = self.start(offset, values.len(), size) else { return false };
        let at = i64::from(self.layout.table_elements(table)) + first as i64 * ELEMENT_BYTES as i64;
        if !self.take_pages(at, values.len() * ELEMENT_BYTES) {
            return false;
        }
        // References are 64 bits wide.
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.image.write(at, &bytes);
        true
    }

    /// Applies data segments; whether each is still needed.
    fn data(&mut self) -> Vec<bool> {
        let mut keep = Vec::with_capacity(self.module.data.len());
        for (index, segment) in self.module.data.iter() {
            let done = match &segment.mode {
                SegmentMode::Passive => false,
                SegmentMode::Declared => true,
                SegmentMode::Active { target, offset } => {
                    let (target, done) = (*target, self.may_apply(InitKind::Data));
                    let done = done && self.datum(segment, target, offset);
                    if !done {
                        self.defer(InitKind::Data, target.as_u32(), index.as_u32(), offset);
                    }
                    done
                }
            };
            if done {
                self.mark_dropped(self.layout.state.data_dropped, index.as_u32());
            }
            keep.push(!done);
        }
        keep
    }

    /// Writes a data segment into the image, if that can be done here.
    fn datum(&mut self, segment: &DataSegment<'_>, target: MemoryIndex, offset: &Expr) -> bool {
        let Some(defined) = self.module.defined_memory(target) else { return false };
        let size = self.module.memories[target].limits.minimum * WASM_PAGE as u64;
        let Some(at) = self.start(offset, segment.bytes.len(), size) else { return false };
        let at = image_offset(self.layout.places[defined]) + at as i64;
        if !self.take_pages(at, segment.bytes.len()) {
            return false;
        }
        self.image.write(at, segment.bytes);
        true
    }

    /// Whether a segment may be applied before all that is left to the VM.
    fn may_apply(&self, kind: InitKind) -> bool {
        // Filling a table would overwrite its elements.
        !self.deferring && (kind == InitKind::Data || !self.filling)
    }

    fn defer(&mut self, kind: InitKind, target: u32, segment: u32, value: &Expr) {
        self.deferring = true;
        self.steps.push(Step { kind, target, segment, value: value.clone() });
    }

    fn mark_dropped(&mut self, first: i32, index: u32) {
        self.image.write(i64::from(first) + i64::from(index), &[1]);
    }

    /// Whether there are pages left for `bytes` bytes at `at`, besides those that are stored already.
    fn take_pages(&mut self, at: i64, bytes: usize) -> bool {
        let pages = self.image.missing(at, bytes);
        let enough = self.pages_left >= pages;
        self.pages_left -= if enough { pages } else { 0 };
        enough
    }

    /// The value of a constant expression as it is in a cell; `None` if it depends on imports.
    fn bits(&self, value: &Expr) -> Option<u128> {
        let mut stack = Vec::new();
        for operation in value.operations() {
            let value = match *operation {
                Const::I32(value) => u128::from(value.cast_unsigned()),
                Const::I64(value) => u128::from(value.cast_unsigned()),
                Const::F32(bits) => u128::from(bits),
                Const::F64(bits) => u128::from(bits),
                Const::V128(bits) => bits,
                Const::RefNull => 0,
                Const::RefFunc(index) => {
                    u128::from(self.linked.func_ref(self.module, index).to_bits())
                }
                Const::GlobalGet(index) => self.globals[index]?,
                Const::Calculate(opcode) => {
                    let right = stack.pop()? as u64;
                    let left = stack.pop()? as u64;
                    u128::from(opcode.calculate(left, right)?)
                }
            };
            stack.push(value);
        }
        stack.pop()
    }

    /// The value of a constant expression that is a reference.
    fn reference(&self, value: &Expr) -> Option<u64> {
        self.bits(value).map(|bits| bits as u64)
    }

    /// Where a segment of `len` items starts in something of `size` items; `None` if the offset
    /// depends on imports or the segment does not fit.
    fn start(&self, offset: &Expr, len: usize, size: u64) -> Option<u64> {
        let offset = self.bits(offset)? as u64;
        let end = offset.checked_add(len as u64)?;
        (end <= size).then_some(offset)
    }
}
