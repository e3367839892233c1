//! The trees of a guest, and the canary beside them.
//!
//! ```text
//!  rw/     3: a directory of the host               out/   the canary
//!  ro/     4: another one, to read only
//!          5: a bundle, 6: memory, 7: memory over the bundle
//!  lower/  8: memory over a directory of the host   9: a listener
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::JoinHandle;
use tempfile::TempDir;
use wfaas_vm::bundle::{BundleWriter, set_bundle};
use wfaas_vm::{Artifact, Config, Engine, Module};
use wfaas_wasi::files::{
    BundleDirectory, Directory, Files, HostDirectory, Job, MemoryDirectory, Preopen, TreeLimits,
};
use wfaas_wasi::{Input, Output, Wasi};

/// The content of the canary.
pub(crate) const SECRET: &[u8] = b"the canary sings at 4:07 o'clock";

/// Most descriptors of a guest.
const DESCRIPTORS: usize = 40;

pub(crate) struct World {
    folder: TempDir,
    before: Vec<BTreeMap<PathBuf, Seen>>,
    pool: Option<Pool>,
    /// The other end of the first connection that is accepted.
    client: TcpStream,
    files: Option<Arc<Files>>,
}

/// A pool with one thread, which has ended when the world is looked at.
struct Pool {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

/// All that is known of a file but when it was read: type and mode, inode, links, time, content.
type Seen = (u32, u64, u64, (i64, i64), Vec<u8>);

/// The folders that nobody may change.
const KEPT: [&str; 3] = ["out", "ro", "lower"];

impl World {
    pub(crate) fn new(is_small: bool) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["rw", "ro", "lower"] {
            plant(&path(name));
        }
        fs::create_dir_all(path("out/dir")).expect("a folder");
        fs::write(path("out/secret"), SECRET).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut client =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        client.write_all(b"from the client").expect("room");
        let limit = if is_small { 96 << 10 } else { 8 << 20 };
        let mut files = trees(folder.path(), limit);
        files.add_listener(listener).expect("a listener");
        let pool = Pool::start(&mut files);
        let before = KEPT.map(|kept| seen(&path(kept))).into();
        World { folder, before, pool: Some(pool), client, files: Some(Arc::new(files)) }
    }

    /// The state of a guest that finds the trees.
    pub(crate) fn wasi(&self) -> Wasi {
        let builder = Wasi::builder().arg("surface").env("A", "b").stdin(Input::bytes("input"));
        let builder = builder.stdout(Output::capture(1 << 30)).stderr(Output::capture(1 << 30));
        builder.files(self.files.clone().expect("files")).build().expect("an environment")
    }

    pub(super) fn secret_path(&self) -> String {
        self.folder.path().join("out/secret").to_string_lossy().into_owned()
    }

    /// Looks whether everything is as it has to be, once the guest is gone.
    pub(crate) fn check(&mut self) {
        drop(self.files.take());
        self.pool.take().into_iter().for_each(Pool::end);
        for (kept, before) in KEPT.iter().zip(&self.before) {
            assert_eq!(seen(&self.folder.path().join(kept)), *before, "{kept} has changed");
        }
        let count = fs::read_dir(self.folder.path()).expect("the folder").count();
        assert_eq!(count, 4, "something is beside the guest's directories");
        drop(self.client.shutdown(std::net::Shutdown::Both));
    }
}

impl Pool {
    fn start(files: &mut Files) -> Pool {
        let (jobs, work) = mpsc::channel::<Job>();
        let thread = std::thread::spawn(move || work.into_iter().for_each(|job| job()));
        let queue = jobs.clone();
        files.set_pool(Box::new(move |job| queue.send(job).expect("a thread")));
        Pool { jobs, thread }
    }

    fn end(self) {
        drop(self.jobs);
        self.thread.join().expect("no job panics");
    }
}

/// A folder with a file of each kind, and with links that lead everywhere.
fn plant(folder: &Path) {
    fs::create_dir_all(folder.join("dir")).expect("a folder");
    fs::write(folder.join("a"), "a file").expect("a file");
    fs::write(folder.join("dir/c"), vec![7; 9000]).expect("a file");
    fs::write(folder.join("big"), vec![1; 600_000]).expect("a file");
    fs::hard_link(folder.join("a"), folder.join("dir/b")).expect("a link");
    for (target, name) in LINKS {
        symlink(target, folder.join(name)).expect("a link");
    }
    symlink(folder.with_file_name("out"), folder.join("absolute")).expect("a link");
    let mode = rustix::fs::Mode::from(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("fifo"), fifo, mode, 0).expect("a fifo");
}

/// Links: targets and names.
const LINKS: [(&str, &str); 5] = [
    ("a", "link"),
    ("../out", "up"),
    ("loop", "loop"),
    ("/proc/self/root", "magic"),
    ("../../out/secret", "dir/up"),
];

/// The same in a bundle.
fn bundle() -> Arc<dyn Directory> {
    static MODULE: LazyLock<Module> = LazyLock::new(|| {
        let mut writer = BundleWriter::default();
        let added = [
            writer.directory("dir", 1),
            writer.file("a", 1, b"a file".to_vec()),
            writer.file("big", 1, vec![1; 600_000]),
            writer.file("dir/c", 1, vec![7; 9000]),
        ];
        assert!(added.iter().all(Result::is_ok), "{added:?}");
        for (target, name) in LINKS {
            writer.link(name, 1, target).expect("a link");
        }
        let module = wfaas_compiler::compile(b"(module)", &Default::default());
        let artifact = module.expect("a module").artifact;
        let parsed = Artifact::parse(&artifact).expect("an artifact");
        let artifact = set_bundle(&parsed, &writer.finish()).expect("a bundle");
        let engine = Engine::new(Config::default()).expect("an engine");
        Module::from_bytes(&engine, &artifact).expect("an artifact")
    });
    Arc::new(BundleDirectory::root(MODULE.bundle().expect("a bundle")))
}

fn trees(folder: &Path, limit: u64) -> Files {
    let host = |name: &str, read_only| -> Arc<dyn Directory> {
        Arc::new(HostDirectory::open(&folder.join(name), read_only).expect("a directory"))
    };
    let limits = TreeLimits::of_bytes(limit);
    let over = |name: &str, lower: Arc<dyn Directory>| {
        Preopen::fresh(name, move || Arc::new(MemoryDirectory::over(lower.clone(), limits)))
    };
    let mut files = Files::default();
    for directory in [
        Preopen::shared("/rw", host("rw", false)),
        Preopen::shared("/ro", host("ro", true)),
        Preopen::shared("/bundle", bundle()),
        Preopen::fresh("/memory", move || Arc::new(MemoryDirectory::root(limits))),
        over("/", bundle()),
        over("/over", host("lower", true)),
    ] {
        files.add(directory).expect("a name that is free");
    }
    files.set_max_descriptors(DESCRIPTORS);
    files
}

/// Everything below a folder.
fn seen(folder: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path).expect("it is there");
        let mut content = Vec::new();
        if meta.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if meta.is_file() {
            content = fs::read(&path).expect("a file");
        } else if meta.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            content = target.into_os_string().into_encoded_bytes();
        }
        let time = (meta.mtime(), meta.mtime_nsec());
        all.insert(path, (meta.mode(), meta.ino(), meta.nlink(), time, content));
    }
    all
}
