//! Value types of the component model.

macro_rules! indices {
    ($($(#[doc = $doc:literal])+ $name:ident;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// The place in its list.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

indices! {
    /// A place in [`Bindings::types`](super::Bindings::types).
    TypeIndex;
    /// A place in [`Bindings::functions`](super::Bindings::functions).
    FunctionIndex;
    /// A place in [`Bindings::resources`](super::Bindings::resources).
    ResourceIndex;
}

/// A value type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(TypeIndex),
    /// `list<T, N>`
    FixedList(TypeIndex, u32),
    /// `record`
    Record(Vec<Field>),
    /// `tuple`
    Tuple(Vec<TypeIndex>),
    /// `variant`
    Variant(Vec<Case>),
    /// `enum`, by the names of its cases
    Enum(Vec<String>),
    /// `option<T>`
    Option(TypeIndex),
    /// `result<T, E>`
    Result {
        /// Value of `ok`.
        ok: Option<TypeIndex>,
        /// Value of `err`.
        err: Option<TypeIndex>,
    },
    /// `flags`, 1 to 32 of them, by name
    Flags(Vec<String>),
    /// `own<R>`
    Own(ResourceIndex),
    /// `borrow<R>`
    Borrow(ResourceIndex),
    /// `stream<T>` (WASI 0.3)
    Stream(Option<TypeIndex>),
    /// `future<T>` (WASI 0.3)
    Future(Option<TypeIndex>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeIndex,
}

/// A case of a variant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The type of its value, if it has one.
    pub ty: Option<TypeIndex>,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeIndex,
}

impl Type {
    /// The types that it refers to, in order.
    pub fn parts(&self) -> Vec<TypeIndex> {
        match self {
            Type::List(element) | Type::FixedList(element, _) | Type::Option(element) => {
                vec![*element]
            }
            Type::Record(fields) => fields.iter().map(|field| field.ty).collect(),
            Type::Tuple(elements) => elements.clone(),
            Type::Variant(cases) => cases.iter().filter_map(|case| case.ty).collect(),
            Type::Result { ok, err } => ok.iter().chain(err).copied().collect(),
            Type::Stream(element) | Type::Future(element) => element.iter().copied().collect(),
            _ => Vec::new(),
        }
    }
}
