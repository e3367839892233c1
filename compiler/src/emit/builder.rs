//! A function under construction, for guest functions, thunks and stubs alike: knows where state
//! and host context are, and how pieces of code call one another.

use crate::emit::signature::{self, POINTER};
use crate::emit::trap::clif_trap;
use crate::front::index::TypeIndex;
use crate::front::layout::Layout;
use crate::front::module::Module;
use crate::symbol::Symbol;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{
    self, AliasRegion, AliasRegionData, Block, BlockArg, ExceptionTable, ExceptionTableData,
    ExceptionTableItem, ExtFuncData, ExternalName, Function, Inst, InstBuilder, MemFlagsData,
    SigRef, Signature, Value,
};
use cranelift_frontend::{FuncInstBuilder, FunctionBuilder, FunctionBuilderContext};
use std::collections::HashMap;
use wfaas_abi::context::HostContext;
use wfaas_abi::{FuncType, Hostcall, TrapCode};

/// Parts of memory that never overlap, for the code generator's alias analysis.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Region {
    /// Linear memory.
    Memory,
    /// Cells of defined globals.
    Globals,
    /// Cells of imported globals; two of them may be the same.
    ImportedGlobals,
    /// Sizes and elements of defined tables, the size of the memory, dropped bytes.
    Tables,
    /// Memory that the host context points to.
    Runtime,
    /// Argument cells.
    Cells,
}

impl Region {
    /// How many there are.
    const COUNT: usize = Region::Cells as usize + 1;
}

/// A function under construction.
pub(crate) struct CodeBuilder<'c> {
    builder: FunctionBuilder<'c>,
    pub(crate) module: &'c Module<'c>,
    pub(crate) layout: &'c Layout,
    functions: HashMap<Symbol, ir::FuncRef>,
    signatures: HashMap<TypeIndex, SigRef>,
    /// The code generator's names of regions, in the order of [`Region`].
    regions: [Option<AliasRegion>; Region::COUNT],
    /// BASE as it was read last, and the block where.
    base: Option<(Block, Value)>,
}

impl<'c> CodeBuilder<'c> {
    /// Starts `func`, and its entry block; the arguments are its block parameters.
    pub(crate) fn new(
        func: &'c mut Function,
        context: &'c mut FunctionBuilderContext,
        module: &'c Module<'c>,
        layout: &'c Layout,
    ) -> (Self, Vec<Value>) {
        let mut builder = FunctionBuilder::new(func, context);
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        let arguments = builder.block_params(entry).to_vec();
        let code = CodeBuilder {
            builder,
            module,
            layout,
            functions: HashMap::new(),
            signatures: HashMap::new(),
            regions: [None; Region::COUNT],
            base: None,
        };
        (code, arguments)
    }

    /// Ends the function.
    pub(crate) fn finish(self, isa: &dyn cranelift_codegen::isa::TargetIsa) {
        self.builder.finalize(isa.frontend_config());
    }

    /// The underlying builder, for blocks and variables.
    pub(crate) fn blocks(&mut self) -> &mut FunctionBuilder<'c> {
        &mut self.builder
    }

    /// Appends an instruction.
    pub(crate) fn ins(&mut self) -> FuncInstBuilder<'_, 'c> {
        self.builder.ins()
    }

    /// The function as it is so far.
    pub(crate) fn function_so_far(&self) -> &Function {
        self.builder.func
    }

    /// The machine type of a value.
    pub(crate) fn type_of(&self, value: Value) -> ir::Type {
        self.builder.func.dfg.value_type(value)
    }

    /// A 64-bit constant.
    pub(crate) fn iconst(&mut self, value: i64) -> Value {
        self.ins().iconst(POINTER, value)
    }

    /// A 32-bit constant; indices are unsigned, and their bits count.
    pub(crate) fn index(&mut self, value: u32) -> Value {
        self.ins().iconst(ir::types::I32, i64::from(value))
    }

    /// Continues in `block`, to which nothing will jump from further on.
    pub(crate) fn continue_in(&mut self, block: Block) {
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
    }

    /// A new block off the hot path.
    pub(crate) fn cold_block(&mut self) -> Block {
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        block
    }

    /// The address of linear memory 0, the origin of everything.
    ///
    /// Each reading of the pinned register is a move to another one in machine code. Once a block
    /// and call is enough, and seldom; a value that lived longer would be saved around calls, for
    /// more than the move costs.
    pub(crate) fn base(&mut self) -> Value {
        let block = self.builder.current_block().expect("in a block");
        match self.base {
            Some((read_in, base)) if read_in == block => base,
            _ => {
                let base = self.ins().get_pinned_reg(POINTER);
                self.base = Some((block, base));
                base
            }
        }
    }

    /// Changes BASE.
    pub(crate) fn set_base(&mut self, base: Value) {
        self.ins().set_pinned_reg(base);
        self.base = None;
    }

    /// Flags for accesses that cannot fault.
    pub(crate) fn trusted(&mut self, region: Region) -> MemFlagsData {
        let flags = match region {
            // These are aligned for 64 bits, which is less than instructions may expect of a
            // vector that is.
            Region::ImportedGlobals | Region::Cells => MemFlagsData::new().with_notrap(),
            _ => MemFlagsData::trusted(),
        };
        flags.with_alias_region(Some(self.alias_region(region)))
    }

    /// The code generator's name of a region.
    pub(crate) fn alias_region(&mut self, region: Region) -> AliasRegion {
        *self.regions[region as usize].get_or_insert_with(|| {
            let description = format!("{region:?}").into();
            let data = AliasRegionData { user_id: region as u32, description };
            self.builder.func.dfg.alias_regions.insert(data)
        })
    }

    /// Loads from the state, `offset` bytes from BASE.
    pub(crate) fn state_load(&mut self, ty: ir::Type, region: Region, offset: i32) -> Value {
        let (flags, base) = (self.trusted(region), self.base());
        self.ins().load(ty, flags, base, offset)
    }

    /// Stores to the state, `offset` bytes from BASE.
    pub(crate) fn state_store(&mut self, value: Value, region: Region, offset: i32) {
        let (flags, base) = (self.trusted(region), self.base());
        self.ins().store(flags, value, base, offset);
    }

    /// The address `offset` bytes into the host context.
    pub(crate) fn host_address(&mut self, offset: usize) -> Value {
        let base = self.base();
        let offset = i64::from(self.layout.host_offset(offset));
        self.ins().iadd_imm_s(base, offset)
    }

    /// The pointer that is `offset` bytes into the host context. It does not change while code
    /// runs.
    pub(crate) fn host_load(&mut self, offset: usize) -> Value {
        let base = self.base();
        let offset = self.layout.host_offset(offset);
        self.constant_load(base, offset)
    }

    /// The pointer at `address + offset`, which does not change while code runs.
    pub(crate) fn constant_load(&mut self, address: Value, offset: impl Into<Offset32>) -> Value {
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        self.ins().load(POINTER, flags, address, offset)
    }

    /// The address of the text.
    pub(crate) fn text(&mut self) -> Value {
        self.host_load(core::mem::offset_of!(HostContext, text))
    }

    /// The signature of functions of type `ty`.
    pub(crate) fn guest_signature(&mut self, ty: TypeIndex) -> SigRef {
        if let Some(signature) = self.signatures.get(&ty) {
            return *signature;
        }
        let signature = signature::guest_signature(&self.module.types[ty]);
        let signature = self.import_signature(signature);
        self.signatures.insert(ty, signature);
        signature
    }

    /// Makes a signature known.
    pub(crate) fn import_signature(&mut self, signature: Signature) -> SigRef {
        self.builder.import_signature(signature)
    }

    /// Another piece of code, as something to call.
    pub(crate) fn function(&mut self, symbol: Symbol) -> ir::FuncRef {
        if let Some(function) = self.functions.get(&symbol) {
            return *function;
        }
        let signature = match symbol {
            Symbol::Func(func) => self.guest_signature(self.module.funcs[func]),
            Symbol::Trap(_) => self.import_signature(signature::trap_call_signature()),
            other => self.import_signature(other.signature(self.module)),
        };
        let name = self.builder.func.declare_imported_user_function(symbol.external_name());
        let function = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.functions.insert(symbol, function);
        function
    }

    /// Calls another piece of code.
    pub(crate) fn call(&mut self, symbol: Symbol, arguments: &[Value]) -> Inst {
        let function = self.function(symbol);
        self.base = None;
        self.ins().call(function, arguments)
    }

    /// Calls the code at `address`.
    pub(crate) fn call_indirect(
        &mut self,
        signature: SigRef,
        address: Value,
        arguments: &[Value],
    ) -> Inst {
        self.base = None;
        self.ins().call_indirect(signature, address, arguments)
    }

    /// Calls another piece of code in place of this one; ends the block.
    pub(crate) fn return_call(&mut self, symbol: Symbol, arguments: &[Value]) {
        let function = self.function(symbol);
        self.ins().return_call(function, arguments);
    }

    /// Calls another piece of code; goes on in `landing` if it ends with an exception, and
    /// otherwise in a new block. The results.
    pub(crate) fn try_call(
        &mut self,
        symbol: Symbol,
        arguments: &[Value],
        landing: Block,
    ) -> Vec<Value> {
        let function = self.function(symbol);
        let signature = self.builder.func.dfg.ext_funcs[function].signature;
        let (next, table) = self.exception_table(signature, landing);
        self.ins().try_call(function, arguments, table);
        self.continue_in(next);
        self.builder.block_params(next).to_vec()
    }

    /// As [`CodeBuilder::try_call`], for the code at `address`.
    pub(crate) fn try_call_indirect(
        &mut self,
        signature: SigRef,
        address: Value,
        arguments: &[Value],
        landing: Block,
    ) -> Vec<Value> {
        let (next, table) = self.exception_table(signature, landing);
        self.ins().try_call_indirect(address, arguments, table);
        self.continue_in(next);
        self.builder.block_params(next).to_vec()
    }

    /// Where to go on after a call: in a new block with the results, or in `landing` with the
    /// exception and its tag.
    fn exception_table(&mut self, signature: SigRef, landing: Block) -> (Block, ExceptionTable) {
        let next = self.builder.create_block();
        let types = self.builder.func.dfg.signatures[signature].returns.clone();
        let mut results = Vec::with_capacity(types.len());
        for (index, ty) in (0..).zip(&types) {
            self.builder.append_block_param(next, ty.value_type);
            results.push(BlockArg::TryCallRet(index));
        }
        let dfg = &mut self.builder.func.dfg;
        let normal = dfg.block_call(next, &results);
        let landing = dfg.block_call(landing, &[BlockArg::TryCallExn(0), BlockArg::TryCallExn(1)]);
        let catch_all = [ExceptionTableItem::Default(landing)];
        let table = ExceptionTableData::new(signature, normal, catch_all);
        (next, dfg.exception_tables.push(table))
    }

    /// Calls the stub of a hostcall that has a result.
    pub(crate) fn hostcall(&mut self, call: Hostcall, arguments: &[Value]) -> Value {
        let call = self.call(Symbol::Hostcall(call), arguments);
        self.builder.inst_results(call)[0]
    }

    /// The results of a call.
    pub(crate) fn results(&self, call: Inst) -> Vec<Value> {
        self.builder.inst_results(call).to_vec()
    }

    /// Raises a trap; ends the block. The return address tells the place.
    pub(crate) fn trap(&mut self, code: TrapCode) {
        self.call(Symbol::Trap(code), &[]);
        self.never_reached();
    }

    /// Ends a block after a call that does not return.
    pub(crate) fn never_reached(&mut self) {
        self.ins().trap(clif_trap(TrapCode::InternalFault));
    }

    /// Raises a trap if `condition` holds, in a block of its own off the hot path.
    pub(crate) fn trap_if(&mut self, condition: Value, code: TrapCode) {
        let trap = self.cold_block();
        let next = self.builder.create_block();
        let block = self.builder.current_block().expect("in a block");
        if self.builder.func.layout.is_cold(block) {
            self.builder.set_cold_block(next);
        }
        self.ins().brif(condition, trap, &[], next, &[]);
        self.continue_in(trap);
        self.trap(code);
        self.continue_in(next);
    }

    /// Whether two values are equal.
    pub(crate) fn equal(&mut self, left: Value, right: Value) -> Value {
        self.ins().icmp(IntCC::Equal, left, right)
    }

    /// Whether two values are different.
    pub(crate) fn different(&mut self, left: Value, right: Value) -> Value {
        self.ins().icmp(IntCC::NotEqual, left, right)
    }

    /// The types of function type `ty`.
    pub(crate) fn func_type(&self, ty: TypeIndex) -> &'c FuncType {
        &self.module.types[ty]
    }
}
