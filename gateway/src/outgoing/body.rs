//! Bodies between functions and hyper: requests that leave, answers that arrive.

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Sleep;
use wfaas_function::{Body, ByteStream, OutgoingError, Trailers, content_length};
use wfaas_vm::BoxError;

/// The wait for the first piece of a stream that need not be there: nobody's answer is far behind.
const FIRST_PIECE: Duration = Duration::from_millis(50);

/// Bytes of a request's body that have left.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a request.
pub(super) struct Leaving {
    body: Body,
    /// The first piece, where it was waited for.
    first: Option<Result<Bytes, BoxError>>,
    /// Bytes to come, if that is known.
    left: Option<u64>,
    progress: Progress,
}

impl Leaving {
    pub(super) fn new(body: Body, progress: Progress) -> Leaving {
        let left = body.is_complete().then_some(body.len() as u64);
        Leaving { body, first: None, left, progress }
    }

    /// Takes the length of a stream from the head: hyper writes that of the body.
    pub(super) fn announce(mut request: Request<Leaving>) -> Request<Leaving> {
        let announced = content_length(request.headers());
        request.headers_mut().remove(CONTENT_LENGTH);
        let body = request.body_mut();
        body.left = body.left.or(announced);
        request
    }

    /// Has hyper send the stream of a request that has none as a rule. A stream that ends within
    /// [`FIRST_PIECE`] without bytes is none.
    pub(super) async fn insist(mut request: Request<Leaving>) -> Request<Leaving> {
        let is_rare = matches!(*request.method(), Method::GET | Method::HEAD);
        if is_rare && request.body().left.is_none() {
            let _ = tokio::time::timeout(FIRST_PIECE, request.body_mut().wait()).await;
            if !request.body().is_end_stream() {
                let chunked = HeaderValue::from_static("chunked");
                request.headers_mut().insert(TRANSFER_ENCODING, chunked);
            }
        }
        request
    }

    /// Waits for the first piece, or the end.
    async fn wait(&mut self) {
        self.first = poll_fn(|context| self.body.poll_next(context)).await;
        if self.first.is_none() {
            self.left = Some(0);
        }
    }

    /// The next piece.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.body.poll_next(context),
        }
    }

    /// Counts a piece, or the end.
    fn count(&mut self, piece: Option<&Bytes>) -> Result<(), BoxError> {
        let bytes = piece.map_or(0, |piece| piece.len() as u64);
        self.progress.0.fetch_add(bytes, Ordering::Relaxed);
        let Some(left) = &mut self.left else { return Ok(()) };
        *left = left.checked_sub(bytes).ok_or("the body is longer than its head says")?;
        match piece.is_none() && *left > 0 {
            true => Err("the body is shorter than its head says".into()),
            false => Ok(()),
        }
    }
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let next = ready!(self.poll_piece(context)).transpose()?;
        self.count(next.as_ref())?;
        if let Some(piece) = next {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let trailers = self.body.trailers().and_then(Trailers::take);
        Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(fields))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The body of an answer.
pub(super) struct Arriving {
    body: Incoming,
    patience: Duration,
    /// The end of patience with the next piece, while it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    runtime: Handle,
    trailers: Trailers,
}

impl Arriving {
    /// A body whose pieces are `patience` apart at the most.
    pub(super) fn body(body: Incoming, patience: Duration, runtime: Handle) -> Body {
        if body.is_end_stream() {
            return Body::default();
        }
        let trailers = Trailers::default();
        let arriving =
            Arriving { body, patience, timer: None, runtime, trailers: trailers.clone() };
        Body::stream(Box::new(arriving)).with_trailers(Some(trailers))
    }

    /// Ready when patience has ended.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Arriving { timer, patience, runtime, .. } = self;
        let timer = timer.get_or_insert_with(|| {
            // Whoever polls need not be of the runtime.
            let _inside = runtime.enter();
            Box::pin(tokio::time::sleep(*patience))
        });
        timer.as_mut().poll(context)
    }
}

impl ByteStream for Arriving {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        while let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) {
            self.timer = None;
            match next {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    let error = OutgoingError::Broken(super::innermost(&error));
                    return Poll::Ready(Some(Err(error.into())));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => return Poll::Ready(Some(Ok(piece))),
                    Err(frame) => {
                        frame.into_trailers().into_iter().for_each(|it| self.trailers.set(it));
                    }
                },
            }
        }
        ready!(self.poll_timer(context));
        Poll::Ready(Some(Err(OutgoingError::Timeout(self.patience).into())))
    }
}
