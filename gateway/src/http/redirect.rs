//! Local redirects: an answer that is a path, which the server answers in its place (RFC 3875, 6.2.2).
//!
//! The function that the path leads to gets the request again, without its body: by GET, or by HEAD if
//! the client has asked so. It belongs to the same tenant, and ends when the first one would have had to.

use super::Incoming;
use super::answer::Problem;
use super::body::BoxResponse;
use super::invoke;
use super::is_management;
use super::peer::Caller;
use crate::server::Shared;
use bytes::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Method, Request, StatusCode};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use wfaas_function::{LocalRedirect, TenantName};

/// Most local redirects of one request.
const MOST: u8 = 8;

/// The local redirects that led to a request: an extension of its head.
#[derive(Debug, Clone)]
struct Hops {
    count: u8,
    /// Of the functions that redirected.
    tenant: TenantName,
    /// Of the first request.
    deadline: Option<Instant>,
}

/// The path that a function wants answered, if its answer has these extensions.
pub(super) fn target(answer: &Extensions) -> Option<&PathAndQuery> {
    answer.get().map(|LocalRedirect(path)| path)
}

/// How many local redirects led to a request.
fn count(head: &Parts) -> u8 {
    head.extensions.get().map_or(0, |hops: &Hops| hops.count)
}

/// The head of a request as it would be sent again, but for its path. It may take as much memory as the
/// request's own.
pub(super) fn again(head: &Parts, tenant: &TenantName, deadline: Option<Instant>) -> Box<Parts> {
    let (mut again, ()) = Request::new(()).into_parts();
    if head.method == Method::HEAD {
        again.method = Method::HEAD;
    }
    (again.uri, again.version) = (head.uri.clone(), head.version);
    again.headers.clone_from(&head.headers);
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, EXPECT] {
        again.headers.remove(name);
    }
    again.extensions.insert(Hops { count: count(head) + 1, tenant: tenant.clone(), deadline });
    Box::new(again)
}

/// Refuses a local redirect to a function of another tenant: it would get what the client sent to this one,
/// and whoever may not reach it from outside could by another's function.
pub(super) fn check(head: &Parts, target: &TenantName) -> Result<(), Problem> {
    match head.extensions.get::<Hops>() {
        Some(hops) if hops.tenant != *target => Err(not_followed(head.uri.path())),
        _ => Ok(()),
    }
}

fn not_followed(path: &str) -> Problem {
    let message = format!("the local redirect to {path} does not lead to a function of its tenant");
    Problem::new(StatusCode::BAD_GATEWAY, message)
}

/// The deadline of a request that may take until `own`: no later than that of the first one.
pub(super) fn deadline(head: &Parts, own: Option<Instant>) -> Option<Instant> {
    let first = head.extensions.get().and_then(|hops: &Hops| hops.deadline);
    match (own, first) {
        (Some(own), Some(first)) => Some(own.min(first)),
        (own, first) => own.or(first),
    }
}

/// The answer of the function that `path` leads to, to a request with the head `again`.
pub(super) fn follow<'a>(
    shared: &'a Arc<Shared>,
    caller: &'a Caller<'a>,
    mut again: Box<Parts>,
    path: PathAndQuery,
    id: &'a str,
) -> Pin<Box<dyn Future<Output = Result<BoxResponse, Problem>> + Send + 'a>> {
    Box::pin(async move {
        if count(&again) > MOST {
            let message = format!("there are more than {MOST} local redirects, the last to {path}");
            return Err(Problem::new(StatusCode::BAD_GATEWAY, message));
        }
        if is_management(path.path()) {
            return Err(not_followed(path.path()));
        }
        let mut uri = std::mem::take(&mut again.uri).into_parts();
        uri.path_and_query = Some(path);
        // What the client sent was a URI, and still is with another path.
        again.uri = Uri::from_parts(uri).unwrap_or_default();
        let mut nothing = Incoming::Complete(Bytes::new());
        invoke::handle(shared, caller, *again, &mut nothing, id).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_request_is_sent_again_without_its_body() {
        let request = Request::post("http://a.example/old?x=y").header("content-length", "3");
        let request = request.header("content-type", "a/b").header("x-a", "1").header("x-a", "2");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let (tenant, first) = (TenantName::default(), Instant::now());
        let again = |head: &Parts| again(head, &tenant, Some(first));
        let once = again(&head);
        assert_eq!((&once.method, &once.uri), (&Method::GET, &head.uri));
        let names: Vec<_> = once.headers.keys().map(|name| name.as_str()).collect();
        assert_eq!((names, once.headers.get_all("x-a").iter().count()), (vec!["x-a"], 2));
        let twice = again(&once);
        assert!(matches!(twice.extensions.get(), Some(Hops { count: 2, .. })));
        let later = Some(first + Duration::from_secs(1));
        assert_eq!((deadline(&head, later), deadline(&twice, later)), (later, Some(first)));
        assert!(check(&twice, &tenant).is_ok() && check(&twice, &"b".parse().unwrap()).is_err());
        let head = Request::head("/").body(()).unwrap().into_parts().0;
        assert_eq!(again(&head).method, Method::HEAD);
    }
}
