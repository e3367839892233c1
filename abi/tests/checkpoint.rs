//! Checkpoints: bytes and back, damaged bytes.

use wfaas_abi::checkpoint::*;

/// One of everything.
fn checkpoint() -> Checkpoint {
    let descriptor = |number, object| SavedDescriptor {
        number,
        object,
        rights: 0x1234_5678_9abc,
        inheriting: 7,
        flags: 4,
    };
    let file = |host| SavedFile {
        tree: 1,
        path: "lib/a.py".to_owned(),
        read: true,
        write: false,
        position: 1 << 40,
        host,
    };
    let stat = SavedStat { size: 99, modified: 1_700_000_000_000_000_001 };
    Checkpoint {
        abi: "scgi".to_owned(),
        until: Some(("env".to_owned(), "next".to_owned())),
        arguments: vec!["python".to_owned(), String::new()],
        variables: vec![Variable::new("HOME", "/root")],
        directories: vec!["/".to_owned(), "/data".to_owned()],
        root: "/tmp".to_owned(),
        descriptors: vec![
            descriptor(0, SavedObject::Stream(0)),
            descriptor(3, SavedObject::Preopen(1)),
            descriptor(4, SavedObject::File(file(None))),
            descriptor(9, SavedObject::File(file(Some(stat)))),
            descriptor(10, SavedObject::Directory { tree: 0, path: "x".to_owned() }),
        ],
        monotonic: 12_345,
        learned: Learned(Learned::RANDOM.0 | Learned::WALL_CLOCK.0),
        reseeds: vec![Reseed { address: 1024, bytes: 2500 }, Reseed { address: 3524, bytes: 8 }],
    }
}

#[test]
fn a_checkpoint_survives_its_bytes() {
    let checkpoint = checkpoint();
    let bytes = checkpoint.encode().unwrap();
    assert_eq!(Checkpoint::parse(&bytes).unwrap(), checkpoint);
    assert!(bytes.starts_with(b"WFAASCP\0\x01\0\0\0"));
    let plain = Checkpoint { until: None, ..Checkpoint::default() };
    assert_eq!(Checkpoint::parse(&plain.encode().unwrap()).unwrap(), plain);
    assert_eq!(checkpoint.learned.names(), ["random bytes", "the time of day"]);
}

#[test]
fn damaged_bytes_are_refused_or_another_checkpoint() {
    let bytes = checkpoint().encode().unwrap();
    for at in 0..bytes.len() {
        assert!(Checkpoint::parse(&bytes[..at]).is_err(), "truncated at {at}");
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            if let Ok(other) = Checkpoint::parse(&damaged) {
                assert!(other.encode().is_ok());
            }
        }
    }
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let mut wrong = checkpoint();
    wrong.directories.pop();
    assert!(Checkpoint::parse(&wrong.encode().unwrap()).is_err());
    let mut unsorted = checkpoint();
    unsorted.descriptors.swap(0, 1);
    assert!(Checkpoint::parse(&unsorted.encode().unwrap()).is_err());
}

#[test]
fn ranges_to_reseed_are_apart_and_small_together() {
    let with = |reseeds: &[(u64, u64)]| {
        let reseeds = reseeds.iter().map(|&(address, bytes)| Reseed { address, bytes }).collect();
        Checkpoint { reseeds, ..checkpoint() }
    };
    let half = MAX_RESEEDED / 2;
    let parse = |checkpoint: Checkpoint| Checkpoint::parse(&checkpoint.encode().unwrap());
    parse(with(&[(0, half), (half, half)])).unwrap();
    for wrong in [[(0, 8), (7, 8)], [(8, 8), (0, 8)], [(0, 8), (u64::MAX, 2)]] {
        assert!(parse(with(&wrong)).is_err(), "{wrong:?}");
    }
    assert!(with(&[(0, half), (half, half + 1)]).encode().is_err());
    // A writer of another kind does not check.
    let mut bytes = with(&[(7, MAX_RESEEDED)]).encode().unwrap();
    let at = bytes.windows(8).position(|eight| eight == MAX_RESEEDED.to_le_bytes()).unwrap();
    bytes[at..at + 8].copy_from_slice(&(MAX_RESEEDED + 1).to_le_bytes());
    assert!(Checkpoint::parse(&bytes).is_err());
}
