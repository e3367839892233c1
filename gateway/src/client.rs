//! The other end of the management interface.

use crate::http::CONFIG_HEADER;
use crate::registry::{FunctionInfo, FunctionStatus};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio::net::TcpStream;
use wfaas_function::{FunctionName, Spec};

/// Manages the functions of one server.
#[derive(Debug, Clone)]
pub struct Client {
    /// Host and port.
    authority: String,
    token: Option<String>,
    timeout: Duration,
}

/// Why a server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not the address of a server.
    #[error("{url:?} is not the address of a server: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A token or a specification that no header can carry.
    #[error("{0} cannot be sent in a header")]
    Header(&'static str),
    /// Nobody listens there.
    #[error("cannot connect to {authority}: {source}; is the server running?")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("talking to {authority}: {source}")]
    Http {
        /// Host and port.
        authority: String,
        /// What broke.
        source: hyper::Error,
    },
    /// The server took too long.
    #[error("{authority} did not answer within {after:?}")]
    Timeout {
        /// Host and port.
        authority: String,
        /// How long it had.
        after: Duration,
    },
    /// The server refused.
    #[error("the server refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// An answer that is none of this interface.
    #[error("{authority} gave an answer that is not one of a wfaas server: {reason}")]
    Answer {
        /// Host and port.
        authority: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Longest time for one request, uploads included.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Deserialize)]
struct List {
    functions: Vec<FunctionStatus>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// [`ClientError::Url`] if that is no address of a server; only `http` is supported.
    pub fn new(url: &str, token: Option<String>) -> Result<Client, ClientError> {
        let refuse = |reason: &str| ClientError::Url { url: url.into(), reason: reason.into() };
        let uri: Uri = url.parse().map_err(|error| refuse(&format!("{error}")))?;
        if uri.scheme_str() != Some("http") {
            return Err(refuse("it has to start with http:// (https is not supported)"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refuse("it must not have a path"));
        }
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| refuse("it has no host"))?;
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        Ok(Client { authority, token, timeout: TIMEOUT })
    }

    /// Deploys an artifact; what the server says of the function then.
    ///
    /// # Errors
    /// [`ClientError`]; a function deployed before under the name is untouched if the server
    /// refused.
    pub async fn deploy(
        &self,
        name: &FunctionName,
        artifact: impl Into<Bytes>,
        spec: &Spec,
    ) -> Result<FunctionInfo, ClientError> {
        // The name is in the path.
        let spec = Spec { name: None, ..spec.clone() };
        let mut request = self.request(Method::PUT, name.as_str(), artifact.into())?;
        request.headers_mut().insert(CONFIG_HEADER, header_value(&spec.to_json())?);
        self.read(&self.send(request).await?)
    }

    /// The server's functions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<FunctionStatus>, ClientError> {
        let request = self.request(Method::GET, "", Bytes::new())?;
        let list: List = self.read(&self.send(request).await?)?;
        Ok(list.functions)
    }

    /// One of the server's functions.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] with status 404 if there is no such function.
    pub async fn get(&self, name: &FunctionName) -> Result<FunctionStatus, ClientError> {
        let request = self.request(Method::GET, name.as_str(), Bytes::new())?;
        self.read(&self.send(request).await?)
    }

    /// Deletes a function.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] with status 404 if there is no such function.
    pub async fn delete(&self, name: &FunctionName) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, name.as_str(), Bytes::new())?;
        self.send(request).await.map(|_| ())
    }

    fn request(
        &self,
        method: Method,
        name: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let path = match name {
            "" => "/v1/functions".to_owned(),
            name => format!("/v1/functions/{name}"),
        };
        *request.uri_mut() = path.parse().expect("a function's name needs no escapes");
        let host = self.authority.parse().map_err(|_| ClientError::Header("the host"))?;
        request.headers_mut().insert(HOST, host);
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse();
            let value = value.map_err(|_| ClientError::Header("the token"))?;
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Sends a request on a connection of its own; the body of a success.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, ClientError> {
        let after = self.timeout;
        let timeout = |_| ClientError::Timeout { authority: self.authority.clone(), after };
        let (status, body) =
            tokio::time::timeout(after, self.exchange(request)).await.map_err(timeout)??;
        if status.is_success() {
            return Ok(body);
        }
        let message = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.error,
            Err(_) if status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                "arguments, environment and the rest of the configuration are too large".to_owned()
            }
            Err(_) => "it is not a wfaas server, or not its management interface".to_owned(),
        };
        Err(ClientError::Refused { status: status.as_u16(), message })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let authority = || self.authority.clone();
        let http = |source| ClientError::Http { authority: authority(), source };
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|source| ClientError::Connect { authority: authority(), source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        // Its end is seen by `sender`.
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(http)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            ClientError::Answer { authority: authority(), reason: error.to_string() }
        })?;
        connection.abort();
        Ok((head.status, body.to_bytes()))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|error| ClientError::Answer {
            authority: self.authority.clone(),
            reason: error.to_string(),
        })
    }
}

/// JSON for a header, which takes visible ASCII: only inside of strings is anything else, and there
/// it can be escaped.
fn header_value(json: &str) -> Result<HeaderValue, ClientError> {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text += &format!("\\u{unit:04x}");
            }
        }
    }
    text.parse().map_err(|_| ClientError::Header("the specification"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_sent_in_a_header() {
        let text = "\0\t\n\r\u{1b} \"\\~\u{7f}\u{80}é\u{2028}😀";
        let spec = Spec { args: vec![text.to_owned()], ..Spec::default() };
        let value = header_value(&spec.to_json()).unwrap();
        assert!(value.to_str().unwrap().contains(r"~\u007f\u0080\u00e9\u2028\ud83d\ude00"));
        assert_eq!(Spec::from_json(value.to_str().unwrap()).unwrap(), spec);
    }

    #[test]
    fn addresses_are_http_with_a_host_and_nothing_else() {
        let authority = |url| Client::new(url, None).map(|client| client.authority);
        assert_eq!(authority("http://localhost:8080").unwrap(), "localhost:8080");
        assert_eq!(authority("http://localhost/").unwrap(), "localhost:80");
        assert_eq!(authority("http://[::1]:1").unwrap(), "[::1]:1");
        for bad in
            ["", "localhost:8080", "https://localhost", "http://", "http://a/b", "http://a b"]
        {
            assert!(matches!(authority(bad), Err(ClientError::Url { .. })), "{bad}");
        }
    }
}
