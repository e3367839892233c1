use super::{
    Artifact, ArtifactError, Duration, FOLDER, File, Folder, Identity, MAX_FILES, entry,
    entry_name, identity, make_room, verify_with,
};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder of caches, and beside it an artifact whose last change is long ago.
struct Scene {
    folder: TempDir,
    artifact: PathBuf,
    /// The age from which a change counts as settled.
    settled: Duration,
}

/// The clock of local file systems ticks at least a hundred times a second.
const SETTLED: Duration = Duration::from_millis(50);

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cache")).unwrap();
        let artifact = folder.path().join("a.faas");
        std::fs::write(&artifact, artifact_bytes()).unwrap();
        Scene { folder, artifact, settled: SETTLED }
    }

    /// The same, when its file is settled.
    fn settled() -> Scene {
        let scene = Scene::new();
        std::thread::sleep(SETTLED * 2);
        scene
    }

    fn caches(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn entries(&self) -> PathBuf {
        self.caches().join("wfaas/verified")
    }

    fn entry_count(&self) -> usize {
        std::fs::read_dir(self.entries()).map_or(0, Iterator::count)
    }

    /// The outcome of a start with the file.
    fn start(&self) -> Result<(), ArtifactError> {
        let file = File::open(&self.artifact).unwrap();
        let bytes = std::fs::read(&self.artifact).unwrap();
        verify_with(
            Folder::below(&self.caches(), FOLDER).as_ref(),
            self.settled,
            &file,
            &Artifact::parse(&bytes)?,
        )
    }

    /// Whether a start believes the cache, which says so of a file whose content it has not seen.
    fn believes(&self) -> bool {
        let file = File::open(&self.artifact).unwrap();
        let damaged = flipped(&std::fs::read(&self.artifact).unwrap());
        let cache = Folder::below(&self.caches(), FOLDER);
        verify_with(cache.as_ref(), self.settled, &file, &Artifact::parse(&damaged).unwrap())
            .is_ok()
    }
}

fn artifact_bytes() -> Vec<u8> {
    let wat = br#"(module (memory 1) (data (i32.const 0) "text") (func (export "_start")))"#;
    wfaas_compiler::compile(wat, &Default::default()).unwrap().artifact
}

/// With one bit of the image flipped, which only the content hash notices.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let at = bytes.windows(4).rposition(|window| window == b"text").unwrap();
    damaged[at] ^= 1;
    damaged
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_settled_file_is_checked_once_and_again_after_each_change() {
    let mut scene = Scene::settled();
    assert!(!scene.believes(), "there is no entry yet");
    scene.start().unwrap();
    assert!(scene.believes());
    assert_eq!((scene.entry_count(), mode(&scene.entries())), (1, 0o700));

    // The same size, and the old time of modification: the time of the change tells.
    let meta = std::fs::metadata(&scene.artifact).unwrap();
    let good = std::fs::read(&scene.artifact).unwrap();
    let file = File::options().write(true).open(&scene.artifact).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &flipped(&good), 0).unwrap();
    file.set_modified(meta.modified().unwrap()).unwrap();
    assert!(matches!(scene.start(), Err(ArtifactError::ContentHash)));
    // Mended, but just now, however long the machine takes for it: nothing is entered, nor is the old
    // entry believed.
    scene.settled = Duration::from_secs(3600);
    std::fs::write(&scene.artifact, &good).unwrap();
    scene.start().unwrap();
    assert!(!scene.believes());
}

#[test]
fn a_file_that_may_still_change_in_the_same_tick_is_not_entered() {
    let scene = Scene::settled();
    set_mode(&scene.artifact, 0o600);
    let file = File::open(&scene.artifact).unwrap();
    let bytes = artifact_bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    let cache = Folder::below(&scene.caches(), FOLDER);
    verify_with(cache.as_ref(), super::SETTLED, &file, &artifact).unwrap();
    assert_eq!(scene.entry_count(), 0);
    let mut identity = identity(&file).unwrap();
    assert!(identity.age().unwrap() < super::SETTLED);
    identity.changed.0 -= 3;
    assert!(identity.age().unwrap() > super::SETTLED);
    identity.changed.0 += 3600;
    assert_eq!(identity.age(), None, "the clock was set back");
    identity.changed.0 = -1;
    assert_eq!(identity.age(), None);
}

#[test]
fn any_difference_is_another_file() {
    let scene = Scene::new();
    let bytes = artifact_bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    let identity = identity(&File::open(&scene.artifact).unwrap()).unwrap();
    let changed = |change: fn(&mut Identity)| {
        let mut changed = identity.clone();
        change(&mut changed);
        entry_name(&changed) + &entry(&changed, &artifact)
    };
    let entries = [
        changed(|_| {}),
        changed(|identity| identity.device += 1),
        changed(|identity| identity.inode += 1),
        changed(|identity| identity.size += 1),
        changed(|identity| identity.modified.0 += 1),
        changed(|identity| identity.modified.1 ^= 1),
        changed(|identity| identity.changed.0 += 1),
        changed(|identity| identity.changed.1 ^= 1),
    ];
    let different: std::collections::BTreeSet<_> = entries.iter().collect();
    assert_eq!(different.len(), entries.len());
}

/// Variants of a place that somebody else can write to, or has made.
#[test]
fn a_cache_that_is_not_the_users_alone_is_neither_believed_nor_written() {
    let scene = Scene::settled();
    scene.start().unwrap();
    let (ours, entries) = (scene.caches().join("wfaas"), scene.entries());
    let entry = std::fs::read_dir(&entries).unwrap().next().unwrap().unwrap().path();
    for path in [&ours, &entries, &entry] {
        let before = mode(path);
        for open_to_others in [before | 0o020, before | 0o002] {
            set_mode(path, open_to_others);
            assert!(!scene.believes(), "{} with {open_to_others:o}", path.display());
        }
        set_mode(path, before);
        assert!(scene.believes());
    }
    if rustix::process::geteuid().is_root() {
        for path in [&ours, &entries, &entry] {
            std::os::unix::fs::chown(path, Some(12345), None).unwrap();
            assert!(!scene.believes(), "{} of another user", path.display());
            std::os::unix::fs::chown(path, Some(0), None).unwrap();
        }
        std::fs::remove_dir_all(&ours).unwrap();
        std::os::unix::fs::chown(scene.caches(), Some(12345), None).unwrap();
        scene.start().unwrap();
        assert!(!ours.exists(), "nothing is made in the place of another user");
    }
}

#[test]
fn links_and_foreign_files_in_the_cache_are_not_followed() {
    let scene = Scene::settled();
    scene.start().unwrap();
    let entries = scene.entries();
    let entry = std::fs::read_dir(&entries).unwrap().next().unwrap().unwrap().path();
    let elsewhere = scene.folder.path().join("elsewhere");
    std::fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    assert!(!scene.believes());
    let good = std::fs::read(&elsewhere).unwrap();
    for wrong in [&good[..good.len() - 1], &[&good[..], b"x"].concat(), b""] {
        std::fs::remove_file(&entry).unwrap();
        std::fs::write(&entry, wrong).unwrap();
        set_mode(&entry, 0o600);
        assert!(!scene.believes());
    }
    std::fs::remove_file(&entry).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &entry, rustix::fs::Mode::RUSR).unwrap();
    assert!(!scene.believes(), "and nothing waits for a pipe");
    std::fs::rename(&entries, scene.folder.path().join("moved")).unwrap();
    symlink(scene.folder.path().join("moved"), &entries).unwrap();
    scene.start().unwrap();
}

#[test]
fn starts_work_without_a_cache() {
    let scene = Scene::settled();
    std::fs::remove_dir(scene.caches()).unwrap();
    std::fs::write(scene.caches(), "a file in its place").unwrap();
    scene.start().unwrap();
    assert!(!scene.believes());
    assert!(Folder::below(Path::new("/"), FOLDER).is_none());
    assert!(Folder::below(Path::new("/proc/no/such/place"), FOLDER).is_none());
    assert!(Folder::below(Path::new("/proc/self"), FOLDER).is_none(), "nothing can be made there");
}

#[test]
fn the_number_of_entries_is_bounded() {
    let scene = Scene::new();
    let cache = Folder::below(&scene.caches(), FOLDER).unwrap();
    for number in 0..MAX_FILES {
        std::fs::write(scene.entries().join(number.to_string()), "").unwrap();
    }
    make_room(&cache);
    cache.write("one", &[b"mo", b"re"]);
    assert_eq!(scene.entry_count(), 1);
    assert_eq!(cache.read("one", 4).unwrap(), b"more");
    assert_eq!(cache.read("one", 2).unwrap(), b"mor", "one more than expected");
}
