//! The reader of the section. Nothing here panics, whatever the bytes hold.

use super::builtins::{Builtin, CopyBuiltin, CopyOperation};
use super::records::*;
use super::types::{Case, Field, FunctionIndex, Param, ResourceIndex, Type, TypeIndex};
use super::{Bindings, Export, Function, FunctionName, Import, ImportKind, Resource};
use super::{MAX_ITEMS, MAX_MEMBERS, MAX_NAMES, layouts};
use crate::artifact::ArtifactError;
use crate::artifact::records::{NONE, Range};
use std::cell::Cell;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, KnownLayout};

type Result<T> = std::result::Result<T, ArtifactError>;

const OUTSIDE: ArtifactError =
    ArtifactError::Corrupt("a part of the component's bindings is outside of them");

impl Bindings {
    /// Decodes and checks the bytes of a section: all indices are inside, all types within the
    /// [limits](super). Takes time in proportion to the bytes.
    ///
    /// # Errors
    /// [`ArtifactError::Corrupt`] if something is not as the format says.
    pub fn parse(bytes: &[u8]) -> Result<Bindings> {
        let rows = Rows::split(bytes)?;
        let types = rows.types.iter().map(|row| rows.ty(row)).collect::<Result<Vec<_>>>()?;
        layouts(&types).ok_or(ArtifactError::Corrupt("a type of the component is too large"))?;
        Ok(Bindings {
            types,
            functions: rows
                .functions
                .iter()
                .map(|row| rows.function(row))
                .collect::<Result<_>>()?,
            resources: rows
                .resources
                .iter()
                .map(|row| rows.resource(row))
                .collect::<Result<_>>()?,
            imports: rows.imports.iter().map(|row| rows.import(row)).collect::<Result<_>>()?,
            exports: rows.exports.iter().map(|row| rows.export(row)).collect::<Result<_>>()?,
            realloc: rows.optional(rows.realloc)?,
        })
    }
}

const TOO_LARGE: ArtifactError = ArtifactError::Corrupt("the component's bindings are too large");

/// The rows of a section, where they are.
struct Rows<'a> {
    types: &'a [TypeRow],
    members: &'a [MemberRow],
    functions: &'a [FunctionRow],
    resources: &'a [ResourceRow],
    imports: &'a [BindingImportRow],
    exports: &'a [BindingExportRow],
    realloc: Range,
    strings: &'a [u8],
    /// Members that may still be decoded. Rows may refer to the same ones.
    members_left: Cell<usize>,
    /// Bytes of names that may still be decoded.
    names_left: Cell<usize>,
}

impl<'a> Rows<'a> {
    fn split(bytes: &'a [u8]) -> Result<Rows<'a>> {
        let (header, rest) = ComponentHeader::ref_from_prefix(bytes).map_err(|_| OUTSIDE)?;
        if header.magic != COMPONENT_MAGIC || header.version != COMPONENT_VERSION {
            return Err(ArtifactError::Corrupt("the component's bindings are of another version"));
        }
        let (types, rest) = take(rest, header.types, MAX_ITEMS)?;
        let (members, rest) = take(rest, header.members, MAX_MEMBERS)?;
        let (functions, rest) = take(rest, header.functions, MAX_ITEMS)?;
        let (resources, rest) = take(rest, header.resources, MAX_ITEMS)?;
        let (imports, rest) = take(rest, header.imports, MAX_ITEMS)?;
        let (exports, strings) = take(rest, header.exports, MAX_ITEMS)?;
        if strings.len() != header.strings.get() as usize {
            return Err(OUTSIDE);
        }
        let (members_left, names_left) = (Cell::new(MAX_MEMBERS), Cell::new(MAX_NAMES));
        Ok(Rows {
            types,
            members,
            functions,
            resources,
            imports,
            exports,
            realloc: header.realloc,
            strings,
            members_left,
            names_left,
        })
    }

    fn string(&self, range: Range) -> Result<String> {
        let bytes = part(self.strings, range)?;
        spend(&self.names_left, bytes.len())?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned)
            .map_err(|_| ArtifactError::Corrupt("a name of the component is not UTF-8"))
    }

    /// A string that is there if it is not empty.
    fn optional(&self, range: Range) -> Result<Option<String>> {
        Ok(Some(self.string(range)?).filter(|text| !text.is_empty()))
    }

    fn members(&self, range: Range) -> Result<&'a [MemberRow]> {
        let members = part(self.members, range)?;
        spend(&self.members_left, members.len())?;
        Ok(members)
    }

    fn type_index(&self, index: U32) -> Result<TypeIndex> {
        self.optional_type(index)?.ok_or(OUTSIDE)
    }

    fn optional_type(&self, index: U32) -> Result<Option<TypeIndex>> {
        match index.get() {
            NONE => Ok(None),
            index if (index as usize) < self.types.len() => Ok(Some(TypeIndex(index))),
            _ => Err(OUTSIDE),
        }
    }

    fn resource_index(&self, index: U32) -> Result<ResourceIndex> {
        let inside = (index.get() as usize) < self.resources.len();
        inside.then_some(ResourceIndex(index.get())).ok_or(OUTSIDE)
    }

    fn function_index(&self, index: U32) -> Result<FunctionIndex> {
        let inside = (index.get() as usize) < self.functions.len();
        inside.then_some(FunctionIndex(index.get())).ok_or(OUTSIDE)
    }

    fn ty(&self, row: &TypeRow) -> Result<Type> {
        let kind = TypeKind::from_u32(row.kind.get())
            .ok_or(ArtifactError::Corrupt("a type of the component is of no kind"))?;
        let members = self.members(row.members)?;
        Ok(match kind {
            TypeKind::Bool => Type::Bool,
            TypeKind::S8 => Type::S8,
            TypeKind::U8 => Type::U8,
            TypeKind::S16 => Type::S16,
            TypeKind::U16 => Type::U16,
            TypeKind::S32 => Type::S32,
            TypeKind::U32 => Type::U32,
            TypeKind::S64 => Type::S64,
            TypeKind::U64 => Type::U64,
            TypeKind::F32 => Type::F32,
            TypeKind::F64 => Type::F64,
            TypeKind::Char => Type::Char,
            TypeKind::String => Type::String,
            TypeKind::List => Type::List(self.type_index(row.first)?),
            TypeKind::FixedList => Type::FixedList(self.type_index(row.first)?, row.second.get()),
            TypeKind::Record => Type::Record(self.list(members, |name, ty| Field { name, ty })?),
            TypeKind::Tuple => Type::Tuple(self.list(members, |_, ty| ty)?),
            TypeKind::Variant => Type::Variant(self.cases(members)?),
            TypeKind::Enum => Type::Enum(self.names(members)?),
            TypeKind::Option => Type::Option(self.type_index(row.first)?),
            TypeKind::Result => Type::Result {
                ok: self.optional_type(row.first)?,
                err: self.optional_type(row.second)?,
            },
            TypeKind::Flags => Type::Flags(self.names(members)?),
            TypeKind::Own => Type::Own(self.resource_index(row.first)?),
            TypeKind::Borrow => Type::Borrow(self.resource_index(row.first)?),
            TypeKind::Stream => Type::Stream(self.optional_type(row.first)?),
            TypeKind::Future => Type::Future(self.optional_type(row.first)?),
        })
    }

    fn list<T>(&self, rows: &[MemberRow], make: fn(String, TypeIndex) -> T) -> Result<Vec<T>> {
        let member = |row: &MemberRow| Ok(make(self.string(row.name)?, self.type_index(row.ty)?));
        rows.iter().map(member).collect()
    }

    fn cases(&self, rows: &[MemberRow]) -> Result<Vec<Case>> {
        if rows.is_empty() {
            return Err(ArtifactError::Corrupt("a variant of the component has no cases"));
        }
        let case = |row: &MemberRow| {
            Ok(Case { name: self.string(row.name)?, ty: self.optional_type(row.ty)? })
        };
        rows.iter().map(case).collect()
    }

    fn names(&self, rows: &[MemberRow]) -> Result<Vec<String>> {
        if rows.is_empty() {
            return Err(ArtifactError::Corrupt("an enum of the component has no cases"));
        }
        rows.iter().map(|row| self.string(row.name)).collect()
    }

    fn function(&self, row: &FunctionRow) -> Result<Function> {
        let params = self.members(row.params)?;
        Ok(Function {
            params: self.list(params, |name, ty| Param { name, ty })?,
            result: self.optional_type(row.result)?,
            is_async: row.flags.get() & flags::ASYNC != 0,
        })
    }

    fn resource(&self, row: &ResourceRow) -> Result<Resource> {
        Ok(match ResourceKind::from_u32(row.kind.get()) {
            Some(ResourceKind::Imported) => Resource::Imported {
                interface: self.string(row.interface)?,
                name: self.string(row.name)?,
            },
            Some(ResourceKind::Defined) => {
                Resource::Defined { destructor: self.optional(row.name)? }
            }
            None => {
                return Err(ArtifactError::Corrupt("a resource of the component is of no kind"));
            }
        })
    }

    fn import(&self, row: &BindingImportRow) -> Result<Import> {
        let kind = match BindingKind::from_u32(row.kind.get()) {
            Some(BindingKind::Lowered) => ImportKind::Lowered {
                name: self.function_name(row.interface, row.name)?,
                ty: self.function_index(row.index)?,
                encoding: encoding(row.encoding)?,
                realloc: row.flags.get() & flags::REALLOC != 0,
                is_async: row.flags.get() & flags::ASYNC != 0,
            },
            Some(BindingKind::ReallocNext) => ImportKind::ReallocNext,
            Some(BindingKind::ResourceNew) => {
                ImportKind::ResourceNew(self.resource_index(row.index)?)
            }
            Some(BindingKind::ResourceRep) => {
                ImportKind::ResourceRep(self.resource_index(row.index)?)
            }
            Some(BindingKind::ResourceDrop) => {
                ImportKind::ResourceDrop(self.resource_index(row.index)?)
            }
            Some(kind) => ImportKind::Builtin(self.builtin(kind, row)?),
            None => return Err(ArtifactError::Corrupt("an import of the component is of no kind")),
        };
        let (module, field) = (self.string(row.module)?, self.string(row.field)?);
        Ok(Import { module, field, kind, memory: row.memory.get() })
    }

    fn builtin(&self, kind: BindingKind, row: &BindingImportRow) -> Result<Builtin> {
        let allocates = row.flags.get() & flags::REALLOC != 0;
        Ok(match kind {
            BindingKind::TaskReturn => Builtin::TaskReturn {
                ty: self.function_index(row.index)?,
                encoding: encoding(row.encoding)?,
            },
            BindingKind::TaskCancel => Builtin::TaskCancel,
            BindingKind::ContextGet => Builtin::ContextGet(row.index.get()),
            BindingKind::ContextSet => Builtin::ContextSet(row.index.get()),
            BindingKind::BackpressureInc => Builtin::BackpressureInc,
            BindingKind::BackpressureDec => Builtin::BackpressureDec,
            BindingKind::ThreadYield => Builtin::ThreadYield,
            BindingKind::SubtaskCancel => Builtin::SubtaskCancel,
            BindingKind::SubtaskDrop => Builtin::SubtaskDrop,
            BindingKind::WaitableSetNew => Builtin::WaitableSetNew,
            BindingKind::WaitableSetWait => Builtin::WaitableSetWait { allocates },
            BindingKind::WaitableSetPoll => Builtin::WaitableSetPoll { allocates },
            BindingKind::WaitableSetDrop => Builtin::WaitableSetDrop,
            BindingKind::WaitableJoin => Builtin::WaitableJoin,
            kind => Builtin::Copy(self.copy(kind, row)?),
        })
    }

    fn copy(&self, kind: BindingKind, row: &BindingImportRow) -> Result<CopyBuiltin> {
        let operation = CopyOperation::of(kind)
            .ok_or(ArtifactError::Corrupt("an import of the component is of no kind"))?;
        let ty = self.type_index(row.index)?;
        let kind = self.types.get(ty.index()).map(|row| row.kind.get());
        if !matches!(kind.and_then(TypeKind::from_u32), Some(TypeKind::Stream | TypeKind::Future)) {
            return Err(ArtifactError::Corrupt(
                "an end of the component is of no stream or future",
            ));
        }
        Ok(CopyBuiltin {
            operation,
            ty,
            encoding: encoding(row.encoding)?,
            allocates: row.flags.get() & flags::REALLOC != 0,
            is_async: row.flags.get() & flags::ASYNC != 0,
        })
    }

    fn export(&self, row: &BindingExportRow) -> Result<Export> {
        Ok(Export {
            name: self.function_name(row.interface, row.name)?,
            ty: self.function_index(row.function)?,
            core: self.string(row.core)?,
            encoding: encoding(row.encoding)?,
            realloc: self.optional(row.realloc)?,
            post_return: self.optional(row.post_return)?,
            callback: self.optional(row.callback)?,
        })
    }

    fn function_name(&self, interface: Range, name: Range) -> Result<FunctionName> {
        Ok(FunctionName { interface: self.string(interface)?, name: self.string(name)? })
    }
}

fn encoding(number: U32) -> Result<StringEncoding> {
    StringEncoding::from_u32(number.get())
        .ok_or(ArtifactError::Corrupt("a function of the component has an unknown encoding"))
}

/// The first `count` rows, at most `limit`, and the rest.
fn take<T: FromBytes + Immutable + KnownLayout>(
    bytes: &[u8],
    count: U32,
    limit: usize,
) -> Result<(&[T], &[u8])> {
    let count = count.get() as usize;
    if count > limit {
        return Err(TOO_LARGE);
    }
    <[T]>::ref_from_prefix_with_elems(bytes, count).map_err(|_| OUTSIDE)
}

/// Spends `amount` of a limit; `left` is the rest.
fn spend(left: &Cell<usize>, amount: usize) -> Result<()> {
    left.set(left.get().checked_sub(amount).ok_or(TOO_LARGE)?);
    Ok(())
}

/// A part of a list.
fn part<T>(items: &[T], range: Range) -> Result<&[T]> {
    let start = range.start.get() as usize;
    let end = start.checked_add(range.len.get() as usize);
    end.and_then(|end| items.get(start..end)).ok_or(OUTSIDE)
}
