//! Long resets, on a thread of their own: nobody waits for the pages of a guest to be given back.

use crate::scheduler::{Payer, Scheduler};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Instant;
use wfaas_function::Background;

/// Most resets that wait. Each has the memory of its guest; further ones are done at once.
const MOST_WAITING: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

/// The thread, as long as somebody may send it work.
#[derive(Debug)]
pub(crate) struct Resets(SyncSender<(Arc<Payer>, Work)>);

impl Resets {
    /// Starts the thread, which charges resets by `scheduler`.
    ///
    /// # Errors
    /// [`std::io::Error`] if there cannot be one more thread.
    pub(crate) fn start(scheduler: Arc<Scheduler>) -> std::io::Result<Resets> {
        let (sender, receiver) = sync_channel::<(Arc<Payer>, Work)>(MOST_WAITING);
        let run = move || {
            for (payer, work) in receiver {
                let began = Instant::now();
                work();
                scheduler.charge(&payer, began.elapsed());
            }
        };
        std::thread::Builder::new().name("wfaas-resets".into()).spawn(run)?;
        Ok(Resets(sender))
    }

    /// For the guests of a function that is charged as `payer`.
    pub(crate) fn of(&self, payer: &Arc<Payer>) -> Background {
        let (sender, payer) = (self.0.clone(), payer.clone());
        Box::new(move |work| match sender.try_send((payer.clone(), work)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, work)) | TrySendError::Disconnected((_, work))) => work(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::Tenant;
    use crate::tenants::TenantTerms;
    use std::sync::mpsc::channel;

    #[test]
    fn resets_are_done_elsewhere_until_too_many_wait() {
        let tenant = Arc::new(Tenant::new(&TenantTerms::new("a".parse().unwrap()), 0));
        let payer = Payer::new("f".parse().unwrap(), &tenant);
        let background = Resets::start(Scheduler::new(1)).unwrap().of(&payer);
        let (threads, ran_on) = channel();
        let (release, released) = channel::<()>();
        let work = |threads: std::sync::mpsc::Sender<_>| {
            Box::new(move || _ = threads.send(std::thread::current().id()))
        };
        background(Box::new(move || released.recv().unwrap()));
        // One more than wait may have gone to the thread before it began the first.
        for _ in 0..=MOST_WAITING {
            background(work(threads.clone()));
        }
        background(work(threads.clone()));
        let here = std::thread::current().id();
        assert_eq!(ran_on.recv().unwrap(), here, "there was no room");
        release.send(()).unwrap();
        drop(threads);
        assert!(ran_on.iter().take(MOST_WAITING).any(|thread| thread != here));
        assert!(payer.usage().processor > 0, "they are charged");
    }
}
