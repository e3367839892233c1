//! An exchange: one request and the answer being made for it.

use crate::head::{self, HeadError};
use crate::id::ExchangeId;
use crate::plain_fields::PlainFields;
use crate::reply::{Head, Reply, Whole};
use crate::request::Request;
use crate::trailers::Trailers;
use bytes::{Buf, Bytes};
use http::{HeaderMap, Response};
use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use wfaas_vm::BoxError;
use wfaas_wasi::{ByteStream, Input, LogEvent};

/// A body: bytes that are all there, or a stream of bytes some of which have not arrived yet.
#[derive(Debug, Default)]
pub struct Body {
    content: Content,
    /// Fields behind it, if it may have any.
    trailers: Option<Trailers>,
}

enum Content {
    Complete(Vec<u8>),
    Stream(Box<dyn ByteStream>),
    /// Some of it has been read. There is no stream after its end.
    Begun {
        piece: Bytes,
        stream: Option<Box<dyn ByteStream>>,
    },
}

impl Default for Content {
    fn default() -> Content {
        Content::Complete(Vec::new())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Complete(bytes) => write!(f, "{} bytes", bytes.len()),
            Content::Stream(_) | Content::Begun { .. } => f.write_str("a stream"),
        }
    }
}

impl Body {
    /// A complete body.
    pub fn complete(bytes: impl Into<Vec<u8>>) -> Body {
        Body { content: Content::Complete(bytes.into()), trailers: None }
    }

    /// A body that arrives while the guest runs. For functions that [read it so](crate::Function::reads_streams);
    /// for others, [collect](Body::collect) it first.
    pub fn stream(stream: Box<dyn ByteStream>) -> Body {
        Body { content: Content::Stream(stream), trailers: None }
    }

    /// The same with trailers, which are there at its end.
    pub fn with_trailers(self, trailers: Option<Trailers>) -> Body {
        Body { trailers, ..self }
    }

    /// Its trailers, if it may have any.
    pub fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_ref()
    }

    /// Whether all bytes are there.
    pub fn is_complete(&self) -> bool {
        matches!(self.content, Content::Complete(_))
    }

    /// Bytes of a complete body; 0 of a stream.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether no bytes of a complete body are there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a complete body; none of a stream.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.content {
            Content::Complete(bytes) => bytes,
            Content::Stream(_) | Content::Begun { .. } => &[],
        }
    }

    /// Takes the bytes of a complete body and leaves it empty; a stream is left as it is.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.content {
            Content::Complete(bytes) => std::mem::take(bytes),
            Content::Stream(_) | Content::Begun { .. } => Vec::new(),
        }
    }

    /// Takes a complete body, once.
    pub(crate) fn take_whole(&mut self) -> Option<Body> {
        let taken = Content::Begun { piece: Bytes::new(), stream: None };
        let taken = Body { content: taken, trailers: None };
        self.is_complete().then(|| std::mem::replace(self, taken))
    }

    /// The bytes of a complete body; none of a stream.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.take()
    }

    /// Waits for all bytes, at most `limit`, and makes it a complete body.
    ///
    /// # Errors
    /// The stream's, or that there are more.
    pub async fn collect(&mut self, limit: u64) -> Result<(), BoxError> {
        let Content::Stream(stream) = &mut self.content else { return Ok(()) };
        let mut bytes = Vec::new();
        while let Some(piece) = poll_fn(|context| stream.poll_next(context)).await {
            let piece = piece?;
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(format!("the body has more than {limit} bytes").into());
            }
            bytes.extend_from_slice(&piece);
        }
        self.content = Content::Complete(bytes);
        Ok(())
    }

    /// Takes it as a guest's stdin, and leaves it empty.
    #[inline]
    pub(crate) fn take_input(&mut self) -> Input {
        match std::mem::take(&mut self.content) {
            Content::Complete(bytes) => Input::bytes(bytes),
            Content::Stream(stream) | Content::Begun { stream: Some(stream), .. } => {
                Input::stream(stream)
            }
            Content::Begun { .. } => Input::default(),
        }
    }

    /// The next piece of it, as it is there or arrives; `None` at the end.
    ///
    /// # Errors
    /// The stream's, once.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        let (piece, stream) = self.begin();
        if !piece.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(piece))));
        }
        let Some(arriving) = stream else { return Poll::Ready(None) };
        let next = ready!(arriving.poll_next(context));
        if !matches!(next, Some(Ok(_))) {
            *stream = None;
        }
        Poll::Ready(next)
    }

    /// The piece that is there, and the stream of those that arrive.
    fn begin(&mut self) -> (&mut Bytes, &mut Option<Box<dyn ByteStream>>) {
        self.content = match std::mem::take(&mut self.content) {
            Content::Complete(bytes) => Content::Begun { piece: bytes.into(), stream: None },
            Content::Stream(stream) => Content::Begun { piece: Bytes::new(), stream: Some(stream) },
            begun @ Content::Begun { .. } => begun,
        };
        match &mut self.content {
            Content::Begun { piece, stream } => (piece, stream),
            Content::Complete(_) | Content::Stream(_) => unreachable!("it has begun"),
        }
    }

    /// Reads bytes that are there or arrive; how many. None means the end, or a `target` of none.
    pub(crate) fn poll_read(
        &mut self,
        target: &mut [u8],
        context: &mut Context<'_>,
    ) -> Poll<Result<usize, BoxError>> {
        let (piece, stream) = self.begin();
        while piece.is_empty()
            && let Some(arriving) = stream
        {
            match ready!(arriving.poll_next(context)) {
                Some(Ok(arrived)) => *piece = arrived,
                end => {
                    *stream = None;
                    end.transpose()?;
                }
            }
        }
        let len = target.len().min(piece.len());
        piece.copy_to_slice(&mut target[..len]);
        Poll::Ready(Ok(len))
    }
}

/// A request, and the answer that begins as an empty one with status 200.
#[derive(Debug)]
pub struct Exchange {
    /// The request: method, URI, headers and body, as the client sent them.
    pub request: Request,
    /// The answer so far: status, headers and body.
    pub answer: Response<Body>,
    /// Headers of the answer that are not in types, and not among the others: of one by [`answer_async`](crate::Function::answer_async),
    /// which a server sends as they are. [`Exchange::take_typed`] has all of them in types.
    pub plain_fields: PlainFields,
    /// The request's id, for the log and the guest.
    pub id: ExchangeId,
    /// Bytes at the beginning of the URI's path that led to the function: its route.
    pub route_bytes: usize,
    /// When the answer must be there; `None` for the function's time limit from the start on.
    pub deadline: Option<Instant>,
    /// Environment variables of this request alone, name and value. They hide those of the
    /// specification.
    pub variables: Vec<(String, String)>,
    /// Arguments of this request alone, after those of the specification.
    pub arguments: Vec<String>,
    /// Takes the guest's lines for the log; `None` for the log of the server.
    pub log: Option<Box<dyn LogSink>>,
    /// Address of the client, if there is one.
    pub client: Option<IpAddr>,
    /// Address that the request was sent to, if there is one.
    pub server: Option<SocketAddr>,
    /// Where the answer goes while the guest runs, if the function [makes it
    /// so](crate::Function::replies) and somebody takes it.
    pub reply: Option<Reply>,
}

/// Takes the lines that a guest writes to the log.
pub trait LogSink: fmt::Debug + Send {
    /// A line, or that the limit is reached. Must not block.
    fn take(&self, event: LogEvent);

    /// Bytes that the guest wrote to stdout and that are in no answer. Must not block.
    fn stdout(&self, _bytes: &[u8]) {}
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange::of(Request::default())
    }
}

impl Exchange {
    /// An exchange that begins with a request to the function itself.
    #[inline]
    pub fn new(request: http::Request<Body>) -> Exchange {
        Exchange::of(request.into())
    }

    /// The same with a request of which not all parts were made, in a box.
    #[inline]
    pub fn boxed(request: Request) -> Box<Exchange> {
        // With the room there first, it is made where it stays.
        Box::write(Box::new_uninit(), Exchange::of(request))
    }

    #[inline]
    fn of(request: Request) -> Exchange {
        let answer = Response::new(Body::default());
        Exchange {
            request,
            answer,
            plain_fields: PlainFields::default(),
            id: ExchangeId::default(),
            route_bytes: 0,
            deadline: None,
            variables: Vec::new(),
            arguments: Vec::new(),
            log: None,
            client: None,
            server: None,
            reply: None,
        }
    }

    /// An exchange with nothing but a body.
    #[inline]
    pub fn with_body(bytes: impl Into<Vec<u8>>) -> Exchange {
        Exchange::new(http::Request::new(Body::complete(bytes)))
    }

    /// Takes the answer that the guest has [made](Exchange::complete_answer).
    ///
    /// # Errors
    /// [`HeadError`] if it cannot be sent.
    pub(crate) fn take_answer(&mut self) -> Result<Response<Body>, HeadError> {
        self.complete_answer()?;
        Ok(self.take_typed())
    }

    /// Takes the answer with all of its headers in types: [plain fields](Exchange::plain_fields) too.
    pub fn take_typed(&mut self) -> Response<Body> {
        let mut answer = std::mem::take(&mut self.answer);
        std::mem::take(&mut self.plain_fields).add_to(answer.headers_mut());
        answer
    }

    /// Has the answer be the one that the guest has made: that of its reply, as far as nobody has taken it
    /// there, if it has begun one.
    ///
    /// # Errors
    /// [`HeadError`] if it cannot be sent.
    pub(crate) fn complete_answer(&mut self) -> Result<(), HeadError> {
        self.plain_fields = PlainFields::default();
        match self.reply.as_ref().and_then(Reply::take_begun) {
            Some(Some(whole)) => self.set_answer(whole),
            Some(None) => self.answer = Response::default(),
            None => _ = head::check(self.answer.status(), self.answer.headers_mut())?,
        }
        Ok(())
    }

    /// Has the answer be a whole reply.
    fn set_answer(&mut self, (head, bytes, trailers): Whole) {
        let body = Body::complete(bytes);
        match head {
            Head::Plain(status, fields) => {
                self.answer = Response::new(body);
                *self.answer.status_mut() = status;
                self.plain_fields = fields;
            }
            Head::Types(parts) => self.answer = Response::from_parts(*parts, body),
        }
        if let Some(fields) = trailers {
            self.answer.extensions_mut().insert(Trailers::of(fields));
        }
    }

    /// The path below the function's route, percent-encoded as the client sent it.
    pub fn path_info(&self) -> &str {
        self.request.uri().path().get(self.route_bytes..).unwrap_or_default()
    }

    /// What follows the `?`, percent-encoded as the client sent it; empty if there is none.
    pub fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The request as environment variables, if it came from somebody, and [those of this request
    /// alone](Exchange::variables): name and value of each.
    pub(crate) fn each_variable(&self, each: &mut dyn FnMut(&str, &str)) {
        self.variables.iter().for_each(|(name, value)| each(name, value));
        if self.id.is_empty() {
            return;
        }
        each("REQUEST_METHOD", self.request.method().as_str());
        each("PATH_INFO", self.path_info());
        each("QUERY_STRING", self.query());
        each("REQUEST_ID", &self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_below_the_route_keeps_its_slash() {
        let exchange = |uri: &str, route_bytes| {
            let request = http::Request::get(uri).body(Body::default()).unwrap();
            Exchange { route_bytes, ..Exchange::new(request) }
        };
        assert_eq!(exchange("http://h/a/b%20c?x=y", 2).path_info(), "/b%20c");
        assert_eq!(exchange("/a/b?x=y", 2).query(), "x=y");
        assert_eq!(exchange("/a", 2).path_info(), "");
        assert_eq!(exchange("/a", 9).path_info(), "");
    }
}
