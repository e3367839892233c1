//! Host functions of reactors, module `faas`: the request's head and body, and the answer as it is
//! made. docs/guest-abi.md has their contract.
//!
//! An address of the guest is an allegation: [`Guest`] checks each against the memory that the guest
//! exports, and a number below zero, a [`Refusal`], tells it about what does not fit.

use super::{request, response};
use crate::state::State;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;
use wfaas_vm::{
    BoxError, Caller, ExternType, FuncType, Linker, MaybeFuture, Memory, Module, ValType,
};

/// The module name of the imports.
pub(super) const MODULE: &str = "faas";

/// Reads the body as it arrives.
pub(super) const BODY_READ: &str = "request_body_read";
/// Sends the head, and bytes of the body.
pub(super) const WRITE: &str = "response_write";

/// The functions, and how many `i32` they take; they answer one.
const FUNCTIONS: [(&str, usize); 9] = [
    ("request_method", 2),
    ("request_path", 2),
    ("request_route", 0),
    ("request_query", 2),
    ("request_header", 5),
    ("request_headers", 2),
    (BODY_READ, 2),
    ("response_status", 1),
    ("response_header", 4),
];

/// Why a function did not do what the guest asked for: a number below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Refusal {
    /// There is no such header, or no further value of it.
    Missing = -1,
    /// A range that is not in the guest's memory.
    Fault = -2,
    /// Not a status, a name or a value.
    Invalid = -3,
    /// There is no room in an answer's head.
    TooLarge = -4,
    /// The head was sent.
    Sent = -5,
}

/// What a function answers: a number that is not below zero, or a refusal.
pub(super) type Answer = Result<u32, Refusal>;

/// The guest's number for an answer. Lengths of what a guest asks for are far below 2 GiB.
fn number(answer: Answer) -> i32 {
    match answer {
        Ok(number) => i32::try_from(number).unwrap_or(i32::MAX),
        Err(refusal) => refusal as i32,
    }
}

/// Whether there is such a function.
pub(super) fn provides(module: &str, name: &str, ty: &FuncType) -> bool {
    let is = |params: usize| {
        ty.params().len() == params
            && ty.params().iter().chain(ty.results()).all(|ty| *ty == ValType::I32)
            && ty.results().len() == 1
    };
    let known = FUNCTIONS.iter().chain(&[(WRITE, 2)]);
    module == MODULE && known.clone().any(|(known, params)| *known == name && is(*params))
}

/// Whether a module imports the function `name`.
pub(super) fn imports(module: &Module, name: &str) -> bool {
    module
        .imports()
        .any(|(from, what, ty)| from == MODULE && what == name && matches!(ty, ExternType::Func(_)))
}

/// Defines all of them.
pub(super) fn link(linker: &mut Linker<State>) {
    linker.func_wrap(MODULE, "request_method", |caller: Caller<'_, State>, to: u32, room: u32| {
        number(Guest::of(caller).tell(to, room, |exchange| request::method(exchange)))
    });
    linker.func_wrap(MODULE, "request_path", |caller: Caller<'_, State>, to: u32, room: u32| {
        number(Guest::of(caller).tell(to, room, |exchange| request::path(exchange)))
    });
    linker.func_wrap(MODULE, "request_route", |mut caller: Caller<'_, State>| {
        number(request::route(caller.data_mut().exchange()))
    });
    linker.func_wrap(MODULE, "request_query", |caller: Caller<'_, State>, to: u32, room: u32| {
        number(Guest::of(caller).tell(to, room, |exchange| request::query(exchange)))
    });
    linker.func_wrap(
        MODULE,
        "request_header",
        |caller: Caller<'_, State>, name: u32, len: u32, index: u32, to: u32, room: u32| {
            number(request::header(&mut Guest::of(caller), (name, len), index, (to, room)))
        },
    );
    linker.func_wrap(MODULE, "request_headers", |caller: Caller<'_, State>, to: u32, room: u32| {
        number(request::headers(&mut Guest::of(caller), to, room))
    });
    linker.func_wrap(MODULE, "response_status", |mut caller: Caller<'_, State>, code: u32| {
        number(response::status(caller.data_mut().exchange(), code))
    });
    linker.func_wrap(
        MODULE,
        "response_header",
        |caller: Caller<'_, State>, name: u32, name_len: u32, value: u32, value_len: u32| {
            let mut guest = Guest::of(caller);
            number(response::header(&mut guest, (name, name_len), (value, value_len)))
        },
    );
    link_waiting(linker);
}

/// Defines those that may wait for the client.
fn link_waiting(linker: &mut Linker<State>) {
    linker.func_wrap_maybe_async(
        MODULE,
        BODY_READ,
        |caller: Caller<'_, State>, (to, room): (u32, u32)| {
            step(caller, move |guest, context| request::poll_body_read(guest, to, room, context))
        },
    );
    linker.func_wrap_maybe_async(
        MODULE,
        WRITE,
        |caller: Caller<'_, State>, (from, len): (u32, u32)| {
            let mut done = 0;
            step(caller, move |guest, context| {
                response::poll_write(guest, (from, len), &mut done, context)
            })
        },
    );
}

/// What a function that may wait ends with: the guest's number, or the end of its call.
type Ended = Result<i32, BoxError>;

/// Polls a function at once, and where it has to wait for the client, suspends the guest until it is
/// done. The guest's clock stands still meanwhile: the server bounds a client's pace.
fn step<'a>(
    caller: Caller<'a, State>,
    mut poll: impl FnMut(&mut Guest<'_>, &mut Context<'_>) -> Poll<Result<Answer, BoxError>> + Send + 'a,
) -> MaybeFuture<'a, Ended> {
    let mut guest = Guest::of(caller);
    let mut now = Context::from_waker(std::task::Waker::noop());
    if let Poll::Ready(ended) = poll(&mut guest, &mut now) {
        return MaybeFuture::Ready(ended.map(number));
    }
    if !guest.caller.can_wait() {
        return MaybeFuture::Ready(Err("a guest that cannot be suspended has to wait".into()));
    }
    MaybeFuture::Future(Box::new(async move {
        let (deadline, since) = (guest.caller.deadline(), Instant::now());
        guest.caller.set_deadline(None);
        let ended = poll_fn(|context| poll(&mut guest, context)).await;
        let deadline = deadline.and_then(|deadline| deadline.checked_add(since.elapsed()));
        guest.caller.set_deadline(deadline);
        ended.map(number)
    }))
}

/// The guest that called.
pub(super) struct Guest<'a> {
    caller: Caller<'a, State>,
    memory: Option<Memory>,
}

impl<'a> Guest<'a> {
    fn of(mut caller: Caller<'a, State>) -> Guest<'a> {
        let memory = caller.memory();
        Guest { caller, memory }
    }

    /// The data of its store.
    pub(super) fn state(&mut self) -> &mut State {
        self.caller.data_mut()
    }

    /// A range of its memory, and the data of its store.
    pub(super) fn range(
        &mut self,
        (from, len): (u32, u32),
    ) -> Result<(&mut [u8], &mut State), Refusal> {
        let memory = self.memory.ok_or(Refusal::Fault)?;
        let (bytes, state) = self.caller.memory_and_data(memory);
        let (start, len) = (from as usize, len as usize);
        let range = bytes.get_mut(start..).and_then(|rest| rest.get_mut(..len));
        Ok((range.ok_or(Refusal::Fault)?, state))
    }

    /// Copies a text to `to`, as far as there is room; the length of the whole.
    fn tell(&mut self, to: u32, room: u32, text: impl FnOnce(&crate::Exchange) -> &str) -> Answer {
        let (target, state) = self.range((to, room))?;
        Ok(copy(text(state.exchange()).as_bytes(), target))
    }
}

/// Copies as much as there is room for; the length of the whole.
pub(super) fn copy(bytes: &[u8], target: &mut [u8]) -> u32 {
    let len = bytes.len().min(target.len());
    target[..len].copy_from_slice(&bytes[..len]);
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
