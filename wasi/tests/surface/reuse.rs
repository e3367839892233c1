//! A pool's next guest finds everything as if it were the first one.

use crate::drive::guest::{Ended, Guest, Kind, MEMORY};
use crate::drive::source::Source;
use crate::drive::world::World;
use crate::drive::{Seeds, drive};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Seeds that are tried in any case, and the time after which there are no more of them.
const SEEDS: u64 = 150;
const TIME: Duration = Duration::from_secs(8);

/// Trees that are a guest's own, or that no guest changes. The first one is a directory of the host that
/// all guests may change.
const TREES: std::ops::Range<u64> = 4..9;

/// Descriptors to look at: more than there may be.
const DESCRIPTORS: std::ops::Range<u64> = 0..45;

/// No call takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(20);

/// Addresses: of a result, of a path, of data.
const RESULT: u64 = 512;
const PATH: u64 = 4096;
const DATA: u64 = 65536;
const ROOM: usize = 128 << 10;

#[test]
fn a_request_finds_nothing_of_the_one_before() {
    let started = Instant::now();
    for seed in 0..SEEDS {
        let bytes = Seeds::bytes(!seed);
        let mut source = Source::new(&bytes);
        let kind = Kind { unstable: false, ..Kind::choose(&mut source) };
        let mut world = World::new(source.one_in(2));
        let first = look(kind, &world);
        let mut guest = Guest::new(kind, world.wasi());
        drive(&mut guest, &mut source, &world);
        drop(guest);
        let next = look(kind, &world);
        assert_eq!((next.descriptors, next.input), (first.descriptors, first.input), "seed {seed}");
        for (file, seen) in &next.files {
            assert_eq!(Some(seen), first.files.get(file), "seed {seed}: {file:?}");
        }
        assert_eq!(next.files.len(), first.files.len(), "seed {seed}");
        world.check();
        if started.elapsed() > TIME {
            break;
        }
    }
}

/// Everything that a new guest can see.
struct Sight {
    /// What is known of each descriptor, or why not.
    descriptors: Vec<Result<Vec<u8>, u16>>,
    input: Vec<u8>,
    /// By descriptor and path.
    files: BTreeMap<(u64, String), Seen>,
}

/// Type, links, size, time of a change, content.
type Seen = (u8, u64, u64, u64, Vec<u8>);

fn look(kind: Kind, world: &World) -> Sight {
    let mut guest = Guest::new(kind, world.wasi());
    guest.time = PATIENCE;
    assert!(guest.get(0, MEMORY as usize).iter().all(|byte| *byte == 0), "memory is not zeroed");
    let descriptors = DESCRIPTORS.map(|fd| record(&mut guest, fd)).collect();
    let input = read(&mut guest, 0);
    let mut files = BTreeMap::new();
    TREES.for_each(|fd| walk(&mut guest, fd, &mut files));
    Sight { descriptors, input, files }
}

fn call(guest: &mut Guest<'_>, name: &str, args: &[u64]) -> u16 {
    match guest.call(name, args) {
        Ended::Answered(errno) => errno,
        Ended::Late | Ended::Over => panic!("{name} {args:?} is not answered"),
    }
}

fn record(guest: &mut Guest<'_>, fd: u64) -> Result<Vec<u8>, u16> {
    match call(guest, "fd_fdstat_get", &[fd, RESULT]) {
        0 => Ok(guest.get(RESULT, 24)),
        errno => Err(errno),
    }
}

fn number(guest: &mut Guest<'_>, at: u64) -> u64 {
    u64::from_le_bytes(guest.get(at, 8).try_into().expect("eight bytes"))
}

/// The first bytes of a descriptor.
fn read(guest: &mut Guest<'_>, fd: u64) -> Vec<u8> {
    let iovec = [(DATA as u32).to_le_bytes(), (ROOM as u32).to_le_bytes()].concat();
    guest.put(RESULT, &iovec);
    assert_eq!(call(guest, "fd_read", &[fd, RESULT, 1, RESULT + 8]), 0);
    let len = number(guest, RESULT + 8) as u32;
    guest.get(DATA, len as usize)
}

/// Everything below a directory.
fn walk(guest: &mut Guest<'_>, fd: u64, files: &mut BTreeMap<(u64, String), Seen>) {
    let mut waiting = vec![".".to_owned()];
    while let Some(path) = waiting.pop() {
        guest.put(PATH, path.as_bytes());
        let at = [PATH, path.len() as u64];
        assert_eq!(call(guest, "path_filestat_get", &[fd, 0, at[0], at[1], RESULT]), 0, "{path}");
        let kind = guest.get(RESULT + 16, 1)[0];
        let [links, size, mut time] = [24, 32, 48].map(|offset| number(guest, RESULT + offset));
        let mut content = Vec::new();
        match kind {
            3 => {
                // The root of a tree in memory is made when it is looked at.
                time = 0;
                let names = list(guest, fd, at);
                waiting.extend(names.into_iter().map(|name| format!("{path}/{name}")));
            }
            4 => {
                let opened = open(guest, fd, at);
                content = read(guest, opened);
                assert_eq!(call(guest, "fd_close", &[opened]), 0);
            }
            _ => {}
        }
        files.insert((fd, path), (kind, links, size, time, content));
    }
}

fn open(guest: &mut Guest<'_>, fd: u64, [at, len]: [u64; 2]) -> u64 {
    const READ: u64 = 1 << 1 | 1 << 14;
    assert_eq!(call(guest, "path_open", &[fd, 0, at, len, 0, READ, 0, 0, RESULT]), 0);
    number(guest, RESULT) & 0xffff_ffff
}

/// Names in a directory, which fit the buffer.
fn list(guest: &mut Guest<'_>, fd: u64, at: [u64; 2]) -> Vec<String> {
    let opened = open(guest, fd, at);
    assert_eq!(call(guest, "fd_readdir", &[opened, DATA, ROOM as u64, 0, RESULT]), 0);
    let used = number(guest, RESULT) as u32 as usize;
    assert!(used < ROOM);
    let bytes = guest.get(DATA, used);
    assert_eq!(call(guest, "fd_close", &[opened]), 0);
    let (mut rest, mut names) = (&bytes[..], Vec::new());
    while let Some((head, tail)) = rest.split_at_checked(24) {
        let len = u32::from_le_bytes(head[16..20].try_into().expect("four bytes")) as usize;
        let (name, tail) = tail.split_at(len);
        names.push(String::from_utf8(name.to_vec()).expect("a name"));
        rest = tail;
    }
    names.retain(|name| name != "." && name != "..");
    names
}
