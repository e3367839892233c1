//! `faascli serve`

use crate::actions::Actions;
use crate::failure::{Blame, Failure};
use crate::function::Function;
use crate::{log, output};
use anyhow::{Context, anyhow};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wfaas_function::{ByteSize, Span, Spec};
use wfaas_gateway::{Config, FunctionStatus, Gateway, NetworkClient};

/// Answer HTTP requests with functions
///
/// Each PATH is built if it is not built yet or has changed, and served under its route, with a
/// fresh instance for each request. Functions deployed to the store are served too. SIGTERM and
/// Ctrl-C end the server after the requests in flight.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli serve examples/hello
  faascli serve examples/hello examples/rust-words --listen 127.0.0.1:9000
  faascli serve app.wasm --env MODEL=small
  faascli serve --store /var/lib/wfaas --token-file /etc/wfaas/token --listen 0.0.0.0:80
  faascli serve --openwhisk --listen 0.0.0.0:8080
  curl --data 'the cat the dog' http://127.0.0.1:8080/rust-words")]
pub(crate) struct Args {
    /// Folders with a faas.toml, or .faas, .wasm or .wat files
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Address and port; port 0 for any free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// Where deployed functions are kept [default: $XDG_STATE_HOME/wfaas or ~/.local/state/wfaas]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    /// Let functions be given this directory and those below it (`[[dirs]]` in faas.toml); several times
    /// for several
    #[arg(long, value_name = "DIR")]
    allow_dir: Vec<PathBuf>,

    /// Let functions make requests and open sockets to private networks and this machine, where their
    /// `allowed_hosts` or `allowed_sockets` have the host
    #[arg(long)]
    allow_private_hosts: bool,

    /// Be a container of OpenWhisk's instead: answer /init with an action's code, and /run
    #[arg(long, conflicts_with_all = ["paths", "store", "env", "args"])]
    openwhisk: bool,

    /// Take native artifacts from /init too; they are code that nothing keeps in
    #[arg(long, requires = "openwhisk")]
    allow_native: bool,

    #[command(flatten)]
    guest: super::guest::Guest,

    #[command(flatten)]
    token: super::token::Token,

    /// Threads of the server, which do its I/O and run guests [default: the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    #[command(flatten)]
    clients: super::clients::Clients,

    #[command(flatten)]
    tenants: super::tenants::Tenants,

    #[command(flatten)]
    stores: super::stores::Stores,
}

impl Args {
    /// Whether the log of the server would be among those of actions.
    pub(super) fn is_container(&self) -> bool {
        self.openwhisk
    }
}

/// Most bytes of a request to a container: the largest code, in base64.
const CONTAINER_BODY: u64 = 64 << 20;

/// Longest time of an activation, unless the platform says less.
const ACTIVATION_TIME: Duration = Duration::from_secs(600);

/// Most bytes of an activation's log.
const ACTIVATION_LOG: u64 = 10 << 20;

/// Makes a container of a server.
fn contain(config: &mut Config, allow_native: bool) {
    config.actions = Some(Arc::new(Actions { allow_native }));
    config.max_body = CONTAINER_BODY;
    // An eighth of this is for requests that initialise.
    config.max_buffered = 32 * CONTAINER_BODY;
    let limits = &mut config.defaults.limits;
    limits.time = Some(Span(ACTIVATION_TIME));
    limits.log = Some(ByteSize(ACTIVATION_LOG));
}

/// Runs the command.
pub(crate) fn run(args: &Args, log: Option<&log::Guard>) -> Result<u8, Failure> {
    let functions = functions(&args.paths, &args.guest.layer())?;
    // A container is gone with its process, and keeps nothing.
    let temporary = args.openwhisk.then(tempfile::tempdir).transpose();
    let temporary = temporary.context("cannot make a temporary folder")?;
    let store = temporary.as_ref().map(|folder| Ok(folder.path().to_owned()));
    let mut config = Config::new(args.listen, store.unwrap_or_else(|| store_folder(args))?);
    if args.openwhisk {
        contain(&mut config, args.allow_native);
    }
    config.token = args.token.read()?;
    config.threads = args.threads.map_or(config.threads, usize::from);
    config.allowed_dirs.clone_from(&args.allow_dir);
    args.clients.configure(&mut config);
    args.tenants.configure(&mut config)?;
    config.dropped_records = log.map(log::Guard::dropped).unwrap_or_default();
    wfaas_gateway::raise_descriptor_limit().context("cannot raise the limit of open files")?;
    let runtime = wfaas_gateway::runtime(&config).context("cannot start the runtime")?;
    let client = NetworkClient::new(runtime.handle().clone(), args.allow_private_hosts);
    let client = Arc::new(client);
    config.http_client = Some(client.clone());
    config.sockets = Some(client);
    config.stores = Some(args.stores.backend(&config.store_dir, runtime.handle().clone())?);
    runtime.block_on(serve(config, functions))
}

async fn serve(config: Config, functions: Vec<Function>) -> Result<u8, Failure> {
    let listen = config.listen;
    let gateway = Gateway::bind(config).with_context(|| format!("cannot serve on {listen}"))?;
    for Function { name, spec, artifact } in functions {
        gateway
            .install(name.clone(), spec, &artifact)
            .with_context(|| format!("cannot serve {name}"))
            .user_error()?;
    }
    let address = gateway.local_addr();
    output::line(format_args!("serving on http://{address}"))?;
    for function in gateway.functions() {
        match function {
            FunctionStatus::Ready(function) => {
                output::line(format_args!("  http://{address}{}", function.route))?;
            }
            FunctionStatus::Failed(function) => {
                output::line(format_args!("  {} (not loaded)", function.name))?;
            }
        }
    }
    gateway.run(wfaas_gateway::termination()).await?;
    Ok(0)
}

/// Loads all functions before anything is served, so that mistakes in one leave no server behind.
fn functions(paths: &[PathBuf], layer: &Spec) -> Result<Vec<Function>, Failure> {
    let mut by_name: BTreeMap<String, &PathBuf> = BTreeMap::new();
    let mut functions = Vec::new();
    for path in paths {
        let function = Function::load(path, layer.clone())?;
        if let Some(other) = by_name.insert(function.name.to_string(), path) {
            return Err(Failure::user(format_args!(
                "{} and {} are both called `{}`: give one another name",
                other.display(),
                path.display(),
                function.name
            )));
        }
        functions.push(function);
    }
    Ok(functions)
}

fn store_folder(args: &Args) -> Result<PathBuf, Failure> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let state = || {
        let state = variable("XDG_STATE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(variable("HOME")?).join(".local/state"));
        state.or_else(home).map(|state| state.join("wfaas"))
    };
    let folder = args.store.clone().or_else(state);
    folder
        .ok_or_else(|| anyhow!("no place for the store: HOME is not set, use --store"))
        .user_error()
}
