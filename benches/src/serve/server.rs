//! Servers, each a process of its own on the first processor, so that its requests alone use
//! its processor time.

use super::component;
use super::guest::{self, Pooled};
use super::plain;
use crate::machine::pin;
use anyhow::Context;
use bytes::Bytes;
use clap::ValueEnum;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::future::ready;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use wfaas_function::Spec;
use wfaas_gateway::{Config, Gateway};
use wfaas_vm::{BoxError, Tracking};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// hyper alone.
    Plain,
    /// The gateway.
    Ours,
    /// The gateway with the log of requests.
    Logged,
    /// hyper with wasmtime's pool behind it.
    Wasmtime,
    /// The gateway with a component.
    Component,
    /// hyper with the same component in wasmtime's pool, by its crate for `wasi:http`.
    WasiHttp,
}

impl Side {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Side::Plain => "plain",
            Side::Ours => "ours",
            Side::Logged => "logged",
            Side::Wasmtime => "wasmtime",
            Side::Component => "component",
            Side::WasiHttp => "wasi-http",
        }
    }
}

/// A server that runs until it is dropped.
pub(super) struct Server {
    child: Child,
    asks: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts a server: this executable again.
    pub(super) fn start(side: Side) -> anyhow::Result<Server> {
        Server::start_by(&[], &["serve-of", side.name()])
    }

    /// The same of one that has a component; the peer is a program of its own.
    pub(super) fn start_with(side: Side, file: &Path) -> anyhow::Result<Server> {
        match side {
            Side::WasiHttp => Server::spawn(&component::server(file)?),
            _ => {
                let file = component::word(file)?;
                Server::start_by(&[], &["serve-of", side.name(), "--component", &file])
            }
        }
    }

    /// The same by a command that counts instructions, with a component or without.
    pub(super) fn start_counted(
        side: Side,
        command: &[&str],
        file: Option<&Path>,
    ) -> anyhow::Result<Server> {
        let file = file.map(component::word).transpose()?;
        let mut arguments = vec!["serve-of", side.name(), "--discard"];
        if let Some(file) = &file {
            arguments.extend(["--component", file]);
        }
        Server::start_by(command, &arguments)
    }

    fn start_by(command: &[&str], arguments: &[&str]) -> anyhow::Result<Server> {
        let executable = std::env::current_exe().context("the path of this executable")?;
        let executable = executable.to_str().context("the path of this executable")?;
        Server::spawn(&[command, &[executable], arguments].concat())
    }

    fn spawn(words: &[impl AsRef<str>]) -> anyhow::Result<Server> {
        let [program, arguments @ ..] = words else { anyhow::bail!("no program to start") };
        let program = program.as_ref();
        let mut child = Command::new(program)
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let asks = child.stdin.take();
        let answers = child.stdout.take().context("its output is a pipe")?;
        let mut answers = BufReader::new(answers).lines();
        let address = answers.next().context("the server has ended")??;
        Ok(Server { child, asks, answers, address: address.parse()? })
    }

    /// The processor time it has taken so far.
    pub(super) fn processor_time(&mut self) -> anyhow::Result<Duration> {
        writeln!(self.asks.as_mut().context("the server has ended")?)?;
        let nanos = self.answers.next().context("the server has ended")??;
        Ok(Duration::from_nanos(nanos.parse()?))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.asks.take());
        // It ends when nobody asks any more.
        let _ = self.child.wait();
    }
}

/// The hidden command: prints its address, and its processor time for each line that it reads.
/// With `discard`, pages of faaslets are not tracked.
pub(crate) fn child(side: Side, discard: bool, file: Option<PathBuf>) -> anyhow::Result<()> {
    let tracking = if discard { Tracking::Discard } else { Tracking::Auto };
    // Before there are any threads, which do the same.
    pin(0)?;
    let (sender, addresses) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let file = file.unwrap_or_else(component::file);
        let failed = run(side, tracking, &file, |address| sender.send(address).unwrap_or_default());
        // The other end sees the reason and the end of the process.
        eprintln!("{}: {failed:?}", side.name());
        std::process::exit(1);
    });
    println!("{}", addresses.recv()?);
    for line in std::io::stdin().lines() {
        line?;
        let time = clock_gettime(ClockId::ProcessCPUTime);
        println!("{}", time.tv_sec * 1_000_000_000 + time.tv_nsec);
    }
    Ok(())
}

/// Serves for ever.
fn run(
    side: Side,
    tracking: Tracking,
    file: &Path,
    tell: impl Fn(SocketAddr),
) -> anyhow::Result<()> {
    match side {
        Side::Plain => {
            let body = Bytes::from_static(guest::BODY.as_bytes());
            hyper(move |_| ready(plain::respond(body.clone())), tell)
        }
        Side::Wasmtime => {
            let pooled = Arc::new(Pooled::new()?);
            let answer = move || pooled.answer().expect("an instance answers");
            hyper(move |_| ready(plain::respond(answer())), tell)
        }
        Side::WasiHttp => anyhow::bail!("it is a program of its own"),
        Side::Ours => gateway(tracking, guest::wat().as_bytes(), tell),
        Side::Component => gateway(tracking, &component::wasm(file)?, tell),
        Side::Logged => {
            let sink = File::options().write(true).open("/dev/null")?;
            let log = wfaas_log::Log::start(sink, false)?;
            let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO);
            tracing::subscriber::set_global_default(subscriber.with(log.layer()))?;
            gateway(tracking, guest::wat().as_bytes(), tell)
        }
    }
}

fn hyper<B, F>(
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    tell: impl Fn(SocketAddr),
) -> anyhow::Result<()>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    tell(listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(plain::serve(listener, answer))
}

/// The gateway with its defaults, but for the limits that keep one address from having all of it.
fn gateway(tracking: Tracking, guest: &[u8], tell: impl Fn(SocketAddr)) -> anyhow::Result<()> {
    let store = tempfile::tempdir()?;
    let mut config = Config::new("127.0.0.1:0".parse()?, store.path());
    config.engine.tracking = tracking;
    if tracking == Tracking::Discard {
        // Under valgrind a slice is over before it has begun.
        config.time_slice = Duration::from_secs(3600);
    }
    let runtime = wfaas_gateway::runtime(&config)?;
    let gateway = Gateway::bind(config)?;
    let spec = Spec::named("hello".parse()?);
    let artifact = wfaas_build::build(guest, &spec, &Default::default(), &())?.artifact;
    gateway.install("hello".parse()?, spec, &artifact)?;
    tell(gateway.local_addr());
    runtime.block_on(gateway.run(std::future::pending()))?;
    Ok(())
}
