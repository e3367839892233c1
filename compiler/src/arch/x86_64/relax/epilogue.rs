//! Epilogues that put the stack pointer to its place once.
//!
//! The code generator ends a function with `add rsp, N` if it has a frame of `N` bytes, and then always with
//! `mov rsp, rbp`, `pop rbp` and `ret`. Either puts the stack pointer where the frame pointer is. Without a frame, the `mov`
//! does nothing but take time: pushes, calls and returns before it are known to the decoder, which keeps track
//! of the stack pointer by itself and has to wait for its value here ("Intel 64 and IA-32 Architectures
//! Optimization Reference Manual", stack pointer tracker). A call of a function that does next to nothing takes 0.83 of
//! the time without it. With a frame, the `add` is left out: without the `mov`, `minijinja` took 1.10 of the time on an AMD
//! EPYC (family 25), which knows by the register of an address which push a pop belongs to.
//!
//! Tail calls leave otherwise, and keep theirs: a function that was interrupted in one is known by them (`vm`'s
//! `arch/x86_64/interrupted.rs`).

use super::{Form, Item};

/// `mov rsp, rbp`
const RESTORE: [u8; 3] = [0x48, 0x89, 0xec];
/// `pop rbp`
const POP: [u8; 1] = [0x5d];

/// Leaves out an instruction in each epilogue of the function with these bytes.
pub(super) fn shorten(bytes: &[u8], items: &mut [Item]) {
    let code = |item: &Item| &bytes[item.start as usize..][..item.len as usize];
    let has_frame = items.iter().any(|item| takes(code(item)));
    for index in 3..items.len() {
        let [before, restores, pops, leaves] = &items[index - 3..=index] else { continue };
        let is_end =
            matches!(leaves.form, Form::Leaves) && matches!(code(leaves), [0xc2 | 0xc3, ..]);
        let is_whole = !pops.is_target && !leaves.is_target;
        if !is_end || !is_whole || code(pops) != POP || code(restores) != RESTORE {
            continue;
        }
        let without = match (has_frame, frees(code(before))) {
            (true, true) if !restores.is_target => index - 3,
            (false, false) => index - 2,
            _ => continue,
        };
        (items[without].form, items[without].len) = (Form::Gone, 0);
    }
}

/// Whether an instruction is `sub rsp, N`.
fn takes(code: &[u8]) -> bool {
    matches!(code, [0x48, 0x81 | 0x83, 0xec, ..])
}

/// Whether an instruction is `add rsp, N`.
fn frees(code: &[u8]) -> bool {
    matches!(code, [0x48, 0x81 | 0x83, 0xc4, ..])
}
