//! The body of a request as it comes in: from hyper, or all there.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The body of a request.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// It arrives through hyper.
    Hyper {
        /// The body.
        body: hyper::body::Incoming,
        /// The fields behind it, once they have arrived. How many there may be is hyper's to say.
        trailers: Option<Box<HeaderMap>>,
    },
    /// It is all there. Its head was checked by who has read it.
    Complete(Bytes),
}

impl Incoming {
    /// A body that arrives through hyper.
    pub(crate) fn arriving(body: hyper::body::Incoming) -> Incoming {
        Incoming::Hyper { body, trailers: None }
    }

    /// Takes what there is and what arrives, and leaves nothing.
    pub(super) fn take(&mut self) -> Incoming {
        std::mem::replace(self, Incoming::Complete(Bytes::new()))
    }

    /// Takes the fields behind it, at its end.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Incoming::Hyper { trailers, .. } => trailers.take().map(|fields| *fields),
            Incoming::Complete(_) => None,
        }
    }
}

/// The next piece of a body through hyper. Fields behind it are kept.
fn poll_hyper(
    body: &mut hyper::body::Incoming,
    trailers: &mut Option<Box<HeaderMap>>,
    context: &mut Context<'_>,
) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
    loop {
        let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(context)).transpose()? else {
            return Poll::Ready(None);
        };
        match frame.into_trailers() {
            Ok(fields) => *trailers = Some(Box::new(fields)),
            Err(data) => return Poll::Ready(Some(Ok(data))),
        }
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
            Incoming::Hyper { body, trailers } => poll_hyper(body, trailers, context),
            Incoming::Complete(bytes) if bytes.is_empty() => Poll::Ready(None),
            Incoming::Complete(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Incoming::Hyper { body, .. } => body.is_end_stream(),
            Incoming::Complete(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Incoming::Hyper { body, .. } => body.size_hint(),
            Incoming::Complete(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
