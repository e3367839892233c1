//! Arguments of calls: mostly such that mean something, now and then any.

use super::guest::{Ended, Guest, MEMORY};
use super::source::Source;
use super::world::World;
use wfaas_wasi::preview1::FUNCTIONS;

/// Functions, and what their parameters are. Letters stand for: `F` a descriptor, `D` one of a
/// directory, `X` one that is closed, `P` a path (address and length), `I` iovecs (address and count), `B` a buffer (address and length), `R` the address of a result,
/// `N` flags or a small number, `W` the ways to open, `O` an offset or a time, `L` a size, `C` a cookie, `G` rights, `S`
/// subscriptions, `K` their count.
const SHAPES: &[(&str, &str)] = &[
    ("args_get", "RR"),
    ("args_sizes_get", "RR"),
    ("environ_get", "RR"),
    ("environ_sizes_get", "RR"),
    ("clock_res_get", "NR"),
    ("clock_time_get", "NOR"),
    ("fd_advise", "FOON"),
    ("fd_allocate", "FLL"),
    ("fd_close", "X"),
    ("fd_datasync", "F"),
    ("fd_fdstat_get", "FR"),
    ("fd_fdstat_set_flags", "FN"),
    ("fd_fdstat_set_rights", "FGG"),
    ("fd_filestat_get", "FR"),
    ("fd_filestat_set_size", "FL"),
    ("fd_filestat_set_times", "FOON"),
    ("fd_pread", "FIOR"),
    ("fd_prestat_get", "FR"),
    ("fd_prestat_dir_name", "FB"),
    ("fd_pwrite", "FIOR"),
    ("fd_read", "FIR"),
    ("fd_readdir", "DBCR"),
    ("fd_renumber", "XX"),
    ("fd_seek", "FONR"),
    ("fd_sync", "F"),
    ("fd_tell", "FR"),
    ("fd_write", "FIR"),
    ("path_create_directory", "DP"),
    ("path_filestat_get", "DNPR"),
    ("path_filestat_set_times", "DNPOON"),
    ("path_link", "DNPDP"),
    ("path_open", "DNPWGGNR"),
    ("path_readlink", "DPBR"),
    ("path_remove_directory", "DP"),
    ("path_rename", "DPDP"),
    ("path_symlink", "PDP"),
    ("path_unlink_file", "DP"),
    ("poll_oneoff", "SRKR"),
    ("proc_raise", "N"),
    ("sched_yield", ""),
    ("random_get", "B"),
    ("sock_accept", "FNR"),
    ("sock_recv", "FINRR"),
    ("sock_send", "FINR"),
    ("sock_shutdown", "FN"),
];

/// Functions that make what others need: they are called more often.
const OFTEN: &[&str] = &["path_open", "fd_write", "fd_readdir", "path_rename", "path_symlink"];

/// Addresses: of results, iovecs, subscriptions, the two paths, data.
const RESULT: u64 = 512;
const IOVECS: u64 = 1024;
const SUBSCRIPTIONS: u64 = 2048;
const PATHS: [u64; 2] = [4096, 10240];
const DATA: u64 = 16384;

/// All rights, and those to read.
const ALL: u64 = (1 << 30) - 1;
const READING: u64 = ALL & !(1 << 6 | 1 << 8 | 1 << 22);

/// Names, of which paths are made.
const NAMES: &[&str] = &[
    "a", "a", "a", "b", "b", "dir", "dir", "dir", "c", "c", "link", "up", "loop", "absolute",
    "magic", "fifo", ".", "..", "new", "new", "secret", "out", "big", "big",
];

/// A function and its arguments, which are in the guest's memory then.
pub(super) fn call(
    guest: &mut Guest<'_>,
    source: &mut Source<'_>,
    world: &World,
) -> (&'static str, Vec<u64>) {
    if source.number().is_multiple_of(1000) {
        return ("proc_exit", vec![source.number() & 0xffff_ffff]);
    }
    let (name, shape) = loop {
        let row = source.of(SHAPES);
        let often = source.of(OFTEN);
        let row = match source.one_in(3) {
            true => *SHAPES.iter().find(|row| row.0 == often).unwrap_or(&row),
            false => row,
        };
        let is_there = !(guest.kind().unstable && row.0 == "sock_accept");
        if is_there {
            break row;
        }
    };
    let mut args = Vec::new();
    let (mut paths, mut first) = (PATHS.into_iter(), None);
    for letter in shape.chars() {
        match letter {
            'F' => args.push(descriptor(guest, source)),
            'D' => {
                // Most pairs of trees have nothing in common.
                let same = first.filter(|_| !source.one_in(4));
                let directory = same.unwrap_or_else(|| directory(guest, source));
                first = Some(directory);
                args.push(directory);
            }
            'X' => args.push(closed(guest, source)),
            'W' => args.push(ways(source)),
            'P' => args.extend(path(guest, source, world, paths.next().unwrap_or(PATHS[0]))),
            'I' => args.extend(iovecs(guest, source)),
            'B' => args.extend(buffer(source)),
            'R' => args.push(result(source)),
            'N' => args.push(flags(source)),
            'O' => args.push(offset(source)),
            'L' => args.push(size(source)),
            'C' => args.push(cookie(source)),
            'G' => args.push(rights(source)),
            'S' => args.push(subscriptions(guest, source)),
            'K' => args.push(if source.one_in(16) { any(source) } else { source.below(5) as u64 }),
            _ => unreachable!("no such letter"),
        }
    }
    (name, args)
}

/// Opens something of each tree, and accepts a connection: most calls would fail for want of a descriptor.
pub(super) fn begin(guest: &mut Guest<'_>) {
    for (name, flags, rights) in [("a", 0, ALL), ("a", 0, READING), ("dir", 0, READING)] {
        for fd in PREOPENS {
            guest.put(PATHS[0], name.as_bytes());
            let args = [fd, 0, PATHS[0], name.len() as u64, flags, rights, ALL, 0, RESULT];
            if let Ended::Answered(0) = guest.call("path_open", &args) {
                guest.succeeded("path_open", &args);
            }
        }
    }
    let args = [PREOPENS.end, 4, RESULT];
    if !guest.kind().unstable && matches!(guest.call("sock_accept", &args), Ended::Answered(0)) {
        guest.succeeded("sock_accept", &args);
    }
}

/// Any 32 bits, some of which are known to be hard.
fn any(source: &mut Source<'_>) -> u64 {
    let hard = [0, 1, MEMORY - 1, MEMORY - 7, MEMORY, u64::from(u32::MAX), 1 << 31, MEMORY / 2];
    match source.below(3) {
        0 => source.number() & 0xffff_ffff,
        1 => source.number() % MEMORY,
        _ => source.of(&hard),
    }
}

/// Any descriptor; mostly one that the guest has opened.
fn descriptor(guest: &Guest<'_>, source: &mut Source<'_>) -> u64 {
    match source.below(16) {
        0 => any(source),
        1..4 => source.below(24) as u64,
        4 => PREOPENS.start + source.below(6) as u64,
        _ if guest.opened.is_empty() => source.below(10) as u64,
        _ => source.of(&guest.opened),
    }
}

/// Mostly a directory that was open from the start.
fn directory(guest: &Guest<'_>, source: &mut Source<'_>) -> u64 {
    match source.below(8) {
        0 => descriptor(guest, source),
        _ => PREOPENS.start + source.below(6) as u64,
    }
}

/// One that others can do without, mostly.
fn closed(guest: &Guest<'_>, source: &mut Source<'_>) -> u64 {
    let is_needed = |fd: &u64| PREOPENS.contains(fd);
    let fd = descriptor(guest, source);
    if is_needed(&fd) && !source.one_in(16) { 30 } else { fd }
}

/// Directories that are open from the start.
const PREOPENS: std::ops::Range<u64> = 3..9;

/// `oflags`.
fn ways(source: &mut Source<'_>) -> u64 {
    let good = [0, 0, 0, 1, 1, 1, 2, 2, 5, 8, 9];
    if source.one_in(8) { flags(source) } else { source.of(&good) }
}

fn result(source: &mut Source<'_>) -> u64 {
    if source.one_in(20) { any(source) } else { RESULT + 16 * source.below(8) as u64 }
}

fn flags(source: &mut Source<'_>) -> u64 {
    if source.one_in(24) { any(source) } else { source.below(16) as u64 }
}

fn offset(source: &mut Source<'_>) -> u64 {
    let hard = [0, 1, 4095, 4096, 1 << 20, 1 << 40, i64::MAX as u64, u64::MAX, 1 << 63];
    match source.below(4) {
        0 => source.of(&hard),
        1 => source.number(),
        _ => source.below(256) as u64,
    }
}

/// A size: gigabytes are the disk's business.
fn size(source: &mut Source<'_>) -> u64 {
    let hard = [0, 1, 4096, 100_000, 1 << 20, 1 << 63, u64::MAX, i64::MAX as u64 + 2];
    if source.one_in(2) { source.of(&hard) } else { source.number() % (1 << 18) }
}

fn cookie(source: &mut Source<'_>) -> u64 {
    let hard = [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 2, 1 << 32];
    match source.below(8) {
        0 => source.of(&hard),
        1 => source.number(),
        2..4 => 0,
        _ => source.below(8) as u64,
    }
}

fn rights(source: &mut Source<'_>) -> u64 {
    match source.below(8) {
        0 => source.number(),
        1 => 1 << source.below(30),
        2 => ALL & !(1 << source.below(30)),
        3 | 4 => READING,
        _ => ALL,
    }
}

fn buffer(source: &mut Source<'_>) -> [u64; 2] {
    let len = [0, 10, 24, 25, 100, 300, 4096, 70_000];
    if source.one_in(20) { [any(source), any(source)] } else { [DATA, source.of(&len)] }
}

fn iovecs(guest: &mut Guest<'_>, source: &mut Source<'_>) -> [u64; 2] {
    let count = source.below(4);
    let mut bytes = Vec::new();
    for _ in 0..count {
        let [at, len] = buffer(source);
        bytes.extend([(at as u32).to_le_bytes(), (len as u32).to_le_bytes()].concat());
    }
    guest.put(IOVECS, &bytes);
    match source.below(20) {
        0 => [any(source), count as u64],
        1 => [IOVECS, any(source)],
        2 => [IOVECS, 1025],
        _ => [IOVECS, count as u64],
    }
}

/// Bytes of a subscription; those of before preview1 have as many at least.
const SUBSCRIPTION: usize = 56;

fn subscriptions(guest: &mut Guest<'_>, source: &mut Source<'_>) -> u64 {
    for index in 0..4 {
        let mut record = [0; SUBSCRIPTION];
        record[0] = source.byte();
        record[8] = source.below(4) as u8;
        record[16] = source.below(12) as u8;
        let timeout = if source.one_in(8) { u64::MAX } else { source.number() % 1_000_000 };
        record[24..32].copy_from_slice(&timeout.to_le_bytes());
        record[40] = source.below(4) as u8;
        let at = if guest.kind().unstable { index * 56 } else { index * 48 };
        guest.put(SUBSCRIPTIONS + at, &record);
    }
    if source.one_in(20) { any(source) } else { SUBSCRIPTIONS }
}

fn path(guest: &mut Guest<'_>, source: &mut Source<'_>, world: &World, at: u64) -> [u64; 2] {
    let text = match source.below(32) {
        0 => Vec::new(),
        1 => b"a\0b".to_vec(),
        2 => b"dir/\xff\xfe".to_vec(),
        3 => vec![b'x'; source.of(&[255, 256, 4095, 4096])],
        4 => b"a/".repeat(source.of(&[2000, 2047, 2048])),
        5 => world.secret_path().into_bytes(),
        6 => b"/proc/self/root/etc".to_vec(),
        _ => joined(source).into_bytes(),
    };
    guest.put(at, &text);
    match source.below(24) {
        0 => [any(source), text.len() as u64],
        1 => [at, any(source)],
        _ => [at, text.len() as u64],
    }
}

/// A path of some names.
fn joined(source: &mut Source<'_>) -> String {
    let count = source.of(&[1, 1, 1, 2, 2, 3]);
    let names: Vec<&str> = (0..count).map(|_| source.of(NAMES)).collect();
    names.join("/") + source.of(&["", "", "", "", "/", "//", "/."])
}

#[test]
fn every_function_has_a_shape() {
    let params =
        |shape: &str| shape.chars().map(|letter| 1 + usize::from("PIB".contains(letter))).sum();
    for function in FUNCTIONS {
        let row = SHAPES.iter().find(|row| row.0 == function.name);
        assert_eq!(row.map(|row| params(row.1)), Some(function.params.len()), "{}", function.name);
    }
    assert_eq!(SHAPES.len(), FUNCTIONS.len());
}
