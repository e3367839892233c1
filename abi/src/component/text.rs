//! Types as WIT writes them. The names that WIT gives to types are not in the bindings, so a record is its
//! fields, and a resource its name.

use super::{Bindings, Function, Resource, ResourceIndex, Type, TypeIndex};
use std::fmt::{Display, Formatter, Result};

/// A function type in WIT. Nested types repeat, so that the text may be very long: bound it, as
/// [`untrusted`](crate::untrusted) does.
#[derive(Debug, Clone, Copy)]
pub struct FunctionText<'b> {
    bindings: &'b Bindings,
    function: &'b Function,
}

#[derive(Clone, Copy)]
struct TypeText<'b>(&'b Bindings, TypeIndex);

impl Bindings {
    /// A function type of these bindings, to be shown.
    pub fn text<'b>(&'b self, function: &'b Function) -> FunctionText<'b> {
        FunctionText { bindings: self, function }
    }
}

impl Display for FunctionText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let FunctionText { bindings, function: Function { params, result, is_async } } = *self;
        f.write_str(if *is_async { "async func(" } else { "func(" })?;
        let params = params.iter().map(|param| (&*param.name, Some(param.ty)));
        members(f, bindings, params)?;
        f.write_str(")")?;
        match result {
            Some(ty) => write!(f, " -> {}", TypeText(bindings, *ty)),
            None => Ok(()),
        }
    }
}

impl Display for TypeText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let TypeText(bindings, index) = *self;
        let Some(ty) = bindings.types.get(index.index()) else { return f.write_str("_") };
        let of = |ty: &TypeIndex| TypeText(bindings, *ty);
        match ty {
            Type::Bool => f.write_str("bool"),
            Type::S8 => f.write_str("s8"),
            Type::U8 => f.write_str("u8"),
            Type::S16 => f.write_str("s16"),
            Type::U16 => f.write_str("u16"),
            Type::S32 => f.write_str("s32"),
            Type::U32 => f.write_str("u32"),
            Type::S64 => f.write_str("s64"),
            Type::U64 => f.write_str("u64"),
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Char => f.write_str("char"),
            Type::String => f.write_str("string"),
            Type::List(element) => write!(f, "list<{}>", of(element)),
            Type::FixedList(element, length) => write!(f, "list<{}, {length}>", of(element)),
            Type::Record(fields) => {
                let fields = fields.iter().map(|field| (&*field.name, Some(field.ty)));
                block(f, "record", bindings, fields)
            }
            Type::Tuple(types) => {
                f.write_str("tuple<")?;
                members(f, bindings, types.iter().map(|ty| ("", Some(*ty))))?;
                f.write_str(">")
            }
            Type::Variant(cases) => {
                block(f, "variant", bindings, cases.iter().map(|case| (&*case.name, case.ty)))
            }
            Type::Enum(names) => {
                block(f, "enum", bindings, names.iter().map(|name| (&**name, None)))
            }
            Type::Flags(names) => {
                block(f, "flags", bindings, names.iter().map(|name| (&**name, None)))
            }
            Type::Option(value) => write!(f, "option<{}>", of(value)),
            Type::Result { ok: None, err: None } => f.write_str("result"),
            Type::Result { ok: Some(ok), err: None } => write!(f, "result<{}>", of(ok)),
            Type::Result { ok: None, err: Some(err) } => write!(f, "result<_, {}>", of(err)),
            Type::Result { ok: Some(ok), err: Some(err) } => {
                write!(f, "result<{}, {}>", of(ok), of(err))
            }
            Type::Own(resource) => f.write_str(resource_name(bindings, *resource)),
            Type::Borrow(resource) => write!(f, "borrow<{}>", resource_name(bindings, *resource)),
            Type::Stream(element) => generic(f, "stream", bindings, *element),
            Type::Future(element) => generic(f, "future", bindings, *element),
        }
    }
}

fn generic(
    f: &mut Formatter<'_>,
    name: &str,
    bindings: &Bindings,
    element: Option<TypeIndex>,
) -> Result {
    match element {
        Some(element) => write!(f, "{name}<{}>", TypeText(bindings, element)),
        None => f.write_str(name),
    }
}

fn block<'n>(
    f: &mut Formatter<'_>,
    keyword: &str,
    bindings: &Bindings,
    items: impl Iterator<Item = (&'n str, Option<TypeIndex>)>,
) -> Result {
    write!(f, "{keyword} {{ ")?;
    members(f, bindings, items)?;
    f.write_str(" }")
}

/// Names and types with commas between them.
fn members<'n>(
    f: &mut Formatter<'_>,
    bindings: &Bindings,
    items: impl Iterator<Item = (&'n str, Option<TypeIndex>)>,
) -> Result {
    for (place, (name, ty)) in items.enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let colon = if name.is_empty() || ty.is_none() { "" } else { ": " };
        write!(f, "{comma}{name}{colon}")?;
        if let Some(ty) = ty {
            TypeText(bindings, ty).fmt(f)?;
        }
    }
    Ok(())
}

fn resource_name(bindings: &Bindings, resource: ResourceIndex) -> &str {
    match bindings.resources.get(resource.index()) {
        Some(Resource::Imported { name, .. }) => name,
        _ => "resource",
    }
}
