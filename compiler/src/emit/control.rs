//! Blocks, branches and traps.

use super::legacy_exception::Uncaught;
use super::operands::Operand;
use super::{Emitted, FuncEmitter};
use crate::emit::signature::clif_type;
use crate::front::index::{FuncIndex, TypeIndex};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, JumpTableData, Type, Value};
use std::collections::HashMap;
use wasmparser::{BlockType, BrTable, Catch};
use wfaas_abi::{TrapCode, ValType};

/// The work of an `end` or `else` besides continuing after the block.
pub(super) enum Kind {
    /// A block, an `else` part, or the function.
    Plain,
    /// Has no more jumps to its header.
    Loop { header: Block },
    /// Has an `else` part, written or not, that starts with the block's parameters.
    If { otherwise: Block, params: Vec<Operand> },
    /// Catches exceptions.
    Try { catches: Vec<Catch> },
    /// Catches exceptions in a legacy way: the part before its first `catch`.
    LegacyTry,
    /// A `catch` part of one.
    LegacyCatch(Option<Uncaught>),
    /// Control cannot get here, nothing was generated.
    Dead,
}

/// An enclosing block.
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Where a branch goes to, with so many operands.
    label: Block,
    label_arity: usize,
    /// Where the end is, with so many operands.
    end: Block,
    end_arity: usize,
    /// Height of the operand stack below the parameters.
    pub(super) height: usize,
    /// Whether the end is jumped to.
    end_reached: bool,
    /// How many landings, the outermost ones, an exception inside of it may get to.
    pub(super) landings: usize,
}

impl FuncEmitter<'_> {
    /// Starts the outermost block.
    pub(super) fn enter_function(&mut self, function: FuncIndex) {
        let results = types(self.code.module.func_type(function).results());
        let end = self.block_with(&results);
        self.control.push(Frame {
            kind: Kind::Plain,
            label: end,
            label_arity: results.len(),
            end,
            end_arity: results.len(),
            height: 0,
            end_reached: false,
            landings: 0,
        });
    }

    pub(super) fn visit_unreachable(&mut self) -> Emitted {
        self.code.trap(TrapCode::Unreachable);
        self.reachable = false;
        Ok(())
    }

    pub(super) fn visit_nop(&mut self) -> Emitted {
        Ok(())
    }

    pub(super) fn visit_block(&mut self, ty: BlockType) -> Emitted {
        if !self.reachable {
            return self.enter_dead();
        }
        let (params, results) = self.block_types(ty)?;
        let end = self.block_with(&results);
        self.store_operands();
        self.enter(Kind::Plain, (end, results.len()), (end, results.len()), params.len());
        Ok(())
    }

    pub(super) fn visit_loop(&mut self, ty: BlockType) -> Emitted {
        if !self.reachable {
            return self.enter_dead();
        }
        let (params, results) = self.block_types(ty)?;
        self.complexity.enter_loop()?;
        let header = self.block_with(&params);
        let end = self.block_with(&results);
        self.store_operands();
        let arguments = self.pop_many(params.len());
        self.jump(header, &arguments);
        // The header is sealed at the end, when all jumps to it are known.
        self.code.blocks().switch_to_block(header);
        self.push_params_of(header);
        self.enter(
            Kind::Loop { header },
            (header, params.len()),
            (end, results.len()),
            params.len(),
        );
        Ok(())
    }

    pub(super) fn visit_if(&mut self, ty: BlockType) -> Emitted {
        if !self.reachable {
            return self.enter_dead();
        }
        let (params, results) = self.block_types(ty)?;
        let condition = self.pop();
        self.store_operands();
        let then = self.code.blocks().create_block();
        let otherwise = self.code.blocks().create_block();
        match self.hint() {
            Some(true) => self.code.blocks().set_cold_block(otherwise),
            Some(false) => self.code.blocks().set_cold_block(then),
            None => {}
        }
        let end = self.block_with(&results);
        self.code.ins().brif(condition, then, &[], otherwise, &[]);
        self.code.continue_in(then);
        let arity = params.len();
        let params = self.stack.top(arity);
        let kind = Kind::If { otherwise, params };
        self.enter(kind, (end, results.len()), (end, results.len()), arity);
        Ok(())
    }

    pub(super) fn visit_else(&mut self) -> Emitted {
        self.leave_part()?;
        let frame = self.control.last_mut().expect("validated");
        if let Kind::If { otherwise, params } = std::mem::replace(&mut frame.kind, Kind::Plain) {
            self.stack.restore(params);
            self.code.continue_in(otherwise);
            self.reachable = true;
        } else {
            frame.kind = Kind::Dead;
        }
        Ok(())
    }

    pub(super) fn visit_end(&mut self) -> Emitted {
        self.leave_part()?;
        let mut frame = self.control.pop().expect("validated");
        match std::mem::replace(&mut frame.kind, Kind::Plain) {
            Kind::Dead => return Ok(()),
            Kind::Plain => {}
            Kind::Try { catches } => self.end_try(&catches)?,
            Kind::LegacyTry => self.end_legacy_try(self.control.len() - 1),
            Kind::LegacyCatch(uncaught) => self.end_legacy_catch(uncaught),
            Kind::Loop { header } => {
                self.complexity.leave_loop();
                self.code.blocks().seal_block(header);
            }
            Kind::If { otherwise, params } => {
                // Without an else part, the parameters are the results.
                self.code.continue_in(otherwise);
                let arity = params.len();
                self.stack.restore(params);
                let arguments = self.pop_many(arity);
                self.jump(frame.end, &arguments);
                frame.end_reached = true;
            }
        }
        self.continue_after(&frame);
        Ok(())
    }

    /// Continues after a block.
    pub(super) fn continue_after(&mut self, frame: &Frame) {
        self.code.blocks().seal_block(frame.end);
        self.reachable = frame.end_reached;
        if frame.end_reached {
            self.code.blocks().switch_to_block(frame.end);
            self.push_params_of(frame.end);
            if self.control.is_empty() {
                let results = self.pop_many(frame.end_arity);
                self.code.ins().return_(&results);
            }
        }
    }

    pub(super) fn visit_br(&mut self, depth: u32) -> Emitted {
        let (label, arity) = self.branch_target(depth)?;
        let arguments = self.pop_many(arity);
        self.jump(label, &arguments);
        self.reachable = false;
        Ok(())
    }

    pub(super) fn visit_br_if(&mut self, depth: u32) -> Emitted {
        let condition = self.pop();
        let (label, arity) = self.branch_target(depth)?;
        self.store_operands();
        let arguments = self.peek_many(arity);
        let next = self.code.blocks().create_block();
        if self.hint() == Some(false) {
            // The label itself may be hot.
            let taken = self.code.cold_block();
            self.code.ins().brif(condition, taken, &[], next, &[]);
            self.code.continue_in(taken);
            self.jump(label, &arguments);
        } else {
            self.code.ins().brif(condition, label, &block_args(&arguments), next, &[]);
        }
        if self.hint() == Some(true) {
            self.code.blocks().set_cold_block(next);
        }
        self.code.continue_in(next);
        Ok(())
    }

    pub(super) fn visit_br_on_null(&mut self, depth: u32) -> Emitted {
        let reference = self.pop();
        let is_null = self.code.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.push(is_null);
        self.visit_br_if(depth)?;
        self.push(reference);
        Ok(())
    }

    pub(super) fn visit_br_on_non_null(&mut self, depth: u32) -> Emitted {
        // The reference is the last of the label's operands.
        let reference = self.peek_many(1)[0];
        let is_there = self.code.ins().icmp_imm_u(IntCC::NotEqual, reference, 0);
        self.push(is_there);
        self.visit_br_if(depth)?;
        self.pop();
        Ok(())
    }

    pub(super) fn visit_br_table(&mut self, table: BrTable<'_>) -> Emitted {
        let index = self.pop();
        let (_, arity) = self.branch_target(table.default())?;
        let arguments = self.pop_many(arity);
        // Entries with operands go through one block for each label, so that a long table of
        // labels with many operands does not repeat them.
        let mut landings: HashMap<u32, Block> = HashMap::new();
        let mut order = Vec::new();
        let mut blocks = Vec::with_capacity(table.len() as usize);
        for depth in table.targets().chain([Ok(table.default())]) {
            let depth = depth?;
            let landing = *landings.entry(depth).or_insert_with(|| {
                order.push(depth);
                self.code.blocks().create_block()
            });
            blocks.push(self.code.blocks().func.dfg.block_call(landing, &[]));
        }
        let default = blocks.pop().expect("the default is the last one");
        let data = JumpTableData::new(default, &blocks);
        let table = self.code.blocks().create_jump_table(data);
        self.code.ins().br_table(index, table);
        for depth in order {
            let (label, _) = self.branch_target(depth)?;
            self.code.continue_in(landings[&depth]);
            self.jump(label, &arguments);
        }
        self.reachable = false;
        Ok(())
    }

    pub(super) fn visit_return(&mut self) -> Emitted {
        self.visit_br(self.control.len() as u32 - 1)
    }

    /// Jumps to the end of the innermost block, if control gets here, and drops its operands.
    pub(super) fn leave_part(&mut self) -> Emitted {
        let frame = self.control.last_mut().expect("validated");
        let (end, arity, height) = (frame.end, frame.end_arity, frame.height);
        if self.reachable {
            frame.end_reached = true;
            self.complexity.add_operands(arity)?;
            let arguments = self.pop_many(arity);
            self.jump(end, &arguments);
        }
        self.stack.truncate(height);
        self.reachable = false;
        Ok(())
    }

    pub(super) fn enter(
        &mut self,
        kind: Kind,
        label: (Block, usize),
        end: (Block, usize),
        params: usize,
    ) {
        self.control.push(Frame {
            kind,
            label: label.0,
            label_arity: label.1,
            end: end.0,
            end_arity: end.1,
            height: self.stack.len() - params,
            end_reached: false,
            landings: self.landings.len(),
        });
    }

    /// Enters a block to which control cannot get.
    pub(super) fn enter_dead(&mut self) -> Emitted {
        let placeholder = self.control[0].end;
        self.enter(Kind::Dead, (placeholder, 0), (placeholder, 0), 0);
        Ok(())
    }

    /// Where a branch to the label `depth` goes, and with how many operands.
    pub(super) fn branch_target(
        &mut self,
        depth: u32,
    ) -> Result<(Block, usize), crate::CompileError> {
        let innermost = self.control.len() - 1;
        let frame = &mut self.control[innermost - depth as usize];
        frame.end_reached |= frame.label == frame.end;
        let target = (frame.label, frame.label_arity);
        self.complexity.add_operands(target.1)?;
        Ok(target)
    }

    pub(super) fn jump(&mut self, block: Block, arguments: &[Value]) {
        let arguments = block_args(arguments);
        self.code.ins().jump(block, &arguments);
    }

    /// A new block with parameters of these types.
    pub(super) fn block_with(&mut self, types: &[Type]) -> Block {
        let block = self.code.blocks().create_block();
        for ty in types {
            self.code.blocks().append_block_param(block, *ty);
        }
        block
    }

    /// Pushes the parameters of `block`.
    pub(super) fn push_params_of(&mut self, block: Block) {
        let params = self.code.blocks().block_params(block).to_vec();
        self.stack.extend(params);
    }

    /// The types of a block's parameters and results.
    pub(super) fn block_types(
        &mut self,
        ty: BlockType,
    ) -> Result<(Vec<Type>, Vec<Type>), crate::CompileError> {
        let (params, results) = match ty {
            BlockType::Empty => (Vec::new(), Vec::new()),
            BlockType::Type(ty) => {
                let ty = self.code.module.val_type(ty, self.offset)?;
                (Vec::new(), vec![clif_type(ty)])
            }
            BlockType::FuncType(ty) => {
                let ty = self.code.func_type(TypeIndex::from_u32(ty));
                (types(ty.params()), types(ty.results()))
            }
        };
        self.complexity.add_operands(params.len() + results.len())?;
        Ok((params, results))
    }
}

/// The machine types of these types.
pub(super) fn types(types: &[ValType]) -> Vec<Type> {
    types.iter().map(|ty| clif_type(*ty)).collect()
}

/// Values as the operands of a jump.
pub(super) fn block_args(values: &[Value]) -> Vec<BlockArg> {
    values.iter().map(|value| BlockArg::from(*value)).collect()
}
