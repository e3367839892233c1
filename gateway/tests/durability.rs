//! What deployments survive: damage, broken uploads, `kill -9`, a full disk.

mod common;

use common::{Server, artifact, exchange, head, says, try_exchange};
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

fn blobs(store: &Path) -> usize {
    std::fs::read_dir(store.join("blobs")).unwrap().count()
}

#[test]
fn damaged_functions_do_not_keep_the_others_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    for name in ["a", "b", "c"] {
        assert_eq!(server.deploy(name, &says(name)).status, 201);
    }
    let hash = server.request("GET", "/v1/functions/a", b"").json()["artifact"].clone();
    server.stop();
    let blob = dir.path().join(format!("blobs/{}.faas", hash.as_str().unwrap()));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[4100] ^= 1; // in the code
    std::fs::write(&blob, bytes).unwrap();
    std::fs::write(dir.path().join("functions/b.json"), b"{").unwrap();

    let server = Server::on(dir.path());
    assert_eq!(server.request("GET", "/a", b"").status, 503);
    assert_eq!(server.request("GET", "/b", b"").status, 503);
    assert_eq!(server.request("GET", "/c", b"").text(), "c");
    // They can be replaced and deleted.
    assert_eq!(server.deploy("a", &says("a")).status, 200);
    assert_eq!(server.request("GET", "/a", b"").text(), "a");
    assert_eq!(server.request("DELETE", "/v1/functions/b", b"").status, 204);
    server.stop();
    let server = Server::on(dir.path());
    assert_eq!(server.request("GET", "/v1/health", b"").json()["functions"], 2);
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    assert_eq!(server.deploy("f", &says("old")).status, 201);
    let bytes = artifact(&says("new"));
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = head("PUT", "/v1/functions/f", &[], bytes.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[..bytes.len() / 2]).unwrap();
    drop(stream);
    for _ in 0..50 {
        if std::fs::read_dir(dir.path().join("tmp")).unwrap().count() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(server.request("GET", "/f", b"").text(), "old");
}

/// Not a test of its own: the server that `a_killed_server_has_the_old_or_the_new_function`
/// starts and kills, with its store in `GATEWAY_TEST_STORE`.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn server_in_a_process_of_its_own() {
    let Some(store) = std::env::var_os("GATEWAY_TEST_STORE") else { return };
    let store = Path::new(&store);
    let server = Server::on(store);
    std::fs::write(store.join("address.new"), server.address.to_string()).unwrap();
    std::fs::rename(store.join("address.new"), store.join("address")).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}

/// A process that is killed when dropped.
struct Child(std::process::Child);

impl Child {
    fn start(store: &Path) -> (Child, std::net::SocketAddr) {
        let _ = std::fs::remove_file(store.join("address"));
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "server_in_a_process_of_its_own", "--ignored"])
            .env("GATEWAY_TEST_STORE", store)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let child = Child(child);
        for _ in 0..400 {
            if let Ok(address) = std::fs::read_to_string(store.join("address")) {
                return (child, address.parse().unwrap());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the child did not start");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill(); // SIGKILL; it may have ended by itself
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_server_has_the_old_or_the_new_function() {
    let dir = tempfile::tempdir().unwrap();
    let (child, address) = Child::start(dir.path());
    let put = |address, version: u32| {
        let bytes = artifact(&says(&version.to_string()));
        try_exchange(address, &head("PUT", "/v1/functions/f", &[], bytes.len()), &bytes)
    };
    assert_eq!(put(address, 0).unwrap().status, 201);
    drop(child);
    let mut seen = 0;
    for round in 0..12u64 {
        let (child, address) = Child::start(dir.path());
        let response = exchange(address, &head("GET", "/f", &[], 0), b"");
        assert_eq!(response.status, 200, "round {round}: {}", response.text());
        let version: u32 = response.text().parse().unwrap();
        assert!(version >= seen, "round {round}: a finished deployment was lost");
        // Deploys one version after the other until the process is killed under it.
        let (finished, is_finished) = std::sync::mpsc::channel();
        let deploying = std::thread::spawn(move || {
            let mut done = version;
            while put_ok(address, done + 1) {
                done += 1;
                let _ = finished.send(done);
            }
            done
        });
        if round >= 8 {
            // On a slow machine none would be finished otherwise.
            let _ = is_finished.recv_timeout(Duration::from_secs(20));
        }
        std::thread::sleep(Duration::from_millis(20 + round * 13));
        drop(child);
        seen = deploying.join().unwrap();
    }
    let server = Server::on(dir.path());
    let version: u32 = server.request("GET", "/f", b"").text().parse().unwrap();
    assert!(version == seen || version == seen + 1, "{version} after {seen}");
    assert!(version > 0, "no deployment was finished in all rounds");
    assert_eq!(blobs(dir.path()), 1);
}

/// Deploys a version of `f`; whether the server said so.
fn put_ok(address: std::net::SocketAddr, version: u32) -> bool {
    let bytes = artifact(&says(&version.to_string()));
    let head = head("PUT", "/v1/functions/f", &[], bytes.len());
    matches!(try_exchange(address, &head, &bytes), Ok(response) if response.status == 200)
}

/// A file system of one megabyte, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> SmallDisk {
        let disk = SmallDisk(tempfile::tempdir().unwrap());
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(disk.0.path())
            .status();
        let mounted = mounted.is_ok_and(|status| status.success());
        assert!(mounted, "this test mounts a small tmpfs: run it as root, with CAP_SYS_ADMIN");
        disk
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_507_and_the_old_function_stays() {
    let disk = SmallDisk::mount();
    let store = disk.0.path().join("store");
    let server = Server::on(&store);
    assert_eq!(server.deploy("f", &says("old")).status, 201);
    // Two megabytes of artifact, as data that is not zero.
    let data = "x".repeat(2 << 20);
    let large =
        says("new").replacen("(data", &format!(r#"(data (i32.const 65536) "{data}") (data"#), 1);
    let large = large.replace("\"memory\") 1)", "\"memory\") 40)");
    let response = server.deploy("f", &large);
    assert_eq!(response.status, 507, "{}", response.text());
    assert!(response.text().contains("disk is full"), "{}", response.text());
    assert_eq!(server.request("GET", "/f", b"").text(), "old");
    // Filled by others to the last byte: not even a small one fits.
    let mut filler = std::fs::File::create(disk.0.path().join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    let response = server.deploy("f", &says("new"));
    assert_eq!(response.status, 507, "{}", response.text());
    assert_eq!(server.request("GET", "/f", b"").text(), "old");
    server.stop();
    let server = Server::on(&store);
    assert_eq!(server.request("GET", "/f", b"").text(), "old");
    // Space helps.
    drop(filler);
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    assert_eq!(server.deploy("f", &says("new")).status, 200);
    assert_eq!(server.request("GET", "/f", b"").text(), "new");
    drop(server);
}
