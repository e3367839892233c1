//! Answers each request with its method, its path and its body, piece by piece as it arrives.

use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::wit_bindgen::rt::async_support::{StreamResult, spawn_local};
use wasip3::{wit_future, wit_stream};

struct Echo;

impl wasip3::exports::http::handler::Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let method = match request.get_method() {
            Method::Get => "GET",
            Method::Post => "POST",
            _ => "another method",
        };
        let path = request.get_path_with_query().unwrap_or_default();
        let head = format!("{method} {path}: ");
        // The result of reading it; the server does not ask for it.
        let (_, read) = wit_future::new(|| Ok(()));
        let (mut body, _) = Request::consume_body(request, read);
        let (mut writer, reader) = wit_stream::new();
        // There are no trailers: dropping their writer says so.
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (response, _) = Response::new(Fields::new(), Some(reader), trailers);
        // The body follows its head, which is sent when this function returns.
        spawn_local(async move {
            writer.write_all(head.into_bytes()).await;
            loop {
                let (result, piece) = body.read(Vec::with_capacity(4096)).await;
                writer.write_all(piece).await;
                if result == StreamResult::Dropped {
                    break;
                }
            }
        });
        Ok(response)
    }
}

wasip3::http::service::export!(Echo);
