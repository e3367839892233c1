//! The bearer token of deployments, on both sides.

use crate::failure::{Blame, Failure};
use anyhow::{Context, bail};
use std::path::PathBuf;

/// The variable that holds the token if no file is given.
const VARIABLE: &str = "WFAAS_TOKEN";

/// Where the token comes from. Not from an argument: those are seen by everybody on the machine.
#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// Read the token of deployments from this file [default: the variable WFAAS_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Token {
    /// The token, if there is one.
    ///
    /// # Errors
    /// A user's mistake if the file cannot be read or holds no token.
    pub(super) fn read(&self) -> Result<Option<String>, Failure> {
        let read = || -> anyhow::Result<Option<String>> {
            let (text, origin) = match &self.token_file {
                Some(path) => {
                    let text = std::fs::read_to_string(path)
                        .with_context(|| format!("cannot read the token {}", path.display()))?;
                    (text, path.display().to_string())
                }
                None => match std::env::var(VARIABLE) {
                    Ok(text) => (text, VARIABLE.to_owned()),
                    Err(_) => return Ok(None),
                },
            };
            let token = text.trim();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                bail!("{origin} holds no token: one word of visible ASCII characters");
            }
            Ok(Some(token.to_owned()))
        };
        read().user_error()
    }
}
