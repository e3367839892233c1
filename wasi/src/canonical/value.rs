//! Values of component-level types.

use super::Violation;

/// A value. Names of fields and cases are in its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `s8`
    S8(i8),
    /// `u8`
    U8(u8),
    /// `s16`
    S16(i16),
    /// `u16`
    U16(u16),
    /// `s32`
    S32(i32),
    /// `u32`
    U32(u32),
    /// `s64`
    S64(i64),
    /// `u64`
    U64(u64),
    /// `f32`, by its bits
    F32(u32),
    /// `f64`, by its bits
    F64(u64),
    /// `char`
    Char(char),
    /// `string`
    String(String),
    /// `list<u8>` of the host
    Bytes(Vec<u8>),
    /// `list<u8>` of the guest, left where it is
    Slice(Slice),
    /// Any other `list`, also one of a fixed length
    List(Vec<Value>),
    /// `record` or `tuple`
    Record(Vec<Value>),
    /// `variant`, `enum`, `option` (0 is `none`) or `result` (0 is `ok`)
    Case(u32, Option<Box<Value>>),
    /// `flags`, the first one in bit 0
    Flags(u32),
    /// `own` or `borrow`: a handle
    Handle(u32),
}

/// A range of the guest's memory, which has been checked. It is valid while the guest does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub(crate) ptr: u32,
    pub(crate) len: u32,
}

impl Slice {
    /// Bytes.
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Reads a value of one type.
macro_rules! readers {
    ($($(#[$doc:meta])* $name:ident, $case:ident => $ty:ty;)*) => {
        impl Value {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`Violation::Type`] if it is of another type.
            pub fn $name(&self) -> Result<$ty, Violation> {
                match self {
                    Value::$case(value) => Ok(*value),
                    _ => Err(Value::mismatch()),
                }
            }
        )*}
    };
}

readers! {
    /// A `bool`.
    bool, Bool => bool;
    /// A `u8`.
    u8, U8 => u8;
    /// A `u16`.
    u16, U16 => u16;
    /// A `u32`.
    u32, U32 => u32;
    /// An `s64`.
    s64, S64 => i64;
    /// A `u64`.
    u64, U64 => u64;
    /// A list of bytes.
    slice, Slice => Slice;
    /// Flags.
    flags, Flags => u32;
    /// A handle.
    handle, Handle => u32;
}

impl Value {
    /// The result of a function without one.
    pub const NOTHING: Value = Value::Record(Vec::new());

    /// Bytes that the host keeps for it.
    pub(crate) fn bytes(&self) -> usize {
        let inside = match self {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(values) | Value::Record(values) => values.iter().map(Value::bytes).sum(),
            Value::Case(_, Some(value)) => value.bytes(),
            _ => 0,
        };
        size_of::<Value>() + inside
    }

    /// `some(value)`
    pub fn some(value: Value) -> Value {
        Value::Case(1, Some(Box::new(value)))
    }

    /// `none`
    pub fn none() -> Value {
        Value::Case(0, None)
    }

    /// `some` of a value that is there.
    pub fn option(value: Option<Value>) -> Value {
        value.map_or(Value::none(), Value::some)
    }

    /// `ok(value)`
    pub fn ok(value: Value) -> Value {
        Value::Case(0, Some(Box::new(value)))
    }

    /// `ok` of a result that has no value there.
    pub fn done() -> Value {
        Value::Case(0, None)
    }

    /// `err(value)`
    pub fn err(value: Value) -> Value {
        Value::Case(1, Some(Box::new(value)))
    }

    /// `err` of a result that has no value there.
    pub fn failed() -> Value {
        Value::Case(1, None)
    }

    /// A case of an `enum`.
    pub fn case(number: u32) -> Value {
        Value::Case(number, None)
    }

    /// A text.
    ///
    /// # Errors
    /// [`Violation::Type`] if it is of another type.
    pub fn text(&self) -> Result<&str, Violation> {
        match self {
            Value::String(text) => Ok(text),
            _ => Err(Value::mismatch()),
        }
    }

    /// The values of a list.
    ///
    /// # Errors
    /// [`Violation::Type`] if it is of another type.
    pub fn list(&self) -> Result<&[Value], Violation> {
        match self {
            Value::List(values) => Ok(values),
            _ => Err(Value::mismatch()),
        }
    }

    /// The values of a record of so many fields.
    ///
    /// # Errors
    /// [`Violation::Type`] if it is of another type.
    pub fn record<const N: usize>(&self) -> Result<&[Value; N], Violation> {
        match self {
            Value::Record(values) => values.as_slice().try_into().map_err(|_| Value::mismatch()),
            _ => Err(Value::mismatch()),
        }
    }

    /// A case, and its value.
    ///
    /// # Errors
    /// [`Violation::Type`] if it is of another type.
    pub fn variant(&self) -> Result<(u32, Option<&Value>), Violation> {
        match self {
            Value::Case(case, value) => Ok((*case, value.as_deref())),
            _ => Err(Value::mismatch()),
        }
    }

    /// The value of an option, if there is one.
    ///
    /// # Errors
    /// [`Violation::Type`] if it is of another type.
    pub fn optional(&self) -> Result<Option<&Value>, Violation> {
        match self.variant()? {
            (0, None) => Ok(None),
            (1, Some(value)) => Ok(Some(value)),
            _ => Err(Value::mismatch()),
        }
    }

    /// Whether bytes of the guest's memory are part of it.
    pub(crate) fn has_slice(&self) -> bool {
        match self {
            Value::Slice(_) => true,
            Value::List(values) | Value::Record(values) => values.iter().any(Value::has_slice),
            Value::Case(_, Some(value)) => value.has_slice(),
            _ => false,
        }
    }

    /// That a value is not of the type that the host knows for it. The caller of the host's function puts its
    /// name in.
    #[cold]
    pub fn mismatch() -> Violation {
        Violation::Type { function: String::new() }
    }
}
