//! Outgoing requests over real connections: what the other server sees, and how failures are told.

use bytes::Bytes;
use http::{Request, Response};
use hyper::http;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use wfaas_function::{Body, ByteStream, HttpClient, OutgoingError, Timeouts};
use wfaas_gateway::NetworkClient;
use wfaas_vm::BoxError;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server of one connection.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(stream);
    });
    address
}

/// The lines of a head.
fn head(reader: &mut impl BufRead) -> Vec<String> {
    let lines = reader.lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A client that trusts the certificate of the tests, and may connect to this machine.
fn client(runtime: &Runtime) -> NetworkClient {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(include_bytes!("certificates/ca.pem")).unwrap())
        .unwrap();
    NetworkClient::with_roots(runtime.handle().clone(), true, roots)
}

fn get(url: &str) -> Request<Body> {
    Request::get(url).body(Body::default()).unwrap()
}

/// The answer with its whole body.
fn send(
    runtime: &Runtime,
    client: &NetworkClient,
    request: Request<Body>,
    timeouts: Timeouts,
) -> Result<Response<Body>, OutgoingError> {
    runtime.block_on(async {
        let mut answer = client.send(request, timeouts).await?;
        let collected = answer.body_mut().collect(1 << 20).await;
        collected.map_err(|error| error.downcast_ref::<OutgoingError>().unwrap().clone())?;
        Ok(answer)
    })
}

/// A body that arrives in pieces.
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    fn body(pieces: &[&'static str]) -> Body {
        Body::stream(Box::new(Pieces(pieces.iter().map(|piece| Bytes::from(*piece)).collect())))
    }
}

impl ByteStream for Pieces {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[test]
fn a_connection_is_used_again() {
    let (heads, seen) = mpsc::channel();
    let address = server(move |stream| {
        let mut reader = BufReader::new(stream);
        for body in ["one", "other"] {
            heads.send(head(&mut reader)).unwrap();
            let answer = format!(
                "HTTP/1.1 404 No\r\nx-a: 1\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    let runtime = runtime();
    let client = client(&runtime);
    for body in ["one", "other"] {
        let answer =
            send(&runtime, &client, get(&format!("http://{address}/a?b")), Timeouts::default());
        let answer = answer.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-a"]),
            (404, &"1".parse().unwrap())
        );
        assert_eq!(answer.into_body().into_bytes(), body.as_bytes());
        let head = seen.recv_timeout(PATIENCE).unwrap();
        assert_eq!(head, ["GET /a?b HTTP/1.1".to_owned(), format!("host: {address}")]);
    }
}

#[test]
fn bodies_are_streams_both_ways() {
    let (bodies, seen) = mpsc::channel();
    let address = server(move |stream| {
        let mut reader = BufReader::new(stream);
        let head = head(&mut reader);
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            body.push(byte[0]);
        }
        bodies.send((head, body)).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx: 1\r\n\r\n";
        reader.get_mut().write_all(answer).unwrap();
    });
    let runtime = runtime();
    let request = Request::post(format!("http://{address}/")).body(Pieces::body(&["12", "345"]));
    let answer = send(&runtime, &client(&runtime), request.unwrap(), Timeouts::default()).unwrap();
    assert_eq!(answer.into_body().into_bytes(), b"abcde");
    let (head, body) = seen.recv_timeout(PATIENCE).unwrap();
    assert!(head.contains(&"transfer-encoding: chunked".to_owned()), "{head:?}");
    assert_eq!(body, b"2\r\n12\r\n3\r\n345\r\n0\r\n\r\n");
}

#[test]
fn a_get_has_the_body_that_it_is_given() {
    let runtime = runtime();
    for (pieces, expected) in [(&["12", "345"][..], "2\r\n12\r\n3\r\n345\r\n0\r\n\r\n"), (&[], "")]
    {
        let (bodies, seen) = mpsc::channel();
        let address = server(move |stream| {
            let mut reader = BufReader::new(stream);
            let head = head(&mut reader);
            let mut body = vec![0; expected.len()];
            reader.read_exact(&mut body).unwrap();
            bodies.send((head, body)).unwrap();
            reader.get_mut().write_all(b"HTTP/1.1 204 OK\r\n\r\n").unwrap();
        });
        let request = Request::get(format!("http://{address}/")).body(Pieces::body(pieces));
        send(&runtime, &client(&runtime), request.unwrap(), Timeouts::default()).unwrap();
        let (head, body) = seen.recv_timeout(PATIENCE).unwrap();
        let is_chunked = head.contains(&"transfer-encoding: chunked".to_owned());
        assert_eq!(is_chunked, !pieces.is_empty(), "{head:?}");
        assert_eq!(body, expected.as_bytes());
    }
}

#[test]
fn a_stream_has_the_length_that_its_head_announces() {
    let runtime = runtime();
    for (announced, pieces) in [(4, &["12", "345"][..]), (6, &["12", "345"]), (5, &["12", "345"])] {
        let address = server(move |stream| {
            let mut reader = BufReader::new(stream);
            head(&mut reader);
            let mut body = [0; 5];
            if reader.read_exact(&mut body).is_ok() {
                let _ = reader.get_mut().write_all(b"HTTP/1.1 204 OK\r\n\r\n");
            }
        });
        let request =
            Request::post(format!("http://{address}/")).header("content-length", announced);
        let request = request.body(Pieces::body(pieces)).unwrap();
        let answer = send(&runtime, &client(&runtime), request, Timeouts::default());
        assert_eq!(answer.is_ok(), announced == 5, "{announced}: {answer:?}");
    }
}

#[test]
fn private_networks_are_kept_from_guests() {
    let runtime = runtime();
    let client = NetworkClient::new(runtime.handle().clone(), false);
    for host in ["127.0.0.1", "[::1]", "localhost", "127.1", "169.254.169.254"] {
        let answer =
            send(&runtime, &client, get(&format!("http://{host}:1/")), Timeouts::default());
        assert!(matches!(answer, Err(OutgoingError::Private(_))), "{host}: {answer:?}");
    }
}

#[test]
fn failures_are_told_apart() {
    let runtime = runtime();
    let client = client(&runtime);
    let get = |url: &str| send(&runtime, &client, get(url), Timeouts::default()).unwrap_err();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&format!("http://{closed}/"));
    assert!(matches!(error, OutgoingError::Connect { .. }), "{error:?}");
    let error = get("http://no-such-host.invalid/");
    assert!(matches!(error, OutgoingError::Resolve { .. }), "{error:?}");
    let other = server(|mut stream| stream.write_all(b"220 mail.example ESMTP\r\n").unwrap());
    let error = get(&format!("http://{other}/"));
    assert!(matches!(error, OutgoingError::Broken(_)), "{error:?}");
    let short = server(|stream| {
        let mut reader = BufReader::new(stream);
        head(&mut reader);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").unwrap();
    });
    let error = get(&format!("http://{short}/"));
    assert!(matches!(error, OutgoingError::Broken(_)), "{error:?}");
}

#[test]
fn slow_servers_are_given_up() {
    let runtime = runtime();
    let patience = Duration::from_millis(50);
    let timeouts = Timeouts { connect: patience, first_byte: patience, between_bytes: patience };
    for beginning in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"] {
        let (gone, left) = mpsc::channel();
        let address = server(move |stream| {
            let mut reader = BufReader::new(stream);
            head(&mut reader);
            reader.get_mut().write_all(beginning.as_bytes()).unwrap();
            // The client gives the connection up.
            gone.send(reader.read(&mut [0])).unwrap();
        });
        let began = Instant::now();
        let answer =
            send(&runtime, &client(&runtime), get(&format!("http://{address}/")), timeouts);
        assert!(matches!(answer, Err(OutgoingError::Timeout(_))), "{answer:?}");
        assert!(began.elapsed() < PATIENCE);
        assert_eq!(left.recv_timeout(PATIENCE).unwrap().unwrap_or(0), 0);
    }
}

#[test]
fn whoever_stops_waiting_gives_the_request_up() {
    let (gone, left) = mpsc::channel();
    let (begun, began) = mpsc::channel();
    let address = server(move |stream| {
        let mut reader = BufReader::new(stream);
        begun.send(head(&mut reader)).unwrap();
        gone.send(reader.read(&mut [0])).unwrap();
    });
    let runtime = runtime();
    let sending = client(&runtime).send(get(&format!("http://{address}/")), Timeouts::default());
    began.recv_timeout(PATIENCE).unwrap();
    drop(sending);
    assert_eq!(left.recv_timeout(PATIENCE).unwrap().unwrap_or(0), 0);
}

/// A server of one connection with TLS.
fn secure_server() -> SocketAddr {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("certificates/localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certificates/localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    server(move |stream| {
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
        // A client that does not trust the certificate sends nothing.
        if !head(&mut reader).is_empty() {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
            reader.get_mut().write_all(answer).unwrap();
        }
    })
}

#[test]
fn certificates_are_checked() {
    let runtime = runtime();
    let trusting = client(&runtime);
    let url = |host: &str, address: SocketAddr| format!("https://{host}:{}/", address.port());
    let answer =
        send(&runtime, &trusting, get(&url("localhost", secure_server())), Timeouts::default());
    assert_eq!(answer.unwrap().into_body().into_bytes(), b"secret");
    // Not the certificate's name.
    let error =
        send(&runtime, &trusting, get(&url("127.0.0.1", secure_server())), Timeouts::default());
    assert!(matches!(error, Err(OutgoingError::Connect { .. })), "{error:?}");
    let other = NetworkClient::with_roots(runtime.handle().clone(), true, RootCertStore::empty());
    let error =
        send(&runtime, &other, get(&url("localhost", secure_server())), Timeouts::default());
    assert!(matches!(error, Err(OutgoingError::Connect { .. })), "{error:?}");
}
