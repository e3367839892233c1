//! Results of host functions that seldom wait.

use std::fmt;

/// The results of a host function that may wait.
pub enum MaybeFuture<'a, R> {
    /// They are there: there is nothing to wait for.
    Ready(R),
    /// They will be there when this future is ready.
    Future(Box<dyn Future<Output = R> + Send + 'a>),
}

impl<R> fmt::Debug for MaybeFuture<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MaybeFuture::Ready(_) => "Ready",
            MaybeFuture::Future(_) => "Future",
        })
    }
}
