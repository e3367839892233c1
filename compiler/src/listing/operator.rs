//! Operators as text, near to WebAssembly's text format.

use wasmparser::{Operator, VisitOperator, VisitSimdOperator};

/// The words before the first point of a name.
const PREFIXES: &[&str] = &[
    "i32", "i64", "f32", "f64", "v128", "i8x16", "i16x8", "i32x4", "i64x2", "f32x4", "f64x2",
    "local", "global", "memory", "table", "ref", "elem", "data",
];

/// The operator as text.
pub(super) fn text(operator: &Operator<'_>) -> String {
    Text.visit_operator(operator)
}

/// Whether an operator ends a block, or a part of one, and whether it starts one.
pub(super) fn nesting(operator: &Operator<'_>) -> (bool, bool) {
    match operator {
        Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::If { .. }
        | Operator::Try { .. }
        | Operator::TryTable { .. } => (false, true),
        Operator::Else | Operator::Catch { .. } | Operator::CatchAll => (true, true),
        Operator::End | Operator::Delegate { .. } => (true, false),
        _ => (false, false),
    }
}

struct Text;

macro_rules! texts {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        $(fn $visit(&mut self $(, $($arg: $ty),*)?) -> String {
            line(stringify!($visit), &[$($(format!("{:?}", $arg)),*)?])
        })*
    };
}

impl<'a> VisitOperator<'a> for Text {
    type Output = String;

    wasmparser::for_each_visit_operator!(texts);

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = String>> {
        Some(self)
    }
}

impl VisitSimdOperator<'_> for Text {
    wasmparser::for_each_visit_simd_operator!(texts);
}

/// The text of the operator of a visitor's method, with its immediates as Rust shows them.
fn line(method: &str, immediates: &[String]) -> String {
    let name = method.trim_start_matches("visit_");
    let mut text = match name.split_once('_') {
        Some((prefix, rest)) if PREFIXES.contains(&prefix) => format!("{prefix}.{rest}"),
        _ => name.to_owned(),
    };
    for immediate in immediates.iter().map(|shown| immediate(shown)) {
        if !immediate.is_empty() {
            text.push(' ');
            text.push_str(&immediate);
        }
    }
    text
}

fn immediate(shown: &str) -> String {
    let field = |before: &str| {
        let (_, rest) = shown.split_once(before)?;
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..end].parse::<u64>().ok().filter(|value| *value != 0)
    };
    if shown.starts_with("MemArg {") {
        let memory = field("Memory(").map(|index| format!("{index} ")).unwrap_or_default();
        return memory
            + &field(" offset: ").map(|bytes| format!("offset={bytes}")).unwrap_or_default();
    }
    if let Some(ty) = shown.strip_prefix("Type(").and_then(|rest| rest.strip_suffix(')')) {
        return format!("(result {})", ty.to_lowercase());
    }
    match shown {
        "Empty" => String::new(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{BlockType, MemArg, MemArgTarget, ValType};

    #[test]
    fn operators_look_like_the_text_format() {
        let memarg = MemArg {
            align: 2,
            max_align: 2,
            offset: 8,
            target: MemArgTarget::Memory(1),
            ordering: None,
        };
        for (operator, expected) in [
            (Operator::I32Add, "i32.add"),
            (Operator::LocalGet { local_index: 3 }, "local.get 3"),
            (Operator::I32Load { memarg }, "i32.load 1 offset=8"),
            (Operator::Block { blockty: BlockType::Empty }, "block"),
            (Operator::Loop { blockty: BlockType::Type(ValType::I64) }, "loop (result i64)"),
            (Operator::BrIf { relative_depth: 1 }, "br_if 1"),
            (Operator::I8x16Add, "i8x16.add"),
            (Operator::I32Const { value: -5 }, "i32.const -5"),
        ] {
            assert_eq!(text(&operator), expected);
        }
    }
}
