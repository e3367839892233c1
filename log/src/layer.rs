//! The layer of `tracing` that sends events to the queue.

use crate::queue::Queue;
use crate::record::{Draft, Head};
use std::cell::RefCell;
use std::sync::Arc;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

thread_local! {
    static DRAFT: RefCell<Draft> = RefCell::default();
}

/// Sends events to a [`Log`](crate::Log). Spans are not shown.
#[derive(Debug, Clone)]
pub struct LogLayer(Arc<Queue>);

impl LogLayer {
    pub(crate) fn new(queue: Arc<Queue>) -> LogLayer {
        LogLayer(queue)
    }

    fn send(&self, event: &Event<'_>, draft: &mut Draft) {
        let head = Head::of(event);
        draft.read(event);
        self.0.push(head, draft);
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let sent = DRAFT.try_with(|draft| match draft.try_borrow_mut() {
            Ok(mut draft) => self.send(event, &mut draft),
            // Formatting a value of an event logs something itself.
            Err(_) => self.send(event, &mut Draft::default()),
        });
        if sent.is_err() {
            // The thread ends.
            self.send(event, &mut Draft::default());
        }
    }
}
