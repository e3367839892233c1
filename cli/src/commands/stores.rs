//! Where the values of functions' key-value stores are kept.

use crate::failure::{Blame, Failure};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use wfaas_function::ByteSize;
use wfaas_function::stores::StoreBackend;
use wfaas_stores::{DEFAULT_TENANT_BYTES, Embedded, Redis};

/// The variable that holds the URL of a Redis if no file is given.
const VARIABLE: &str = "WFAAS_REDIS_URL";

/// The file of the server's directory that holds values.
const FILE: &str = "keyvalue.redb";

/// Values that outlive a request.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Key-value stores")]
pub(super) struct Stores {
    /// Keep them in the Redis whose URL is in this file [default: the variable WFAAS_REDIS_URL; without
    /// either, a file in the store]
    #[arg(long, value_name = "FILE")]
    redis_url_file: Option<PathBuf>,

    /// Most bytes of the key-value stores of a tenant, together [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    max_stored: Option<ByteSize>,
}

impl Stores {
    /// Keeps values, in `folder` unless there is a Redis.
    ///
    /// # Errors
    /// A user's mistake if the URL cannot be read or is none. The message does not show it: there may be a
    /// password in it.
    pub(super) fn backend(
        &self,
        folder: &Path,
        runtime: Handle,
    ) -> Result<Arc<dyn StoreBackend>, Failure> {
        let most = self.max_stored.map_or(DEFAULT_TENANT_BYTES, |ByteSize(most)| most);
        match self.url().user_error()? {
            Some((url, origin)) => {
                let redis = Redis::new(&url, most, runtime).context(origin).user_error()?;
                Ok(Arc::new(redis))
            }
            None => Ok(Arc::new(Embedded::new(folder.join(FILE), most, runtime))),
        }
    }

    /// The URL of a Redis, and what holds it.
    fn url(&self) -> anyhow::Result<Option<(String, String)>> {
        let (text, origin) = match &self.redis_url_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the URL in {}", path.display()))?;
                (text, path.display().to_string())
            }
            None => match std::env::var(VARIABLE) {
                Ok(text) => (text, VARIABLE.to_owned()),
                Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(error) => return Err(error).context(VARIABLE),
            },
        };
        match text.trim() {
            "" => bail!("{origin} holds no URL"),
            url => Ok(Some((url.to_owned(), origin))),
        }
    }
}
