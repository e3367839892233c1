//! The writer of the section.

use super::builtins::BuiltinRow;
use super::records::*;
use super::types::{ResourceIndex, Type, TypeIndex};
use super::{Bindings, Export, Function, FunctionName, Import, ImportKind, Resource};
use super::{MAX_ITEMS, MAX_MEMBERS, MAX_NAMES, layouts};
use crate::artifact::records::{NONE, Range};
use std::collections::HashMap;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// Bindings beyond one of the [limits](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the component's interfaces are too large: {0}")]
pub struct TooLarge(pub &'static str);

impl Bindings {
    /// The bytes of the section.
    ///
    /// # Errors
    /// [`TooLarge`] if the bindings are beyond a limit.
    pub fn encode(&self) -> Result<Vec<u8>, TooLarge> {
        let Bindings { types, functions, resources, imports, exports, realloc } = self;
        layouts(types).ok_or(TooLarge("a type is too large"))?;
        let mut pool = Pool::default();
        let types: Vec<_> = types.iter().map(|ty| pool.ty(ty)).collect();
        let functions: Vec<_> = functions.iter().map(|ty| pool.function(ty)).collect();
        let resources: Vec<_> = resources.iter().map(|resource| pool.resource(resource)).collect();
        let imports: Vec<_> = imports.iter().map(|import| pool.import(import)).collect();
        let exports: Vec<_> = exports.iter().map(|export| pool.export(export)).collect();
        let counts = [types.len(), functions.len(), resources.len(), imports.len(), exports.len()];
        let realloc = pool.optional(realloc);
        pool.check(&counts)?;
        let header = ComponentHeader {
            magic: COMPONENT_MAGIC,
            version: COMPONENT_VERSION.into(),
            types: number(types.len()),
            members: number(pool.members.len()),
            functions: number(functions.len()),
            resources: number(resources.len()),
            imports: number(imports.len()),
            exports: number(exports.len()),
            realloc,
            strings: number(pool.strings.len()),
        };
        Ok([
            header.as_bytes(),
            types.as_bytes(),
            pool.members.as_bytes(),
            functions.as_bytes(),
            resources.as_bytes(),
            imports.as_bytes(),
            exports.as_bytes(),
            &pool.strings,
        ]
        .concat())
    }
}

/// The members and strings that rows refer to.
#[derive(Default)]
struct Pool {
    members: Vec<MemberRow>,
    strings: Vec<u8>,
    /// Bytes of all names so far, each time one is used.
    names: usize,
    known: HashMap<String, Range>,
}

impl Pool {
    fn check(&self, counts: &[usize]) -> Result<(), TooLarge> {
        if counts.iter().any(|count| *count > MAX_ITEMS) {
            return Err(TooLarge("there are too many types, functions, imports or exports"));
        }
        if self.members.len() > MAX_MEMBERS {
            return Err(TooLarge("there are too many fields, cases and parameters"));
        }
        if self.names > MAX_NAMES {
            return Err(TooLarge("there are too many names"));
        }
        Ok(())
    }

    /// The place of a string, each once.
    fn string(&mut self, text: &str) -> Range {
        self.names += text.len();
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let range = Range { start: number(self.strings.len()), len: number(text.len()) };
        self.strings.extend_from_slice(text.as_bytes());
        self.known.insert(text.to_owned(), range);
        range
    }

    fn optional(&mut self, text: &Option<String>) -> Range {
        self.string(text.as_deref().unwrap_or_default())
    }

    fn list<'s>(&mut self, items: impl Iterator<Item = (&'s str, Option<TypeIndex>)>) -> Range {
        let start = self.members.len();
        for (name, ty) in items {
            let name = self.string(name);
            self.members.push(MemberRow { name, ty: index(ty) });
        }
        Range { start: number(start), len: number(self.members.len() - start) }
    }

    fn ty(&mut self, ty: &Type) -> TypeRow {
        let leaf = |kind| TypeRow::new(kind, NONE.into(), NONE.into(), Range::default());
        let of = |kind, first: Option<TypeIndex>| TypeRow { first: index(first), ..leaf(kind) };
        let handle =
            |kind, resource: &ResourceIndex| TypeRow { first: resource.0.into(), ..leaf(kind) };
        let with = |kind, members| TypeRow { members, ..leaf(kind) };
        match ty {
            Type::Bool => leaf(TypeKind::Bool),
            Type::S8 => leaf(TypeKind::S8),
            Type::U8 => leaf(TypeKind::U8),
            Type::S16 => leaf(TypeKind::S16),
            Type::U16 => leaf(TypeKind::U16),
            Type::S32 => leaf(TypeKind::S32),
            Type::U32 => leaf(TypeKind::U32),
            Type::S64 => leaf(TypeKind::S64),
            Type::U64 => leaf(TypeKind::U64),
            Type::F32 => leaf(TypeKind::F32),
            Type::F64 => leaf(TypeKind::F64),
            Type::Char => leaf(TypeKind::Char),
            Type::String => leaf(TypeKind::String),
            Type::List(element) => of(TypeKind::List, Some(*element)),
            Type::FixedList(element, length) => {
                TypeRow { second: (*length).into(), ..of(TypeKind::FixedList, Some(*element)) }
            }
            Type::Record(fields) => {
                let fields = fields.iter().map(|field| (&*field.name, Some(field.ty)));
                with(TypeKind::Record, self.list(fields))
            }
            Type::Tuple(types) => {
                with(TypeKind::Tuple, self.list(types.iter().map(|ty| ("", Some(*ty)))))
            }
            Type::Variant(cases) => {
                with(TypeKind::Variant, self.list(cases.iter().map(|case| (&*case.name, case.ty))))
            }
            Type::Enum(names) => with(TypeKind::Enum, self.names(names)),
            Type::Option(value) => of(TypeKind::Option, Some(*value)),
            Type::Result { ok, err } => {
                TypeRow { second: index(*err), ..of(TypeKind::Result, *ok) }
            }
            Type::Flags(names) => with(TypeKind::Flags, self.names(names)),
            Type::Own(resource) => handle(TypeKind::Own, resource),
            Type::Borrow(resource) => handle(TypeKind::Borrow, resource),
            Type::Stream(element) => of(TypeKind::Stream, *element),
            Type::Future(element) => of(TypeKind::Future, *element),
        }
    }

    fn names(&mut self, names: &[String]) -> Range {
        self.list(names.iter().map(|name| (&**name, None)))
    }

    fn function(&mut self, function: &Function) -> FunctionRow {
        let Function { params, result, is_async } = function;
        FunctionRow {
            params: self.list(params.iter().map(|param| (&*param.name, Some(param.ty)))),
            result: index(*result),
            flags: bit(*is_async, flags::ASYNC).into(),
        }
    }

    fn resource(&mut self, resource: &Resource) -> ResourceRow {
        let (kind, interface, name) = match resource {
            Resource::Imported { interface, name } => {
                (ResourceKind::Imported, self.string(interface), self.string(name))
            }
            Resource::Defined { destructor } => {
                (ResourceKind::Defined, Range::default(), self.optional(destructor))
            }
        };
        ResourceRow { kind: (kind as u32).into(), interface, name }
    }

    fn import(&mut self, import: &Import) -> BindingImportRow {
        let Import { module, field, kind, memory } = import;
        let row = BindingImportRow {
            kind: U32::ZERO,
            module: self.string(module),
            field: self.string(field),
            interface: Range::default(),
            name: Range::default(),
            index: NONE.into(),
            encoding: U32::ZERO,
            flags: U32::ZERO,
            memory: (*memory).into(),
        };
        let of = |kind: BindingKind, resource: &ResourceIndex| BindingImportRow {
            kind: (kind as u32).into(),
            index: resource.0.into(),
            ..row
        };
        match kind {
            ImportKind::Lowered { name, ty, encoding, realloc, is_async } => {
                let FunctionName { interface, name } = name;
                BindingImportRow {
                    interface: self.string(interface),
                    name: self.string(name),
                    index: ty.0.into(),
                    encoding: (*encoding as u32).into(),
                    flags: (bit(*realloc, flags::REALLOC) | bit(*is_async, flags::ASYNC)).into(),
                    ..row
                }
            }
            ImportKind::ReallocNext => {
                BindingImportRow { kind: (BindingKind::ReallocNext as u32).into(), ..row }
            }
            ImportKind::ResourceNew(resource) => of(BindingKind::ResourceNew, resource),
            ImportKind::ResourceRep(resource) => of(BindingKind::ResourceRep, resource),
            ImportKind::ResourceDrop(resource) => of(BindingKind::ResourceDrop, resource),
            ImportKind::Builtin(builtin) => {
                let BuiltinRow { kind, index, encoding, flags } = builtin.row();
                BindingImportRow {
                    kind: (kind as u32).into(),
                    index: index.into(),
                    encoding: (encoding as u32).into(),
                    flags: flags.into(),
                    ..row
                }
            }
        }
    }

    fn export(&mut self, export: &Export) -> BindingExportRow {
        let Export { name, ty, core, encoding, realloc, post_return, callback } = export;
        BindingExportRow {
            interface: self.string(&name.interface),
            name: self.string(&name.name),
            function: ty.0.into(),
            core: self.string(core),
            encoding: (*encoding as u32).into(),
            realloc: self.optional(realloc),
            post_return: self.optional(post_return),
            callback: self.optional(callback),
        }
    }
}

impl TypeRow {
    fn new(kind: TypeKind, first: U32, second: U32, members: Range) -> TypeRow {
        TypeRow { kind: (kind as u32).into(), first, second, members }
    }
}

fn index(ty: Option<TypeIndex>) -> U32 {
    ty.map_or(NONE, |ty| ty.0).into()
}

fn bit(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

/// A count or place. Those beyond 32 bits are beyond the limits, too, which are checked at the end.
fn number(count: usize) -> U32 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
