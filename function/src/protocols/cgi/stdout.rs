//! stdout of a CGI program: a head (RFC 3875, 6), an empty line, and the body.

use crate::head::{self, HeadError, LocalRedirect, MAX_HEAD_BYTES};
use crate::reply::Reply;
use http::header::{CONTENT_TYPE, HeaderName, LOCATION};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use wfaas_vm::BoxError;
use wfaas_wasi::{ByteSink, Exit};

/// The sink of the program's stdout. The guest's descriptor and the conversation each have a handle.
#[derive(Clone)]
pub(in crate::protocols) struct Stdout {
    inner: Arc<Mutex<Inner>>,
    /// Whether the answer is complete once the guest closes it.
    ends: bool,
}

struct Inner {
    reply: Reply,
    stage: Stage,
    /// Names for the log.
    function: String,
    request: String,
}

enum Stage {
    /// Lines of the head have come, and the place where the last one begins.
    Head { block: Vec<u8>, line: usize },
    /// The head is complete, and there must be no body: it has no `Content-Type`, or is a local redirect.
    Bare(Box<Parts>),
    /// The head was sent.
    Body,
}

impl Stdout {
    /// Head and body go to `reply`; the log calls function and request by these names.
    pub(in crate::protocols) fn new(reply: Reply, function: &str, request: &str) -> Stdout {
        let stage = Stage::Head { block: Vec::new(), line: 0 };
        let (function, request) = (function.to_owned(), request.to_owned());
        let inner = Arc::new(Mutex::new(Inner { reply, stage, function, request }));
        Stdout { inner, ends: false }
    }

    /// The same, of which the end is the guest's as well.
    pub(in crate::protocols) fn that_ends(self) -> Stdout {
        Stdout { ends: true, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The program has ended.
    ///
    /// # Errors
    /// [`HeadError`] if its head is not complete, or cannot be sent.
    pub(in crate::protocols) fn finish(&self) -> Result<(), HeadError> {
        let mut inner = self.lock();
        match std::mem::replace(&mut inner.stage, Stage::Body) {
            Stage::Head { .. } => Err(HeadError::Unfinished),
            Stage::Bare(head) => inner.begin(*head),
            Stage::Body => Ok(()),
        }
    }
}

impl ByteSink for Stdout {
    fn is_full(&self) -> bool {
        self.lock().reply.is_full()
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.lock().reply.poll_room(context)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        let mut inner = self.lock();
        match &mut inner.stage {
            Stage::Head { block, line } => {
                let (taken, is_complete) = feed(block, line, bytes)?;
                if is_complete {
                    let head = parse(block)?;
                    inner.complete(head)?;
                }
                Ok(taken)
            }
            Stage::Bare(head) if !bytes.is_empty() => Err(no_body(head).into()),
            Stage::Bare(_) | Stage::Body => Ok(inner.reply.write(bytes)?),
        }
    }

    fn close(&mut self) -> Result<(), BoxError> {
        if self.ends { Err(Exit { code: 0 }.into()) } else { Ok(()) }
    }
}

impl Inner {
    /// Goes on after the head's last line.
    fn complete(&mut self, head: Parts) -> Result<(), HeadError> {
        let has_body =
            head.headers.contains_key(CONTENT_TYPE) || head.headers.contains_key(LOCATION);
        if has_body && !is_local_redirect(&head) {
            self.stage = Stage::Body;
            return self.begin(head);
        }
        self.stage = Stage::Bare(Box::new(head));
        Ok(())
    }

    fn begin(&self, head: Parts) -> Result<(), HeadError> {
        let dropped = self.reply.begin(head)?;
        if !dropped.is_empty() {
            let (function, request) = (self.function.as_str(), self.request.as_str());
            let names: Vec<&str> = dropped.iter().map(HeaderName::as_str).collect();
            let names = names.join(", ");
            tracing::warn!(function, request, "headers of the answer were dropped: {names}");
        }
        Ok(())
    }
}

fn is_local_redirect(head: &Parts) -> bool {
    head.extensions.get::<LocalRedirect>().is_some()
}

/// The error of a body behind a head that has none.
fn no_body(head: &Parts) -> HeadError {
    if is_local_redirect(head) { HeadError::LocalRedirect } else { HeadError::NoContentType }
}

/// Takes bytes up to the end of the head; how many, and whether it is complete.
fn feed(block: &mut Vec<u8>, line: &mut usize, bytes: &[u8]) -> Result<(usize, bool), HeadError> {
    for (index, byte) in bytes.iter().enumerate() {
        if block.len() == MAX_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        block.push(*byte);
        if *byte == b'\n' {
            if matches!(&block[*line..], b"\n" | b"\r\n") {
                return Ok((index + 1, true));
            }
            *line = block.len();
        }
    }
    Ok((bytes.len(), false))
}

/// Reads a complete head. Lines end with a line feed, or a carriage return before it.
fn parse(block: &[u8]) -> Result<Parts, HeadError> {
    let (mut head, mut status) = (head::empty(), None);
    for line in block.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let invalid = || HeadError::Line(head::shown(line));
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(invalid)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            once("Status", status.replace(parse_status(value)?).is_some())?;
            continue;
        }
        head::append(&mut head.headers, name, value)?;
    }
    once("Content-Type", is_repeated(&head.headers, CONTENT_TYPE))?;
    once("Location", is_repeated(&head.headers, LOCATION))?;
    head.status = final_status(&head.headers, status)?;
    if status.is_none()
        && let Some(redirect) = local_redirect(&head.headers)?
    {
        head.extensions.insert(redirect);
    }
    Ok(head)
}

/// The path that a Location alone asks for.
fn local_redirect(headers: &HeaderMap) -> Result<Option<LocalRedirect>, HeadError> {
    let location = headers.get(LOCATION).map(HeaderValue::as_bytes);
    let Some(location) = location.filter(|location| location.starts_with(b"/")) else {
        return Ok(None);
    };
    // Two slashes begin the name of another host (RFC 3986, 4.2), and a fragment is the client's.
    let is_path = !location.starts_with(b"//") && !location.contains(&b'#');
    let path = PathAndQuery::try_from(location).ok().filter(|_| is_path && headers.len() == 1);
    path.map(|path| Some(LocalRedirect(path))).ok_or(HeadError::LocalRedirect)
}

/// The status of a document or of a redirect (RFC 3875, 6.2 and 6.3.3).
fn final_status(headers: &HeaderMap, status: Option<StatusCode>) -> Result<StatusCode, HeadError> {
    match (status, headers.get(LOCATION)) {
        (Some(status), _) => Ok(status),
        (None, Some(_)) => Ok(StatusCode::FOUND),
        (None, None) if headers.contains_key(CONTENT_TYPE) => Ok(StatusCode::OK),
        (None, None) => Err(HeadError::NoContentType),
    }
}

/// Three digits, and maybe a reason after a space.
fn parse_status(value: &[u8]) -> Result<StatusCode, HeadError> {
    let invalid = || HeadError::Status(head::shown(value));
    let digits = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    let plain = digits.len() == 3 && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| plain);
    let number = number.and_then(|digits| digits.parse().ok()).ok_or_else(invalid)?;
    head::status(number)
}

fn once(field: &'static str, is_repeated: bool) -> Result<(), HeadError> {
    if is_repeated { Err(HeadError::Twice(field)) } else { Ok(()) }
}

fn is_repeated(headers: &HeaderMap, name: HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = (u16, Vec<(String, String)>, Vec<u8>);

    /// The answer of a program that writes this, in pieces of each size.
    fn answer(output: &[u8]) -> Result<Answer, HeadError> {
        let whole = answer_in_pieces(output, output.len().max(1));
        for size in 1..output.len().min(9) {
            assert_eq!(answer_in_pieces(output, size), whole, "pieces of {size}");
        }
        whole
    }

    fn answer_in_pieces(output: &[u8], size: usize) -> Result<Answer, HeadError> {
        let reply = Reply::collecting();
        let mut stdout = Stdout::new(reply.clone(), "f", "r");
        for mut piece in output.chunks(size) {
            while !piece.is_empty() {
                let taken = stdout.write(piece).map_err(|error| {
                    error.downcast_ref::<HeadError>().expect("an error of the head").clone()
                })?;
                assert!(taken > 0, "it goes on");
                piece = &piece[taken..];
            }
        }
        stdout.finish()?;
        let (head, body, _) = reply.take_begun().flatten().expect("a head");
        let head = head.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let headers = head.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
        Ok((head.status.as_u16(), headers, body))
    }

    fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn documents_and_redirects() {
        let html = owned(&[("content-type", "text/html")]);
        let page = answer(b"Content-Type: text/html\n\nbody\n\n").unwrap();
        assert_eq!(page, (200, html.clone(), b"body\n\n".to_vec()));
        let page = answer(b"content-type:text/html\r\nStatus: 404 Not Found\r\n\r\n\r\n").unwrap();
        assert_eq!(page, (404, html, b"\r\n".to_vec()));
        let away = answer(b"Location: https://a.example/b\n\n").unwrap();
        assert_eq!(away, (302, owned(&[("location", "https://a.example/b")]), vec![]));
        let near = answer(b"Status: 303\nLocation: /b\n\n").unwrap();
        assert_eq!((near.0, near.1), (303, owned(&[("location", "/b")])));
        assert_eq!(answer(b"Status: 204\n\n").unwrap(), (204, vec![], vec![]));
        let cookies = b"Content-Type: a/b\nSet-Cookie: a=1\nset-cookie: b=2\nConnection: close\n\n";
        let cookies = answer(cookies).unwrap().1;
        let both = [("content-type", "a/b"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
        assert_eq!(cookies, owned(&both));
    }

    #[test]
    fn a_location_with_a_path_alone_is_a_local_redirect() {
        let reply = Reply::collecting();
        let mut stdout = Stdout::new(reply.clone(), "f", "r");
        assert_eq!(stdout.write(b"Location: /b/c?d=%20\n\n").unwrap(), 22);
        assert!(!reply.is_begun(), "a body could follow");
        stdout.finish().unwrap();
        let (head, body, _) = reply.take_begun().flatten().expect("a head");
        let head = head.into_parts();
        let redirect = head.extensions.get::<LocalRedirect>().expect("a local redirect");
        assert_eq!((redirect.0.as_str(), head.status.as_u16(), body), ("/b/c?d=%20", 302, vec![]));
        for client in ["https://a.example/b", "b/c"] {
            let location = format!("Location: {client}\n\n");
            assert_eq!(answer(location.as_bytes()).unwrap().0, 302);
        }
        assert_eq!(answer(b"Status: 303\nLocation: /b\n\n").unwrap().0, 303);
    }

    #[test]
    fn what_is_no_head_is_told() {
        for (output, error) in [
            (&b""[..], HeadError::Unfinished),
            (b"Content-Type: a/b\n", HeadError::Unfinished),
            (b"\n", HeadError::NoContentType),
            (b"X-A: b\n\n", HeadError::NoContentType),
            (b"Status: 200\n\nbody", HeadError::NoContentType),
            (b"hello, world\n\n", HeadError::Line("hello, world".to_owned())),
            (b"Location: /b\n\nbody", HeadError::LocalRedirect),
            (b"Location: /b\nX-A: b\n\n", HeadError::LocalRedirect),
            (b"Location: //b.example/c\n\n", HeadError::LocalRedirect),
            (b"Location: /b#c\n\n", HeadError::LocalRedirect),
            (b"Location: /b c\n\n", HeadError::LocalRedirect),
            (b"Status: 20\n\n", HeadError::Status("20".to_owned())),
            (b"Status: 101\n\n", HeadError::Status("101".to_owned())),
            (b"Status: 200\nStatus: 200\n\n", HeadError::Twice("Status")),
            (b"Content-Type: a\nContent-Type: b\n\n", HeadError::Twice("Content-Type")),
            (b"X-A: b\n folded\n\n", HeadError::Line(" folded".to_owned())),
            (b"X A: b\n\n", HeadError::Name("X A".to_owned())),
            (b"X-A: b\rSet-Cookie: c\n\n", HeadError::Value("x-a".parse().unwrap())),
            (&b"x".repeat(MAX_HEAD_BYTES + 1), HeadError::TooLarge),
        ] {
            let output_shown = String::from_utf8_lossy(&output[..output.len().min(60)]);
            assert_eq!(answer_in_pieces(output, 7).err(), Some(error.clone()), "{output_shown}");
            assert_eq!(answer_in_pieces(output, 1 << 20).err(), Some(error), "{output_shown}");
        }
    }
}
