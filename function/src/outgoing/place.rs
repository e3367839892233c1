//! Places of requests: a function has so many at the same time, up to the ends of their answers.

use super::{MAX_REQUESTS, OutgoingError};
use crate::exchange::Body;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use wfaas_vm::BoxError;
use wfaas_wasi::ByteStream;

/// One of the requests that a function may have at the same time.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    pub(super) fn take(under_way: &Arc<AtomicUsize>) -> Result<Place, OutgoingError> {
        let more = |count: usize| (count < MAX_REQUESTS).then_some(count + 1);
        match under_way.try_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Place(under_way.clone())),
            Err(_) => Err(OutgoingError::TooMany),
        }
    }

    /// The body, which has this place until it is dropped.
    pub(super) fn hold(self, body: Body) -> Body {
        match body.is_complete() {
            true => body,
            false => {
                let trailers = body.trailers().cloned();
                Body::stream(Box::new(Held { body, _place: self })).with_trailers(trailers)
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Held {
    body: Body,
    _place: Place,
}

impl ByteStream for Held {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.body.poll_next(context)
    }
}
