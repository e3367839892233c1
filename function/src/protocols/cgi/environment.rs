//! Environment and arguments of a CGI program (RFC 3875, 4).

use crate::exchange::Exchange;
use crate::head;
use crate::invoke::InvokeError;
use http::header::{self, HeaderName};
use http::{HeaderMap, Method, Version};

/// Most variables for headers: more are left out.
const MAX_HEADERS: usize = 256;

/// Headers without a variable of the form `HTTP_*`: those with a variable of their own, those about
/// the connection, and `Proxy`, whose variable would send a program's own requests elsewhere.
const WITHOUT_VARIABLE: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("proxy"),
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Refuses a request that no environment can tell.
///
/// # Errors
/// [`InvokeError::Request`] if the path has a NUL in it, or is not UTF-8.
pub(in crate::protocols) fn check(exchange: &Exchange) -> Result<(), InvokeError> {
    let path = exchange.request.uri().path();
    let decoded = decode(path).filter(|path| !path.contains('\0'));
    decoded.map(drop).ok_or(InvokeError::Request("the path is not UTF-8, or has a NUL in it"))
}

/// Words of a query without `=`: the program's arguments (RFC 3875, 4.4).
pub(super) fn arguments(exchange: &Exchange) -> Vec<String> {
    let query = exchange.query();
    let is_index = matches!(*exchange.request.method(), Method::GET | Method::HEAD);
    if query.is_empty() || query.contains('=') || !is_index {
        return Vec::new();
    }
    // No arguments at all if one of them is none.
    let words = query.split('+').map(|word| decode(word).filter(|word| !word.contains('\0')));
    words.collect::<Option<_>>().unwrap_or_default()
}

/// All variables of a request: name and value of each.
pub(in crate::protocols) fn variables(exchange: &Exchange) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    each_variable(exchange, &mut |name, value| variables.push((name.to_owned(), value.to_owned())));
    variables
}

fn each_variable(exchange: &Exchange, each: &mut dyn FnMut(&str, &str)) {
    each("GATEWAY_INTERFACE", "CGI/1.1");
    each("SERVER_SOFTWARE", concat!("wfaas/", env!("CARGO_PKG_VERSION")));
    server(exchange, each);
    path(exchange, each);
    each("REQUEST_METHOD", exchange.request.method().as_str());
    each("QUERY_STRING", exchange.query());
    each("REQUEST_ID", &exchange.id);
    if let Some(client) = exchange.client {
        let client = client.to_canonical().to_string();
        each("REMOTE_ADDR", &client);
        each("REMOTE_HOST", &client);
    }
    content(exchange, each);
    headers(exchange.headers(), each);
}

/// Where the request was sent to.
fn server(exchange: &Exchange, each: &mut dyn FnMut(&str, &str)) {
    let authority = authority(exchange);
    let (name, port) = split_port(authority);
    let port = match exchange.server {
        Some(server) => server.port(),
        None => port.unwrap_or(80),
    };
    let name = match (name, exchange.server) {
        ("", Some(server)) => server.ip().to_canonical().to_string(),
        ("", None) => "localhost".to_owned(),
        (name, _) => name.to_owned(),
    };
    each("SERVER_NAME", &name);
    each("SERVER_PORT", &port.to_string());
    each("SERVER_PROTOCOL", protocol(exchange.request.version()));
    let target = exchange.request.uri().path_and_query().map_or("/", |target| target.as_str());
    let host = if authority.is_empty() { &name } else { authority };
    each("X_FULL_URL", &format!("http://{host}{target}"));
}

/// The path, in two parts: what led to the function, and the rest.
fn path(exchange: &Exchange, each: &mut dyn FnMut(&str, &str)) {
    let raw = exchange.path_info();
    let route = exchange.request.uri().path().strip_suffix(raw).unwrap_or_default();
    each("SCRIPT_NAME", &decode(route).unwrap_or_default());
    each("X_MATCHED_ROUTE", &format!("{route}/..."));
    each("X_RAW_PATH_INFO", raw);
    let info = decode(raw).unwrap_or_default();
    each("PATH_INFO", &info);
    if !info.is_empty() {
        each("PATH_TRANSLATED", &info);
    }
}

/// Type and length of the body, if it has them.
fn content(exchange: &Exchange, each: &mut dyn FnMut(&str, &str)) {
    if let Some(kind) = exchange.headers().get(header::CONTENT_TYPE) {
        each("CONTENT_TYPE", &String::from_utf8_lossy(kind.as_bytes()));
    }
    if let Some(length) = head::content_length(exchange.headers()).filter(|length| *length > 0) {
        each("CONTENT_LENGTH", &length.to_string());
    }
}

/// One variable a header; values of the same name are one list.
fn headers(headers: &HeaderMap, each: &mut dyn FnMut(&str, &str)) {
    let with_variable = headers.keys().filter(|name| !WITHOUT_VARIABLE.contains(name));
    // A name with `_` would be taken for the one with `-`, which a proxy may have checked.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let plain = with_variable.filter(|name| name.as_str().bytes().all(is_plain));
    for name in plain.take(MAX_HEADERS) {
        let separator = if *name == header::COOKIE { "; " } else { ", " };
        let values = headers.get_all(name).iter();
        let values: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let variable = name.as_str().to_ascii_uppercase().replace('-', "_");
        each(&format!("HTTP_{variable}"), &values.join(separator));
    }
}

/// Host and port that the client asked for.
fn authority(exchange: &Exchange) -> &str {
    let host = exchange.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let uri = exchange.request.uri();
    host.or(uri.authority().map(|authority| authority.as_str())).unwrap_or_default()
}

/// A name or an address, which has colons in brackets only, and the port after it.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Percent-decodes text; `None` if the result is not UTF-8. A `%` before anything but two digits
/// stands for itself.
fn decode(text: &str) -> Option<String> {
    let (mut decoded, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let pair = match (first, tail) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let (byte, left) = match pair {
            Some((high, low)) => ((high * 16 + low) as u8, &tail[2..]),
            None => (*first, tail),
        };
        decoded.push(byte);
        rest = left;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Body;
    use http::Request;
    use std::collections::BTreeMap;

    fn exchange(request: http::request::Builder, route: &str) -> Exchange {
        let request = request.body(Body::default()).unwrap();
        let mut exchange = Exchange::new(request);
        exchange.route_bytes = route.len();
        exchange.client = Some([192, 0, 2, 7].into());
        exchange.server = Some(([127, 0, 0, 1], 8080).into());
        exchange
    }

    fn all(exchange: &Exchange) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for (name, value) in variables(exchange) {
            let before = found.insert(name.clone(), value);
            assert_eq!(before, None, "{name} is there twice");
        }
        found
    }

    #[test]
    fn a_request_is_told_as_the_rfc_has_it() {
        let request = Request::post("/app/b%20c/%C3%BC?x=%20y")
            .header("host", "a.example:81")
            .header("content-type", "text/plain")
            .header("content-length", "5")
            .header("x-a", "1")
            .header("X-A", "2")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let found = all(&exchange(request, "/app"));
        for (name, value) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_NAME", "a.example"),
            ("SERVER_PORT", "8080"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REQUEST_METHOD", "POST"),
            ("SCRIPT_NAME", "/app"),
            ("PATH_INFO", "/b c/ü"),
            ("PATH_TRANSLATED", "/b c/ü"),
            ("QUERY_STRING", "x=%20y"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_HOST", "192.0.2.7"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "5"),
            ("HTTP_HOST", "a.example:81"),
            ("HTTP_X_A", "1, 2"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("X_FULL_URL", "http://a.example:81/app/b%20c/%C3%BC?x=%20y"),
            ("X_MATCHED_ROUTE", "/app/..."),
            ("X_RAW_PATH_INFO", "/b%20c/%C3%BC"),
        ] {
            assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(!found.contains_key("HTTP_CONTENT_TYPE"));
        assert!(!found.contains_key("HTTP_CONTENT_LENGTH"));
    }

    #[test]
    fn what_could_mislead_a_program_is_left_out() {
        let request = Request::get("/app")
            .header("proxy", "http://evil.example")
            .header("x_forwarded_for", "1.2.3.4")
            .header("x.y", "z")
            .header("connection", "close");
        let found = all(&exchange(request, "/app"));
        assert!(!found.keys().any(|name| name.starts_with("HTTP_")), "{found:?}");
        assert_eq!((&*found["SERVER_NAME"], &*found["PATH_INFO"]), ("127.0.0.1", ""));
        assert!(!found.contains_key("PATH_TRANSLATED") && !found.contains_key("CONTENT_LENGTH"));
    }

    #[test]
    fn paths_that_no_variable_can_hold_are_refused() {
        for (path, fits) in
            [("/a%00b", false), ("/%ff", false), ("/%", true), ("/%zz%2", true), ("/%41", true)]
        {
            assert_eq!(check(&exchange(Request::get(path), "/")).is_ok(), fits, "{path}");
        }
        assert_eq!(decode("/%zz%2%41%").as_deref(), Some("/%zz%2A%"));
    }

    #[test]
    fn a_query_without_an_equals_sign_is_arguments() {
        for (query, expected) in [
            ("one+two%20words+%2B", &["one", "two words", "+"][..]),
            ("a=b", &[]),
            ("a+b=c", &[]),
            ("a+%00", &[]),
            ("a+%ff", &[]),
            ("a%3Db", &["a=b"]),
            ("", &[]),
        ] {
            let asked = exchange(Request::get(format!("/app?{query}")), "/app");
            assert_eq!(arguments(&asked), expected, "{query}");
        }
        let posted = exchange(Request::post("/app?a"), "/app");
        assert!(arguments(&posted).is_empty());
    }

    #[test]
    fn ports_are_told_from_addresses() {
        assert_eq!(split_port("a:80"), ("a", Some(80)));
        assert_eq!(split_port("a"), ("a", None));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
        assert_eq!(split_port("[::1]:8080"), ("[::1]", Some(8080)));
        assert_eq!(split_port("a:"), ("a", None));
    }
}
