//! One connection: HTTP/1.1 or HTTP/2 without TLS, closed when nothing moves on it.

use crate::http;
use crate::server::Shared;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 128;
/// Most bytes of a request's headers.
const MAX_HEADERS: usize = 64 << 10;

/// Serves a connection until one side closes it, it is silent for too long, or the server ends.
pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>, watcher: Watcher) {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let activity = Activity::new();
    let io = TokioIo::new(Watched { stream, activity: activity.clone() });
    let service_activity = activity.clone();
    let service_shared = shared.clone();
    let service = service_fn(move |request| {
        let (shared, running) = (service_shared.clone(), service_activity.request());
        async move {
            let response = http::handle(&shared, request).await;
            drop(running);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let builder = builder(shared.config.header_timeout);
    let connection = watcher.watch(builder.serve_connection(io, service).into_owned());
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::debug!("connection: {error}");
            }
        }
        () = activity.silence(shared.config.idle_timeout) => {}
    }
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS as u32);
    builder
}

/// When something last moved on a connection, and how many requests it runs.
#[derive(Debug, Clone)]
struct Activity(Arc<ActivityInner>);

#[derive(Debug)]
struct ActivityInner {
    opened: Instant,
    /// Milliseconds after `opened`.
    last: AtomicU64,
    requests: AtomicUsize,
}

/// A request that runs: the connection is not idle until it is dropped.
struct Running(Activity);

impl Activity {
    fn new() -> Activity {
        Activity(Arc::new(ActivityInner {
            opened: Instant::now(),
            last: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
        }))
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(elapsed, Ordering::Relaxed);
    }

    fn request(&self) -> Running {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    /// Ready once nothing has moved for `limit`, and no request runs.
    async fn silence(&self, limit: Duration) {
        loop {
            let last = self.0.opened + Duration::from_millis(self.0.last.load(Ordering::Relaxed));
            let silent = last.elapsed();
            let running = self.0.requests.load(Ordering::Relaxed) > 0;
            if silent >= limit && !running {
                return;
            }
            let pause = if running { limit } else { limit - silent };
            tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.touch();
        self.0.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes when bytes move.
struct Watched {
    stream: TcpStream,
    activity: Activity,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buf);
        if read.is_ready() {
            self.activity.touch();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.activity.touch();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if written.is_ready() {
            self.activity.touch();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
