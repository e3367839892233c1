//! The ways in which a component can break the rules.

/// A component did what the canonical ABI or an interface forbids. It ends the call, as a trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A range outside of the memory.
    #[error("the component gave a range that is not in its memory")]
    OutOfBounds,
    /// An address that is no multiple of its type's alignment.
    #[error("the component gave an address that is not aligned")]
    Misaligned,
    /// A string that is not in its encoding.
    #[error("the component gave a string that is not well-formed")]
    BadString,
    /// A number that is no Unicode scalar value.
    #[error("the component gave a `char` that is none")]
    BadChar,
    /// A case that the variant does not have.
    #[error("the component gave a variant a case that it does not have")]
    BadCase,
    /// A handle that is not there, or stands for another type.
    #[error("the component used handle {0}, which is not there or of another type")]
    BadHandle(u32),
    /// A resource that others were made from, which are still there.
    #[error("the component dropped handle {0} before the resources that were made from it")]
    HasChildren(u32),
    /// A resource that a call has borrowed which has not returned.
    #[error("the component dropped handle {0} before the call returned that it is lent to")]
    Lent(u32),
    /// More handles than an instance may have.
    #[error("the component has too many handles")]
    TooManyHandles,
    /// More operations that wait than an instance may have.
    #[error("the component waits for too many things at a time")]
    TooManyWaiting,
    /// More values, or longer strings, than one call may have.
    #[error("the component gave more values than one call may have")]
    TooLarge,
    /// More than the host keeps for one instance.
    #[error("the component made the host keep more than {bytes} bytes")]
    TooMuchKept {
        /// The limit, in bytes.
        bytes: usize,
    },
    /// Arguments in memory that were others before the call had read all of them.
    #[error("the component changed the arguments of a call that has not returned")]
    Changed,
    /// A call while the results of another one are stored.
    #[error("the component called an import from its `realloc`")]
    MayNotLeave,
    /// A call of a stub's import without results to store.
    #[error("the component asked for results that are not there")]
    NothingPending,
    /// The component declares another type than the interface has.
    #[error("the component declares {function} with another type than its interface")]
    Type {
        /// The function.
        function: String,
    },
    /// A function that this host does not have, or the function was not granted.
    #[error("the component called {0}, which it is not granted or this host does not have")]
    Missing(String),
    /// A rule of one function.
    #[error("{function}: {reason}")]
    Rule {
        /// The function.
        function: &'static str,
        /// The rule that was broken.
        reason: &'static str,
    },
}
