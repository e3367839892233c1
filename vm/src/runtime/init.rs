//! The rest of an instantiation, after the image is mapped: the compiler has applied all segments
//! and initial values that do not depend on imports.

use crate::call::state::CallState;
use crate::runtime::error::{Error, without_frames};
use crate::runtime::item::{FuncId, Item};
use crate::runtime::module::Module;
use crate::runtime::objects::Objects;
use crate::runtime::slot::SlotTerms;
use crate::runtime::store::StoreInner;
use wfaas_abi::ArtifactError;
use wfaas_abi::artifact::records::{ConstOp, ConstOpcode, InitKind, InitStep, Range};

impl StoreInner {
    /// Makes an instance whose imports are known to fit, and initialises it; its place.
    ///
    /// # Errors
    /// [`Error::Trap`] if a segment does not fit or the start function traps, and others if there
    /// is no room for the instance.
    pub(crate) fn instantiate(
        &mut self,
        module: &Module,
        imports: &[Item],
        terms: SlotTerms<'_>,
    ) -> Result<u32, Error> {
        let call = std::ptr::from_mut(self).cast::<CallState>();
        let index = self.objects.add_instance(call, module, imports, terms)?;
        if !module.is_initialised() {
            self.initialise(index)?;
        }
        Ok(index)
    }

    /// Runs the init steps and the start function of an instance.
    fn initialise(&mut self, instance: u32) -> Result<(), Error> {
        let module = self.objects.instance(instance).module().clone();
        for step in module.artifact().init_steps() {
            self.init_step(instance, step)?;
        }
        if let Some(index) = module.artifact().start() {
            self.call(FuncId::Guest { instance, index }, &mut [0])?;
        }
        Ok(())
    }

    fn init_step(&mut self, instance: u32, step: &InitStep) -> Result<(), Error> {
        let kind = InitKind::from_u32(step.kind.get());
        let kind = kind.ok_or(ArtifactError::Corrupt("unknown init step"))?;
        let (low, high) = self.objects.const_expr(instance, step.expr)?;
        let (target, segment) = (step.target.get(), step.segment.get());
        match kind {
            InitKind::Global => {
                let global = self.objects.global_index(instance, target)?;
                self.objects.globals[global].write((low, high));
                Ok(())
            }
            InitKind::TableFill => {
                let table = self.objects.table_index(instance, target)?;
                let low = self.objects.table_bits(instance, table, low)?;
                let len = self.objects.tables[table].size();
                self.objects.tables[table].fill(0, low, len).map_err(without_frames)
            }
            InitKind::Elem => {
                let table = self.objects.table_index(instance, target)?;
                let offset = self.objects.tables[table].index(low);
                let len = self.objects.elem_items(instance, segment)?.len() as u64;
                let init = self.objects.table_init(instance, target, segment, offset, 0, len)?;
                self.finish_bulk(init)?;
                self.objects.drop_elem(instance, segment)
            }
            InitKind::Data => {
                let memory = self.objects.memory_index(instance, target)?;
                let offset = self.objects.memories[memory].index(low);
                let len = self.objects.data_bytes(instance, segment)?.len() as u64;
                let init = self.objects.memory_init(instance, target, segment, offset, 0, len)?;
                self.finish_bulk(init)?;
                self.objects.drop_data(instance, segment)
            }
        }
    }
}

impl Objects {
    /// The value of a constant expression, low and high half, references in the instance's terms.
    fn const_expr(&mut self, instance: u32, range: Range) -> Result<(u64, u64), Error> {
        let module = self.instances[instance as usize].module.clone();
        let mut stack: Vec<(u64, u64)> = Vec::new();
        for op in module.artifact().const_ops(range)? {
            let value = self.const_value(instance, op, &mut stack)?;
            stack.push(value);
        }
        stack.pop().ok_or(empty_stack())
    }

    /// The value of an operation of a constant expression, with the operands that it takes from `stack`.
    pub(super) fn const_value(
        &mut self,
        instance: u32,
        op: &ConstOp,
        stack: &mut Vec<(u64, u64)>,
    ) -> Result<(u64, u64), Error> {
        use ConstOpcode::*;
        let opcode = ConstOpcode::from_u32(op.opcode.get());
        let opcode = opcode.ok_or(ArtifactError::Corrupt("unknown constant operation"))?;
        let low = op.low.get();
        Ok(match opcode {
            I32Const | F32Const => (u64::from(low as u32), 0),
            I64Const | F64Const => (low, 0),
            V128Const => (low, op.high.get()),
            RefNull => (0, 0),
            RefFunc => {
                let index = u32::try_from(low).unwrap_or(u32::MAX);
                (self.instances[instance as usize].native_ref(index)?.to_bits(), 0)
            }
            GlobalGet => self.global_bits(instance, low)?,
            I32Add | I32Sub | I32Mul | I64Add | I64Sub | I64Mul => {
                let right = stack.pop().ok_or(empty_stack())?.0;
                let left = stack.pop().ok_or(empty_stack())?.0;
                (opcode.calculate(left, right).ok_or(empty_stack())?, 0)
            }
        })
    }

    fn global_bits(&mut self, instance: u32, index: u64) -> Result<(u64, u64), Error> {
        let global = self.global_index(instance, u32::try_from(index).unwrap_or(u32::MAX))?;
        let global = &self.globals[global];
        let (bits, owner, content) = (global.read(), global.owner(), global.ty().content);
        if content.is_func_ref() {
            return Ok((self.translate(bits.0, owner, Some(instance))?, 0));
        }
        Ok(bits)
    }
}

fn empty_stack() -> Error {
    ArtifactError::Corrupt("a constant expression is incomplete").into()
}
