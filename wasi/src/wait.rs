//! Waiting: the one place where a guest waits, or a thread may be held up by the kernel for one.
//!
//! A function of WASI that cannot go on says what it waits for, a [`Wait`], and is called again when
//! that has come. [`Wait::poll`] is of calls that can be suspended, [`Wait::block`] of those that hold a
//! thread.

use crate::preview1::{Errno, Guest};
use crate::preview3::{Progress, progress};
use crate::timer::Timer;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Longest single wait of a thread. A signal that arrives just before the system call does not
/// interrupt it, so no wait is longer than what a deadline may be late.
const SLICE: Duration = Duration::from_millis(20);

/// How often a suspended guest looks at descriptors of this process: nobody else tells it.
const LOOK: Duration = Duration::from_millis(5);

/// What a guest waits for.
#[derive(Debug)]
pub(crate) enum Wait {
    /// Others who want the processor.
    Turn,
    /// The first of several things.
    For(Events),
}

/// Events that can end a wait.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Descriptors of this process that become ready.
    pub(crate) descriptors: Vec<Watched>,
    /// Descriptors of the guest: streams of which more arrives or leaves.
    pub(crate) streams: Vec<u32>,
    /// Handles of a component: things that become ready.
    pub(crate) handles: Vec<u32>,
    /// Whether the guest's clock stands still for each of these.
    pub(crate) handles_stop_clock: bool,
    /// Tasks of a component.
    pub(crate) progress: Option<Progress>,
    /// A time that comes; `None` for never.
    pub(crate) until: Option<Instant>,
}

/// A descriptor of this process to wait for.
#[derive(Clone)]
pub(crate) struct Watched {
    /// Whoever has it; a standard stream has itself.
    pub(crate) owner: Owner,
    /// For reading or for writing.
    pub(crate) flags: PollFlags,
}

/// Owner of a descriptor of this process.
#[derive(Clone)]
pub(crate) enum Owner {
    /// A standard stream, which is never closed.
    Process(BorrowedFd<'static>),
    /// A socket.
    Socket(Arc<dyn AsFd + Send + Sync>),
}

impl Watched {
    fn poll_fd(&self) -> PollFd<'_> {
        match &self.owner {
            Owner::Process(descriptor) => PollFd::from_borrowed_fd(*descriptor, self.flags),
            Owner::Socket(socket) => PollFd::from_borrowed_fd(socket.as_fd(), self.flags),
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.poll_fd())
    }
}

impl Wait {
    /// A wait for one descriptor.
    pub(crate) fn descriptor(descriptor: Watched) -> Wait {
        Wait::For(Events { descriptors: vec![descriptor], ..Events::default() })
    }

    /// A wait for the other side of the stream that the guest knows as `fd`.
    pub(crate) fn stream(fd: u32) -> Wait {
        Wait::For(Events { streams: vec![fd], ..Events::default() })
    }

    /// Whether nothing but the other side of a stream ends it.
    pub(crate) fn is_for_streams(&self) -> bool {
        match self {
            Wait::Turn => false,
            Wait::For(Events { progress: Some(_), .. }) => false,
            Wait::For(Events {
                descriptors,
                streams,
                handles,
                handles_stop_clock,
                progress: None,
                until,
            }) => {
                let is_for_some = !streams.is_empty() || !handles.is_empty();
                let are_streams = handles.is_empty() || *handles_stop_clock;
                descriptors.is_empty() && is_for_some && are_streams && until.is_none()
            }
        }
    }

    /// Ready when it is over. `timer` is this wait's alone.
    ///
    /// # Errors
    /// If nobody would end the wait.
    pub(crate) fn poll(
        &mut self,
        guest: &mut Guest<'_>,
        timer: &mut Timer,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Errno>> {
        let events = match self {
            Wait::Turn => {
                *self = Wait::For(Events { until: Some(Instant::now()), ..Events::default() });
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Wait::For(events) => events,
        };
        match events.look(guest, context) {
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => guest.wasi().flush(),
            Err(errno) => return Poll::Ready(Err(errno)),
        }
        let look = (!events.descriptors.is_empty()).then(|| Instant::now() + LOOK);
        let set =
            events.until.into_iter().chain(look).min().map(|at| timer.set(at, context.waker()));
        match set {
            Some(Err(errno)) => Poll::Ready(Err(errno)),
            _ => Poll::Pending,
        }
    }

    /// Blocks the thread until it is over.
    ///
    /// # Errors
    /// [`Errno::Intr`] if the guest's call is to end, by a deadline or a cancel: return to the guest at
    /// once.
    pub(crate) fn block(self, guest: &mut Guest<'_>) -> Result<(), Errno> {
        let Wait::For(events) = self else {
            std::thread::yield_now();
            return Ok(());
        };
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            if guest.interrupted() {
                return Err(Errno::Intr);
            }
            if events.look(guest, &mut Context::from_waker(&waker))? {
                return Ok(());
            }
            guest.wasi().flush();
            let left = events.until.map(|until| until.saturating_duration_since(Instant::now()));
            let slice = left.unwrap_or(SLICE).min(SLICE);
            let has_wakers = !events.streams.is_empty()
                || !events.handles.is_empty()
                || events.progress.is_some();
            match (has_wakers, &events.descriptors) {
                (false, descriptors) => _ = poll_once(descriptors, slice)?,
                (true, descriptors) if descriptors.is_empty() => std::thread::park_timeout(slice),
                _ => std::thread::park_timeout(slice.min(LOOK)),
            }
        }
    }
}

impl Events {
    /// Whether one of them has come. Does not wait; streams wake the waker later.
    fn look(&self, guest: &mut Guest<'_>, context: &mut Context<'_>) -> Result<bool, Errno> {
        let mut has_moved = guest.move_others(context);
        if let Some(awaited) = &self.progress {
            has_moved |= progress(guest, awaited, context);
        }
        let wasi = guest.wasi();
        for fd in &self.streams {
            has_moved |= wasi.poll_stream(*fd, context).is_ready();
        }
        for handle in &self.handles {
            has_moved |= wasi.poll_handle(*handle, context).is_ready();
        }
        if has_moved
            || !self.descriptors.is_empty() && poll_once(&self.descriptors, Duration::ZERO)?
        {
            return Ok(true);
        }
        Ok(self.until.is_some_and(|until| until <= Instant::now()))
    }
}

/// Blocks the thread until a future is ready.
///
/// # Errors
/// [`Errno::Intr`] as soon as the guest's call has to end: return to the guest at once.
pub(crate) fn block_on<R>(
    mut future: Pin<Box<dyn Future<Output = R> + Send>>,
    guest: &mut Guest<'_>,
) -> Result<R, Errno> {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if guest.interrupted() || guest.move_others(&mut context) {
            return Err(Errno::Intr);
        }
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => {
                guest.wasi().flush();
                std::thread::park_timeout(SLICE);
            }
        }
    }
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Whether a descriptor is ready now. Does not wait.
pub(crate) fn is_ready(descriptor: &Watched) -> Result<bool, Errno> {
    poll_all(&mut [descriptor.poll_fd()], Duration::ZERO)
}

fn poll_once(descriptors: &[Watched], time: Duration) -> Result<bool, Errno> {
    let mut descriptors: Vec<_> = descriptors.iter().map(Watched::poll_fd).collect();
    poll_all(&mut descriptors, time)
}

fn poll_all(descriptors: &mut [PollFd<'_>], time: Duration) -> Result<bool, Errno> {
    let time = Timespec {
        tv_sec: 0, // less than a second, see SLICE
        tv_nsec: time.subsec_nanos().into(),
    };
    match poll(descriptors, Some(&time)) {
        Ok(_) => Ok(descriptors.iter().any(|one| one.revents() != PollFlags::empty())),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads from a stream of this process, which is ready.
pub(crate) fn read(
    descriptor: BorrowedFd<'static>,
    target: &mut [u8],
) -> Result<usize, rustix::io::Errno> {
    rustix::io::read(descriptor, target)
}

/// Writes to a stream of this process, which is ready. It may take less room than there are bytes:
/// the kernel then holds the thread until there is more, or a signal comes.
pub(crate) fn write(
    descriptor: BorrowedFd<'static>,
    bytes: &[u8],
) -> Result<usize, rustix::io::Errno> {
    rustix::io::write(descriptor, bytes)
}
