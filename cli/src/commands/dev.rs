//! `faascli dev`

use crate::failure::{Blame, Failure};
use crate::function::Function;
use crate::recipe::Recipe;
use crate::subject::Subject;
use crate::watch::{Inputs, Watcher};
use crate::{log, output};
use anyhow::Context;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use wfaas_function::Spec;
use wfaas_gateway::{Config, Gateway, Installer, NetworkClient};

/// Serve a function, and build it again after each change
///
/// The code is compiled fast rather than to be fast, and there is no warm-up. A request gets the version
/// that there is when it arrives; one that does not build is reported, and the version before goes on.
/// Hidden files and `target` folders are not watched. Ctrl-C ends the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli dev                          # the function in this folder
  faascli dev examples/hello --listen 127.0.0.1:9000
  faascli dev app.wat --env MODEL=small")]
pub(crate) struct Args {
    /// The folder with a faas.toml, or the .wasm or .wat file
    #[arg(default_value = ".")]
    path: PathBuf,

    /// Address and port; port 0 for any free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// Let the function be given this directory and those below it (`[[dirs]]` in faas.toml); several
    /// times for several
    #[arg(long, value_name = "DIR")]
    allow_dir: Vec<PathBuf>,

    #[command(flatten)]
    guest: super::guest::Guest,
}

/// Runs the command.
pub(crate) fn run(args: &Args, log: Option<&log::Guard>) -> Result<u8, Failure> {
    // Nothing is deployed to this server: its store is empty, and gone at the end.
    let store = tempfile::Builder::new().prefix("faascli-dev-").tempdir()?;
    let mut config = Config::new(args.listen, store.path().to_owned());
    config.allowed_dirs.clone_from(&args.allow_dir);
    config.dropped_records = log.map(log::Guard::dropped).unwrap_or_default();
    wfaas_gateway::raise_descriptor_limit().context("cannot raise the limit of open files")?;
    let runtime = wfaas_gateway::runtime(&config).context("cannot start the runtime")?;
    // Functions under development may talk to this machine.
    let client = Arc::new(NetworkClient::new(runtime.handle().clone(), true));
    config.http_client = Some(client.clone());
    config.sockets = Some(client);
    let gateway = runtime.block_on(async { Gateway::bind(config) });
    let gateway = gateway.with_context(|| format!("cannot serve on {}", args.listen))?;
    let address = gateway.local_addr();
    let developed = Developed::of(args, gateway.installer(), address)?;
    let watched = developed.start()?;
    output::line(format_args!("serving on http://{address}"))?;
    std::thread::spawn(move || watched.follow());
    runtime.block_on(gateway.run(wfaas_gateway::termination()))?;
    Ok(0)
}

/// A function that is being developed.
struct Developed {
    path: PathBuf,
    layer: Spec,
    installer: Installer,
    address: SocketAddr,
    watcher: Watcher,
}

/// The function and the files that its last build was made from.
struct Watched {
    developed: Developed,
    seen: Inputs,
    /// Files that changed while it was built.
    made: BTreeSet<PathBuf>,
}

impl Developed {
    fn of(args: &Args, installer: Installer, address: SocketAddr) -> Result<Developed, Failure> {
        if let Subject::Artifact(path) = Subject::at(&args.path)? {
            return Err(Failure::user(format_args!(
                "{} is built already: give the folder or the module that it was made of",
                path.display()
            )));
        }
        let watcher = Watcher::new().context("cannot watch files")?;
        let (path, layer) = (args.path.clone(), args.guest.layer());
        Ok(Developed { path, layer, installer, address, watcher })
    }

    /// Builds the function for the first time. It may not build.
    fn start(self) -> Result<Watched, Failure> {
        let seen = self.look().context("cannot watch files")?;
        self.build();
        Ok(Watched { developed: self, seen, made: BTreeSet::new() })
    }

    /// Watches the files there are, then looks at them.
    fn look(&self) -> std::io::Result<Inputs> {
        let (mut roots, mut outputs) = (vec![self.path.clone()], Vec::new());
        if let Ok(Subject::Folder(manifest)) = Subject::at(&self.path) {
            match manifest.build {
                Some(_) => outputs.push(manifest.wasm),
                None => roots.push(manifest.wasm),
            }
        }
        self.watcher.watch(&Inputs::look(&roots, &outputs)?, &roots)?;
        Inputs::look(&roots, &outputs)
    }

    /// Whether it is made by a command, which may write files.
    fn has_build(&self) -> bool {
        matches!(Subject::at(&self.path), Ok(Subject::Folder(manifest)) if manifest.build.is_some())
    }

    /// Builds the function and serves it, and says how that went.
    fn build(&self) {
        let started = Instant::now();
        match self.install() {
            Ok(route) => output::note(format_args!(
                "http://{}{route} built in {} ms",
                self.address,
                started.elapsed().as_millis()
            )),
            Err(failure) => output::note(format_args!("error: {failure}")),
        }
    }

    fn install(&self) -> Result<String, Failure> {
        let Function { name, spec, artifact } =
            Function::build(&self.path, self.layer.clone(), &Recipe::fast())?;
        let info = self.installer.install(name, spec, &artifact).user_error()?;
        Ok(info.route.as_str().to_owned())
    }
}

impl Watched {
    /// Background loop: builds the function again after each change, until the process ends.
    fn follow(mut self) {
        loop {
            if let Err(error) = self.after_build().and_then(|()| self.next_change()) {
                output::note(format_args!("error: changes are not seen any more: {error}"));
                return;
            }
            self.developed.build();
        }
    }

    /// Builds again if files changed during the build, unless a build command runs and the same did during the last one: those
    /// are written by the command. Without one nothing is written, and whoever changes a file as soon as the last change is
    /// served is heard each time.
    fn after_build(&mut self) -> std::io::Result<()> {
        loop {
            let now = self.developed.look()?;
            let changed = now.changed_since(&self.seen);
            self.seen = now;
            let are_made = self.developed.has_build() && changed.is_subset(&self.made);
            if changed.is_empty() || are_made {
                return Ok(());
            }
            self.made = changed;
            self.developed.build();
        }
    }

    /// Returns once a file is another than it was.
    fn next_change(&mut self) -> std::io::Result<()> {
        loop {
            self.developed.watcher.wait()?;
            let now = self.developed.look()?;
            if now != self.seen {
                self.seen = now;
                return Ok(());
            }
        }
    }
}
