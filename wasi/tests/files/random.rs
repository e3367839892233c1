//! Random calls: whatever a guest passes, the host answers, and nothing beside its directory changes.

use crate::guest::*;
use proptest::prelude::*;
use std::fs;
use wfaas_vm::ValType;
use wfaas_wasi::preview1::FUNCTIONS;

/// Names that lead anywhere, and some that are no names.
const PATHS: &[&[u8]] = &[
    b"a",
    b"b",
    b"dir",
    b"dir/c",
    b"dir/..",
    b"..",
    b"../out",
    b"../out/secret",
    b"/",
    b".",
    b"",
    b"up/secret",
    b"up",
    b"a/",
    b"dir/",
    b"\xff",
    b"a\0b",
    b"new",
    b"dir/new",
    b"../new",
    b"link",
];

/// One argument: where it is a path, a descriptor, an address or anything.
fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..10,
        2 => 3u64..8,
        2 => Just(RESULT),
        2 => Just(DATA),
        1 => Just(600u64),
        1 => any::<u64>(),
        1 => MEMORY - 70..MEMORY + 10,
        1 => Just(ALL),
    ]
}

#[derive(Debug, Clone)]
struct Call {
    function: usize,
    args: Vec<u64>,
    paths: [usize; 2],
}

fn call() -> impl Strategy<Value = Call> {
    let paths = [0..PATHS.len(), 0..PATHS.len()];
    (0..FUNCTIONS.len(), prop::collection::vec(argument(), 9), paths)
        .prop_map(|(function, args, paths)| Call { function, args, paths })
}

/// Functions that wait for what a guest chooses.
const WAITS: [&str; 2] = ["poll_oneoff", "sock_accept"];

/// Makes a call, with addresses of paths where the function has some, mostly.
fn make(guest: &mut Guest, call: &Call) {
    let function = &FUNCTIONS[call.function];
    if WAITS.contains(&function.name) {
        return;
    }
    let mut args = call.args[..function.params.len()].to_vec();
    let [one, two] = [0, 1].map(|index| {
        let path = PATHS[call.paths[index]];
        guest.path(index as u64, path)
    });
    let at: &[usize] = match function.name {
        "path_open" | "path_filestat_get" | "path_filestat_set_times" => &[2],
        "path_link" => &[2, 5],
        "path_rename" => &[1, 4],
        "path_symlink" => &[0, 3],
        name if name.starts_with("path_") => &[1],
        _ => &[],
    };
    if call.args[8] != 0 {
        for (at, path) in at.iter().zip([one, two]) {
            args[*at..*at + 2].copy_from_slice(&path);
        }
        if let Some(first) = args.first_mut().filter(|_| !at.is_empty() && at[0] > 0) {
            *first = if call.args[8].is_multiple_of(3) { *first } else { 3 };
        }
    }
    guest.put(600, &[DATA as u32, 7, DATA as u32 + 9, 3000].map(u32::to_le_bytes).concat());
    for (arg, ty) in args.iter_mut().zip(function.params) {
        // Gigabytes are the disk's business.
        let is_size =
            *ty == ValType::I64 && matches!(function.name, "fd_allocate" | "fd_filestat_set_size");
        *arg = if is_size { *arg % (1 << 20) } else { *arg };
    }
    guest.call(function.name, &args);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_calls_stay_in_their_directory(
        calls in prop::collection::vec(call(), 1..120),
        pool in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("in/dir")).unwrap();
        fs::create_dir(path("out")).unwrap();
        fs::write(path("out/secret"), "secret").unwrap();
        fs::write(path("in/a"), "a file").unwrap();
        std::os::unix::fs::symlink("../out", path("in/up")).unwrap();
        std::os::unix::fs::symlink("a", path("in/link")).unwrap();
        let before = fs::metadata(path("out/secret")).unwrap().modified().unwrap();
        let mode = if pool { Mode::Pool } else { Mode::Blocking };
        let mut guest = Guest::new(host(&path("in"), false), mode);
        // A guest that writes more to them than there is room for is ended.
        [1, 2].iter().for_each(|stream| assert_eq!(guest.call("fd_close", &[*stream]), 0));
        calls.iter().for_each(|call| make(&mut guest, call));
        prop_assert_eq!(fs::read(path("out/secret")).unwrap(), b"secret");
        prop_assert_eq!(fs::metadata(path("out/secret")).unwrap().modified().unwrap(), before);
        prop_assert_eq!(fs::read_dir(path("out")).unwrap().count(), 1);
        prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
