//! Single steps of guest code, and where that is.
#![allow(dead_code)] // each test binary uses a part

use std::ops::Range;

/// Has `handler` called at each instruction of a thread with EFLAGS.TF.
pub(crate) fn handle_traps(handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void)) {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: fills in the set.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    // SAFETY: guest code holds no lock when the handler does anything but return.
    let result = unsafe { libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// The ranges that are mapped for execution from a file in memory, as artifacts are.
pub(crate) fn texts() -> Vec<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let texts = maps.lines().filter(|line| line.contains(" r-x") && line.contains("/memfd:"));
    let number = |digits: &str| usize::from_str_radix(digits, 16).unwrap();
    let range = |line: &str| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        number(start)..number(end)
    };
    texts.map(range).collect()
}
