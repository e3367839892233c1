use super::{Folder, Options, Place, Spec, evict, key};
use std::path::Path;
use std::time::Duration;
use wfaas_abi::BoundsStrategy;
use wfaas_abi::cpu::CpuFeatures;
use wfaas_build::{Built, Init, Report, WarmUp};
use wfaas_compiler::{Effort, OptLevel, Passes, Proofs, Proposals};

fn place(caches: &Path, key: &str, most: u64) -> Place {
    let cache = Folder::below(caches, super::FOLDER).expect("a folder of our own");
    Place { cache, key: key.to_owned(), most }
}

fn built(size: usize) -> Built {
    let report = Report {
        compile: Duration::from_millis(3),
        init: Some(Duration::from_millis(4)),
        warm_up: None,
        notes: vec!["a note".to_owned()],
        saw_dirs: false,
    };
    Built { artifact: vec![7; size], debug: Some(b"lines".to_vec()), report }
}

fn entries(caches: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(caches.join("wfaas/builds")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn a_build_comes_back_as_it_was() {
    let caches = tempfile::tempdir().unwrap();
    let place = place(caches.path(), "key", 1 << 20);
    assert!(place.get().is_none());
    for built in [built(1000), Built { debug: None, ..built(0) }, built(5)] {
        place.put(&built);
        let found = place.get().expect("it was put there");
        assert_eq!(found.artifact, built.artifact);
        assert_eq!(found.debug, built.debug);
        assert_eq!(found.report, built.report);
    }
    assert_eq!(entries(caches.path()).len(), 1);
}

#[test]
fn damaged_entries_are_none_and_go() {
    let caches = tempfile::tempdir().unwrap();
    let place = place(caches.path(), "key", 1 << 20);
    place.put(&built(100));
    let file = caches.path().join("wfaas/builds/key");
    let whole = std::fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&file, damaged).unwrap();
        assert!(place.get().is_none(), "byte {at}");
        assert!(!file.exists(), "byte {at}");
    }
    for length in [0, 7, 63, 64, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert!(place.get().is_none(), "{length} bytes");
    }
    std::fs::write(&file, [&whole[..], b"more"].concat()).unwrap();
    assert!(place.get().is_none());
    std::fs::write(&file, whole).unwrap();
    assert!(place.get().is_some());
}

#[test]
fn files_of_others_are_not_believed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let caches = tempfile::tempdir().unwrap();
    let place = place(caches.path(), "key", 1 << 20);
    place.put(&built(100));
    let file = caches.path().join("wfaas/builds/key");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o620)).unwrap();
    assert!(place.get().is_none(), "others can write to it");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert!(place.get().is_some());
    let elsewhere = caches.path().join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(place.get().is_none(), "a link");
    std::fs::set_permissions(file.parent().unwrap(), PermissionsExt::from_mode(0o770)).unwrap();
    assert!(
        Folder::below(caches.path(), super::FOLDER).is_none(),
        "others can write to the folder"
    );
}

/// The one that was used longest ago goes first, where it was made does not count.
#[test]
fn the_least_recently_used_go_first() {
    let caches = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c"];
    for name in names {
        place(caches.path(), name, 1 << 20).put(&built(10_000));
    }
    let age = |name: &str, seconds: u64| {
        let file = std::fs::File::open(caches.path().join("wfaas/builds").join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    names.iter().zip([1, 2, 3]).for_each(|(name, seconds)| age(name, seconds));
    assert!(place(caches.path(), "a", 1 << 20).get().is_some());
    // Room for three of them, and for no fourth.
    place(caches.path(), "d", 35_000).put(&built(10_000));
    let there = |name| place(caches.path(), name, 1 << 20).get().is_some();
    assert_eq!(["a", "b", "c", "d"].map(there), [true, false, true, true]);
    // Too large for a cache of this size.
    place(caches.path(), "e", 35_000).put(&built(30_000));
    assert_eq!(["a", "b", "c", "d", "e"].map(there), [true, false, true, true, false]);
    evict(&Folder::below(caches.path(), super::FOLDER).unwrap(), 0);
    assert_eq!(entries(caches.path()).len(), 0);
}

#[test]
fn builders_at_once_leave_whole_entries() {
    let caches = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for size in [1000, 100_000] {
            let caches = caches.path();
            scope.spawn(move || {
                let place = place(caches, &format!("key {size}"), 250_000);
                for _ in 0..100 {
                    place.put(&built(size));
                    if let Some(found) = place.get() {
                        assert_eq!(found.artifact.len(), size);
                    }
                }
            });
        }
    });
    assert!(place(caches.path(), "key 1000", 250_000).get().is_some());
}

#[test]
fn every_input_is_in_the_key() {
    let (module, spec) = (b"(module)", Spec::default());
    let usual = Options::default();
    let compile = usual.compile;
    let with = |compile| Options { compile, ..usual.clone() };
    let init = |init: Init| Options { init: Some(init), ..usual.clone() };
    let named = |name: &str| Some(name.to_owned());
    let others = [
        with(wfaas_compiler::Options { opt: OptLevel::Fast, ..compile }),
        with(wfaas_compiler::Options { cpu: CpuFeatures(1), ..compile }),
        with(wfaas_compiler::Options {
            proposals: Proposals::ALL.without("simd").unwrap(),
            ..compile
        }),
        with(wfaas_compiler::Options { bounds: BoundsStrategy::Trap, ..compile }),
        with(wfaas_compiler::Options { elide: Proofs::NONE, ..compile }),
        with(wfaas_compiler::Options { verify_bounds: true, ..compile }),
        with(wfaas_compiler::Options { passes: Passes::NONE, ..compile }),
        with(wfaas_compiler::Options { effort: Some(Effort::Linear), ..compile }),
        Options { init: None, ..usual.clone() },
        init(Init { program: named("p"), ..Init::default() }),
        init(Init { export: named("p"), ..Init::default() }),
        init(Init { time: Some(Duration::from_secs(1)), ..Init::default() }),
        Options { bundle: Some(b"files".to_vec()), ..usual.clone() },
        Options { warm_up: vec![WarmUp::with_body("x")], ..usual.clone() },
    ];
    let mut keys = vec![
        key::of("1", module, &spec, &usual),
        key::of("2", module, &spec, &usual),
        key::of("1", b"(module )", &spec, &usual),
        key::of("1", module, &Spec { args: vec!["x".to_owned()], ..spec.clone() }, &usual),
    ];
    keys.extend(others.iter().map(|options| key::of("1", module, &spec, options)));
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
    let again = key::of("1", module, &spec, &usual);
    assert!(keys.contains(&again), "the same inputs, the same key");
}
