//! The calls that have stack maps.

use super::Plan;
use crate::code::{Code, MappedCall};
use crate::symbol::Symbol;
use cranelift_codegen::ir::SourceLoc;
use wfaas_abi::continuation::OPERAND_BYTES;

/// The location of the call in the code of an import, which is nowhere in the module.
pub(crate) const IN_IMPORT: u32 = 0;

impl Plan {
    /// Notes which calls of a piece of code have stack maps.
    pub(crate) fn add_maps(&self, code: &mut Code) {
        let (Symbol::Func(function) | Symbol::Twin(function)) = code.symbol else { return };
        if !self.is_mapped {
            return;
        }
        // An import's twin calls it in its own place.
        if self.imports.contains(&function) && matches!(code.symbol, Symbol::Func(_)) {
            let location = SourceLoc::new(IN_IMPORT);
            code.maps.push(MappedCall { location, function, entry: 0, operands_bytes: 0 });
        }
        let calls = (0..).zip(self.mapped(function)).map(|(entry, site)| MappedCall {
            location: SourceLoc::new(site.offset),
            function,
            entry,
            operands_bytes: site.operands * OPERAND_BYTES,
        });
        code.maps.extend(calls);
    }
}
