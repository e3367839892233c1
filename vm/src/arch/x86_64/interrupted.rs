//! The frame of an interrupted function, at any of its instructions.
//!
//! Compiled code keeps frame pointers, but `rbp` is a function's own only between its prologue and
//! its end, and a prologue that makes room for the arguments of tail calls moves the frame:
//!
//! | instructions | `rbp` | return address |
//! |---|---|---|
//! | `push rbp` | the caller's | `[rsp]` |
//! | `mov rbp, rsp` | the caller's | `[rsp + 8]` |
//! | `sub rsp, D` / `mov rbp, rsp` | the frame | `[rbp + 8]` |
//! | `mov r11, [rsp + D]` / `mov [rsp], r11` / `mov r11, [rsp + D + 8]` / `mov [rsp + 8], r11` | D below the frame | `[rbp + D + 8]` |
//! | the body, up to `mov rsp, rbp`, which a function without a frame may leave out, and `pop rbp` | the frame | `[rbp + 8]` |
//! | `ret` | the caller's | `[rsp]` |
//! | before a tail call: `mov r, [rsp]` / `mov [rsp + n], r` / `add rsp, n` / `jmp` | the caller's | `[rsp]` |
//!
//! The rows are told apart by the instructions themselves, which the code generator writes in no
//! other place; any may have prefixes without effect in front, by which code is aligned. (Its `gen_prologue_frame_setup`, `gen_clobber_save` and
//! `emit_return_call_common_sequence` are the source.)

/// Where the callers of an interrupted function are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// In the frame at this address: the saved frame pointer, then the return address.
    Frame(usize),
    /// The function has no frame: the address of its return address, and its caller's frame.
    Frameless { return_address: usize, caller: usize },
}

/// The place of the callers of a function that was interrupted between `before` and `code`, with
/// these stack and frame pointers.
pub(super) fn locate(before: &[u8], code: &[u8], sp: usize, fp: usize) -> Interrupted {
    let code = without_padding(code);
    if begins(code) || returns(code) || before_tail_call(before) {
        return Interrupted::Frameless { return_address: sp, caller: fp };
    }
    if before.ends_with(&PUSH_RBP) && code.starts_with(&MOV_RBP_RSP) {
        return Interrupted::Frame(sp);
    }
    // Nothing of a frame without size lies above the stack pointer, so its body loads nothing there.
    let moved = if sp == fp { moved_by(before, code) } else { None };
    Interrupted::Frame(fp.wrapping_add(moved.unwrap_or(0)))
}

/// The prefix that pads instructions.
const PADDING: u8 = 0x2e;
const PUSH_RBP: [u8; 1] = [0x55];
const MOV_RBP_RSP: [u8; 3] = [0x48, 0x89, 0xe5];
const MOV_RSP_RBP: [u8; 3] = [0x48, 0x89, 0xec];
const POP_RBP: [u8; 1] = [0x5d];
/// `mov [rsp], r11`
const STORE_FRAME_POINTER: [u8; 4] = [0x4c, 0x89, 0x1c, 0x24];
/// `mov [rsp + 8], r11`
const STORE_RETURN_ADDRESS: [u8; 5] = [0x4c, 0x89, 0x5c, 0x24, 8];

fn begins(code: &[u8]) -> bool {
    code.starts_with(&PUSH_RBP)
}

/// `ret`, `ret n`
fn returns(code: &[u8]) -> bool {
    matches!(code, [0xc3 | 0xc2, ..])
}

/// Whether `before` ends with the frame being dropped, and perhaps the return address being moved.
fn before_tail_call(before: &[u8]) -> bool {
    let before = match before {
        [rest @ .., 0x48, 0x83, 0xc4, _] | [rest @ .., 0x48, 0x81, 0xc4, _, _, _, _] => {
            without_padding_at_end(rest)
        }
        _ => before,
    };
    let before = match before {
        [rest @ .., 0x48 | 0x4c, 0x89, modrm, 0x24, _] if modrm & 0xc7 == 0x44 => {
            without_padding_at_end(rest)
        }
        [rest @ .., 0x48 | 0x4c, 0x89, modrm, 0x24, _, _, _, _] if modrm & 0xc7 == 0x84 => {
            without_padding_at_end(rest)
        }
        _ => before,
    };
    let before = match before {
        [rest @ .., 0x48 | 0x4c, 0x8b, modrm, 0x24] if modrm & 0xc7 == 0x04 => {
            without_padding_at_end(rest)
        }
        _ => before,
    };
    let popped = before.strip_suffix(&POP_RBP).map(without_padding_at_end);
    popped.is_some_and(|before| before.ends_with(&MOV_RSP_RBP))
}

/// Code without the prefixes of its first instruction.
fn without_padding(mut code: &[u8]) -> &[u8] {
    while let [PADDING, rest @ ..] = code {
        code = rest;
    }
    code
}

/// Code without the prefixes of the instruction that follows it.
fn without_padding_at_end(mut code: &[u8]) -> &[u8] {
    while let [rest @ .., PADDING] = code {
        code = rest;
    }
    code
}

/// Bytes from the frame pointer up to the frame that a prologue is about to move down.
fn moved_by(before: &[u8], code: &[u8]) -> Option<usize> {
    let from_second = |displacement: usize| displacement.checked_sub(8);
    if let Some(displacement) = load_r11(code) {
        let first = before.ends_with(&MOV_RBP_RSP);
        return if first { Some(displacement) } else { from_second(displacement) };
    }
    if let Some(second) = code.strip_prefix(&STORE_FRAME_POINTER) {
        return load_r11(without_padding(second)).and_then(from_second);
    }
    if code.starts_with(&STORE_RETURN_ADDRESS) {
        let short = before.last_chunk::<5>().and_then(|code| load_r11(code));
        let long = || before.last_chunk::<8>().and_then(|code| load_r11(code));
        return short.or_else(long).and_then(from_second);
    }
    None
}

/// The displacement of `mov r11, [rsp + displacement]`.
fn load_r11(code: &[u8]) -> Option<usize> {
    match *code {
        [0x4c, 0x8b, 0x5c, 0x24, byte, ..] if byte < 0x80 => Some(byte.into()),
        [0x4c, 0x8b, 0x9c, 0x24, a, b, c, d, ..] => {
            usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()
        }
        _ => None,
    }
}
