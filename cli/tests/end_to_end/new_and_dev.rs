//! `faascli new` and `faascli dev`.

use super::support::{Server, faascli, run, saying, scratch, wait_until, write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn dev(path: &Path) -> Server {
    let mut command = faascli(&["dev", "--listen", "127.0.0.1:0"]);
    command.arg(path);
    Server::spawn(command)
}

/// Each template is built, and answers.
#[test]
fn templates_are_functions() {
    let folder = scratch();
    for template in ["rust", "c", "cgi", "component", "wat"] {
        let function = folder.path().join(format!("my-{template}"));
        let path = function.to_str().unwrap();
        let made = run(&["new", path, "--template", template]).expect(0, &[]);
        assert!(made.stdout.contains("faascli dev"), "{}", made.stdout);
        run(&["build", path]).expect(0, &[]);
        let store = folder.path().join(format!("store-{template}"));
        let server = Server::start(&store, &[path]);
        let answer = server.post(&format!("/my-{template}"), b"test");
        assert_eq!(answer.status, 200, "{template}");
        assert_eq!(answer.text().lines().next(), Some("hello, test"), "{template}");
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = scratch();
    let function = folder.path().join("hello");
    std::fs::create_dir(&function).unwrap();
    let path = function.to_str().unwrap();
    run(&["new", path, "--template", "wat"]).expect(0, &[]);
    run(&["new", path, "--template", "c"]).expect(2, &["not empty"]);
    assert!(!function.join("main.c").exists());
    let wrong = folder.path().join("No Name");
    run(&["new", wrong.to_str().unwrap()]).expect(2, &["is no function name"]);
    assert!(!wrong.exists());
}

#[test]
fn changes_are_served_and_mistakes_are_not() {
    let folder = scratch();
    let function = folder.path().join("hello");
    run(&["new", function.to_str().unwrap(), "--template", "wat"]).expect(0, &[]);
    let server = dev(&function);
    let answer = || server.post("/hello", b"you").text().to_owned();
    assert_eq!(answer(), "hello, you");
    let text = std::fs::read_to_string(function.join("main.wat")).unwrap();
    write(&function, "main.wat", text.replace("hello, ", "howdy, "));
    wait_until("the change is served", || answer() == "howdy, you");
    write(&function, "main.wat", "(module");
    wait_until("the mistake is reported", || server.log().contains("cannot compile"));
    assert_eq!(answer(), "howdy, you", "the version before");
    // As editors do it.
    let new = write(&function, ".main.wat.new", text.replace("hello, ", "hallo, "));
    std::fs::rename(new, function.join("main.wat")).unwrap();
    wait_until("it is mended", || answer() == "hallo, you");
    write(&function, "faas.toml", "name = \"hello\"\nwasm = \"main.wat\"\nroute = \"/new\"\n");
    wait_until("the route is another", || server.get("/new").status == 200);
    assert_eq!(server.stop(), Some(0));
}

/// A build that writes into its own folder does not go on for ever; the mistakes of a build command
/// are shown.
#[test]
fn files_that_a_build_writes_are_no_changes() {
    let folder = scratch();
    let function = folder.path().join("f");
    std::fs::create_dir(&function).unwrap();
    write(&function, "source", saying("one"));
    write(
        &function,
        "faas.toml",
        "wasm = \"out.wat\"\nbuild = \"date +%N > stamp && cp source out.wat && echo x >> ../builds\"\n",
    );
    let builds = || {
        let lines = std::fs::read_to_string(folder.path().join("builds"));
        lines.map_or(0, |lines| lines.lines().count())
    };
    let server = dev(&function);
    assert_eq!(server.get("/f").text(), "one");
    wait_until("the build that finds out", || builds() == 2);
    write(&function, "source", saying("two"));
    wait_until("the change is served", || server.get("/f").text() == "two");
    let after = builds();
    assert!(after <= 4, "{after} builds");
    write(&function, "faas.toml", "wasm = \"out.wat\"\nbuild = \"exit 3\"\n");
    wait_until("the failure is shown", || server.log().contains("exit status: 3"));
    assert_eq!(server.get("/f").text(), "two");
}

#[test]
fn no_request_is_dropped_while_versions_change() {
    let folder = scratch();
    let module = write(folder.path(), "hello.wat", saying("0"));
    let server = dev(&module);
    let (done, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    /// Ends the requests, whether the versions were served or not.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let _done = Done(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let answer = server.get("/hello");
                assert_eq!(answer.status, 200, "{}", server.log());
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Each comes while the build before may still be looked after.
        for version in 1..9 {
            write(folder.path(), "hello.wat", saying(&version.to_string()));
            let expected = version.to_string();
            wait_until("the version is served", || server.get("/hello").text() == expected);
        }
    });
    assert!(answers.load(Ordering::Relaxed) > 0);
}

/// The first version may not build either.
#[test]
fn a_function_that_does_not_build_yet_is_watched() {
    let folder = scratch();
    let module = write(folder.path(), "hello.wat", "(module");
    let server = dev(&module);
    wait_until("the failure is shown", || server.log().contains("cannot compile"));
    assert_eq!(server.get("/hello").status, 404);
    write(folder.path(), "hello.wat", saying("now"));
    wait_until("it is served", || server.get("/hello").status == 200);
    let artifact = write(folder.path(), "a.faas", "");
    run(&["dev", artifact.to_str().unwrap()]).expect(2, &["is built already"]);
}
