//! Sessions: how a function keeps what its guests remember from one request to the next.

use super::{ByteSize, Span};
use http::HeaderName;
use serde::{Deserialize, Serialize, Serializer};
use std::time::Duration;

/// Most sessions of a function.
const MAX_SESSIONS: u32 = 100_000;

/// Most bytes of a session.
const MAX_BYTES: u64 = 256 << 20;

/// How a function has sessions: the state after an answer is kept, and a later request that names it goes
/// on from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Read")]
pub struct Session {
    /// The name of a session in requests and answers.
    #[serde(flatten)]
    pub carrier: Carrier,
    /// Most sessions at the same time; a new one ends the one that was idle for longest, of those whose
    /// id never came back if there are any.
    pub max: u32,
    /// Most bytes of the pages that differ from the function's image, of one session.
    pub bytes: ByteSize,
    /// Time without a request after which a session ends.
    #[serde(serialize_with = "as_text")]
    pub idle: Span,
}

/// Where clients carry the name of their session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// In a cookie of this name (RFC 6265).
    Cookie(String),
    /// In a header of this name, of requests and answers.
    Header(String),
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    cookie: Option<String>,
    header: Option<String>,
    max: Option<u32>,
    bytes: Option<ByteSize>,
    idle: Option<Span>,
}

impl TryFrom<Read> for Session {
    type Error = String;

    fn try_from(read: Read) -> Result<Session, String> {
        let Read { cookie, header, max, bytes, idle } = read;
        let carrier = match (cookie, header) {
            (Some(name), None) => Carrier::Cookie(name),
            (None, Some(name)) => Carrier::Header(name.to_ascii_lowercase()),
            _ => return Err("session: name either a `cookie` or a `header`".to_owned()),
        };
        carrier.check()?;
        let session = Session {
            carrier,
            max: max.unwrap_or(1000),
            bytes: bytes.unwrap_or(ByteSize(1 << 20)),
            idle: idle.unwrap_or(Span(Duration::from_secs(600))),
        };
        if !(1..=MAX_SESSIONS).contains(&session.max) {
            return Err(format!("session.max: has to be from 1 to {MAX_SESSIONS}"));
        }
        if !(1..=MAX_BYTES).contains(&session.bytes.0) {
            return Err(format!("session.bytes: has to be from 1 to {MAX_BYTES}"));
        }
        Ok(session)
    }
}

/// Headers that say something else: about the connection, the content, caches, or who asks (RFC 9110).
const TAKEN: [&str; 22] = [
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-request-id",
];

/// Whether a header, in lower case, means something else than the id of a session.
fn is_taken(header: &str) -> bool {
    header.starts_with("content-") || TAKEN.contains(&header)
}

impl Carrier {
    /// A cookie's name is a token, as a header's (RFC 6265, 4.1.1).
    fn check(&self) -> Result<(), String> {
        let (key, name) = match self {
            Carrier::Cookie(name) => ("cookie", name),
            Carrier::Header(name) => ("header", name),
        };
        let is_token = HeaderName::try_from(name.as_str()).is_ok() && name.len() <= 100;
        if !is_token {
            return Err(format!("session.{key}: {name:?} is not a name for one"));
        }
        match self {
            Carrier::Header(name) if is_taken(name) => {
                Err(format!("session.header: {name} means something else; take one of your own"))
            }
            _ => Ok(()),
        }
    }
}

fn as_text<S: Serializer>(span: &Span, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format!("{}ms", span.millis()))
}
