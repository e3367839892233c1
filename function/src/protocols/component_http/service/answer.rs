//! The answer of the exchange, as far as it has come.

use super::super::HandlerError;
use super::super::body::Writing;
use crate::reply::Reply;
use crate::trailers;
use http::HeaderMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use wfaas_vm::BoxError;
use wfaas_wasi::ByteSink;

/// The guest's answer, shared with its body.
#[derive(Debug, Default)]
pub(in crate::protocols) struct Answer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    has_returned: bool,
    /// Whether a body was begun that has not ended.
    is_open: bool,
    /// The end of the body, as the guest's trailers say.
    trailers: Option<Trailers>,
    /// The trailers of a body that arrives, and is passed on.
    passed_on: Option<trailers::Trailers>,
    /// Takes the trailers.
    reply: Option<Reply>,
    failed: Option<String>,
}

/// The end of a message's body, as far as the guest's trailers have said.
pub(super) type Trailers = Arc<Mutex<End>>;

/// The end of a message's body.
#[derive(Debug, Default)]
pub(super) enum End {
    /// Neither the stream nor the trailers, as far as this message waits for both.
    #[default]
    Open,
    /// The stream alone: the upload is complete if the trailers are.
    Ended(Upload),
    /// All of it, and the fields behind it.
    Whole(Option<HeaderMap>),
    /// Why it is not whole.
    Failed(String),
}

impl End {
    /// The stream of an upload has ended.
    pub(super) fn end_stream(&mut self, upload: Upload) {
        match self {
            End::Open => *self = End::Ended(upload),
            End::Whole(fields) => upload.finish(fields.take()),
            End::Ended(_) | End::Failed(_) => drop(upload),
        }
    }

    /// The trailers have come: [`End::Whole`] or [`End::Failed`].
    pub(super) fn resolve(&mut self, end: End) {
        if let (End::Ended(upload), End::Whole(fields)) = (std::mem::replace(self, end), self) {
            upload.finish(fields.take());
        }
    }
}

/// A body that breaks off at the other server when it is dropped before its end.
#[derive(Debug)]
pub(super) struct Upload(pub(super) Writing);

impl Upload {
    fn finish(self, trailers: Option<HeaderMap>) {
        self.0.finish(trailers);
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Answer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the guest has answered, and gives the reply its trailers.
    pub(super) fn check(&self) -> Result<(), HandlerError> {
        let state = self.lock();
        let fields = match &state.trailers {
            Some(trailers) => match &mut *trailers.lock().unwrap_or_else(PoisonError::into_inner) {
                End::Failed(error) => return Err(HandlerError::Error(error.clone())),
                End::Whole(fields) => fields.take(),
                End::Open | End::Ended(_) => None,
            },
            None => None,
        };
        let fields = fields.or_else(|| state.passed_on.as_ref()?.take());
        if let (Some(reply), Some(fields)) = (&state.reply, fields) {
            reply.set_trailers(fields);
        }
        match &*state {
            State { failed: Some(error), .. } => Err(HandlerError::Error(error.clone())),
            State { has_returned: false, .. } => Err(HandlerError::NoAnswer),
            State { is_open: true, .. } => Err(HandlerError::Unfinished),
            State { is_open: false, .. } => Ok(()),
        }
    }

    /// Notes that the task has returned.
    pub(super) fn returned(&self) {
        self.lock().has_returned = true;
    }

    /// Notes an error instead of the answer, or of a part of it.
    pub(super) fn fail(&self, error: String) {
        self.lock().failed.get_or_insert(error);
    }
}

/// The body of an answer on its way to the client.
pub(super) struct AnswerBody {
    reply: Reply,
    answer: Arc<Answer>,
}

impl AnswerBody {
    /// `trailers` says at the end whether it was whole.
    pub(super) fn begin(
        reply: Reply,
        answer: Arc<Answer>,
        trailers: Option<Trailers>,
        passed_on: Option<trailers::Trailers>,
    ) -> AnswerBody {
        let mut state = answer.lock();
        (state.is_open, state.trailers, state.passed_on) = (true, trailers, passed_on);
        state.reply = Some(reply.clone());
        drop(state);
        AnswerBody { reply, answer }
    }
}

impl ByteSink for AnswerBody {
    fn is_full(&self) -> bool {
        self.reply.is_full()
    }

    fn room(&self) -> usize {
        self.reply.room()
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.reply.poll_room(context)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, BoxError> {
        Ok(self.reply.write(bytes)?)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.answer.lock().is_open = false;
    }
}
