//! Bodies that have not arrived yet.

mod common;

use bytes::Bytes;
use common::{function, spec};
use http::Request;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wfaas_function::{Body, ByteStream, Exchange, protocols::reactor::BodyNotComplete};
use wfaas_vm::BoxError;

/// Pieces, each after a poll in vain.
struct Pieces(VecDeque<Option<&'static str>>);

fn pieces(pieces: &[&'static str]) -> Body {
    let steps = pieces.iter().flat_map(|piece| [None, Some(*piece)]);
    Body::stream(Box::new(Pieces(steps.collect())))
}

impl ByteStream for Pieces {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Some("error")) => Poll::Ready(Some(Err("the sender is gone".into()))),
            Some(Some(piece)) => Poll::Ready(Some(Ok(piece.into()))),
            Some(None) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

fn exchange(body: Body) -> Exchange {
    Exchange::new(Request::new(body))
}

/// Copies stdin to stdout, up to 16 bytes at a time.
const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\01\00\00\10\00\00\00\00\01\00\00")
  (func (export "_start")
    (loop $more
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 12)) (then unreachable))
      (if (i32.load (i32.const 12))
        (then
          (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 64)))
          (br $more))))))"#;

/// A reactor that answers the length of its body, as that many bytes of its memory.
const LENGTH: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "faas_handle") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"#;

#[test]
fn a_command_reads_its_body_as_it_arrives() {
    let cat = function(CAT, spec());
    assert!(cat.reads_streams());
    let answer = cat.handle(exchange(pieces(&["one ", "", "two ", "and a longer one "])));
    assert_eq!(answer.unwrap().body().as_bytes(), b"one two and a longer one ");
    let answer = cat.handle(exchange(pieces(&[])));
    assert!(answer.unwrap().body().is_empty());
    let error = cat.handle(exchange(pieces(&["some", "error"]))).unwrap_err();
    assert!(error.to_string().contains("the sender is gone"), "{error}");
}

#[test]
fn a_reactor_needs_the_whole_body() {
    let length = function(LENGTH, spec());
    assert!(!length.reads_streams());
    let error = length.handle(exchange(pieces(&["one", "two"]))).unwrap_err();
    assert!(error.downcast_ref::<BodyNotComplete>().is_some(), "{error}");
    let mut body = pieces(&["one", "two"]);
    collect(&mut body, 6).unwrap();
    assert!(body.is_complete());
    assert_eq!(length.handle(exchange(body)).unwrap().body().as_bytes(), b"onetwo");
}

/// Collects a body whose pieces come after a poll in vain.
fn collect(body: &mut Body, limit: u64) -> Result<(), BoxError> {
    let mut collecting = pin!(body.collect(limit));
    for _ in 0..100 {
        let polled = collecting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(result) = polled {
            return result;
        }
    }
    panic!("it does not end");
}

#[test]
fn a_body_is_collected_up_to_a_limit() {
    assert!(collect(&mut pieces(&["one", "two"]), 5).is_err());
    assert!(collect(&mut pieces(&["one", "error"]), 100).is_err());
    let mut complete = Body::complete("more than the limit");
    collect(&mut complete, 3).unwrap();
    assert_eq!(complete.into_bytes(), b"more than the limit");
}
