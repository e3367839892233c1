//! Wasm values as text: arguments and results of an export that is called by name.

use std::fmt;
use std::str::FromStr;
use wfaas_vm::{Val, ValType};

/// Why text is no argument list for a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Too few or too many.
    #[error("it takes {expected} argument(s), {given} given")]
    Count {
        /// How many it takes.
        expected: usize,
        /// How many there are.
        given: usize,
    },
    /// Not a number of the parameter's type.
    #[error("argument {position} has to be {ty}, {text:?} is not")]
    Value {
        /// Which one, from 1.
        position: usize,
        /// The parameter's type.
        ty: ValType,
        /// The text given.
        text: String,
    },
    /// A parameter that has no text form.
    #[error("parameter {position} is {ty}, which is not supported on the command line")]
    Unsupported {
        /// Which one, from 1.
        position: usize,
        /// The parameter's type.
        ty: ValType,
    },
}

/// Reads arguments for parameters of these types. Integers may be signed or unsigned, decimal or
/// hexadecimal with `0x`.
pub(crate) fn parse_arguments(
    params: &[ValType],
    texts: &[String],
) -> Result<Vec<Val>, ArgumentError> {
    if params.len() != texts.len() {
        return Err(ArgumentError::Count { expected: params.len(), given: texts.len() });
    }
    let pairs = params.iter().zip(texts).enumerate();
    pairs.map(|(index, (ty, text))| parse_argument(*ty, text, index + 1)).collect()
}

fn parse_argument(ty: ValType, text: &str, position: usize) -> Result<Val, ArgumentError> {
    let value = match ty {
        ValType::I32 => parse_integer(text, i32::MIN.into(), u32::MAX.into())
            .map(|number| Val::I32(number as i32)),
        ValType::I64 => parse_integer(text, i64::MIN.into(), u64::MAX.into())
            .map(|number| Val::I64(number as i64)),
        ValType::F32 => f32::from_str(text).ok().map(|number| Val::F32(number.to_bits())),
        ValType::F64 => f64::from_str(text).ok().map(|number| Val::F64(number.to_bits())),
        ValType::V128 | ValType::Ref(_) => {
            return Err(ArgumentError::Unsupported { position, ty });
        }
    };
    value.ok_or_else(|| ArgumentError::Value { position, ty, text: text.to_owned() })
}

fn parse_integer(text: &str, least: i128, most: i128) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse::<u64>().ok()?,
    };
    let number = if negative { -i128::from(magnitude) } else { magnitude.into() };
    (least..=most).contains(&number).then_some(number)
}

/// Shows a result: signed integers, shortest floats, `null` or the kind of a reference.
#[derive(Debug)]
pub struct ShowValue<'a>(pub &'a Val);

impl fmt::Display for ShowValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Val::I32(number) => write!(f, "{number}"),
            Val::I64(number) => write!(f, "{number}"),
            Val::F32(bits) => write!(f, "{}", f32::from_bits(*bits)),
            Val::F64(bits) => write!(f, "{}", f64::from_bits(*bits)),
            Val::V128(bits) => write!(f, "{bits:#034x}"),
            Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => f.write_str("null"),
            Val::ExnRef(Some(_)) => f.write_str("exnref"),
            Val::FuncRef(Some(_)) => f.write_str("funcref"),
            Val::ExternRef(Some(_)) => f.write_str("externref"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(ty: ValType, text: &str) -> Result<Val, ArgumentError> {
        parse_arguments(&[ty], &[text.to_owned()]).map(|mut values| values.remove(0))
    }

    #[test]
    fn integers_are_signed_or_unsigned() {
        for (text, expected) in
            [("-1", -1), ("4294967295", -1), ("0x10", 16), ("-0x80000000", i32::MIN), ("7", 7)]
        {
            assert!(
                matches!(parse(ValType::I32, text), Ok(Val::I32(n)) if n == expected),
                "{text}"
            );
        }
        assert!(matches!(parse(ValType::I64, "18446744073709551615"), Ok(Val::I64(-1))));
        for text in ["4294967296", "-2147483649", "", "-", "0x", "1.5", "--1", "+-1", "ten"] {
            let error = parse(ValType::I32, text).unwrap_err();
            assert!(matches!(error, ArgumentError::Value { position: 1, .. }), "{text}: {error}");
        }
    }

    #[test]
    fn floats_are_read_and_shown() {
        let Ok(value @ Val::F64(_)) = parse(ValType::F64, "2.5e3") else { panic!("no float") };
        assert_eq!(ShowValue(&value).to_string(), "2500");
        assert!(parse(ValType::F32, "x").is_err());
    }

    #[test]
    fn count_and_unsupported_types_are_named() {
        let error = parse_arguments(&[ValType::I32], &[]).unwrap_err();
        assert_eq!(error.to_string(), "it takes 1 argument(s), 0 given");
        let error = parse(ValType::FUNCREF, "0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "parameter 1 is funcref, which is not supported on the command line"
        );
    }
}
