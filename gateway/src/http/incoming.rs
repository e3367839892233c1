//! The body of a request as it comes in: from hyper, or all there.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// It arrives through hyper.
    Hyper(hyper::body::Incoming),
    /// It is all there. Its head was checked by who has read it.
    Complete(Bytes),
}

impl Incoming {
    /// Takes what there is and what arrives, and leaves nothing.
    pub(super) fn take(&mut self) -> Incoming {
        std::mem::replace(self, Incoming::Complete(Bytes::new()))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut *self {
            Incoming::Hyper(body) => Pin::new(body).poll_frame(context),
            Incoming::Complete(bytes) if bytes.is_empty() => Poll::Ready(None),
            Incoming::Complete(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Incoming::Hyper(body) => body.is_end_stream(),
            Incoming::Complete(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Incoming::Hyper(body) => body.size_hint(),
            Incoming::Complete(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
