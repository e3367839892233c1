//! The types of the values that a frame holds.

use super::Site;
use crate::CompileError;
use crate::emit::signature::clif_type;
use crate::front::module::Module;
use crate::front::parse::Body;
use cranelift_codegen::ir::Type;
use wasmparser::{FuncValidatorAllocations, Operator, ValType};

/// Types of the values that are alive behind a call.
pub(super) struct SiteTypes {
    pub(super) site: Site,
    /// The locals that hold references, and what to.
    pub(super) local_references: Vec<(u32, wfaas_abi::ValType)>,
    /// The same of the operands below those of the call, by their place.
    pub(super) operand_references: Vec<(u32, wfaas_abi::ValType)>,
    /// Machine types of the call's results.
    pub(super) results: Vec<Type>,
}

/// Validates `body` up to the call at `offset`, and looks at the types there.
pub(super) fn at(
    module: &Module<'_>,
    body: Body<'_>,
    offset: u32,
) -> Result<SiteTypes, CompileError> {
    let function = body.func().as_u32();
    let Body { validation, body } = body;
    let mut validator = validation.into_validator(FuncValidatorAllocations::default());
    let mut locals = body.get_binary_reader();
    validator.read_locals(&mut locals)?;
    let mut reader = body.get_operators_reader()?;
    while !reader.eof() {
        let (operator, at) = reader.read_with_offset()?;
        if at < u64::from(offset) {
            validator.op(at, &operator)?;
            continue;
        }
        let (params, _) = operator.operator_arity(&validator.visitor(at)).unwrap_or_default();
        let site = Site { function, offset, operands: 0 };
        if at > u64::from(offset) || !is_call(&operator) {
            return Err(site.error("there is no call"));
        }
        let operands = validator.operand_stack_height().saturating_sub(params);
        let reference = |index: u32, ty: Option<ValType>| match ty {
            Some(ty @ ValType::Ref(_)) => {
                Some(module.val_type(ty, at).map(|ty| (index, ty))).transpose()
            }
            _ => Ok(None),
        };
        let locals =
            (0..validator.len_locals()).map(|index| (index, validator.get_local_type(index)));
        let local_references = locals.filter_map(|(index, ty)| reference(index, ty).transpose());
        let local_references = local_references.collect::<Result<_, CompileError>>()?;
        let depth = |place: u32| (validator.operand_stack_height() - 1 - place) as usize;
        let types =
            (0..operands).map(|place| (place, validator.get_operand_type(depth(place)).flatten()));
        let operand_references = types.filter_map(|(place, ty)| reference(place, ty).transpose());
        let operand_references = operand_references.collect::<Result<_, CompileError>>()?;
        validator.op(at, &operator)?;
        let height = validator.operand_stack_height();
        let mut results = Vec::new();
        for depth in (0..height.saturating_sub(operands) as usize).rev() {
            let ty = validator.get_operand_type(depth).flatten();
            let ty = ty.ok_or_else(|| site.error("control cannot get there"))?;
            results.push(clif_type(module.val_type(ty, at)?));
        }
        let site = Site { operands, ..site };
        return Ok(SiteTypes { site, local_references, operand_references, results });
    }
    Err(Site { function, offset, operands: 0 }.error("there is no call"))
}

fn is_call(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Call { .. } | Operator::CallIndirect { .. } | Operator::CallRef { .. }
    )
}
