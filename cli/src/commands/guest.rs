//! Environment, arguments and sockets of a guest, as the command line gives them.

use wfaas_function::Spec;
use wfaas_function::sockets::SocketGrant;

/// Environment, arguments and sockets of a guest. They come before the ones of its folder's faas.toml.
#[derive(Debug, clap::Args)]
pub(super) struct Guest {
    /// Set an environment variable of the guest; of several with one name the last counts
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// Let a component open sockets to these addresses, tcp:// or udp://, with * for any characters of the host or any
    /// port; repeat it for several. They replace the `allowed_sockets` of the faas.toml
    #[arg(long, value_name = "tcp://HOST:PORT")]
    allow_socket: Vec<SocketGrant>,

    /// Arguments for the guest
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

impl Guest {
    /// The layer of the command line.
    pub(super) fn layer(&self) -> Spec {
        let env = self.env.iter().cloned().collect();
        let (args, allowed_sockets) = (self.args.clone(), self.allow_socket.clone());
        Spec { env, args, allowed_sockets, ..Spec::default() }
    }
}

/// Reads the value of `--env`.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        guest: Guest,
    }

    fn layer(words: &[&str]) -> Result<Spec, clap::Error> {
        let words = std::iter::once(&"run").chain(words);
        Command::try_parse_from(words).map(|command| command.guest.layer())
    }

    #[test]
    fn a_name_is_there_once() {
        let spec = layer(&["--env", "A=1", "--env", "B=b=c", "--env", "A=2", "--", "-x"]).unwrap();
        let env: Vec<_> = spec.env.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        assert_eq!(env, [("A", "2"), ("B", "b=c")]);
        assert_eq!(spec.args, ["-x"]);
        assert_eq!(layer(&["--env", "A="]).unwrap().env["A"], "");
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for wrong in ["", "A", "=", "=1"] {
            assert!(layer(&["--env", wrong]).is_err(), "{wrong:?}");
        }
    }
}
