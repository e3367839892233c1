//! Shows a colour: `GET /colour/ff8800` answers a small picture of it, as SVG.

use faas::{Method, Request, Response, StatusCode};

#[faas::handler]
fn colour(request: Request<Vec<u8>>) -> Response<Vec<u8>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refused = Response::builder().status(StatusCode::METHOD_NOT_ALLOWED);
        return refused.header("allow", "GET, HEAD").body(Vec::new()).expect("a valid answer");
    }
    // The part of the path below the route, which faas.toml has.
    let name = faas::path_info(&request).trim_start_matches('/');
    if name.len() != 6 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return text(StatusCode::NOT_FOUND, "a colour has six hexadecimal digits, as ff8800\n");
    }
    let picture = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64" fill="#{name}"/></svg>
"##
    );
    Response::builder()
        .header("content-type", "image/svg+xml")
        // A colour stays the same.
        .header("cache-control", "public, max-age=31536000, immutable")
        .body(picture.into_bytes())
        .expect("a valid answer")
}

fn text(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    let answer = Response::builder().status(status).header("content-type", "text/plain");
    answer.body(text.into()).expect("a valid answer")
}
