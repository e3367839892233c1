//! Values in Redis, which several servers may share.
//!
//! ```text
//!   hash        wfaas:{TENANT}:values:TENANT/FUNCTION/STORE    key → value
//!   sorted set  wfaas:{TENANT}:keys:TENANT/FUNCTION/STORE      the keys, all with score 0: in their order
//!   number      wfaas:{TENANT}:bytes                           bytes of the tenant's stores
//! ```
//!
//! An operation is a script, which Redis runs as a whole. The braces keep a tenant's keys in one hash slot.
//!
//! All operations share one connection, where each is sent without waiting for those before it. One that broke fails
//! the operations that were under way, since nobody knows which of them were done, and is made anew for the next.

mod scripts;

use crate::admission::Admission;
use crate::{Done, unavailable};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, FromRedisValue, IntoConnectionInfo, RedisError, Script};
use scripts::{DONE, FULL, NO_NUMBER, SEEN_OTHER, Scripts};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use wfaas_function::stores::{
    ENTRY_BYTES, MAX_OPERATION, Operation, Outcome, Page, Pending, Space, StoreBackend, StoreError,
};

/// Longest time for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time after which an idle connection is looked after.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// Keeps values in a Redis.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    /// Made for the first operation, connected again when it breaks.
    connection: Arc<OnceLock<ConnectionManager>>,
    admission: Arc<Admission>,
    tenant_bytes: u64,
    runtime: Handle,
}

/// The text is not the URL of a Redis. It may have a password in it, so the message does not show it.
#[derive(Debug, thiserror::Error)]
#[error(
    "not the URL of a Redis, as redis://HOST:PORT/DB, rediss://USER:PASSWORD@HOST or \
     redis+unix:///PATH"
)]
pub struct UrlError(());

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redis") // nobody is to see the URL
    }
}

impl Redis {
    /// Values in the Redis at `url`. A tenant may have so many bytes. Nothing is connected yet.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new(url: &str, tenant_bytes: u64, runtime: Handle) -> Result<Redis, UrlError> {
        // The client takes the process's provider, and panics if there could be several and none is chosen.
        _ = rustls::crypto::ring::default_provider().install_default(); // somebody has chosen
        let info = url.into_connection_info().map_err(|_| UrlError(()))?;
        let client = Client::open(info.set_tcp_settings(settings())).map_err(|_| UrlError(()))?;
        let (connection, admission) = Default::default();
        Ok(Redis { client, connection, admission, tenant_bytes, runtime })
    }

    /// The connection. To be called by a task of the runtime.
    fn connection(&self) -> Result<ConnectionManager, StoreError> {
        if let Some(connection) = self.connection.get() {
            return Ok(connection.clone());
        }
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let made = self.client.get_connection_manager_lazy(config).map_err(failed)?;
        Ok(self.connection.get_or_init(|| made).clone())
    }

    /// Runs a script on a store.
    async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        space: &Space,
        arguments: &[&[u8]],
    ) -> Result<T, StoreError> {
        let mut connection = self.connection()?;
        let tenant = space.tenant();
        let mut invocation = script.prepare_invoke();
        invocation
            .key(format!("wfaas:{{{tenant}}}:values:{space}"))
            .key(format!("wfaas:{{{tenant}}}:keys:{space}"))
            .key(format!("wfaas:{{{tenant}}}:bytes"))
            .arg(self.tenant_bytes)
            .arg(ENTRY_BYTES)
            .arg(MAX_OPERATION);
        for argument in arguments {
            invocation.arg(*argument);
        }
        invocation.invoke_async(&mut connection).await.map_err(failed)
    }

    /// Does an operation when there is room for it. One that has begun keeps its room to its end, whether or not
    /// anybody waits for it: what it holds is on its way to Redis.
    async fn admitted(self, space: Space, operation: Operation) -> Done {
        let room = self.admission.admit(space.tenant(), &operation).await;
        let room = room.map_err(unavailable)?;
        let runtime = self.runtime.clone();
        let task = runtime.spawn(async move {
            let _room = room;
            self.operate(&space, operation).await
        });
        task.await.unwrap_or_else(|error| Err(unavailable(error)))
    }

    async fn operate(&self, space: &Space, operation: Operation) -> Done {
        let scripts = Scripts::get();
        match operation {
            Operation::Get(keys) => {
                let answer = self.run(&scripts.get, space, &bytes(&keys)).await?;
                let values: Option<Vec<Option<Vec<u8>>>> = answer;
                values.map(Outcome::Values).ok_or(StoreError::TooLarge)
            }
            Operation::Exists(key) => {
                let exists = self.run(&scripts.exists, space, &[key.as_bytes()]).await?;
                Ok(Outcome::Exists(exists))
            }
            Operation::Set(pairs) => {
                let pairs = pairs.iter().flat_map(|(key, value)| [key.as_bytes(), value]);
                let pairs: Vec<&[u8]> = pairs.collect();
                let end = self.run(&scripts.set, space, &pairs).await?;
                self.ended(end, Outcome::Done)
            }
            Operation::Delete(keys) => {
                let end = self.run(&scripts.delete, space, &bytes(&keys)).await?;
                self.ended(end, Outcome::Done)
            }
            Operation::List { after, most } => {
                let from = after.map_or("-".to_owned(), |key| format!("({key}"));
                let count = (most + 1).to_string();
                let arguments = [from.as_bytes(), count.as_bytes()];
                let mut keys: Vec<String> = self.run(&scripts.list, space, &arguments).await?;
                let more = keys.len() > most;
                keys.truncate(most);
                Ok(Outcome::Keys(Page { keys, more }))
            }
            Operation::Increment { key, by } => {
                let by = by.to_string();
                let arguments = [key.as_bytes(), by.as_bytes()];
                let (end, number): (i64, i64) =
                    self.run(&scripts.increment, space, &arguments).await?;
                self.ended(end, Outcome::Number(number))
            }
            Operation::Swap { key, expected, value } => {
                let is_expected = if expected.is_some() { "1" } else { "0" };
                let expected = expected.unwrap_or_default();
                let arguments = [is_expected.as_bytes(), &expected, key.as_bytes(), &value];
                let end = self.run(&scripts.swap, space, &arguments).await?;
                self.ended(end, Outcome::Swapped(end == DONE))
            }
        }
    }

    /// The end that a script has told.
    fn ended(&self, end: i64, outcome: Outcome) -> Done {
        match end {
            DONE | SEEN_OTHER => Ok(outcome),
            FULL => Err(StoreError::Full(self.tenant_bytes)),
            NO_NUMBER => Err(StoreError::NoNumber),
            other => Err(unavailable(format_args!("a script of Redis ended with {other}"))),
        }
    }
}

fn bytes(keys: &[String]) -> Vec<&[u8]> {
    keys.iter().map(String::as_bytes).collect()
}

impl StoreBackend for Redis {
    fn begin(&self, space: &Space, operation: Operation) -> Pending {
        Box::pin(self.clone().admitted(space.clone(), operation))
    }
}

/// A Redis that has vanished is noticed, also by a connection that is idle.
fn settings() -> TcpSettings {
    let keep_alive = TcpKeepalive::new().with_time(IDLE_TIME).with_interval(IDLE_TIME);
    TcpSettings::default().set_nodelay(true).set_keepalive(keep_alive).set_user_timeout(PATIENCE)
}

fn failed(error: RedisError) -> StoreError {
    unavailable(format_args!("Redis: {error}"))
}
