//! Exceptions: throwing, and blocks that catch.
//!
//! A call inside `try_table` says where to go on if it ends with an exception: in the *landing*
//! of the innermost `try_table`, a block that gets the exception and the identity of its tag. It
//! compares that with its clauses one after the other, and goes on in the landing further out, or
//! throws the exception again, if none fits. The VM only has to find the next call with a landing.

use super::call::Callee;
use super::control::Kind;
use super::{Emitted, FuncEmitter};
use crate::emit::builder::Region;
use crate::emit::signature::POINTER;
use crate::emit::thunk;
use crate::front::index::TagIndex;
use crate::symbol::Symbol;
use cranelift_codegen::entity::EntityRef;
use cranelift_codegen::ir::{Block, InstBuilder, StackSlotData, StackSlotKind, Value};
use std::mem::offset_of;
use wasmparser::{BlockType, Catch, TryTable};
use wfaas_abi::Hostcall;
use wfaas_abi::context::TagInstance;
use wfaas_abi::types::{CELL_BYTES, cells_of};

/// The landing of a `try_table` or of a legacy `try`.
pub(super) struct Landing {
    block: Block,
    used: bool,
}

/// An exception where it has landed.
#[derive(Clone, Copy)]
pub(super) struct Landed {
    pub(super) exception: Value,
    /// The identity of its tag.
    pub(super) tag: Value,
}

impl FuncEmitter<'_> {
    pub(super) fn visit_try_table(&mut self, table: TryTable) -> Emitted {
        if !self.reachable {
            return self.enter_dead();
        }
        self.enter_catching(table.ty, Kind::Try { catches: table.catches })
    }

    /// Enters a block with a landing.
    pub(super) fn enter_catching(&mut self, ty: BlockType, kind: Kind) -> Emitted {
        let (params, results) = self.block_types(ty)?;
        let end = self.block_with(&results);
        let landing = self.block_with(&[POINTER, POINTER]);
        self.code.blocks().set_cold_block(landing);
        self.store_operands();
        self.landings.push(Landing { block: landing, used: false });
        self.enter(kind, (end, results.len()), (end, results.len()), params.len());
        Ok(())
    }

    /// Where a call has to go on that ends with an exception.
    pub(super) fn landing(&mut self) -> Option<Block> {
        let landing = self.landings.last_mut()?;
        landing.used = true;
        Some(landing.block)
    }

    /// Continues in the innermost landing, which catches nothing from here on. `None` if no call
    /// has it.
    pub(super) fn land(&mut self) -> Option<Landed> {
        let landing = self.landings.pop().expect("one for each block that catches");
        if !landing.used {
            return None;
        }
        self.code.continue_in(landing.block);
        let [exception, tag] = *self.code.blocks().block_params(landing.block) else {
            unreachable!("made with two parameters");
        };
        Some(Landed { exception, tag })
    }

    /// Ends the innermost `try_table` after its body: generates its landing.
    pub(super) fn end_try(&mut self, catches: &[Catch]) -> Emitted {
        let Some(landed) = self.land() else { return Ok(()) };
        let Landed { exception, tag } = landed;
        for clause in catches {
            match *clause {
                Catch::All { label } => return self.catch(label, vec![]),
                Catch::AllRef { label } => return self.catch(label, vec![exception]),
                Catch::One { tag: wanted, label } => {
                    let wanted = TagIndex::from_u32(wanted);
                    let next = self.unless_tag(tag, wanted);
                    let values = self.exception_values(wanted, exception)?;
                    self.catch(label, values)?;
                    self.code.continue_in(next);
                }
                Catch::OneRef { tag: wanted, label } => {
                    let wanted = TagIndex::from_u32(wanted);
                    let next = self.unless_tag(tag, wanted);
                    let mut values = self.exception_values(wanted, exception)?;
                    values.push(exception);
                    self.catch(label, values)?;
                    self.code.continue_in(next);
                }
            }
        }
        self.pass_on(landed, self.landings.len());
        Ok(())
    }

    /// Branches away unless the tag is the one of the clause; returns where to.
    pub(super) fn unless_tag(&mut self, tag: Value, wanted: TagIndex) -> Block {
        let record = self.code.layout.host.tags + wanted.index() * size_of::<TagInstance>();
        let wanted = self.code.host_load(record + offset_of!(TagInstance, id));
        let same = self.code.equal(tag, wanted);
        let (matching, next) = (self.code.cold_block(), self.code.cold_block());
        self.code.ins().brif(same, matching, &[], next, &[]);
        self.code.continue_in(matching);
        next
    }

    fn catch(&mut self, label: u32, values: Vec<Value>) -> Emitted {
        let (block, _) = self.branch_target(label)?;
        self.jump(block, &values);
        Ok(())
    }

    /// Goes on with an exception that nothing here catches: in the innermost of the `outer`
    /// outermost landings, or in the caller.
    pub(super) fn pass_on(&mut self, landed: Landed, outer: usize) {
        match self.landings[..outer].last_mut() {
            Some(landing) => {
                landing.used = true;
                let block = landing.block;
                self.jump(block, &[landed.exception, landed.tag]);
            }
            None => {
                self.code.call(Symbol::Hostcall(Hostcall::ThrowRef), &[landed.exception]);
                self.code.never_reached();
            }
        }
    }

    /// The values an exception carries.
    pub(super) fn exception_values(
        &mut self,
        tag: TagIndex,
        exception: Value,
    ) -> Result<Vec<Value>, crate::CompileError> {
        let types = self.code.func_type(self.code.module.tags[tag]).params();
        self.complexity.add_operands(types.len())?;
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let address = self.code.hostcall(Hostcall::ExceptionValues, &[exception]);
        let flags = self.code.trusted(Region::Cells);
        let load = |(ty, offset)| self.code.ins().load(ty, flags, address, offset);
        Ok(thunk::cells(types).map(load).collect())
    }

    pub(super) fn visit_throw(&mut self, tag: u32) -> Emitted {
        let tag = TagIndex::from_u32(tag);
        let types = self.code.func_type(self.code.module.tags[tag]).params();
        self.complexity.add_operands(types.len())?;
        let values = self.pop_many(types.len());
        let cells = self.thrown_cells((cells_of(types) * CELL_BYTES) as u32);
        let flags = self.code.trusted(Region::Cells);
        for ((_, offset), value) in thunk::cells(types).zip(values) {
            self.code.ins().store(flags, value, cells, offset);
        }
        let tag = self.code.index(tag.as_u32());
        self.leave_by(Hostcall::Throw, &[tag, cells]);
        Ok(())
    }

    pub(super) fn visit_throw_ref(&mut self) -> Emitted {
        let exception = self.pop();
        self.throw_again(exception);
        Ok(())
    }

    /// Throws an exception that there is.
    pub(super) fn throw_again(&mut self, exception: Value) {
        self.leave_by(Hostcall::ThrowRef, &[exception]);
    }

    /// Calls a hostcall that does not return.
    fn leave_by(&mut self, hostcall: Hostcall, arguments: &[Value]) {
        self.call(Callee::Piece(Symbol::Hostcall(hostcall)), arguments);
        self.code.never_reached();
        self.reachable = false;
    }

    /// The address of cells for the values of an exception: the same for all that a function
    /// throws.
    fn thrown_cells(&mut self, bytes: u32) -> Value {
        let slots = self.thrown.get_or_insert_with(|| {
            let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 4);
            self.code.blocks().create_sized_stack_slot(data)
        });
        let slot = *slots;
        let data = &mut self.code.blocks().func.sized_stack_slots[slot];
        data.size = data.size.max(bytes);
        self.code.ins().stack_addr(POINTER, slot, 0)
    }
}
