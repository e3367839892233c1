//! Lowering: a core result of a value, or its bytes in the guest's memory.
//!
//! ```text
//!   value ──→ record at the return pointer ──→ blocks, one after the other, each filled when the guest has
//!                                              allocated it
//! ```
//!
//! A string or a list that is not empty is a [`Block`], whose address is not known yet. Blocks wait in a queue; one
//! that is filled may add more to it.

use super::lift::{cases, mask, payload};
use super::{Component, Resources, Value, Violation, next, strings};
use std::collections::VecDeque;
use wfaas_vm::component::{StringEncoding, Type, TypeIndex, discriminant_bytes};

/// Results that wait for memory of the guest's.
#[derive(Debug)]
pub(crate) struct Pending {
    encoding: StringEncoding,
    /// The first one is asked for.
    blocks: VecDeque<Block>,
}

#[derive(Debug)]
struct Block {
    content: Content,
    /// Where its address goes.
    pointer_at: u32,
}

#[derive(Debug)]
enum Content {
    Bytes { bytes: Vec<u8>, align: u32 },
    List { element: TypeIndex, values: Vec<Value> },
}

/// Lowers values of one call.
pub(crate) struct Lower<'a> {
    component: &'a Component,
    memory: &'a mut [u8],
    resources: &'a mut Resources,
    encoding: StringEncoding,
    blocks: VecDeque<Block>,
}

impl<'a> Lower<'a> {
    /// Into a guest with this memory and these handles.
    pub(crate) fn new(
        component: &'a Component,
        memory: &'a mut [u8],
        resources: &'a mut Resources,
        encoding: StringEncoding,
    ) -> Lower<'a> {
        Lower { component, memory, resources, encoding, blocks: VecDeque::new() }
    }

    /// The core result of a value that has one core value.
    pub(crate) fn flat(&mut self, ty: TypeIndex, value: Value) -> Result<u64, Violation> {
        match (self.component.ty(ty), value) {
            (Type::Record(fields), Value::Record(values)) => {
                self.flat_only(fields.iter().map(|field| field.ty), values)
            }
            (Type::Tuple(elements), Value::Record(values)) => {
                self.flat_only(elements.iter().copied(), values)
            }
            (Type::FixedList(element, 1), Value::List(values)) => {
                self.flat_only([*element].into_iter(), values)
            }
            (variant, Value::Case(case, None)) if cases(variant).is_some() => {
                match payload(variant, case) {
                    Ok(None) => Ok(case.into()),
                    _ => Err(Value::mismatch()),
                }
            }
            (_, value) => self.scalar(ty, &value),
        }
    }

    /// Of a record of one field.
    fn flat_only(
        &mut self,
        mut types: impl Iterator<Item = TypeIndex>,
        values: Vec<Value>,
    ) -> Result<u64, Violation> {
        match (types.next(), <[Value; 1]>::try_from(values)) {
            (Some(ty), Ok([value])) => self.flat(ty, value),
            _ => Err(Value::mismatch()),
        }
    }

    /// Stores a value at an address that the guest gave. The strings and lists in it are left in a [`Pending`].
    pub(crate) fn store(
        mut self,
        ty: TypeIndex,
        value: Value,
        at: u32,
    ) -> Result<Option<Pending>, Violation> {
        let layout = self.component.layout(ty);
        self.check(at, layout.size, layout.align)?;
        self.store_checked(ty, value, at)?;
        let Lower { blocks, encoding, .. } = self;
        Ok((!blocks.is_empty()).then_some(Pending { encoding, blocks }))
    }

    /// Stores values one after the other.
    pub(crate) fn store_all(
        mut self,
        element: TypeIndex,
        values: Vec<Value>,
        at: u32,
    ) -> Result<Option<Pending>, Violation> {
        let layout = self.component.layout(element);
        let len = u32::try_from(values.len()).map_err(|_| Violation::TooLarge)?;
        self.check(at, layout.size.saturating_mul(len), layout.align)?;
        self.elements(element, values, at)?;
        let Lower { blocks, encoding, .. } = self;
        Ok((!blocks.is_empty()).then_some(Pending { encoding, blocks }))
    }

    fn check(&self, at: u32, size: u32, align: u32) -> Result<(), Violation> {
        if !at.is_multiple_of(align.max(1)) {
            return Err(Violation::Misaligned);
        }
        let end = (at as usize).checked_add(size as usize);
        end.filter(|end| *end <= self.memory.len()).map(|_| ()).ok_or(Violation::OutOfBounds)
    }

    fn store_checked(&mut self, ty: TypeIndex, value: Value, at: u32) -> Result<(), Violation> {
        let component = self.component;
        match (component.ty(ty), value) {
            (Type::String, Value::String(text)) => {
                let text = strings::encode(self.encoding, text).ok_or(Violation::TooLarge)?;
                self.put(at + 4, &text.len.to_le_bytes());
                self.block(Content::Bytes { bytes: text.bytes, align: text.align }, at);
                Ok(())
            }
            (Type::List(element), Value::Bytes(bytes)) if component.is_byte(*element) => {
                let len = u32::try_from(bytes.len()).map_err(|_| Violation::TooLarge)?;
                self.put(at + 4, &len.to_le_bytes());
                self.block(Content::Bytes { bytes, align: 1 }, at);
                Ok(())
            }
            (Type::List(element), Value::List(values)) => {
                let len = u32::try_from(values.len()).map_err(|_| Violation::TooLarge)?;
                self.put(at + 4, &len.to_le_bytes());
                self.block(Content::List { element: *element, values }, at);
                Ok(())
            }
            (Type::FixedList(element, len), Value::List(values))
                if values.len() == *len as usize =>
            {
                self.elements(*element, values, at)
            }
            (Type::Record(fields), Value::Record(values)) if fields.len() == values.len() => {
                self.fields(fields.iter().map(|field| field.ty), values, at)
            }
            (Type::Tuple(elements), Value::Record(values)) if elements.len() == values.len() => {
                self.fields(elements.iter().copied(), values, at)
            }
            (variant, Value::Case(case, value)) if let Some(count) = cases(variant) => {
                let bytes = discriminant_bytes(count) as usize;
                self.put(at, &case.to_le_bytes()[..bytes]);
                match (payload(variant, case).map_err(|_| Value::mismatch())?, value) {
                    (None, None) => Ok(()),
                    (Some(payload), Some(value)) => {
                        let at = at + component.layout(ty).payload;
                        self.store_checked(payload, *value, at)
                    }
                    _ => Err(Value::mismatch()),
                }
            }
            (_, value) => {
                let bits = self.scalar(ty, &value)?;
                self.put(at, &bits.to_le_bytes()[..component.layout(ty).size as usize]);
                Ok(())
            }
        }
    }

    fn fields(
        &mut self,
        types: impl Iterator<Item = TypeIndex>,
        values: Vec<Value>,
        mut at: u32,
    ) -> Result<(), Violation> {
        for (ty, value) in types.zip(values) {
            let layout = self.component.layout(ty);
            at = next(at, layout.align)?;
            self.store_checked(ty, value, at)?;
            at = at.wrapping_add(layout.size); // at most the end of what was checked
        }
        Ok(())
    }

    fn elements(
        &mut self,
        element: TypeIndex,
        values: Vec<Value>,
        mut at: u32,
    ) -> Result<(), Violation> {
        let size = self.component.layout(element).size;
        for value in values {
            self.store_checked(element, value, at)?;
            at = at.wrapping_add(size); // as above
        }
        Ok(())
    }

    /// The bits of a value of one core value.
    fn scalar(&mut self, index: TypeIndex, value: &Value) -> Result<u64, Violation> {
        Ok(match (self.component.ty(index), value) {
            (Type::Bool, Value::Bool(value)) => u64::from(*value),
            (Type::S8, Value::S8(value)) => u64::from(i32::from(*value) as u32),
            (Type::U8, Value::U8(value)) => u64::from(*value),
            (Type::S16, Value::S16(value)) => u64::from(i32::from(*value) as u32),
            (Type::U16, Value::U16(value)) => u64::from(*value),
            (Type::S32, Value::S32(value)) => u64::from(*value as u32),
            (Type::U32, Value::U32(value)) => u64::from(*value),
            (Type::S64, Value::S64(value)) => *value as u64,
            (Type::U64, Value::U64(value)) => *value,
            (Type::F32, Value::F32(bits)) => u64::from(*bits),
            (Type::F64, Value::F64(bits)) => *bits,
            (Type::Char, Value::Char(value)) => u64::from(u32::from(*value)),
            (Type::Flags(names), Value::Flags(bits)) => u64::from(bits & mask(names.len())),
            (Type::Own(resource), Value::Handle(handle)) => {
                self.resources.give(*handle, *resource)?;
                u64::from(*handle)
            }
            (Type::Stream(_) | Type::Future(_), Value::Handle(handle)) => {
                self.resources.give_end(self.component, *handle, index)?;
                u64::from(*handle)
            }
            _ => return Err(Value::mismatch()),
        })
    }

    /// Notes a block, if it is not empty. An empty one has an address that is aligned, and not null.
    fn block(&mut self, content: Content, pointer_at: u32) {
        let (size, align) = content.layout(self.component);
        match size {
            0 => self.put(pointer_at, &align.to_le_bytes()),
            _ => self.blocks.push_back(Block { content, pointer_at }),
        }
    }

    /// Writes into a range that was checked.
    fn put(&mut self, at: u32, bytes: &[u8]) {
        let at = at as usize;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl Content {
    /// Bytes and alignment. A list that is too large has the largest number of bytes.
    fn layout(&self, component: &Component) -> (u32, u32) {
        match self {
            Content::Bytes { bytes, align } => {
                (u32::try_from(bytes.len()).unwrap_or(u32::MAX), *align)
            }
            Content::List { element, values } => {
                let layout = component.layout(*element);
                let len = u32::try_from(values.len()).unwrap_or(u32::MAX);
                (layout.size.saturating_mul(len), layout.align)
            }
        }
    }
}

impl Pending {
    /// The request for the next block: bytes in the lower half, alignment in the upper. Zero if there is none.
    pub(crate) fn request(&self, component: &Component) -> u64 {
        let Some(block) = self.blocks.front() else { return 0 };
        let (size, align) = block.content.layout(component);
        u64::from(align) << 32 | u64::from(size)
    }

    /// Fills the block that was asked for, at the address that the guest gave; what is left, if anything.
    pub(crate) fn fill(
        mut self,
        component: &Component,
        memory: &mut [u8],
        resources: &mut Resources,
        at: u32,
    ) -> Result<Option<Pending>, Violation> {
        let Block { content, pointer_at } =
            self.blocks.pop_front().ok_or(Violation::NothingPending)?;
        let (size, align) = content.layout(component);
        let mut lower = Lower::new(component, memory, resources, self.encoding);
        lower.blocks = self.blocks;
        lower.check(at, size, align)?;
        // It was inside when the block was noted, and memories do not shrink.
        lower.put(pointer_at, &at.to_le_bytes());
        match content {
            Content::Bytes { bytes, .. } => lower.put(at, &bytes),
            Content::List { element, values } => lower.elements(element, values, at)?,
        }
        let Lower { blocks, encoding, .. } = lower;
        Ok((!blocks.is_empty()).then_some(Pending { encoding, blocks }))
    }
}
