//! Values between two sides: as core values, and in memory. Whatever could be no value of its type is checked: callees
//! rely on it.

use super::Writer;
use super::body::{join, memory_arg};
use crate::error::{ComponentError, invalid};
use wasm_encoder::{BlockType, Instruction, ValType};
use wfaas_abi::component::{Type, TypeIndex, discriminant_bytes};

/// An address: a local, and bytes behind it.
pub(super) type Address = (u32, u32);

/// Bytes from which on values are copied as bytes.
const LARGE: u32 = 16;

/// Elements of a list of fixed length from which on there is a loop for them.
const MANY: u32 = 4;

impl Writer<'_> {
    /// The types of a type's core values. Types of many values are not asked for: these are in memory.
    fn flatten(&mut self, ty: TypeIndex) -> Vec<ValType> {
        if let Some(known) = self.flattened.get(&ty) {
            return known.clone();
        }
        let plan = self.plan;
        let flat = match &plan.bindings.types[ty.index()] {
            Type::S64 | Type::U64 => vec![ValType::I64],
            Type::F32 => vec![ValType::F32],
            Type::F64 => vec![ValType::F64],
            Type::String | Type::List(_) => vec![ValType::I32, ValType::I32],
            Type::FixedList(element, length) => {
                let element = self.flatten(*element);
                (0..*length).flat_map(|_| element.iter().copied()).collect()
            }
            Type::Record(fields) => fields.iter().flat_map(|it| self.flatten(it.ty)).collect(),
            Type::Tuple(elements) => elements.iter().flat_map(|it| self.flatten(*it)).collect(),
            variant => match cases(variant) {
                Some(cases) => self.flatten_cases(&cases),
                None => vec![ValType::I32],
            },
        };
        self.flattened.insert(ty, flat.clone());
        flat
    }

    /// The type of a value of one core value.
    pub(super) fn core(&mut self, ty: TypeIndex) -> Result<ValType, ComponentError> {
        self.flatten(ty).first().copied().ok_or(invalid("a value without core values"))
    }

    fn flatten_cases(&mut self, cases: &[Option<TypeIndex>]) -> Vec<ValType> {
        let mut joined = vec![ValType::I32];
        for case in cases.iter().flatten() {
            for (place, ty) in self.flatten(*case).into_iter().enumerate() {
                match joined.get_mut(place + 1) {
                    Some(known) => *known = join(*known, ty),
                    None => joined.push(ty),
                }
            }
        }
        joined
    }

    /// Whether a type's values are all bytes that there can be.
    pub(super) fn is_plain(&mut self, ty: TypeIndex) -> bool {
        if let Some(known) = self.plain.get(&ty) {
            return *known;
        }
        let plan = self.plan;
        let is_plain = match &plan.bindings.types[ty.index()] {
            Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 => true,
            Type::S64 | Type::U64 | Type::F32 | Type::F64 => true,
            Type::FixedList(element, _) => self.is_plain(*element),
            Type::Record(fields) => fields.iter().all(|field| self.is_plain(field.ty)),
            Type::Tuple(elements) => elements.iter().all(|element| self.is_plain(*element)),
            _ => false,
        };
        self.plain.insert(ty, is_plain);
        is_plain
    }

    /// Takes one value away from those that may still be handled one by one.
    fn spend(&mut self) -> Result<(), ComponentError> {
        self.body.check_locals()?;
        self.budget.spend(1)
    }

    /// Passes core values on; their new locals.
    pub(super) fn flat(
        &mut self,
        ty: TypeIndex,
        given: &[u32],
    ) -> Result<Vec<u32>, ComponentError> {
        self.spend()?;
        let plan = self.plan;
        match &plan.bindings.types[ty.index()] {
            Type::String => self.string(pair(given)?).map(Vec::from),
            Type::List(element) => self.list(*element, pair(given)?).map(Vec::from),
            Type::FixedList(element, length) => {
                self.flat_all(&vec![*element; *length as usize], given)
            }
            Type::Record(fields) => {
                let types: Vec<TypeIndex> = fields.iter().map(|field| field.ty).collect();
                self.flat_all(&types, given)
            }
            Type::Tuple(elements) => self.flat_all(elements, given),
            variant => match (cases(variant), given) {
                (Some(cases), _) => self.flat_cases(&cases, given),
                (None, [given]) => {
                    let core = self.core(ty)?;
                    self.body.get(*given);
                    let local = self.body.local(core);
                    self.body.set(local);
                    self.scalar(ty, local)?;
                    Ok(vec![local])
                }
                (None, _) => Err(invalid("core values that do not fit")),
            },
        }
    }

    fn flat_all(&mut self, types: &[TypeIndex], given: &[u32]) -> Result<Vec<u32>, ComponentError> {
        let (mut given, mut passed) = (given, Vec::with_capacity(given.len()));
        for ty in types {
            let count = self.layout(*ty).flat as usize;
            let (first, rest) =
                given.split_at_checked(count).ok_or(invalid("too few core values"))?;
            passed.extend(self.flat(*ty, first)?);
            given = rest;
        }
        Ok(passed)
    }

    /// Passes a variant on. The core values behind its case have types that fit the values of all cases.
    fn flat_cases(
        &mut self,
        cases: &[Option<TypeIndex>],
        given: &[u32],
    ) -> Result<Vec<u32>, ComponentError> {
        let joined = self.flatten_cases(cases);
        let case = *given.first().ok_or(invalid("too few core values"))?;
        self.body.check_below(case, cases.len() as u32);
        let mut passed = vec![case];
        passed.extend(joined.iter().skip(1).map(|ty| self.body.local(*ty)));
        for (number, payload) in (0_u32..).zip(cases) {
            let Some(payload) = *payload else { continue };
            self.body.push(Instruction::Block(BlockType::Empty));
            self.skip_unless(case, number);
            let types = self.flatten(payload);
            let mut locals = Vec::with_capacity(types.len());
            for (place, ty) in types.iter().enumerate() {
                let given = *given.get(place + 1).ok_or(invalid("too few core values"))?;
                let local = self.body.local(*ty);
                self.body.get(given);
                self.body.convert(joined[place + 1], *ty);
                self.body.set(local);
                locals.push(local);
            }
            let values = self.flat(payload, &locals)?;
            for (place, (value, ty)) in values.into_iter().zip(&types).enumerate() {
                self.body.get(value);
                self.body.convert(*ty, joined[place + 1]);
                self.body.set(passed[place + 1]);
            }
            self.body.push(Instruction::End);
        }
        Ok(passed)
    }

    /// Leaves the block around it unless the case is this one.
    fn skip_unless(&mut self, case: u32, number: u32) {
        self.body.get(case);
        self.body.number(number);
        self.body.all([Instruction::I32Ne, Instruction::BrIf(0)]);
    }

    /// Makes a value of one core value what its type has, or ends the program.
    fn scalar(&mut self, ty: TypeIndex, local: u32) -> Result<(), ComponentError> {
        let (plan, body) = (self.plan, &mut self.body);
        let change: &[Instruction<'static>] = match &plan.bindings.types[ty.index()] {
            Type::Bool => &[Instruction::I32Const(0), Instruction::I32Ne],
            Type::U8 => &[Instruction::I32Const(0xFF), Instruction::I32And],
            Type::U16 => &[Instruction::I32Const(0xFFFF), Instruction::I32And],
            Type::S8 => &[Instruction::I32Extend8S],
            Type::S16 => &[Instruction::I32Extend16S],
            Type::Flags(names) => {
                let mask = u32::MAX.checked_shr(32_u32.saturating_sub(names.len() as u32));
                &[Instruction::I32Const(mask.unwrap_or(0).cast_signed()), Instruction::I32And]
            }
            Type::Borrow(resource) => {
                let import = self.adapter.representations.get(resource);
                &[Instruction::Call(*import.ok_or(invalid("a borrow of another's"))? as u32)]
            }
            Type::Char => {
                body.check_below(local, 0x11_0000);
                body.get(local);
                body.number(0xD800);
                body.push(Instruction::I32Sub);
                body.number(0x800);
                body.push(Instruction::I32LtU);
                body.trap_if();
                &[]
            }
            Type::Enum(names) => {
                body.check_below(local, names.len() as u32);
                &[]
            }
            _ => &[],
        };
        if !change.is_empty() {
            body.get(local);
            change.iter().for_each(|instruction| body.push(instruction.clone()));
            body.set(local);
        }
        Ok(())
    }

    /// Copies a value from memory to memory.
    pub(super) fn copy(
        &mut self,
        ty: TypeIndex,
        from: Address,
        to: Address,
    ) -> Result<(), ComponentError> {
        self.spend()?;
        let layout = self.layout(ty);
        if layout.size >= LARGE && self.is_plain(ty) {
            return self.copy_bytes(from, to, layout.size);
        }
        let plan = self.plan;
        match &plan.bindings.types[ty.index()] {
            Type::String => {
                let given = self.load_pair(from)?;
                let new = self.string(given)?;
                self.store_pair(to, new)
            }
            Type::List(element) => {
                let given = self.load_pair(from)?;
                let new = self.list(*element, given)?;
                self.store_pair(to, new)
            }
            Type::FixedList(element, length @ MANY..) => {
                let from = self.address(from);
                let to = self.address(to);
                let bytes = self.body.constant(layout.size);
                debug_assert!(*length >= MANY);
                self.elements(*element, (from, to), bytes)
            }
            Type::FixedList(element, length) => {
                self.copy_all(&vec![*element; *length as usize], from, to)
            }
            Type::Record(fields) => {
                let types: Vec<TypeIndex> = fields.iter().map(|field| field.ty).collect();
                self.copy_all(&types, from, to)
            }
            Type::Tuple(elements) => self.copy_all(elements, from, to),
            variant => match cases(variant) {
                Some(cases) => self.copy_cases(&cases, layout.payload, from, to),
                None => {
                    let core = self.core(ty)?;
                    let local = self.load(core, layout.size, from)?;
                    self.scalar(ty, local)?;
                    self.store(local, core, layout.size, to)
                }
            },
        }
    }

    fn copy_all(
        &mut self,
        types: &[TypeIndex],
        from: Address,
        to: Address,
    ) -> Result<(), ComponentError> {
        let mut offset = 0_u32;
        for ty in types {
            let layout = self.layout(*ty);
            offset = offset.next_multiple_of(layout.align); // inside of a type, which is small
            self.copy(*ty, (from.0, from.1 + offset), (to.0, to.1 + offset))?;
            offset += layout.size;
        }
        Ok(())
    }

    fn copy_cases(
        &mut self,
        cases: &[Option<TypeIndex>],
        payload: u32,
        from: Address,
        to: Address,
    ) -> Result<(), ComponentError> {
        let bytes = discriminant_bytes(cases.len());
        let case = self.load(ValType::I32, bytes, from)?;
        self.body.check_below(case, cases.len() as u32);
        self.store(case, ValType::I32, bytes, to)?;
        for (number, ty) in (0_u32..).zip(cases) {
            let Some(ty) = *ty else { continue };
            self.body.push(Instruction::Block(BlockType::Empty));
            self.skip_unless(case, number);
            self.copy(ty, (from.0, from.1 + payload), (to.0, to.1 + payload))?;
            self.body.push(Instruction::End);
        }
        Ok(())
    }

    /// The local of an address.
    fn address(&mut self, (local, offset): Address) -> u32 {
        let address = self.body.local(ValType::I32);
        self.body.get(local);
        self.body.number(offset);
        self.body.push(Instruction::I32Add);
        self.body.set(address);
        address
    }

    /// Loads a core value of so many bytes; its local.
    fn load(&mut self, core: ValType, bytes: u32, from: Address) -> Result<u32, ComponentError> {
        let arg = memory_arg(self.from.memory()?, from.1, bytes);
        self.body.get(from.0);
        self.body.push(match (core, bytes) {
            (ValType::I32, 1) => Instruction::I32Load8U(arg),
            (ValType::I32, 2) => Instruction::I32Load16U(arg),
            (ValType::I64, _) => Instruction::I64Load(arg),
            (ValType::F32, _) => Instruction::F32Load(arg),
            (ValType::F64, _) => Instruction::F64Load(arg),
            _ => Instruction::I32Load(arg),
        });
        let local = self.body.local(core);
        self.body.set(local);
        Ok(local)
    }

    fn store(
        &mut self,
        local: u32,
        core: ValType,
        bytes: u32,
        to: Address,
    ) -> Result<(), ComponentError> {
        let arg = memory_arg(self.to.memory()?, to.1, bytes);
        self.body.get(to.0);
        self.body.get(local);
        self.body.push(match (core, bytes) {
            (ValType::I32, 1) => Instruction::I32Store8(arg),
            (ValType::I32, 2) => Instruction::I32Store16(arg),
            (ValType::I64, _) => Instruction::I64Store(arg),
            (ValType::F32, _) => Instruction::F32Store(arg),
            (ValType::F64, _) => Instruction::F64Store(arg),
            _ => Instruction::I32Store(arg),
        });
        Ok(())
    }

    fn load_pair(&mut self, (local, offset): Address) -> Result<[u32; 2], ComponentError> {
        let first = self.load(ValType::I32, 4, (local, offset))?;
        Ok([first, self.load(ValType::I32, 4, (local, offset + 4))?])
    }

    fn store_pair(&mut self, to: Address, [first, second]: [u32; 2]) -> Result<(), ComponentError> {
        self.store(first, ValType::I32, 4, to)?;
        self.store(second, ValType::I32, 4, (to.0, to.1 + 4))
    }

    fn copy_bytes(&mut self, from: Address, to: Address, size: u32) -> Result<(), ComponentError> {
        let (from, to) = (self.address(from), self.address(to));
        self.body.get(to);
        self.body.get(from);
        self.body.number(size);
        self.memory_copy()
    }

    /// Copies bytes: address to copy to, address to copy from, and how many are on the stack.
    pub(super) fn memory_copy(&mut self) -> Result<(), ComponentError> {
        let (src_mem, dst_mem) = (self.from.memory()?, self.to.memory()?);
        self.body.push(Instruction::MemoryCopy { src_mem, dst_mem });
        Ok(())
    }
}

/// The cases of a variant, an option or a result, by the types of their values.
fn cases(ty: &Type) -> Option<Vec<Option<TypeIndex>>> {
    match ty {
        Type::Variant(cases) => Some(cases.iter().map(|case| case.ty).collect()),
        Type::Option(some) => Some(vec![None, Some(*some)]),
        Type::Result { ok, err } => Some(vec![*ok, *err]),
        _ => None,
    }
}

/// The two locals of a list.
fn pair(given: &[u32]) -> Result<[u32; 2], ComponentError> {
    given.try_into().map_err(|_| invalid("core values that do not fit"))
}
