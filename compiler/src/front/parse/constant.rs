//! Constant expressions.

use super::unexpected;
use crate::CompileError;
use crate::front::index::{FuncIndex, GlobalIndex};
use crate::front::module::{Const, Expr};
use crate::front::proposals::GC;
use wasmparser::{ConstExpr, Operator};
use wfaas_abi::artifact::records::ConstOpcode;

/// The operations of a validated constant expression.
pub(super) fn constant(expr: &ConstExpr<'_>) -> Result<Expr, CompileError> {
    let mut reader = expr.get_operators_reader();
    let (first, offset) = reader.read_with_offset()?;
    let first = operation(&first, offset)?;
    let mut operations = vec![first];
    loop {
        let (operator, offset) = reader.read_with_offset()?;
        match operator {
            Operator::End if operations.len() == 1 => return Ok(Expr::One(first)),
            Operator::End => return Ok(Expr::Many(operations.into_boxed_slice())),
            operator => operations.push(operation(&operator, offset)?),
        }
    }
}

fn operation(operator: &Operator<'_>, offset: u64) -> Result<Const, CompileError> {
    Ok(match *operator {
        Operator::I32Const { value } => Const::I32(value),
        Operator::I64Const { value } => Const::I64(value),
        Operator::F32Const { value } => Const::F32(value.bits()),
        Operator::F64Const { value } => Const::F64(value.bits()),
        Operator::V128Const { value } => Const::V128(value.into()),
        Operator::RefNull { .. } => Const::RefNull,
        Operator::RefFunc { function_index } => Const::RefFunc(FuncIndex::from_u32(function_index)),
        Operator::GlobalGet { global_index } => {
            Const::GlobalGet(GlobalIndex::from_u32(global_index))
        }
        Operator::I32Add => Const::Calculate(ConstOpcode::I32Add),
        Operator::I32Sub => Const::Calculate(ConstOpcode::I32Sub),
        Operator::I32Mul => Const::Calculate(ConstOpcode::I32Mul),
        Operator::I64Add => Const::Calculate(ConstOpcode::I64Add),
        Operator::I64Sub => Const::Calculate(ConstOpcode::I64Sub),
        Operator::I64Mul => Const::Calculate(ConstOpcode::I64Mul),
        // All others that validation lets through make or convert objects.
        Operator::End => return Err(unexpected("end of a constant expression")),
        _ => return Err(CompileError::Unsupported { proposal: GC, offset }),
    })
}
