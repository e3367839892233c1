//! Answers with the bytes of the request's body, and with its trailers behind it, by WASI 0.3. The query of a path is the
//! address of another server: it gets the same request, and its answer is passed on.

use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme, Trailers};
use wasip3::wit_bindgen::rt::async_support::{
    FutureReader, StreamReader, StreamResult, StreamWriter, spawn_local,
};
use wasip3::{wit_future, wit_stream};

struct Program;

type Behind = FutureReader<Result<Option<Trailers>, ErrorCode>>;

async fn copy(mut from: StreamReader<u8>, mut to: StreamWriter<u8>) {
    loop {
        let (result, piece) = from.read(Vec::with_capacity(4096)).await;
        to.write_all(piece).await;
        if result == StreamResult::Dropped {
            return;
        }
    }
}

/// A stream and a future of trailers that say the same as these.
fn again(body: StreamReader<u8>, behind: Behind, path: String) -> (StreamReader<u8>, Behind) {
    let (writer, reader) = wit_stream::new();
    let (says, trailers) = wit_future::new(|| Ok(None));
    spawn_local(async move {
        copy(body, writer).await;
        let mut found = behind.await;
        if path.ends_with("/forbidden") {
            let length = ("content-length".to_owned(), b"3".to_vec());
            found = Ok(Some(Fields::from_list(&[length]).unwrap()));
        }
        let _ = says.write(found).await;
    });
    (reader, trailers)
}

fn announcing() -> Fields {
    Fields::from_list(&[("trailer".to_owned(), b"x-one, x-two".to_vec())]).unwrap()
}

impl wasip3::exports::http::handler::Guest for Program {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (_, read) = wit_future::new(|| Ok(()));
        let (body, behind) = Request::consume_body(request, read);
        let (body, behind) = again(body, behind, path.clone());
        let Some((_, authority)) = path.split_once('?') else {
            return Ok(Response::new(announcing(), Some(body), behind).0);
        };
        let (request, _) = Request::new(announcing(), Some(body), behind, None);
        request.set_method(&Method::Post).unwrap();
        request.set_scheme(Some(&Scheme::Http)).unwrap();
        request.set_authority(Some(authority)).unwrap();
        let answer = client::send(request).await?;
        if !path.starts_with("/trailers3/again") {
            return Ok(answer);
        }
        let (_, read) = wit_future::new(|| Ok(()));
        let (body, behind) = Response::consume_body(answer, read);
        Ok(Response::new(announcing(), Some(body), behind).0)
    }
}

wasip3::http::service::export!(Program);
