//! stdin of programs that answer one request after another: the record of one request, and then the wait for the next.

use bytes::Bytes;
use std::task::{Context, Poll};
use wfaas_vm::BoxError;
use wfaas_wasi::ByteStream;

/// The error that ends the call of a guest that reads its next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest waits for its next request")]
pub struct NextRequest;

/// One record.
pub(crate) struct Records(Option<Bytes>);

impl Records {
    pub(crate) fn one(record: impl Into<Bytes>) -> Box<Records> {
        Box::new(Records(Some(record.into())))
    }
}

impl ByteStream for Records {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        Poll::Ready(Some(self.0.take().ok_or_else(|| NextRequest.into())))
    }
}
