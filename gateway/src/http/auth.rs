//! Who may manage functions.
//!
//! With tokens, who brings one, for the functions of its tenant. Without any, who can reach a loopback address: then requests that
//! a browser sends for a web page have to be told apart, by the `origin` header and by a `host`
//! that is not this machine (a name of the attacker's that resolves to a loopback address).

use super::answer::Problem;
use crate::config::Config;
use crate::scheduler::Tenant;
use crate::tenants::Tenants;
use hyper::header::{AUTHORIZATION, HOST, ORIGIN};
use hyper::http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;

/// The tenant that a management request is of. Refuses one that must not be.
pub(super) fn check<'a>(
    config: &Config,
    tenants: &'a Tenants,
    head: &Parts,
) -> Result<&'a Arc<Tenant>, Problem> {
    if head.headers.contains_key(ORIGIN) {
        return Err(Problem::forbidden("management requests from web pages are refused"));
    }
    match tenants.have_tokens() {
        true => of_token(tenants, head),
        false if config.actions.is_some() => {
            Err(Problem::forbidden("management is off: this server is a container of actions"))
        }
        false if !config.listen.ip().is_loopback() => Err(Problem::forbidden(
            "management is off: this server listens on an address others can reach and has no \
             token; start it with a token, or on 127.0.0.1",
        )),
        false if host(head).is_some_and(is_this_machine) => Ok(&tenants.default),
        false => Err(Problem::forbidden(
            "management requests have to name this machine as their host (localhost, 127.0.0.1 \
             or [::1])",
        )),
    }
}

fn of_token<'a>(tenants: &'a Tenants, head: &Parts) -> Result<&'a Arc<Tenant>, Problem> {
    let Some(header) = head.headers.get(AUTHORIZATION) else {
        let message = "a token is needed: send it as `authorization: Bearer TOKEN`";
        return Err(Problem::unauthorized(message));
    };
    let given = header.as_bytes().split_at_checked(7);
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    let tenant = given.and_then(|(_, token)| tenants.of_token(token));
    tenant.ok_or_else(|| Problem::unauthorized("the token is wrong"))
}

/// The host a request is for: HTTP/2 and absolute URIs have it in the target.
fn host(head: &Parts) -> Option<&str> {
    match head.uri.host() {
        Some(host) => Some(host),
        None => head.headers.get(HOST)?.to_str().ok(),
    }
}

/// Whether `host`, with or without a port, is this machine whatever a name server says.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn status(config: &Config, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::get("/v1/functions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let tenants = Tenants::new(config.token.as_deref(), &config.tenants).unwrap();
        let checked = check(config, &tenants, &head);
        checked.map_or_else(|problem| problem.status.as_u16(), |_| 200)
    }

    fn config(listen: &str, token: Option<&str>) -> Config {
        let mut config = Config::new(listen.parse().unwrap(), "unused");
        config.token = token.map(str::to_owned);
        config
    }

    #[test]
    fn a_token_is_needed_if_there_is_one() {
        for listen in ["127.0.0.1:80", "0.0.0.0:80"] {
            let config = config(listen, Some("secret"));
            assert_eq!(status(&config, &[("host", "localhost")]), 401);
            for (value, expected) in [
                ("Bearer secret", 200),
                ("bearer secret", 200),
                ("Bearer secre", 401),
                ("Bearer secrets", 401),
                ("Bearer ", 401),
                ("Basic secret", 401),
                ("secret", 401),
            ] {
                assert_eq!(status(&config, &[("authorization", value)]), expected, "{value}");
            }
        }
    }

    #[test]
    fn without_a_token_only_loopback_manages() {
        assert_eq!(status(&config("0.0.0.0:80", None), &[("host", "localhost")]), 403);
        let config = config("127.0.0.1:80", None);
        for (host, expected) in [
            ("localhost:8080", 200),
            ("127.0.0.1", 200),
            ("[::1]:80", 200),
            ("127.0.0.1.example.com", 403),
            ("example.com", 403),
            ("localhost.example.com:80", 403),
        ] {
            assert_eq!(status(&config, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&config, &[]), 403);
    }

    #[test]
    fn web_pages_never_manage() {
        let config = config("127.0.0.1:80", None);
        let headers = [("host", "localhost"), ("origin", "http://localhost")];
        assert_eq!(status(&config, &headers), 403);
    }
}
