//! A running `faascli serve`.

use super::{PATIENCE, Response, faascli, request, signal};
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A server on a port of its own, killed when the test ends.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    output: Arc<Mutex<String>>,
}

impl Server {
    /// Serves with a store in `store` and these further arguments.
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(store: &Path, args: &[S]) -> Server {
        let mut command = faascli(&["serve", "--listen", "127.0.0.1:0", "--store"]);
        command.arg(store).args(args);
        Server::spawn(command)
    }

    /// Starts a command that becomes a server and waits until it says where it listens.
    pub(crate) fn spawn(mut command: Command) -> Server {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command.stderr(writer);
        Server::spawn_with_log(command, Some(reader))
    }

    /// The same with standard error as the command has it, of which `log` is the other end.
    pub(crate) fn spawn_with_log(mut command: Command, log: Option<PipeReader>) -> Server {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        drop(command); // with its end of the pipe
        let log = log.map_or_else(Default::default, collect);
        let (sender, receiver) = mpsc::channel();
        let stdout = child.stdout.take().expect("a pipe");
        let output = Arc::new(Mutex::new(String::new()));
        let lines = output.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap();
                lines.push_str(&line);
                lines.push('\n');
                if let Some(url) = line.strip_prefix("serving on http://") {
                    let _ = sender.send(url.trim_end_matches('/').parse::<SocketAddr>());
                }
            }
        });
        match receiver.recv_timeout(PATIENCE) {
            Ok(address) => Server { child, address: address.expect("an address"), log, output },
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server does not start ({error}): {}", log.lock().unwrap());
            }
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `http://` and the address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A POST with this body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Response {
        self.request("POST", path, &[], body)
    }

    /// A GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// Any request that has to be answered.
    #[track_caller]
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        request(self.address, method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// What the server has written to standard error until now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Bytes of memory that the server has now, and the most since [`Server::forget_peak`].
    pub(crate) fn memory(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("our child");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
        };
        (bytes("VmRSS:"), bytes("VmHWM:"))
    }

    /// Forgets how much memory the server had before.
    pub(crate) fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(path, "5").expect("our child");
    }

    /// What the server has written to standard output until now.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Whether the server is still there.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Sends SIGTERM and waits; the exit code, or none if the server does not end in time.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Sends SIGKILL, which leaves no time to tidy up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects all that comes from a pipe.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = text.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = shared.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}
