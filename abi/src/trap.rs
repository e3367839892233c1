//! Trap codes: the reasons for which guest code stops.

macro_rules! trap_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $message:literal;)*) => {
        /// The reason of a trap. Messages are as the specification's tests expect them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum TrapCode {
            $($(#[doc = $doc])+ $name = $code,)*
        }

        /// The codes by number, for the description of the ABI.
        pub(crate) const CODES: &[crate::description::Item] =
            &[$(crate::description::Item { name: stringify!($name), number: $code },)*];

        impl TrapCode {
            /// Every code there is, in ascending order.
            pub const ALL: &'static [TrapCode] = &[$(TrapCode::$name,)*];

            /// The code with this number, if there is one.
            pub const fn from_u8(code: u8) -> Option<TrapCode> {
                match code {
                    $($code => Some(TrapCode::$name),)*
                    _ => None,
                }
            }

            /// The event, in the words of the specification where it has some.
            pub const fn message(self) -> &'static str {
                match self {
                    $(TrapCode::$name => $message,)*
                }
            }
        }
    };
}

trap_codes! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// A load, store or bulk operation outside the linear memory.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// A table access outside the table.
    TableOutOfBounds = 3, "out of bounds table access";
    /// `call_indirect` with an index outside the table.
    UndefinedElement = 4, "undefined element";
    /// `call_indirect` of a null reference.
    UninitializedElement = 5, "uninitialized element";
    /// `call_indirect` of a function of another type.
    IndirectCallTypeMismatch = 6, "indirect call type mismatch";
    /// Integer division by zero.
    IntegerDivideByZero = 7, "integer divide by zero";
    /// Signed division overflowed, or a float was too large for the integer type.
    IntegerOverflow = 8, "integer overflow";
    /// A NaN was converted to an integer.
    InvalidConversionToInteger = 9, "invalid conversion to integer";
    /// The guest's stack is used up.
    StackOverflow = 10, "call stack exhausted";
    /// A null reference where one to something is needed.
    NullReference = 11, "null reference";
    /// An atomic access that is not naturally aligned.
    UnalignedAtomic = 12, "unaligned atomic";
    /// The call's deadline passed.
    DeadlineExceeded = 13, "deadline exceeded";
    /// The call was cancelled.
    Cancelled = 14, "cancelled";
    /// A host function accessed memory it must not.
    HostFault = 15, "fault in a host function";
    /// A fault in guest code where none can be: a bug in wfaas.
    InternalFault = 16, "fault in guest code without a trap record (a bug in wfaas)";
    /// `call_ref` of a null reference.
    NullFunctionReference = 17, "null function reference";
    /// `throw_ref` of a null reference.
    NullExceptionReference = 18, "null exception reference";
    /// More exceptions are referred to than a store keeps.
    TooManyExceptions = 19, "too many exceptions are alive";
    /// `memory.atomic.wait` on a memory that is not shared.
    ExpectedSharedMemory = 20, "expected shared memory";
    /// An unchecked access outside of the memory, in spite of a proof; verifying code found it.
    ElidedCheckFailed = 21, "an elided bounds check failed (a bug in wfaas)";
    /// The calls of a store have used the processor time that they may.
    CpuLimitExceeded = 22, "processor time limit exceeded";
}

#[cfg(test)]
pub(crate) use trap_codes;

impl core::fmt::Display for TrapCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_agree() {
        for code in TrapCode::ALL {
            assert_eq!(TrapCode::from_u8(*code as u8), Some(*code));
        }
        assert_eq!(TrapCode::from_u8(0), None);
        assert_eq!(TrapCode::from_u8(200), None);
    }
}
