//! Bodies: received within limits, sent with the leases that they hold.

use super::Incoming;
use super::added::Added;
use super::answer::Problem;
use super::coding::Rest;
use crate::budget::{Exhausted, Lease};
use crate::connection::Exchange;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Body;
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

/// A response, in a box: it passes through many futures, and each of them moves what it holds.
pub(crate) type BoxResponse = Box<Response<Answer>>;

/// The body of an answer, and the lease that its bytes and those of its request have.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) bytes: Bytes,
    pub(crate) lease: Option<Lease>,
    pub(crate) added: Added,
    /// What follows the bytes, if not all of them are there.
    pub(crate) rest: Option<Box<Rest>>,
}

impl Answer {
    /// The answer with the lease of its bytes; just the bytes if the budget has no room for them.
    pub(super) fn leased(self, mut lease: Lease) -> Result<Answer, Bytes> {
        match lease.grow(self.bytes.len() as u64) {
            Ok(()) => Ok(Answer { lease: Some(lease), ..self }),
            Err(Exhausted) => Err(self.bytes),
        }
    }
}

impl From<Bytes> for Answer {
    fn from(bytes: Bytes) -> Answer {
        Answer { bytes, lease: None, added: Added::default(), rest: None }
    }
}

impl From<Vec<u8>> for Answer {
    fn from(mut bytes: Vec<u8>) -> Answer {
        // Room for more than there is would not be counted.
        if bytes.capacity() - bytes.len() > bytes.len() / 8 + SPARE {
            bytes.shrink_to_fit();
        }
        Answer::from(Bytes::from(bytes))
    }
}

/// Bytes of unused room that are not worth a copy.
const SPARE: usize = 1 << 10;

/// A body in memory, or its beginning, and the share of the common budget it takes.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lease: Lease,
    /// Whether there is no more of it.
    pub(super) ended: bool,
}

/// Receives a body of at most `limit` bytes, as long as the client sends it fast enough; of one with
/// more than `enough` bytes no more than that and a piece.
pub(crate) async fn receive(
    body: &mut Incoming,
    limit: u64,
    enough: u64,
    lease: Lease,
    exchange: &Exchange,
) -> Result<Received, Problem> {
    let mut received = Received { bytes: Vec::new(), lease, ended: false };
    let announced = body.size_hint().upper().unwrap_or(limit).min(limit);
    while received.bytes.len() as u64 <= enough {
        let Some(data) = next_in_time(body, exchange).await? else {
            received.ended = true;
            break;
        };
        if received.bytes.len() as u64 + data.len() as u64 > limit {
            return Err(Problem::too_large("the body", limit));
        }
        received.push(&data, announced as usize).map_err(|_| Problem::too_much())?;
    }
    received.ended |= body.is_end_stream();
    Ok(received)
}

impl Received {
    /// Adds a piece. The lease covers the room for the bytes too, which doubles as they come, but is
    /// never larger than what is still `announced`.
    fn push(&mut self, data: &[u8], announced: usize) -> Result<(), Exhausted> {
        let (capacity, needed) = (self.bytes.capacity(), self.bytes.len() + data.len());
        if needed > capacity {
            let doubled = (capacity * 2).min(announced).max(needed);
            let wanted = match self.lease.grow((doubled - capacity) as u64) {
                Ok(()) => doubled,
                Err(Exhausted) => {
                    self.lease.grow((needed - capacity) as u64)?;
                    needed
                }
            };
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

/// Why an upload was not received.
pub(super) enum UploadError {
    /// The client's doing.
    Problem(Problem),
    /// The file cannot be written.
    Io(std::io::Error),
}

impl From<Problem> for UploadError {
    fn from(problem: Problem) -> UploadError {
        UploadError::Problem(problem)
    }
}

/// Receives a body of at most `limit` bytes into a file, as long as the client sends it fast enough,
/// and has it written to the disk. `lease` is of the bytes in the file.
pub(super) async fn receive_file(
    body: &mut Incoming,
    limit: u64,
    exchange: &Exchange,
    file: &NamedTempFile,
    lease: &mut Lease,
) -> Result<(), UploadError> {
    check_announced(body, limit, "the artifact")?;
    let file = file.as_file().try_clone().map_err(UploadError::Io)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut received = 0;
    while let Some(data) = next_in_time(body, exchange).await? {
        received += data.len() as u64;
        if received > limit {
            return Err(Problem::too_large("the artifact", limit).into());
        }
        let leased = lease.grow(data.len() as u64);
        leased.map_err(|_| Problem::busy("too many deployments at the same time"))?;
        file.write_all(&data).await.map_err(UploadError::Io)?;
    }
    file.flush().await.map_err(UploadError::Io)?;
    file.sync_all().await.map_err(UploadError::Io)
}

/// Refuses a body that says beforehand that it is too large.
pub(super) fn check_announced(body: &Incoming, limit: u64, what: &str) -> Result<(), Problem> {
    if body.size_hint().lower() > limit {
        return Err(Problem::too_large(what, limit));
    }
    Ok(())
}

/// The next piece of a body as long as there is patience left; `None` at its end.
pub(super) async fn next_in_time(
    body: &mut Incoming,
    exchange: &Exchange,
) -> Result<Option<Bytes>, Problem> {
    if body.is_end_stream() {
        return Ok(None);
    }
    let data = tokio::time::timeout(exchange.await_bytes(), next_data(body)).await;
    let data = data.unwrap_or_else(|_| Err(Problem::slow_body()));
    let length = data.as_ref().ok().and_then(Option::as_ref).map_or(0, Bytes::len);
    exchange.received(length as u64);
    data
}

/// The next piece of a body; `None` at its end.
async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        // There are no others: trailers are kept.
        if let Ok(data) = frame.map_err(|error| Problem::broken_body(&error))?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Longest time and most bytes spent on a body nobody wants.
const DISCARD_TIME: Duration = Duration::from_secs(2);
const DISCARD_BYTES: usize = 32 << 20;

/// Reads what is left of a body, within limits.
pub(crate) async fn discard(body: &mut Incoming) {
    let discarding = async {
        let mut discarded = 0;
        while discarded < DISCARD_BYTES && !body.is_end_stream() {
            match next_data(body).await {
                Ok(Some(data)) => discarded += data.len(),
                Ok(None) | Err(_) => return,
            }
        }
    };
    // Out of time: the client will see its connection closed.
    let _ = tokio::time::timeout(DISCARD_TIME, discarding).await;
}
