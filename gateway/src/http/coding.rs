//! Content codings of answers (RFC 9110, 8.4 and 12.5.3), where a function's configuration has them.
//!
//! A body is encoded as it is sent, a piece at a time: no piece takes long, and an answer that is still
//! being made is flushed after each piece, so that the client has what the guest has written.

use super::body::Answer;
use super::framing;
use super::replying::Replying;
use crate::scheduler::Payer;
use crate::server::Shared;
use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, Entry,
    HeaderValue, VARY,
};
use hyper::{HeaderMap, Response, StatusCode};
use std::io::{self, Write};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use wfaas_function::{BrokenOff, Coding};

/// Least bytes of a complete body that are worth it.
const LEAST: usize = 1 << 10;

/// Most bytes that are encoded at once, which takes some 200 µs.
const PIECE: usize = 8 << 10;

/// Compression level of gzip, of 9, and quality of Brotli, of 11: those that keep up with a network.
const GZIP_LEVEL: u32 = 4;
const BROTLI_QUALITY: u32 = 4;
/// Brotli's window is 2 to the power of this.
const BROTLI_WINDOW: u32 = 18;
const BUFFER: usize = 4 << 10;

/// The coding that a client likes best, and among equals the first one that is `offered`.
pub(super) fn choose(request: &HeaderMap, offered: &[Coding]) -> Option<Coding> {
    let mut best = None;
    for coding in offered {
        let weight = weight(request, coding.name());
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, *coding));
        }
    }
    best.map(|(_, coding)| coding)
}

/// How much a client likes a coding, of 1000; 0 if it does not take it.
fn weight(request: &HeaderMap, name: &str) -> u32 {
    let values = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut any = 0;
    for item in values.flat_map(|value| value.split(',')) {
        let (coding, parameter) = item.split_once(';').unwrap_or((item, "q=1"));
        let quality = parameter.trim().strip_prefix(['q', 'Q']).and_then(|it| it.strip_prefix('='));
        let quality: f32 = quality.and_then(|it| it.parse().ok()).unwrap_or(0.0);
        let weight = (quality.clamp(0.0, 1.0) * 1000.0) as u32;
        match coding.trim() {
            found if found.eq_ignore_ascii_case(name) => return weight,
            "*" => any = weight,
            _ => {}
        }
    }
    any
}

/// Encodes the body of an answer whose function has codings, if that is worth it; `coding` is what the
/// client takes. Caches are told that the answer depends on it.
pub(super) fn apply(
    response: &mut Response<Answer>,
    coding: Option<Coding>,
    shared: &Arc<Shared>,
    payer: &Arc<Payer>,
) {
    if !can_encode(response) {
        return;
    }
    vary(response.headers_mut());
    let Some(coding) = coding else { return };
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(CONTENT_LENGTH);
    weaken(headers);
    let answer = response.body_mut();
    let source = std::mem::take(&mut answer.bytes);
    let (following, trailers) = match answer.rest.take().map(|rest| *rest) {
        Some(Rest::Guest(guest)) => (Some(guest), None),
        Some(Rest::Trailers(fields)) => (None, fields),
        Some(Rest::Encoded(_)) | None => (None, None),
    };
    let encoder = Some(Encoder::new(coding));
    let charge = (shared.clone(), payer.clone());
    let encoded = Encoded { waiting: source, following, trailers, encoder, charge };
    answer.rest = Some(Box::new(Rest::Encoded(encoded)));
}

/// Whether an answer may be encoded, and is large enough.
fn can_encode(response: &Response<Answer>) -> bool {
    let (headers, answer) = (response.headers(), response.body());
    let is_whole = response.status() != StatusCode::PARTIAL_CONTENT;
    let keeps_form = headers.get_all(CACHE_CONTROL).iter().any(|value| {
        String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains("no-transform")
    });
    framing::has_content(response.status())
        && is_whole
        && !keeps_form
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && (answer.bytes.len() >= LEAST || matches!(answer.rest.as_deref(), Some(Rest::Guest(_))))
}

fn vary(headers: &mut HeaderMap) {
    let mut names = headers.get_all(VARY).iter();
    let has_all = names.any(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        text.split(',').any(|name| matches!(name.trim(), "*" | "accept-encoding"))
    });
    if !has_all {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// A strong validator is of the bytes as the guest has written them (RFC 9110, 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut tag) = headers.entry(ETAG)
        && tag.get().as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.get().as_bytes()].concat())
    {
        tag.insert(weak);
    }
}

/// The part of an answer that is not there yet.
#[derive(Debug)]
pub(crate) enum Rest {
    /// The guest makes it.
    Guest(Replying),
    /// It is encoded as it is sent.
    Encoded(Encoded),
    /// Nothing but the fields behind a body that is there, until they are taken.
    Trailers(Option<HeaderMap>),
}

impl Rest {
    /// The next bytes; `None` at the end.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        match self {
            Rest::Guest(guest) => guest.poll_next(context),
            Rest::Encoded(encoded) => encoded.poll_next(context),
            Rest::Trailers(_) => Poll::Ready(None),
        }
    }

    /// Takes the fields behind the body, at its end.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Rest::Guest(guest) => guest.take_trailers(),
            Rest::Encoded(encoded) => encoded.trailers.take(),
            Rest::Trailers(fields) => fields.take(),
        }
    }

    /// Bytes that the head has announced, if it has.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self {
            Rest::Guest(guest) => guest.announced(),
            Rest::Encoded(_) | Rest::Trailers(_) => None,
        }
    }
}

/// A body that is encoded as it is sent.
pub(crate) struct Encoded {
    /// Bytes that are there, and not encoded yet.
    waiting: Bytes,
    /// What comes after them.
    following: Option<Replying>,
    /// Fields behind the body, once they are there.
    trailers: Option<HeaderMap>,
    /// `None` after the end.
    encoder: Option<Encoder>,
    /// Who pays for the time.
    charge: (Arc<Shared>, Arc<Payer>),
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({} bytes, {:?})", self.waiting.len(), self.following)
    }
}

impl Encoded {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        if self.encoder.is_none() {
            return Poll::Ready(None);
        }
        if self.waiting.is_empty()
            && let Some(following) = &mut self.following
        {
            match ready!(following.poll_next(context)).transpose()? {
                Some(bytes) => self.waiting = bytes,
                None => {
                    self.trailers = following.take_trailers();
                    self.following = None;
                }
            }
        }
        let began = Instant::now();
        let encoded = self.encode();
        let (shared, payer) = &self.charge;
        shared.scheduler.charge(payer, began.elapsed());
        match encoded {
            Ok(bytes) if bytes.is_empty() && self.encoder.is_some() => {
                // Others have their turn before the next piece.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(bytes) if bytes.is_empty() => Poll::Ready(None),
            Ok(bytes) => Poll::Ready(Some(Ok(bytes.into()))),
            Err(_) => Poll::Ready(Some(Err(BrokenOff))),
        }
    }

    /// Encodes a piece, or ends the encoding if there is none; what came of it.
    fn encode(&mut self) -> io::Result<Vec<u8>> {
        let piece = self.waiting.split_to(self.waiting.len().min(PIECE));
        let is_last = self.waiting.is_empty();
        let Some(mut encoder) = self.encoder.take() else { return Ok(Vec::new()) };
        encoder.write_all(&piece)?;
        if is_last && self.following.is_none() {
            return encoder.finish();
        }
        if is_last {
            encoder.flush()?;
        }
        let encoded = encoder.take();
        self.encoder = Some(encoder);
        Ok(encoded)
    }
}

/// Bytes that an encoder takes at the most: windows and tables of this level, and output on its way.
pub(super) fn encoder_bytes(coding: Coding) -> u64 {
    match coding {
        Coding::Gzip => 384 << 10,
        Coding::Br => 1536 << 10,
    }
}

/// An encoder of one of the codings, into memory.
enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
}

impl Encoder {
    fn new(coding: Coding) -> Encoder {
        match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(Vec::new(), level)))
            }
            Coding::Br => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BUFFER,
                BROTLI_QUALITY,
                BROTLI_WINDOW,
            ))),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Gzip(encoder) => encoder,
            Encoder::Brotli(encoder) => encoder,
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// What was encoded so far.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
        })
    }

    /// The end of the encoding.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Brotli(encoder) => Ok(encoder.into_inner()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accepted: &[&str], offered: &[Coding]) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        for value in accepted {
            headers.append(ACCEPT_ENCODING, value.parse().unwrap());
        }
        choose(&headers, offered)
    }

    #[test]
    fn the_client_chooses_among_the_codings_there_are() {
        use Coding::{Br, Gzip};
        let both = [Br, Gzip];
        for (accepted, expected) in [
            (&[][..], None),
            (&["identity"], None),
            (&["gzip"], Some(Gzip)),
            (&["gzip, deflate, br"], Some(Br)),
            (&["GZIP", "br;q=0.5"], Some(Gzip)),
            (&["br;q=0, *"], Some(Gzip)),
            (&["*;q=0"], None),
            (&["gzip;q=0.001, br; q=0"], Some(Gzip)),
            (&["gzip;q=nonsense"], None),
            (&["br;level=5"], None),
        ] {
            assert_eq!(chosen(accepted, &both), expected, "{accepted:?}");
        }
        assert_eq!(chosen(&["br"], &[Gzip]), None);
        assert_eq!(chosen(&["br"], &[]), None);
    }

    fn answer(bytes: usize, headers: &[(&'static str, &str)]) -> Response<Answer> {
        let mut response = Response::new(Answer::from(vec![b'x'; bytes]));
        for (name, value) in headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        response
    }

    #[test]
    fn some_answers_stay_as_they_are() {
        assert!(can_encode(&answer(LEAST, &[])));
        assert!(!can_encode(&answer(LEAST - 1, &[])));
        for header in [
            ("content-encoding", "zstd"),
            ("content-range", "bytes 0-1/2"),
            ("cache-control", "public, No-Transform"),
        ] {
            assert!(!can_encode(&answer(LEAST, &[header])), "{header:?}");
        }
        let mut partial = answer(LEAST, &[]);
        *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert!(!can_encode(&partial));
    }

    #[test]
    fn caches_are_told_once() {
        for (before, after) in [
            (&[][..], &["accept-encoding"][..]),
            (&["Accept-Encoding"], &["Accept-Encoding"]),
            (&["origin"], &["origin", "accept-encoding"]),
            (&["origin, accept-encoding"], &["origin, accept-encoding"]),
            (&["*"], &["*"]),
        ] {
            let list: Vec<_> = before.iter().map(|value| ("vary", *value)).collect();
            let mut response = answer(0, &list);
            vary(response.headers_mut());
            assert_eq!(response.headers().get_all(VARY).iter().collect::<Vec<_>>(), after);
        }
        let mut tagged = answer(0, &[("etag", "\"a\"")]);
        weaken(tagged.headers_mut());
        weaken(tagged.headers_mut());
        assert_eq!(tagged.headers()[ETAG], "W/\"a\"");
    }
}
