//! Connections whose work is in the share of the request that uses them: their handshakes, and what is sent and read
//! later, TLS above all. A connection of HTTP/1.1 is used by one request at a time.

use super::share::Share;
use hyper::Uri;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};
use std::fmt;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower_service::Service;
use wfaas_vm::Ticks;

/// A connector of such connections.
#[derive(Debug, Clone)]
pub(super) struct Charged<C>(pub(super) C);

/// A connection under way.
#[derive(Debug)]
pub(super) struct Connecting<F> {
    share: Share,
    connection: F,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Working<S> {
    stream: S,
    user: User,
    /// Time that nobody was charged yet.
    owed: Duration,
}

/// Time from which on it is charged: a charge takes a lock that guests' slices take too.
const WORTH_CHARGING: Duration = Duration::from_micros(50);

/// Most of an operation: the kernel ran others on the core if it took longer.
const LONGEST: Duration = Duration::from_millis(1);

/// The share of a connection's present request, or of its last one.
#[derive(Clone)]
pub(super) struct User(Arc<Mutex<Share>>);

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.share().fmt(f)
    }
}

impl User {
    fn share(&self) -> MutexGuard<'_, Share> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present task's request is the connection's from now on. It is found in the extensions of the
    /// connection and of its answer, which has no further use for it.
    pub(super) fn take_over(extensions: &mut Extensions) {
        if let Some(user) = extensions.remove::<User>() {
            *user.share() = Share::present();
        }
    }

    /// Waits for the connection of the present task's request and takes it over.
    pub(super) async fn take_over_captured(mut connection: CaptureConnection) {
        let mut extensions = Extensions::new();
        if let Some(connected) = &*connection.wait_for_connection_metadata().await {
            connected.get_extras(&mut extensions);
        }
        User::take_over(&mut extensions);
    }
}

impl<C: Service<Uri>> Service<Uri> for Charged<C>
where
    C::Future: Unpin,
{
    type Response = Working<C::Response>;
    type Error = C::Error;
    type Future = Connecting<C::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        // Asked for in the task of the request, which may go on elsewhere from here.
        Connecting { share: Share::present(), connection: self.0.call(url) }
    }
}

impl<S, E, F> Future for Connecting<F>
where
    F: Future<Output = std::result::Result<S, E>> + Unpin,
{
    type Output = std::result::Result<Working<S>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Connecting { share, connection } = &mut *self;
        let stream = ready!(share.charge(|| Pin::new(connection).poll(context)))?;
        let user = User(Arc::new(Mutex::new(share.clone())));
        Poll::Ready(Ok(Working { stream, user, owed: Duration::ZERO }))
    }
}

impl<S: Unpin> Working<S> {
    /// Does `work`, which the present user is charged.
    fn charge<T>(self: Pin<&mut Self>, work: impl FnOnce(Pin<&mut S>) -> T) -> T {
        let Working { stream, user, owed } = self.get_mut();
        let began = Ticks::now();
        let done = work(Pin::new(stream));
        *owed += began.elapsed().min(LONGEST);
        if *owed >= WORTH_CHARGING {
            user.share().charge_time(std::mem::take(owed));
        }
        done
    }
}

impl<S: Connection> Connection for Working<S> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.user.clone())
    }
}

impl<S: Read + Unpin> Read for Working<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        self.charge(|stream| stream.poll_read(context, buffer))
    }
}

impl<S: Write + Unpin> Write for Working<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.charge(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.charge(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.charge(|stream| stream.poll_shutdown(context))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.charge(|stream| stream.poll_write_vectored(context, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::{Payer, Scheduler, Tenant};
    use crate::tenants::TenantTerms;
    use std::convert::Infallible;
    use wfaas_vm::thread_processor_time;

    const WORK: Duration = Duration::from_micros(900);

    /// Takes [`WORK`] of processor time.
    fn work() {
        let began = thread_processor_time();
        while thread_processor_time() - began < WORK {
            std::hint::spin_loop();
        }
    }

    /// Works for a connection, and for each flush of it.
    struct Slow;

    struct Spinning;

    impl Service<Uri> for Slow {
        type Response = Slow;
        type Error = Infallible;
        type Future = Spinning;

        fn poll_ready(
            &mut self,
            _context: &mut Context<'_>,
        ) -> Poll<std::result::Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _url: Uri) -> Spinning {
            Spinning
        }
    }

    impl Future for Spinning {
        type Output = std::result::Result<Slow, Infallible>;

        fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
            work();
            Poll::Ready(Ok(Slow))
        }
    }

    impl Connection for Slow {
        fn connected(&self) -> Connected {
            Connected::new()
        }
    }

    impl Write for Slow {
        fn poll_write(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<()>> {
            work();
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// The work that a function was charged, as a multiple of [`WORK`]: two clocks measure it.
    fn charged(payer: &Payer) -> u128 {
        let charged = Duration::from_nanos(payer.usage().processor);
        (charged + WORK / 2).as_nanos() / WORK.as_nanos()
    }

    #[tokio::test]
    async fn functions_are_charged_for_the_connections_that_they_use() {
        let tenant = Arc::new(Tenant::new(&TenantTerms::new("a".parse().unwrap()), 0));
        let payers = ["f", "g", "h"].map(|name| Payer::new(name.parse().unwrap(), &tenant));
        let [connects, takes, other] = &payers;
        let scheduler = Scheduler::new(1);
        let flush = async |connection: &mut Working<Slow>| {
            std::future::poll_fn(|context| Pin::new(&mut *connection).poll_flush(context)).await
        };
        let connect = || async { Charged(Slow).call(Uri::from_static("https://example")).await };
        let mut connection = Share::of(connects, &scheduler).within(connect()).await.unwrap();
        assert_eq!([connects, takes, other].map(|payer| charged(payer)), [1, 0, 0]);
        flush(&mut connection).await.unwrap();
        assert_eq!([connects, takes, other].map(|payer| charged(payer)), [2, 0, 0]);
        let mut extensions = Extensions::new();
        connection.connected().get_extras(&mut extensions);
        Share::of(takes, &scheduler).within(async { User::take_over(&mut extensions) }).await;
        flush(&mut connection).await.unwrap();
        flush(&mut connection).await.unwrap();
        assert_eq!([connects, takes, other].map(|payer| charged(payer)), [2, 2, 0]);
        connect().await.unwrap(); // nobody's
        assert_eq!([connects, takes, other].map(|payer| charged(payer)), [2, 2, 0]);
    }
}
