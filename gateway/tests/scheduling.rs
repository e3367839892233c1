//! Guests on the server's threads: shares, waits, cancelled and finished guests, tenants, metrics.

mod clients;
mod common;

use clients::{Frames, get, status, wait_until};
use common::{COMPUTES, FOREVER, SLEEP, Server, artifact, says, serve, time_limit};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wfaas_function::{OnDisconnect, Spec, TenantName};
use wfaas_gateway::TenantTerms;

const SOON: Duration = Duration::from_secs(10);

fn tenant(name: &str) -> TenantTerms {
    let token = Some(format!("token-of-{name}"));
    TenantTerms { token, ..TenantTerms::new(name.parse().unwrap()) }
}

fn of(tenant: &str, spec: Spec) -> Spec {
    Spec { tenant: Some(tenant.parse().unwrap()), ..spec }
}

/// The lines of the page of metrics: name and labels, and value.
fn metrics(server: &Server, headers: &[(&str, &str)]) -> BTreeMap<String, f64> {
    let page = server.send("GET", "/v1/metrics", headers, b"");
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.header("content-type").unwrap().contains("openmetrics-text"));
    assert!(page.text().ends_with("# EOF\n"));
    let lines = page.text().lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("name and value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    lines.map(parse).collect()
}

/// Guests of a function of the tenant `default` in this state.
fn guests(server: &Server, function: &str, state: &str) -> f64 {
    let name = format!(r#"wfaas_guests{{tenant="default",function="{function}",state="{state}"}}"#);
    metrics(server, &[]).get(&name).copied().unwrap_or_default()
}

/// Sends a request and does not wait for the answer.
fn begin(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    stream
}

#[test]
fn busy_functions_and_tenants_delay_no_others() {
    let busy = of("busy", time_limit(30_000));
    let functions = [
        ("busy", busy, FOREVER),
        ("beside", of("busy", Spec::default()), &*says("hello")),
        ("hello", of("other", Spec::default()), &says("hello")),
    ];
    let (server, _dir) = serve(|config| config.clients.address_share = 100, &functions);
    let mut attackers: Vec<_> = (0..2).map(|_| Frames::connect(server.address, 1, 65535)).collect();
    for n in 0..100 {
        attackers.iter_mut().for_each(|client| client.send(&get(2 * n + 1, "/busy")));
    }
    std::thread::sleep(Duration::from_millis(300));
    for path in ["/hello", "/beside", "/v1/health"] {
        let mut took: Vec<_> = (0..100)
            .map(|_| {
                let began = Instant::now();
                assert_eq!(status(server.address, 2, path), 200);
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        // A queue of 200 guests would take 100 ms and more, each time.
        assert!(took[50] < Duration::from_millis(50), "{path}: median {:?}", took[50]);
        assert!(took[98] < Duration::from_millis(500), "{path}: p98 {:?}", took[98]);
    }
    drop(attackers);
}

#[test]
fn tenants_share_the_processor_by_their_weights() {
    let heavy = |config: &mut wfaas_gateway::Config| {
        config.tenants = vec![TenantTerms { weight: 300, ..tenant("heavy") }, tenant("light")];
    };
    let functions = ["heavy", "light"].map(|name| (name, of(name, time_limit(60_000)), COMPUTES));
    let (server, _dir) = serve(heavy, &functions);
    let (counts, ends): ([AtomicU64; 2], _) = (Default::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // The light one has more clients, which gets it no more.
        for (number, clients) in [(0, 6), (1, 12)] {
            for _ in 0..clients {
                let (path, server) = (["/heavy", "/light"][number], &server);
                let (counts, ends) = (&counts, &ends);
                scope.spawn(move || {
                    while !ends.load(Ordering::Relaxed) {
                        assert_eq!(server.request("GET", path, b"").status, 200);
                        counts[number].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        std::thread::sleep(Duration::from_secs(4));
        ends.store(true, Ordering::Relaxed);
    });
    let [heavy, light] = counts.map(|count| count.into_inner() as f64);
    assert!(light > 0.0 && (2.0..4.5).contains(&(heavy / light)), "{heavy} to {light}");
}

#[test]
fn a_thousand_sleeping_guests_hold_no_thread() {
    let sleeps = SLEEP.replace("\\00\\65\\cd\\1d\\00", "\\00\\5e\\d0\\b2\\00"); // 3 s
    assert_ne!(sleeps, SLEEP);
    let functions = [("sleeps", Spec::default(), &*sleeps), ("hello", Spec::default(), &says("x"))];
    let (server, _dir) = serve(
        |config| {
            config.clients.address_share = 100;
            config.clients.connection_share = 100;
        },
        &functions,
    );
    assert_eq!(server.request("GET", "/hello", b"").status, 200);
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let began = Instant::now();
    let mut sleepers: Vec<_> = (0..10).map(|_| Frames::connect(server.address, 1, 65535)).collect();
    for n in 0..100 {
        sleepers.iter_mut().for_each(|client| client.send(&get(2 * n + 1, "/sleeps")));
    }
    wait_until(SOON, || guests(&server, "sleeps", "waiting") == 1000.0);
    assert!(threads() <= before + 4, "{} threads, {before} before", threads());
    assert_eq!(status(server.address, 2, "/hello"), 200);
    wait_until(SOON, || guests(&server, "sleeps", "waiting") == 0.0);
    assert!(began.elapsed() < SOON, "they slept one after the other: {:?}", began.elapsed());
}

#[test]
fn a_client_that_leaves_ends_its_guest() {
    let (server, _dir) = serve(|_| (), &[("forever", time_limit(60_000), FOREVER)]);
    let present = || guests(&server, "forever", "runnable") + guests(&server, "forever", "running");
    let client = begin(&server, "/forever");
    wait_until(SOON, || present() == 1.0);
    drop(client);
    wait_until(SOON, || present() == 0.0);
    let mut client = Frames::connect(server.address, 1, 65535);
    client.send(&get(1, "/forever"));
    wait_until(SOON, || present() == 1.0);
    client.send(&clients::frame(clients::RST_STREAM, 0, 1, &8u32.to_be_bytes()));
    wait_until(SOON, || present() == 0.0);
}

#[test]
fn a_guest_that_is_to_finish_does_though_its_client_and_the_server_leave() {
    let finish = Spec { on_disconnect: Some(OnDisconnect::Finish), ..Spec::default() };
    let (server, _dir) =
        serve(|_| (), &[("works", finish, SLEEP), ("stops", Spec::default(), SLEEP)]);
    let waiting = |name| guests(&server, name, "waiting");
    let leave = || {
        for name in ["works", "stops"] {
            let client = begin(&server, &format!("/{name}"));
            wait_until(SOON, || waiting(name) == 1.0);
            drop(client);
        }
    };
    leave();
    wait_until(SOON, || waiting("stops") == 0.0);
    let began = Instant::now();
    assert_eq!(waiting("works"), 1.0);
    wait_until(SOON, || waiting("works") == 0.0);
    assert!(began.elapsed() < SOON);
    // At its end the server waits for it: it sleeps for half a second.
    let client = begin(&server, "/works");
    wait_until(SOON, || waiting("works") == 1.0);
    drop(client);
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
}

#[test]
fn suspended_guests_end_on_the_code_they_began_with_and_before_the_server() {
    let (server, _dir) = serve(|_| (), &[]);
    assert_eq!(server.deploy("f", SLEEP).status, 201);
    std::thread::scope(|scope| {
        let old = scope.spawn(|| server.request("GET", "/f", b""));
        wait_until(SOON, || guests(&server, "f", "waiting") == 1.0);
        assert_eq!(server.deploy("f", &says("new")).status, 200);
        assert_eq!(server.request("GET", "/f", b"").text(), "new");
        assert_eq!(old.join().unwrap().text(), "done");
        assert_eq!(server.deploy("f", SLEEP).status, 200);
    });
    let address = server.address;
    let last = std::thread::spawn(move || {
        common::exchange(address, &common::head("GET", "/f", &[], 0), b"")
    });
    wait_until(SOON, || guests(&server, "f", "waiting") == 1.0);
    server.stop();
    assert_eq!(last.join().unwrap().text(), "done");
}

#[test]
fn a_tenant_manages_its_own_functions_only() {
    let tenants = |config: &mut wfaas_gateway::Config| {
        config.token = Some("operator".into());
        config.tenants = vec![tenant("a"), tenant("b")];
    };
    let (server, _dir) = serve(tenants, &[]);
    let bearer = |token: &str| format!("Bearer {token}");
    let [a, b, operator] = ["token-of-a", "token-of-b", "operator"].map(bearer);
    let put = |name: &str, token: &str, config: &str| {
        let headers = [("authorization", token), ("x-wfaas-config", config)];
        server.send("PUT", &format!("/v1/functions/{name}"), &headers, &artifact(&says("x")))
    };
    let deployed = put("one", &a, "{}");
    assert_eq!((deployed.status, &deployed.json()["tenant"]), (201, &"a".into()));
    assert_eq!(put("one", &a, r#"{"tenant": "a"}"#).status, 200);
    for (name, token, config) in [
        ("one", &b, "{}"),
        ("one", &operator, "{}"),
        ("two", &b, r#"{"tenant": "a"}"#),
        ("two", &operator, r#"{"tenant": "a"}"#),
        ("two", &a, r#"{"tenant": "default"}"#),
    ] {
        let refused = put(name, token, config);
        assert_eq!(refused.status, 403, "{name} {config}: {}", refused.text());
    }
    assert_eq!(put("two", &operator, "{}").json()["tenant"], "default");
    assert_eq!(put("three", "Bearer token-of-c", "{}").status, 401);
    let send =
        |method, path, token: &str| server.send(method, path, &[("authorization", token)], b"");
    let names = |token: &str| {
        let list = send("GET", "/v1/functions", token).json();
        let functions = list["functions"].as_array().unwrap().iter();
        functions.map(|it| it["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&a), ["one"]);
    assert!(names(&b).is_empty());
    assert_eq!(names(&operator), ["one", "two"]);
    for method in ["GET", "DELETE"] {
        assert_eq!(send(method, "/v1/functions/one", &b).status, 404);
    }
    let of_a = metrics(&server, &[("authorization", &a)]);
    assert!(of_a.keys().all(|name| name.contains(r#"tenant="a""#)), "{of_a:?}");
    assert_eq!(send("GET", "/v1/metrics", "Bearer wrong").status, 401);
    assert_eq!(send("DELETE", "/v1/functions/one", &a).status, 204);
    assert_eq!(TenantName::default().as_str(), "default");
}

#[test]
fn a_tenant_that_has_its_share_is_refused_and_no_other() {
    let tenants = |config: &mut wfaas_gateway::Config| {
        let bytes = Some(3 << 20); // a request may need 1 MiB and a stack of as much
        config.tenants = vec![
            TenantTerms { max_requests: Some(2), ..tenant("few") },
            TenantTerms { max_memory: bytes, ..tenant("small") },
        ];
    };
    let small = |tenant: &str| {
        let mut spec = of(tenant, Spec::default());
        spec.limits.memory = Some(wfaas_function::ByteSize(1 << 20));
        spec
    };
    let functions = [
        ("few", small("few"), SLEEP),
        ("small", small("small"), SLEEP),
        ("other", small("other"), &*says("x")),
    ];
    let (server, _dir) = serve(tenants, &functions);
    for (path, most) in [("/few", 2), ("/small", 1)] {
        let under_way: Vec<_> = (0..most).map(|_| begin(&server, path)).collect();
        std::thread::sleep(Duration::from_millis(200));
        let refused = server.request("GET", path, b"");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{path}");
        assert_eq!(server.request("GET", "/other", b"").status, 200);
        drop(under_way);
        wait_until(SOON, || server.request("GET", path, b"").status == 200);
    }
}

#[test]
fn metrics_count_requests_and_processor_time() {
    let functions = [("computes", Spec::default(), COMPUTES), ("idle", Spec::default(), COMPUTES)];
    let (server, _dir) = serve(|_| (), &functions);
    for _ in 0..3 {
        assert_eq!(server.request("GET", "/computes", b"").status, 200);
    }
    let metrics = metrics(&server, &[]);
    let of = |name: &str, function: &str| {
        metrics[&format!(r#"wfaas_{name}{{tenant="default",function="{function}"}}"#)]
    };
    assert_eq!(of("requests_total", "computes"), 3.0);
    assert_eq!(of("requests_total", "idle"), 0.0);
    assert!(of("processor_seconds_total", "computes") > 0.001);
    assert_eq!(of("processor_seconds_total", "idle"), 0.0);
    assert!(of("queue_seconds_total", "computes") < 3.0);
    assert_eq!(metrics["wfaas_functions"], 2.0);
    assert_eq!(server.request("POST", "/v1/metrics", b"").status, 405);
}
