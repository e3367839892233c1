//! Busy tenants of each kind, and others beside them: latencies and shares of the processor.
//!
//! `just shares` runs it against a release build of `faascli`, and prints what it finds.

mod clients;
mod common;

use common::{COMPUTES, Process, exchange, head, says, try_exchange};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Computes for some 50 ms.
fn fifty() -> String {
    COMPUTES.replace("i32.const 5000000", "i32.const 50000000")
}

/// Writes to each page of 1 GiB.
const DIRTIES: &str = r#"(module (memory (export "memory") 1)
  (func (export "_start") (local i32)
    (drop (memory.grow (i32.const 16384)))
    (loop
      (i32.store (local.get 0) (i32.const 1))
      (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 4096)))
        (i32.const 0x40000000))))))"#;

/// Fills 256 MiB again and again, in single instructions.
const BULK: &str = r#"(module (memory (export "memory") 4096)
  (func (export "_start") (local i32)
    (loop
      (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x0fffffff))
      (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 20))))))"#;

/// Goes down to where little of the stack is left, and stays there.
const DEEP: &str = r#"(module
  (func $down (param i32)
    (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))
      (else (loop
        (br_if 0 (local.tee 0 (i32.add (local.get 0) (i32.const 1)))))))
    (drop (local.get 0)))
  (func (export "_start") (call $down (i32.const 15000))))"#;

const TRAPS: &str = r#"(module (func $f (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (call $f (i32.sub (local.get 0) (i32.const 1))) (i32.const 1))) (else unreachable)))
  (func (export "_start") (drop (call $f (i32.const 1000)))))"#;

/// Sends requests one after the other until told to stop.
fn keep_asking(server: SocketAddr, path: &str, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        let _ = try_exchange(server, &head("GET", path, &[], 0), b"");
    }
}

/// How long requests take, sorted, for this time.
fn latencies(server: SocketAddr, path: &str, time: Duration) -> Vec<Duration> {
    let (mut took, start) = (Vec::new(), Instant::now());
    while start.elapsed() < time {
        let began = Instant::now();
        assert_eq!(clients::status(server, 9, path), 200, "{path}");
        took.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    took.sort_unstable();
    took
}

/// Seconds of processor time by tenant.
fn processor(server: SocketAddr) -> BTreeMap<String, f64> {
    let page = exchange(server, &head("GET", "/v1/metrics", &[], 0), b"");
    let mut by_tenant = BTreeMap::new();
    for line in page.text().lines() {
        let Some(rest) = line.strip_prefix("wfaas_processor_seconds_total{tenant=\"") else {
            continue;
        };
        let tenant = rest.split('"').next().expect("a name").to_owned();
        let seconds: f64 = line.rsplit(' ').next().expect("a value").parse().expect("a number");
        *by_tenant.entry(tenant).or_default() += seconds;
    }
    by_tenant
}

/// Seconds of processor time a second that each tenant uses while something is done.
fn used(server: SocketAddr, work: impl FnOnce()) -> BTreeMap<String, f64> {
    let (before, began) = (processor(server), Instant::now());
    work();
    let (after, seconds) = (processor(server), began.elapsed().as_secs_f64());
    let used = after.into_iter().map(|(tenant, after)| {
        let before = before.get(&tenant).copied().unwrap_or_default();
        (tenant, (after - before) / seconds)
    });
    used.collect()
}

const TIME: Duration = Duration::from_secs(4);

#[test]
#[ignore = "takes a minute and a release build: just shares"]
fn others_beside_a_busy_tenant() {
    let program = std::env::var("FAASCLI").expect("FAASCLI is the program to keep busy");
    let only = std::env::var("ONLY").unwrap_or_default();
    let (fifty, hello) = (fifty(), says("hello"));
    let kinds: [(&str, &str, usize); 5] = [
        ("computes", &fifty, 256),
        ("dirties", DIRTIES, 8),
        ("bulk", BULK, 32),
        ("deep", DEEP, 256),
        ("traps", TRAPS, 64),
    ];
    for (kind, wat, clients) in kinds.into_iter().filter(|(kind, ..)| kind.contains(&only)) {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Process::start(
            &program,
            directory.path(),
            &[
                ("busy", kind, wat),
                ("busy", "beside", &hello),
                ("other", "hello", &hello),
                ("other", "asks", &fifty),
            ],
        );
        let address = server.address;
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| keep_asking(address, &format!("/{kind}"), &ends));
            }
            std::thread::sleep(Duration::from_secs(2));
            let alone = || used(address, || std::thread::sleep(TIME))["busy"];
            let before = alone();
            for path in ["/hello", "/beside"] {
                let took = latencies(address, path, TIME);
                let [median, p99] = [50, 99].map(|percent| took[took.len() * percent / 100]);
                eprintln!(
                    "{kind:10} {path:8} {:5} requests, median {median:9.1?}, p99 {p99:9.1?}",
                    took.len()
                );
            }
            let used = used(address, || {
                let asking = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    for _ in 0..16 {
                        scope.spawn(|| keep_asking(address, "/asks", &asking));
                    }
                    std::thread::sleep(TIME);
                    asking.store(true, Ordering::Relaxed);
                });
            });
            let (busy, other) = (used["busy"], used["other"]);
            let share = busy / (busy + other);
            // Other programs take time from the one or the other.
            let alone = (before + alone()) / 2.0;
            eprintln!("{kind:10} {:.1} % for the tenant that asks", (1.0 - share) * 100.0);
            eprintln!("{kind:10} {:.3} of its share alone", busy / (alone * share));
            ends.store(true, Ordering::Relaxed);
            drop(server);
        });
    }
}

#[test]
#[ignore = "takes a minute and a release build: just shares"]
fn ten_tenants_with_endless_work_have_equal_shares() {
    let program = std::env::var("FAASCLI").expect("FAASCLI is the program to keep busy");
    let directory = tempfile::tempdir().expect("a directory");
    let (names, fifty) = (Vec::from_iter((0..10).map(|n| format!("t{n}"))), fifty());
    let functions = names.iter().map(|name| (&**name, &**name, &*fifty));
    let server = Process::start(&program, directory.path(), &functions.collect::<Vec<_>>());
    let (address, ends) = (server.address, AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (number, name) in names.iter().enumerate() {
            // Some have more clients than others.
            for _ in 0..4 + 2 * number {
                let ends = &ends;
                scope.spawn(move || keep_asking(address, &format!("/{name}"), ends));
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        let used = used(address, || std::thread::sleep(2 * TIME));
        let used = names.iter().map(|name| used[name]).collect::<Vec<_>>();
        let equal = used.iter().sum::<f64>() / 10.0;
        let shares: Vec<_> = used.iter().map(|used| format!("{:.3}", used / equal)).collect();
        eprintln!("shares of ten tenants: {shares:?}");
        ends.store(true, Ordering::Relaxed);
        drop(server);
    });
}
