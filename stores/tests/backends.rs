//! All backends do the same: random operations, beside a model of maps in memory.

use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wfaas_function::TenantName;
use wfaas_function::stores::{
    ENTRY_BYTES, Operation, Outcome, Page, Space, StoreBackend, StoreError, StoreGrant, StoreName,
};
use wfaas_stores::{Embedded, Redis};

/// A Redis of this test's own, at a socket in a folder.
struct Server {
    process: Child,
    folder: TempDir,
    options: Vec<String>,
}

impl Server {
    fn start() -> Server {
        Server::start_with(&[])
    }

    fn start_with(options: &[&str]) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        Server { process: redis(&folder, &options), folder, options }
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again.
    fn run(&mut self) {
        self.process = redis(&self.folder, &self.options);
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.folder.path().join("socket").display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill(); // it may be stopped already
        _ = self.process.wait();
    }
}

/// Runs a Redis that keeps nothing, until it listens.
fn redis(folder: &TempDir, options: &[String]) -> Child {
    let socket = folder.path().join("socket");
    let process = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(folder.path())
        .args(options)
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("redis-server: {error}; ./test setup installs it"));
    let end = Instant::now() + Duration::from_secs(20);
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(Instant::now() < end, "redis-server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

fn space(tenant: &str, function: &str, store: &str) -> Space {
    let tenant: TenantName = tenant.parse().unwrap();
    let store = StoreName::try_from(store.to_owned()).unwrap();
    Space::new(&tenant, function, &store, StoreGrant::default())
}

/// Most bytes of a tenant in these tests: a few of the entries that are written.
const TENANT_BYTES: u64 = 700;

/// A store as it should be.
#[derive(Default)]
struct Model(BTreeMap<String, BTreeMap<String, Vec<u8>>>);

impl Model {
    fn used(&self, tenant: &str) -> usize {
        let stores = self.0.iter().filter(|(space, _)| space.starts_with(&format!("{tenant}/")));
        let entries = stores.flat_map(|(_, store)| store);
        entries.map(|(key, value)| ENTRY_BYTES + key.len() + value.len()).sum()
    }

    /// Writes, unless the tenant has too much then, and more than before.
    fn write(
        &mut self,
        space: &Space,
        outcome: Outcome,
        change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>),
    ) -> Result<Outcome, StoreError> {
        let (name, used) = (space.to_string(), self.used(space.tenant()));
        let before = self.0.entry(name.clone()).or_default().clone();
        change(self.0.get_mut(&name).unwrap());
        let after = self.used(space.tenant());
        if after > used && after as u64 > TENANT_BYTES {
            self.0.insert(name, before);
            return Err(StoreError::Full(TENANT_BYTES));
        }
        Ok(outcome)
    }

    fn operate(&mut self, space: &Space, operation: Operation) -> Result<Outcome, StoreError> {
        let store = self.0.entry(space.to_string()).or_default();
        match operation {
            Operation::Get(keys) => {
                Ok(Outcome::Values(keys.iter().map(|key| store.get(key).cloned()).collect()))
            }
            Operation::Exists(key) => Ok(Outcome::Exists(store.contains_key(&key))),
            Operation::List { after, most } => {
                let behind = |key: &&String| after.as_ref().is_none_or(|after| *key > after);
                let mut keys: Vec<String> = store.keys().filter(behind).cloned().collect();
                let more = keys.len() > most;
                keys.truncate(most);
                Ok(Outcome::Keys(Page { keys, more }))
            }
            Operation::Set(pairs) => self.write(space, Outcome::Done, |store| store.extend(pairs)),
            Operation::Delete(keys) => {
                store.retain(|key, _| !keys.contains(key));
                Ok(Outcome::Done)
            }
            Operation::Increment { key, by } => {
                let old = store.get(&key).map_or("0", |old| std::str::from_utf8(old).unwrap());
                let is_number = !old.is_empty() && !old.starts_with(['x', '+', ' ']);
                let new = old.parse::<i64>().ok().filter(|_| is_number && old != "007");
                let new = new.and_then(|old| old.checked_add(by));
                let new = new.ok_or(StoreError::NoNumber)?;
                self.write(space, Outcome::Number(new), |store| {
                    store.insert(key, new.to_string().into_bytes());
                })
            }
            Operation::Swap { key, expected, value } => {
                match store.get(&key) == expected.as_ref() {
                    false => Ok(Outcome::Swapped(false)),
                    true => self.write(space, Outcome::Swapped(true), |store| {
                        store.insert(key, value);
                    }),
                }
            }
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "ab", "ä", "(", "[", "zzzzzzzz", "\0", "-"])
        .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let long = "x".repeat(200);
    let some = ["", "1", "-5", "007", "+1", " 1", "x", "9223372036854775807", long.as_str()];
    prop::sample::select(some.map(|text| text.as_bytes().to_vec()).to_vec())
}

fn operation() -> impl Strategy<Value = Operation> {
    let keys = || prop::collection::btree_set(key(), 1..4);
    prop_oneof![
        keys().prop_map(|keys| Operation::Get(keys.into_iter().collect())),
        key().prop_map(Operation::Exists),
        prop::collection::btree_map(key(), value(), 1..4).prop_map(Operation::Set),
        keys().prop_map(|keys| Operation::Delete(keys.into_iter().collect())),
        (prop::option::of(key()), 1_usize..4)
            .prop_map(|(after, most)| Operation::List { after, most }),
        (key(), prop::sample::select(vec![1, -1, i64::MAX, i64::MIN]))
            .prop_map(|(key, by)| Operation::Increment { key, by }),
        (key(), prop::option::of(value()), value())
            .prop_map(|(key, expected, value)| Operation::Swap { key, expected, value }),
    ]
}

/// Applies random operations to backends, which are made anew, or emptied, for each case.
fn compare(runtime: &Runtime, make: impl Fn(u32) -> (Arc<dyn StoreBackend>, [Space; 3])) {
    let case = Cell::new(0);
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    let operations = prop::collection::vec((0_usize..3, operation()), 1..60);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&operations, |operations| {
        let (backend, spaces) = make(case.replace(case.get() + 1));
        let mut model = Model::default();
        for (space, operation) in operations {
            let space = &spaces[space];
            let found = runtime.block_on(backend.begin(space, operation.clone()));
            let expected = model.operate(space, operation.clone());
            prop_assert_eq!(found, expected, "{} {:?}", space, operation);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Stores of two tenants, of names that no other case has.
fn spaces(case: u32) -> [Space; 3] {
    let (one, two) = (format!("one{case}"), format!("two{case}"));
    [space(&one, "f", "default"), space(&one, "g", "default"), space(&two, "f", "default")]
}

#[test]
fn values_in_memory_are_as_in_maps() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    compare(&runtime, |case| {
        (Arc::new(Embedded::in_memory(TENANT_BYTES, handle.clone())), spaces(case))
    });
}

#[test]
fn values_in_redis_are_as_in_maps() {
    let (runtime, server) = (Runtime::new().unwrap(), Server::start());
    let redis = Redis::new(&server.url(), TENANT_BYTES, runtime.handle().clone()).unwrap();
    compare(&runtime, |case| (Arc::new(redis.clone()), spaces(case)));
}

#[test]
fn values_in_a_file_are_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values");
    let space = space("t", "f", "default");
    for expected in [1, 2, 3] {
        let runtime = Runtime::new().unwrap();
        let store = Embedded::new(&path, TENANT_BYTES, runtime.handle().clone());
        let increment = Operation::Increment { key: "count".to_owned(), by: 1 };
        let outcome = runtime.block_on(store.begin(&space, increment));
        assert_eq!(outcome, Ok(Outcome::Number(expected)));
    }
}

#[test]
fn a_file_that_is_no_store_is_not_available() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values");
    std::fs::write(&path, "not a store").unwrap();
    let runtime = Runtime::new().unwrap();
    let store = Embedded::new(&path, TENANT_BYTES, runtime.handle().clone());
    for operation in [Operation::get("k"), Operation::set("k", Vec::new())] {
        let outcome = runtime.block_on(store.begin(&space("t", "f", "default"), operation));
        assert_eq!(outcome, Err(StoreError::Unavailable));
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"not a store", "it is left as it was");
}

#[test]
fn writes_that_come_together_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, server) = (Runtime::new().unwrap(), Server::start());
    let handle = runtime.handle().clone();
    let file = Embedded::new(folder.path().join("values"), TENANT_BYTES, handle.clone());
    let redis = Redis::new(&server.url(), TENANT_BYTES, handle).unwrap();
    let backends: [Arc<dyn StoreBackend>; 2] = [Arc::new(file), Arc::new(redis)];
    for store in backends {
        let space = space("t", "f", "default");
        let increment = || Operation::Increment { key: "count".to_owned(), by: 1 };
        let begin = |_| runtime.spawn(store.begin(&space, increment()));
        let all: Vec<_> = (0..500).map(begin).collect();
        let outcomes = all.into_iter().map(|one| runtime.block_on(one).unwrap());
        let mut numbers: Vec<i64> = outcomes
            .map(|outcome| match outcome {
                Ok(Outcome::Number(number)) => number,
                other => panic!("{other:?}"),
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=500).collect::<Vec<_>>(), "{store:?}");
    }
}

#[test]
fn a_redis_that_comes_back_is_connected_again() {
    let (runtime, mut server) = (Runtime::new().unwrap(), Server::start());
    let redis = Redis::new(&server.url(), TENANT_BYTES, runtime.handle().clone()).unwrap();
    let space = space("t", "f", "default");
    let set = || runtime.block_on(redis.begin(&space, Operation::set("k", Vec::new())));
    assert_eq!(set(), Ok(Outcome::Done));
    server.stop();
    assert_eq!(set(), Err(StoreError::Unavailable));
    server.run();
    let end = Instant::now() + Duration::from_secs(20);
    while set() != Ok(Outcome::Done) {
        assert!(Instant::now() < end, "it is not connected again");
    }
}

#[test]
fn a_redis_may_have_a_password_which_nobody_is_shown() {
    let runtime = Runtime::new().unwrap();
    let server = Server::start_with(&["--requirepass", "s3cret"]);
    let redis = |url: &str| {
        Redis::new(url, TENANT_BYTES, runtime.handle().clone()).map_err(|error| error.to_string())
    };
    let space = space("t", "f", "default");
    let get = |redis: &Redis| runtime.block_on(redis.begin(&space, Operation::get("k")));
    let known = redis(&format!("{}?pass=s3cret", server.url())).unwrap();
    assert_eq!(get(&known), Ok(Outcome::Values(vec![None])));
    assert!(!format!("{known:?}").contains("s3cret"));
    let unknown = redis(&server.url()).unwrap();
    assert_eq!(get(&unknown), Err(StoreError::Unavailable));
    let wrong = redis("http://:s3cret@host/").unwrap_err();
    assert!(wrong.contains("redis://HOST:PORT/DB") && !wrong.contains("s3cret"), "{wrong}");
}

/// A Redis that takes connections and says nothing, as one that is overloaded.
#[test]
fn a_redis_that_does_not_answer_is_not_waited_for_without_end() {
    let runtime = Runtime::new().unwrap();
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", mute.local_addr().unwrap());
    let redis = Redis::new(&url, TENANT_BYTES, runtime.handle().clone()).unwrap();
    let began = Instant::now();
    let outcome = runtime.block_on(redis.begin(&space("t", "f", "default"), Operation::get("k")));
    assert_eq!(outcome, Err(StoreError::Unavailable));
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// The only thread for writes is busy, so that they stay in the queue when nobody waits for them any more.
#[test]
fn writes_that_are_dropped_fill_no_memory() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).max_blocking_threads(1).build().unwrap();
    let store = Embedded::in_memory(64 << 20, runtime.handle().clone());
    let (free, busy) = std::sync::mpsc::channel::<()>();
    let blocked = runtime.spawn_blocking(move || busy.recv());
    let set = || Operation::set("k", vec![0; (1 << 20) - 1]);
    let begin = |tenant: &str, operation| {
        let mut write = store.begin(&space(tenant, "f", "default"), operation);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(write.as_mut().poll(&mut context).is_pending());
    };
    (0..100).for_each(|_| begin("one", set()));
    assert_eq!(format!("{store:?}"), "Embedded { queued: 8 }", "8 MiB of a tenant");
    (0..100).for_each(|_| begin("two", Operation::set("k", Vec::new())));
    assert_eq!(format!("{store:?}"), "Embedded { queued: 72 }", "64 operations of a tenant");
    free.send(()).unwrap();
    runtime.block_on(blocked).unwrap().unwrap();
    let write = store.begin(&space("one", "f", "default"), set());
    assert_eq!(runtime.block_on(write), Ok(Outcome::Done), "room is given back");
}

/// A part of the file is not there for a while: what a disk does that has a bad moment. There are more values than
/// the cache has room for.
#[test]
fn a_file_that_failed_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("values");
    let space = space("t", "f", "default");
    let keys: Vec<String> = (0..48).map(|key| format!("{key:02}")).collect();
    let open = |runtime: &Runtime| Embedded::new(&path, 64 << 20, runtime.handle().clone());
    let runtime = Runtime::new().unwrap();
    let store = open(&runtime);
    for key in &keys {
        let set = Operation::set(key, vec![b'x'; 1_000_000]);
        assert_eq!(runtime.block_on(store.begin(&space, set)), Ok(Outcome::Done));
    }
    drop((store, runtime));
    let bytes = std::fs::read(&path).unwrap();

    let runtime = Runtime::new().unwrap();
    let store = open(&runtime);
    let get = |key: &String| runtime.block_on(store.begin(&space, Operation::get(key)));
    let value = Ok(Outcome::Values(vec![Some(vec![b'x'; 1_000_000])]));
    assert!(get(&keys[0]) == value);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap();
    assert!(keys.iter().any(|key| get(key) == Err(StoreError::Unavailable)));
    std::fs::write(&path, bytes).unwrap();
    assert!(keys.iter().all(|key| get(key) == value));
}
