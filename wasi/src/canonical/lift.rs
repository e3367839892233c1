//! Lifting: values of core arguments, and of what they point to.

use super::{Component, LongStrings, Resources, Slice, Value, Violation, next, strings};
use wfaas_vm::component::{Function, Layout, StringEncoding, Type, TypeIndex, discriminant_bytes};

/// Most values that a guest may pass to one call.
const BUDGET: usize = 1 << 13;

/// Bytes of a string that count as a value.
const STRING_BYTES: usize = 16;

/// Strings of more bytes are [long](LongStrings), if the call reads such ones in pieces.
const SHORT_BYTES: u32 = 16 << 10;

/// Lifts values of one call.
pub(crate) struct Lift<'a> {
    component: &'a Component,
    memory: &'a [u8],
    resources: &'a Resources,
    encoding: StringEncoding,
    budget: usize,
    long: Option<&'a mut LongStrings>,
}

/// Core values that are not read yet. A number of 32 bits has any bits above.
struct Flat<'a>(&'a [u64]);

impl Flat<'_> {
    fn next(&mut self) -> u64 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn skip(&mut self, count: u32) {
        let count = (count as usize).min(self.0.len());
        self.0 = &self.0[count..];
    }
}

impl<'a> Lift<'a> {
    /// Of a guest with this memory and these handles.
    pub(crate) fn new(
        component: &'a Component,
        memory: &'a [u8],
        resources: &'a Resources,
        encoding: StringEncoding,
    ) -> Lift<'a> {
        Lift { component, memory, resources, encoding, budget: BUDGET, long: None }
    }

    /// The same, with strings that are read in pieces.
    pub(crate) fn with_long(self, long: &'a mut LongStrings) -> Lift<'a> {
        Lift { long: Some(long), ..self }
    }

    /// The parameters of a function, from its core arguments: flat ones, or the address of a block.
    pub(crate) fn params(
        mut self,
        function: &Function,
        are_flat: bool,
        cells: &[u64],
    ) -> Result<Vec<Value>, Violation> {
        let types = function.params.iter().map(|param| param.ty);
        if !are_flat {
            let at = Flat(cells).next() as u32;
            self.check_record(types.clone(), at)?;
            return self.fields(types, at);
        }
        let mut flat = Flat(cells);
        let mut values = Vec::with_capacity(types.len());
        for ty in types {
            values.push(self.flat(ty, &mut flat)?);
        }
        Ok(values)
    }

    fn spend(&mut self, count: usize) -> Result<(), Violation> {
        self.budget = self.budget.checked_sub(count).ok_or(Violation::TooLarge)?;
        Ok(())
    }

    fn flat(&mut self, ty: TypeIndex, flat: &mut Flat<'_>) -> Result<Value, Violation> {
        self.spend(1)?;
        let component = self.component;
        match component.ty(ty) {
            Type::String => {
                let (ptr, len) = (flat.next() as u32, flat.next() as u32);
                self.string(ptr, len)
            }
            Type::List(element) => {
                let (ptr, len) = (flat.next() as u32, flat.next() as u32);
                self.list(*element, ptr, len)
            }
            Type::FixedList(element, len) => {
                let values = (0..*len).map(|_| self.flat(*element, flat));
                Ok(Value::List(values.collect::<Result<_, _>>()?))
            }
            Type::Record(fields) => {
                let values = fields.iter().map(|field| self.flat(field.ty, flat));
                Ok(Value::Record(values.collect::<Result<_, _>>()?))
            }
            Type::Tuple(elements) => {
                let values = elements.iter().map(|element| self.flat(*element, flat));
                Ok(Value::Record(values.collect::<Result<_, _>>()?))
            }
            variant if cases(variant).is_some() => {
                let case = flat.next() as u32;
                let payloads = component.layout(ty).flat - 1;
                let payload = payload(variant, case)?;
                let (value, used) = match payload {
                    Some(ty) => (Some(self.flat(ty, flat)?), component.layout(ty).flat),
                    None => (None, 0),
                };
                flat.skip(payloads - used);
                Ok(Value::Case(case, value.map(Box::new)))
            }
            _ => self.scalar(ty, flat.next()),
        }
    }

    /// A value of one core value, of which as many bits count as the type has.
    fn scalar(&self, ty: TypeIndex, bits: u64) -> Result<Value, Violation> {
        Ok(match self.component.ty(ty) {
            Type::Bool => Value::Bool(bits as u32 != 0),
            Type::S8 => Value::S8(bits as i8),
            Type::U8 => Value::U8(bits as u8),
            Type::S16 => Value::S16(bits as i16),
            Type::U16 => Value::U16(bits as u16),
            Type::S32 => Value::S32(bits as i32),
            Type::U32 => Value::U32(bits as u32),
            Type::S64 => Value::S64(bits as i64),
            Type::U64 => Value::U64(bits),
            Type::F32 => Value::F32(bits as u32),
            Type::F64 => Value::F64(bits),
            Type::Char => Value::Char(char::from_u32(bits as u32).ok_or(Violation::BadChar)?),
            Type::Flags(names) => Value::Flags(bits as u32 & mask(names.len())),
            Type::Own(resource) | Type::Borrow(resource) => {
                self.resources.check(bits as u32, *resource)?
            }
            Type::Stream(_) | Type::Future(_) => self.resources.check_end(bits as u32, ty)?,
            _ => return Err(Value::mismatch()),
        })
    }

    /// The value at an address, which is checked.
    pub(crate) fn load(&mut self, ty: TypeIndex, at: u32) -> Result<Value, Violation> {
        let layout = self.component.layout(ty);
        self.range(at, layout.size, layout.align)?;
        self.load_checked(ty, at)
    }

    /// The same of an address that is inside of what was checked.
    fn load_checked(&mut self, ty: TypeIndex, at: u32) -> Result<Value, Violation> {
        self.spend(1)?;
        let component = self.component;
        match component.ty(ty) {
            Type::String => self.string(self.number(at, 4) as u32, self.number(at + 4, 4) as u32),
            Type::List(element) => {
                self.list(*element, self.number(at, 4) as u32, self.number(at + 4, 4) as u32)
            }
            Type::FixedList(element, len) => self.elements(*element, at, *len),
            Type::Record(fields) => {
                Ok(Value::Record(self.fields(fields.iter().map(|field| field.ty), at)?))
            }
            Type::Tuple(elements) => Ok(Value::Record(self.fields(elements.iter().copied(), at)?)),
            variant if let Some(count) = cases(variant) => {
                let case = self.number(at, discriminant_bytes(count)) as u32;
                let payload_at = at + component.layout(ty).payload;
                let value = match payload(variant, case)? {
                    Some(ty) => Some(Box::new(self.load_checked(ty, payload_at)?)),
                    None => None,
                };
                Ok(Value::Case(case, value))
            }
            _ => self.scalar(ty, self.number(at, component.layout(ty).size)),
        }
    }

    /// Checks the range of a record of these fields.
    fn check_record(
        &self,
        types: impl Iterator<Item = TypeIndex>,
        at: u32,
    ) -> Result<(), Violation> {
        let (mut size, mut record_align) = (0_u32, 1);
        for ty in types {
            let Layout { size: field, align, .. } = self.component.layout(ty);
            size = next(size, align)?.checked_add(field).ok_or(Violation::OutOfBounds)?;
            record_align = record_align.max(align);
        }
        self.range(at, next(size, record_align)?, record_align).map(drop)
    }

    /// The fields of a record, whose range is checked. It may end where addresses do.
    fn fields(
        &mut self,
        types: impl Iterator<Item = TypeIndex>,
        mut at: u32,
    ) -> Result<Vec<Value>, Violation> {
        let mut values = Vec::new();
        for ty in types {
            let layout = self.component.layout(ty);
            at = next(at, layout.align)?;
            values.push(self.load(ty, at)?);
            at = at.wrapping_add(layout.size);
        }
        Ok(values)
    }

    fn list(&mut self, element: TypeIndex, ptr: u32, len: u32) -> Result<Value, Violation> {
        let layout = self.component.layout(element);
        let bytes = layout.size.checked_mul(len).ok_or(Violation::OutOfBounds)?;
        self.range(ptr, bytes, layout.align)?;
        if self.component.is_byte(element) {
            return Ok(Value::Slice(Slice { ptr, len }));
        }
        self.elements(element, ptr, len)
    }

    fn elements(&mut self, element: TypeIndex, at: u32, len: u32) -> Result<Value, Violation> {
        let size = self.component.layout(element).size;
        if len as usize > self.budget {
            return Err(Violation::TooLarge);
        }
        let values = (0..len).map(|index| self.load_checked(element, at + index * size));
        Ok(Value::List(values.collect::<Result<_, _>>()?))
    }

    fn string(&mut self, ptr: u32, len: u32) -> Result<Value, Violation> {
        let stored = strings::stored(self.encoding, len)?;
        let range = self.range(ptr, stored.bytes, stored.align)?;
        if stored.bytes > SHORT_BYTES
            && let Some(long) = &mut self.long
        {
            return Ok(Value::String(long.next(&stored, (ptr, len), range)?));
        }
        self.spend(stored.bytes as usize / STRING_BYTES)?;
        Ok(Value::String(strings::decode(&stored, range)?))
    }

    /// The bytes of a range that the guest gave.
    fn range(&self, ptr: u32, len: u32, align: u32) -> Result<&'a [u8], Violation> {
        if !ptr.is_multiple_of(align.max(1)) {
            return Err(Violation::Misaligned);
        }
        let range = self.memory.get(ptr as usize..).and_then(|rest| rest.get(..len as usize));
        range.ok_or(Violation::OutOfBounds)
    }

    /// A number of 1, 2, 4 or 8 bytes, inside of what was checked.
    fn number(&self, at: u32, size: u32) -> u64 {
        let (at, size) = (at as usize, size as usize);
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&self.memory[at..at + size]);
        u64::from_le_bytes(bytes)
    }
}

/// How many cases a type has; `None` if it is no variant.
pub(super) fn cases(ty: &Type) -> Option<usize> {
    match ty {
        Type::Variant(cases) => Some(cases.len()),
        Type::Enum(cases) => Some(cases.len()),
        Type::Option(_) | Type::Result { .. } => Some(2),
        _ => None,
    }
}

/// The type of a case's value, if it has one.
///
/// # Errors
/// [`Violation::BadCase`] if there is no such case.
pub(crate) fn payload(ty: &Type, case: u32) -> Result<Option<TypeIndex>, Violation> {
    match (ty, case) {
        (Type::Variant(cases), _) => Ok(cases.get(case as usize).ok_or(Violation::BadCase)?.ty),
        (Type::Enum(cases), _) if (case as usize) < cases.len() => Ok(None),
        (Type::Option(_), 0) => Ok(None),
        (Type::Option(some), 1) => Ok(Some(*some)),
        (Type::Result { ok, .. }, 0) => Ok(*ok),
        (Type::Result { err, .. }, 1) => Ok(*err),
        _ => Err(Violation::BadCase),
    }
}

/// The bits of so many flags.
pub(super) fn mask(flags: usize) -> u32 {
    u32::MAX.checked_shr(32_u32.saturating_sub(flags as u32)).unwrap_or(0)
}
