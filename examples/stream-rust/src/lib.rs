//! Numbers the lines of a text of any size, each as soon as it has arrived.

use faas::{BodyReader, Request, Responder, Response};
use std::io::{self, BufRead, BufReader, Write};

#[faas::handler(streaming)]
fn number(request: Request<BodyReader>, responder: Responder) -> io::Result<()> {
    let head = Response::builder().header("content-type", "text/plain; charset=utf-8");
    let mut answer = responder.send(head.body(()).expect("a valid head"));
    let mut lines = BufReader::new(request.into_body());
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        write!(line, "{number:6}  ")?;
        // The body is at its end where there is not even a line feed.
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // One write a line: each is sent as it is.
        answer.write_all(&line)?;
    }
    Ok(())
}
