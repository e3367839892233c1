//! The model: types, sizes and stores, written straight from `CanonicalABI.md`.

use crate::canonical::Value;
use wfaas_vm::component::{Case, Field, StringEncoding, Type, TypeIndex};

pub(super) const MEMORY: usize = 1 << 16;

/// A type as the model sees it.
#[derive(Debug, Clone)]
pub(super) enum Ty {
    Scalar(Type),
    String,
    List(Box<Ty>),
    Fixed(Box<Ty>, u32),
    Record(Vec<Ty>),
    Variant(Vec<Option<Ty>>),
    Option(Box<Ty>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Enum(u32),
    Flags(u32),
}

impl Ty {
    /// Adds it to a table.
    pub(super) fn add(&self, types: &mut Vec<Type>) -> TypeIndex {
        let ty = match self {
            Ty::Scalar(ty) => ty.clone(),
            Ty::String => Type::String,
            Ty::List(element) => Type::List(element.add(types)),
            Ty::Fixed(element, len) => Type::FixedList(element.add(types), *len),
            Ty::Record(fields) => {
                let field = |(number, ty): (usize, &Ty)| Field {
                    name: number.to_string(),
                    ty: ty.add(types),
                };
                Type::Record(fields.iter().enumerate().map(field).collect())
            }
            Ty::Variant(cases) => {
                let case = |(number, ty): (usize, &Option<Ty>)| Case {
                    name: number.to_string(),
                    ty: ty.as_ref().map(|ty| ty.add(types)),
                };
                Type::Variant(cases.iter().enumerate().map(case).collect())
            }
            Ty::Option(some) => Type::Option(some.add(types)),
            Ty::Result(ok, err) => {
                let ok = ok.as_ref().map(|ty| ty.add(types));
                Type::Result { ok, err: err.as_ref().map(|ty| ty.add(types)) }
            }
            Ty::Enum(cases) => Type::Enum((0..*cases).map(|case| case.to_string()).collect()),
            Ty::Flags(flags) => Type::Flags((0..*flags).map(|flag| flag.to_string()).collect()),
        };
        types.push(ty);
        TypeIndex(types.len() as u32 - 1)
    }

    /// The types of all cases.
    pub(super) fn cases(&self) -> Option<Vec<Option<Ty>>> {
        match self {
            Ty::Variant(cases) => Some(cases.clone()),
            Ty::Option(some) => Some(vec![None, Some((**some).clone())]),
            Ty::Result(ok, err) => Some(vec![ok.as_deref().cloned(), err.as_deref().cloned()]),
            Ty::Enum(cases) => Some(vec![None; *cases as usize]),
            _ => None,
        }
    }

    pub(super) fn alignment(&self) -> usize {
        match self {
            Ty::Scalar(ty) => scalar_size(ty),
            Ty::String | Ty::List(_) => 4,
            Ty::Fixed(element, _) => element.alignment(),
            Ty::Record(fields) => fields.iter().map(Ty::alignment).max().unwrap_or(1),
            Ty::Flags(flags) => flags_size(*flags),
            cases => {
                let cases = cases.cases().unwrap();
                let largest = cases.iter().flatten().map(Ty::alignment).max().unwrap_or(1);
                largest.max(discriminant(cases.len()))
            }
        }
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Ty::Scalar(ty) => scalar_size(ty),
            Ty::String | Ty::List(_) => 8,
            Ty::Fixed(element, len) => element.size() * *len as usize,
            Ty::Record(fields) => {
                let end = fields.iter().fold(0, |at: usize, field| {
                    at.next_multiple_of(field.alignment()) + field.size()
                });
                end.next_multiple_of(self.alignment())
            }
            Ty::Flags(flags) => flags_size(*flags),
            cases => {
                let cases = cases.cases().unwrap();
                let payload = cases.iter().flatten().map(Ty::size).max().unwrap_or(0);
                (payload_at(&cases) + payload).next_multiple_of(self.alignment())
            }
        }
    }
}

fn scalar_size(ty: &Type) -> usize {
    match ty {
        Type::Bool | Type::S8 | Type::U8 => 1,
        Type::S16 | Type::U16 => 2,
        Type::S32 | Type::U32 | Type::F32 | Type::Char => 4,
        _ => 8,
    }
}

fn flags_size(flags: u32) -> usize {
    match flags {
        1..=8 => 1,
        9..=16 => 2,
        _ => 4,
    }
}

fn discriminant(cases: usize) -> usize {
    if cases <= 256 { 1 } else { 2 }
}

fn payload_at(cases: &[Option<Ty>]) -> usize {
    let align = cases.iter().flatten().map(Ty::alignment).max().unwrap_or(1);
    discriminant(cases.len()).next_multiple_of(align)
}

/// A memory in which the model stores values, from the front.
pub(super) struct Model {
    pub(super) memory: Vec<u8>,
    end: usize,
    encoding: StringEncoding,
}

impl Model {
    pub(super) fn new(encoding: StringEncoding) -> Model {
        Model { memory: vec![0xA5; MEMORY], end: 8, encoding }
    }

    pub(super) fn allocate(&mut self, size: usize, align: usize) -> usize {
        let at = self.end.next_multiple_of(align);
        self.end = at + size;
        at
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_range(&mut self, at: usize, ptr: usize, len: u32) {
        self.put(at, &(ptr as u32).to_le_bytes());
        self.put(at + 4, &len.to_le_bytes());
    }

    pub(super) fn store(&mut self, ty: &Ty, value: &Value, at: usize) {
        match (ty, value) {
            (Ty::String, Value::String(text)) => {
                let is_latin = text.chars().all(|char| u32::from(char) < 256);
                let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                let units = utf16.len() as u32 / 2;
                let (bytes, align, len) = match self.encoding {
                    StringEncoding::Utf8 => (text.as_bytes().to_vec(), 1, text.len() as u32),
                    StringEncoding::Utf16 => (utf16, 2, units),
                    StringEncoding::Latin1OrUtf16 if is_latin => {
                        let bytes: Vec<u8> = text.chars().map(|char| char as u8).collect();
                        (bytes.clone(), 2, bytes.len() as u32)
                    }
                    StringEncoding::Latin1OrUtf16 => (utf16, 2, units | 1 << 31),
                };
                let ptr = self.allocate(bytes.len(), align);
                self.put(ptr, &bytes);
                self.put_range(at, ptr, len);
            }
            (Ty::List(element), Value::List(values)) => {
                let ptr = self.allocate(values.len() * element.size(), element.alignment());
                for (index, value) in values.iter().enumerate() {
                    self.store(element, value, ptr + index * element.size());
                }
                self.put_range(at, ptr, values.len() as u32);
            }
            (Ty::List(_), Value::Bytes(bytes)) => {
                let ptr = self.allocate(bytes.len(), 1);
                self.put(ptr, bytes);
                self.put_range(at, ptr, bytes.len() as u32);
            }
            (Ty::Fixed(element, _), Value::List(values)) => {
                for (index, value) in values.iter().enumerate() {
                    self.store(element, value, at + index * element.size());
                }
            }
            (Ty::Record(fields), Value::Record(values)) => {
                let mut field_at = at;
                for (field, value) in fields.iter().zip(values) {
                    field_at = field_at.next_multiple_of(field.alignment());
                    self.store(field, value, field_at);
                    field_at += field.size();
                }
            }
            (Ty::Flags(flags), Value::Flags(bits)) => {
                self.put(at, &bits.to_le_bytes()[..flags_size(*flags)]);
            }
            (Ty::Scalar(ty), value) => {
                self.put(at, &scalar_bits(value).to_le_bytes()[..scalar_size(ty)]);
            }
            (cases, Value::Case(case, value)) => {
                let cases = cases.cases().unwrap();
                self.put(at, &case.to_le_bytes()[..discriminant(cases.len())]);
                if let (Some(ty), Some(value)) = (&cases[*case as usize], value) {
                    self.store(ty, value, at + payload_at(&cases));
                }
            }
            (ty, value) => panic!("{value:?} is no {ty:?}"),
        }
    }
}

fn scalar_bits(value: &Value) -> u64 {
    match value {
        Value::Bool(value) => u64::from(*value),
        Value::S8(value) => *value as u64,
        Value::U8(value) => u64::from(*value),
        Value::S16(value) => *value as u64,
        Value::U16(value) => u64::from(*value),
        Value::S32(value) => *value as u64,
        Value::U32(value) => u64::from(*value),
        Value::S64(value) => *value as u64,
        Value::U64(value) => *value,
        Value::F32(value) => u64::from(*value),
        Value::F64(value) => *value,
        Value::Char(value) => u64::from(u32::from(*value)),
        other => panic!("{other:?} is no scalar"),
    }
}
