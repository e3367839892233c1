//! Reading instructions: their lengths, and what laying them out has to know of them.
//!
//! An instruction is prefixes, an opcode of one of some maps, operands (a ModRM byte, with a SIB byte and a
//! displacement by its bits), and a number ("Intel 64 and IA-32 Architectures Software Developer's Manual",
//! volume 2, chapter 2, and the maps of appendix A). Opcodes that the code generator has no use for, and
//! those that no program may use, are not read.

use std::ops::RangeInclusive;

/// What an instruction does to the flow of control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// A jump that far from its end, always or on a condition.
    Jump {
        condition: Option<u8>,
        distance: i32,
    },
    Call,
    /// A jump to an address that was calculated.
    Indirect,
    Return,
    /// It always faults.
    Fault,
    /// It interrupts.
    Stop,
}

/// An instruction, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) len: u32,
    pub(super) flow: Flow,
    /// A distance from the end of the instruction to its operand: the offset of the number, and the number.
    pub(super) relative: Option<(u32, i32)>,
    /// The shorter form, if it has a number of four bytes at its end for which one is enough.
    pub(super) narrow: Option<Narrow>,
    /// Whether some processor decodes an instruction of this kind and a conditional jump as one.
    pub(super) fuses: bool,
    /// Whether it calculates an address.
    pub(super) is_lea: bool,
}

/// An opcode for numbers of one byte, and its place in the instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Narrow {
    pub(super) at: u8,
    pub(super) opcode: u8,
}

/// Properties of an opcode.
type Shape = u8;

const UNKNOWN: Shape = 0;
/// Nothing follows.
const BARE: Shape = 1;
const MODRM: Shape = 2;
/// A number of one byte.
const BYTE: Shape = 4;
/// A number of four bytes, or two with the prefix for that.
const WORD: Shape = 8;
/// The same, or eight with the prefix for that.
const WIDE: Shape = 16;
/// A number of two bytes.
const HALF: Shape = 32;

type Map = [Shape; 256];

const fn map(parts: &[(RangeInclusive<u8>, Shape)]) -> Map {
    let mut map = [UNKNOWN; 256];
    let mut part = 0;
    while part < parts.len() {
        let (range, shape) = &parts[part];
        let mut opcode = *range.start() as usize;
        while opcode <= *range.end() as usize {
            map[opcode] = *shape;
            opcode += 1;
        }
        part += 1;
    }
    map
}

/// Opcodes of one byte.
const ONE_BYTE: Map = map(&[
    // add, or, adc, sbb, and, sub, xor, cmp
    (0x00..=0x03, MODRM),
    (0x04..=0x04, BYTE),
    (0x05..=0x05, WORD),
    (0x08..=0x0b, MODRM),
    (0x0c..=0x0c, BYTE),
    (0x0d..=0x0d, WORD),
    (0x10..=0x13, MODRM),
    (0x14..=0x14, BYTE),
    (0x15..=0x15, WORD),
    (0x18..=0x1b, MODRM),
    (0x1c..=0x1c, BYTE),
    (0x1d..=0x1d, WORD),
    (0x20..=0x23, MODRM),
    (0x24..=0x24, BYTE),
    (0x25..=0x25, WORD),
    (0x28..=0x2b, MODRM),
    (0x2c..=0x2c, BYTE),
    (0x2d..=0x2d, WORD),
    (0x30..=0x33, MODRM),
    (0x34..=0x34, BYTE),
    (0x35..=0x35, WORD),
    (0x38..=0x3b, MODRM),
    (0x3c..=0x3c, BYTE),
    (0x3d..=0x3d, WORD),
    // push, pop, movsxd
    (0x50..=0x5f, BARE),
    (0x63..=0x63, MODRM),
    (0x68..=0x68, WORD),
    (0x69..=0x69, MODRM | WORD),
    (0x6a..=0x6a, BYTE),
    (0x6b..=0x6b, MODRM | BYTE),
    // jcc
    (0x70..=0x7f, BYTE),
    (0x80..=0x80, MODRM | BYTE),
    (0x81..=0x81, MODRM | WORD),
    (0x83..=0x83, MODRM | BYTE),
    // test, xchg, mov, lea, pop
    (0x84..=0x8b, MODRM),
    (0x8d..=0x8d, MODRM),
    (0x8f..=0x8f, MODRM),
    // xchg, cwde, cdq
    (0x90..=0x99, BARE),
    (0xa8..=0xa8, BYTE),
    (0xa9..=0xa9, WORD),
    // mov
    (0xb0..=0xb7, BYTE),
    (0xb8..=0xbf, WIDE),
    // Shifts and rotations.
    (0xc0..=0xc1, MODRM | BYTE),
    (0xc2..=0xc2, HALF),
    (0xc3..=0xc3, BARE),
    (0xc6..=0xc6, MODRM | BYTE),
    (0xc7..=0xc7, MODRM | WORD),
    (0xcc..=0xcc, BARE),
    (0xd0..=0xd3, MODRM),
    // call, jmp
    (0xe8..=0xe9, WORD),
    (0xeb..=0xeb, BYTE),
    // test, not, neg, mul, div; test has a number besides
    (0xf6..=0xf7, MODRM),
    // inc, dec, call, jmp, push
    (0xfe..=0xff, MODRM),
]);

/// Opcodes behind the byte 0f.
const TWO_BYTES: Map = map(&[
    // ud2
    (0x0b..=0x0b, BARE),
    (0x0d..=0x0d, MODRM),
    (0x10..=0x1f, MODRM),
    (0x28..=0x2f, MODRM),
    (0x40..=0x6f, MODRM),
    (0x70..=0x73, MODRM | BYTE),
    (0x74..=0x76, MODRM),
    (0x77..=0x77, BARE),
    (0x78..=0x7f, MODRM),
    // jcc
    (0x80..=0x8f, WORD),
    // setcc
    (0x90..=0x9f, MODRM),
    (0xa2..=0xa2, BARE),
    (0xa3..=0xa3, MODRM),
    (0xa4..=0xa4, MODRM | BYTE),
    (0xa5..=0xa5, MODRM),
    (0xab..=0xab, MODRM),
    (0xac..=0xac, MODRM | BYTE),
    (0xad..=0xb1, MODRM),
    (0xb3..=0xb3, MODRM),
    (0xb6..=0xb8, MODRM),
    (0xba..=0xba, MODRM | BYTE),
    (0xbb..=0xc1, MODRM),
    (0xc2..=0xc2, MODRM | BYTE),
    (0xc3..=0xc3, MODRM),
    (0xc4..=0xc6, MODRM | BYTE),
    (0xc7..=0xc7, MODRM),
    // bswap
    (0xc8..=0xcf, BARE),
    (0xd0..=0xfe, MODRM),
]);

/// Opcodes behind 0f 38, and behind 0f 3a.
const THREE_BYTES: Map = map(&[(0x00..=0xff, MODRM)]);
const THREE_BYTES_WITH_NUMBER: Map = map(&[(0x00..=0xff, MODRM | BYTE)]);

/// The bytes of an instruction, and how many were read.
struct Bytes<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bytes<'_> {
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }
}

/// The prefixes of an instruction that matter to its length and form.
#[derive(Default)]
struct Prefixes {
    /// Numbers have two bytes.
    short: bool,
    /// Those of some instructions have eight.
    wide: bool,
    /// A prefix that no instruction with a shorter form has.
    other: bool,
}

/// Reads the instruction that `bytes` start with; `None` if it is not known.
pub(super) fn read(bytes: &[u8]) -> Option<Instruction> {
    let mut bytes = Bytes { bytes, at: 0 };
    let mut prefixes = Prefixes::default();
    let first = loop {
        let byte = bytes.next()?;
        match byte {
            0x66 => (prefixes.short, prefixes.other) = (true, true),
            0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 => prefixes.other = true,
            0xf0 => {}
            0x40..=0x4f => prefixes.wide = byte & 8 != 0,
            _ => break byte,
        }
    };
    match first {
        0x0f => two_bytes(bytes, &prefixes),
        // VEX and EVEX: the map is in some of their bits, and those of vectors have no other numbers.
        0xc4 => vector(bytes, &prefixes, 2, 0x1f),
        0xc5 => vector(bytes, &prefixes, 1, 0),
        0x62 => vector(bytes, &prefixes, 3, 0x07),
        _ => one_byte(bytes, first, &prefixes),
    }
}

fn vector(
    mut bytes: Bytes<'_>,
    prefixes: &Prefixes,
    prefix_bytes: usize,
    map_bits: u8,
) -> Option<Instruction> {
    let map = bytes.next()? & map_bits;
    bytes.at += prefix_bytes - 1;
    let opcode = usize::from(bytes.next()?);
    let shape = match map {
        0 | 1 => TWO_BYTES[opcode],
        2 => THREE_BYTES[opcode],
        3 => THREE_BYTES_WITH_NUMBER[opcode],
        _ => UNKNOWN,
    };
    finish(bytes, shape & !WORD, prefixes, Flow::Next)
}

fn two_bytes(mut bytes: Bytes<'_>, prefixes: &Prefixes) -> Option<Instruction> {
    let opcode = bytes.next()?;
    let shape = match opcode {
        0x38 => THREE_BYTES[usize::from(bytes.next()?)],
        0x3a => THREE_BYTES_WITH_NUMBER[usize::from(bytes.next()?)],
        _ => TWO_BYTES[usize::from(opcode)],
    };
    let flow = match opcode {
        0x0b => Flow::Fault,
        0x80..=0x8f => {
            // The condition is the lower half of the opcode.
            let distance = number(bytes.bytes, bytes.at)?;
            Flow::Jump { condition: Some(opcode & 0xf), distance }
        }
        _ => Flow::Next,
    };
    finish(bytes, shape, prefixes, flow)
}

fn one_byte(bytes: Bytes<'_>, opcode: u8, prefixes: &Prefixes) -> Option<Instruction> {
    let (all, at) = (bytes.bytes, bytes.at);
    let following = all.get(at).copied();
    // The operation of some opcodes is in the ModRM byte.
    let extension = following.unwrap_or_default() >> 3 & 7;
    let near = following.unwrap_or_default().cast_signed().into();
    let flow = match opcode {
        0x70..=0x7f => Flow::Jump { condition: Some(opcode & 0xf), distance: near },
        0xeb => Flow::Jump { condition: None, distance: near },
        0xe9 => Flow::Jump { condition: None, distance: number(all, at)? },
        0xe8 => Flow::Call,
        0xc2 | 0xc3 => Flow::Return,
        0xcc => Flow::Stop,
        0xff if extension == 2 => Flow::Call,
        0xff if extension == 4 => Flow::Indirect,
        _ => Flow::Next,
    };
    let shape = ONE_BYTE[usize::from(opcode)]
        | match opcode {
            0xf6 if extension < 2 => BYTE,
            0xf7 if extension < 2 => WORD,
            _ => 0,
        };
    let mut instruction = finish(bytes, shape, prefixes, flow)?;
    instruction.is_lea = opcode == 0x8d;
    instruction.fuses = match opcode {
        // add, and, sub, cmp, test
        0x00..=0x05 | 0x20..=0x25 | 0x28..=0x2d | 0x38..=0x3d | 0x84 | 0x85 | 0xa8 | 0xa9 => true,
        0x80 | 0x81 | 0x83 => matches!(extension, 0 | 4 | 5 | 7),
        // test, inc, dec
        0xf6 | 0xf7 | 0xfe | 0xff => extension < 2,
        _ => false,
    };
    let shorter = match opcode {
        // add, or, adc, sbb, and, sub, xor, cmp
        0x81 => Some(0x83),
        // imul
        0x69 => Some(0x6b),
        _ => None,
    };
    if let Some(opcode) = shorter.filter(|_| !prefixes.other)
        && i8::try_from(number(all, instruction.len as usize - 4)?).is_ok()
    {
        instruction.narrow = Some(Narrow { at: at as u8 - 1, opcode });
    }
    Some(instruction)
}

/// Reads what follows the opcode.
#[inline(always)]
fn finish(
    mut bytes: Bytes<'_>,
    shape: Shape,
    prefixes: &Prefixes,
    flow: Flow,
) -> Option<Instruction> {
    let mut displacement = None;
    if shape & MODRM != 0 {
        let modrm = bytes.next()?;
        let (mode, mut base) = (modrm >> 6, modrm & 7);
        if mode != 3 && base == 4 {
            base = bytes.next()? & 7;
        } else if mode == 0 && base == 5 {
            displacement = Some((bytes.at, number(bytes.bytes, bytes.at)?));
        }
        bytes.at += match mode {
            0 if base == 5 => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        };
    }
    let word = if prefixes.short { 2 } else { 4 };
    bytes.at += match shape & (BYTE | HALF | WORD | WIDE) {
        BYTE => 1,
        HALF => 2,
        WORD => word,
        WIDE if prefixes.wide => 8,
        WIDE => word,
        _ => 0,
    };
    let is_whole = shape != UNKNOWN && bytes.at <= bytes.bytes.len();
    is_whole.then_some(Instruction {
        len: bytes.at as u32,
        flow,
        relative: displacement.map(|(at, displacement)| (at as u32, displacement)),
        narrow: None,
        fuses: false,
        is_lea: false,
    })
}

/// The four bytes at an offset.
fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use iced_x86::{Decoder, DecoderOptions, FlowControl, Mnemonic};

    const PREFIXES: [&[u8]; 12] = [
        &[],
        &[0x48],
        &[0x41],
        &[0x66],
        &[0x66, 0x48],
        &[0xf2],
        &[0xf3, 0x4c],
        &[0xf0],
        &[0x2e, 0x2e, 0x48],
        &[0x0f],
        &[0x66, 0x0f],
        &[0x48, 0x0f],
    ];

    /// The beginnings of instructions of vectors, up to the opcode.
    const VECTORS: [&[u8]; 9] = [
        &[0xc5, 0xf8],
        &[0xc5, 0xf1],
        &[0xc4, 0xe1, 0xf9],
        &[0xc4, 0xe2, 0x79],
        &[0xc4, 0xe3, 0x79],
        &[0x62, 0xf1, 0x7d, 0x48],
        &[0x62, 0xf2, 0xfd, 0x08],
        &[0x62, 0xf3, 0x7d, 0x08],
        &[0x66, 0x0f, 0x3a],
    ];

    /// Whether both readers agree about an instruction that both know.
    fn agree(bytes: &[u8]) -> bool {
        let theirs = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).decode();
        let Some(ours) = read(bytes).filter(|_| !theirs.is_invalid()) else { return false };
        assert_eq!(ours.len as usize, theirs.len(), "{bytes:x?}");
        let is_relative = theirs.is_ip_rel_memory_operand();
        assert_eq!(ours.relative.is_some(), is_relative, "{bytes:x?}");
        if let Some((_, distance)) = ours.relative {
            let target = i64::from(distance) + i64::from(ours.len);
            assert_eq!(target, theirs.ip_rel_memory_address().cast_signed(), "{bytes:x?}");
        }
        let flow = match ours.flow {
            Flow::Next => FlowControl::Next,
            Flow::Jump { condition, distance } => {
                let target = i64::from(distance) + i64::from(ours.len);
                assert_eq!(target, theirs.near_branch_target().cast_signed(), "{bytes:x?}");
                match condition {
                    Some(_) => FlowControl::ConditionalBranch,
                    None => FlowControl::UnconditionalBranch,
                }
            }
            Flow::Call if bytes.contains(&0xe8) => FlowControl::Call,
            Flow::Call => FlowControl::IndirectCall,
            Flow::Indirect => FlowControl::IndirectBranch,
            Flow::Return => FlowControl::Return,
            Flow::Fault => FlowControl::Exception,
            Flow::Stop => FlowControl::Interrupt,
        };
        assert_eq!(flow, theirs.flow_control(), "{bytes:x?}");
        let mnemonic = theirs.mnemonic();
        let fuses = matches!(
            mnemonic,
            Mnemonic::Cmp
                | Mnemonic::Test
                | Mnemonic::Add
                | Mnemonic::Sub
                | Mnemonic::And
                | Mnemonic::Inc
                | Mnemonic::Dec
        );
        assert_eq!(ours.fuses, fuses, "{bytes:x?} {mnemonic:?}");
        assert_eq!(ours.is_lea, mnemonic == Mnemonic::Lea, "{bytes:x?}");
        if let Some(narrow) = ours.narrow {
            let mut short = bytes[..ours.len as usize - 3].to_vec();
            short[usize::from(narrow.at)] = narrow.opcode;
            let short = Decoder::with_ip(64, &short, 0, DecoderOptions::NONE).decode();
            assert_eq!((short.mnemonic(), short.len()), (mnemonic, theirs.len() - 3), "{bytes:x?}");
        }
        true
    }

    #[test]
    fn another_decoder_reads_the_same() {
        let mut known = 0;
        for start in PREFIXES.iter().chain(&VECTORS) {
            for opcode in 0..=255 {
                for modrm in 0..=255 {
                    for sib in [0x00, 0x25, 0x94] {
                        let mut bytes = start.to_vec();
                        // The number at the end is small, or not.
                        bytes.extend([opcode, modrm, sib, 5, 0, 0, 0, 0, 0, 0, sib, 0, 0, 0]);
                        bytes.truncate(15);
                        known += usize::from(agree(&bytes));
                    }
                }
            }
        }
        assert!(known > 500_000, "{known} instructions");
    }

    #[test]
    fn numbers_of_one_byte_are_noticed() {
        let add = read(&[0x48, 0x81, 0xc1, 0x80, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!(add.narrow, Some(Narrow { at: 1, opcode: 0x83 }));
        assert_eq!(read(&[0x81, 0xc1, 0x80, 0, 0, 0]).unwrap().narrow, None);
        assert_eq!(read(&[0x66, 0x81, 0xc1, 1, 0]).unwrap().narrow, None);
        assert_eq!(read(&[0x48, 0x81, 0xc1, 1, 0]), None, "it is cut off");
    }
}
