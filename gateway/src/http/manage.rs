//! The management interface: `/v1/health`, `/v1/metrics` and `/v1/functions`.

use super::Incoming;
use super::answer::{Problem, json};
use super::auth;
use super::blocking;
use super::body::{self, Answer, BoxResponse, UploadError};
use super::metrics;
use super::peer::Caller;
use crate::budget::Holders;
use crate::connection::Exchange;
use crate::registry::FunctionStatus;
use crate::scheduler::Tenant;
use crate::server::Shared;
use crate::store::StoreError;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use wfaas_function::{FunctionName, Spec, SpecError, TenantName};

/// Name of the header with a deployment's configuration.
pub(crate) const CONFIG_HEADER: &str = "x-wfaas-config";

/// Answers a management request.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    caller: &Caller<'_>,
    head: &Parts,
    body: &mut Incoming,
) -> Result<BoxResponse, Problem> {
    let path = head.uri.path();
    let rest = path.strip_prefix(super::MANAGEMENT).unwrap_or(path);
    if rest == "/health" {
        return health(shared, &head.method);
    }
    if rest == "/metrics" {
        let tenant = auth::check(&shared.config, &shared.deployer.tenants, head)?;
        let lease = caller.managing(head)?;
        let (parts, page) = metrics::page(shared, &head.method, only(tenant))?.into_parts();
        let page = page.leased(lease).map_err(|_| Problem::too_much())?;
        return Ok(Box::new(Response::from_parts(parts, page)));
    }
    let Some(rest) = rest.strip_prefix("/functions") else {
        return Err(Problem::not_found("there is nothing here; see /v1/functions and /v1/health"));
    };
    let tenant = auth::check(&shared.config, &shared.deployer.tenants, head)?;
    let lease = caller.managing(head)?;
    let asked = Asked { tenant, head };
    let response = functions(shared, caller.exchange, rest, asked, body).await?;
    let (parts, answer) = response.into_parts();
    let answer = match answer.leased(lease) {
        Err(_) if head.method == Method::GET => return Err(Problem::too_much()),
        // A change that was made is acknowledged.
        Err(bytes) => Answer::from(bytes),
        Ok(answer) => answer,
    };
    Ok(Box::new(Response::from_parts(parts, answer)))
}

/// A request for `/v1/functions`, and the tenant of its token.
#[derive(Clone, Copy)]
struct Asked<'a> {
    tenant: &'a Arc<Tenant>,
    head: &'a Parts,
}

/// A tenant that is not the operator's, who sees the functions of all.
fn only(tenant: &Tenant) -> Option<&TenantName> {
    (tenant.name != TenantName::default()).then_some(&tenant.name)
}

/// Answers a request for `/v1/functions` and what follows.
async fn functions(
    shared: &Arc<Shared>,
    exchange: &Exchange,
    rest: &str,
    asked: Asked<'_>,
    body: &mut Incoming,
) -> Result<BoxResponse, Problem> {
    let Asked { tenant, head } = asked;
    match rest.strip_prefix('/') {
        None if rest.is_empty() => list(shared, asked),
        None => Err(Problem::not_found("there is nothing here; see /v1/functions")),
        Some(name) => {
            let name = name.parse::<FunctionName>();
            let name = name.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, e.to_string()))?;
            match head.method {
                Method::GET => get(shared, &name, asked),
                Method::PUT => put(shared, exchange, name, asked, body).await,
                Method::DELETE => delete(shared, name, tenant).await,
                _ => Err(Problem::method("GET, PUT, DELETE")),
            }
        }
    }
}

fn health(shared: &Shared, method: &Method) -> Result<BoxResponse, Problem> {
    if method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let (functions, failed) = shared.deployer.registry.count();
    let engine = &shared.deployer.engine;
    // Not 503: the others are served, and would not be any more behind a balancer that reads it.
    let body = json!({
        "status": if failed == 0 { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "functions": functions,
        "failed": failed,
        "image_bytes": engine.image_bytes(),
        "max_image_bytes": engine.max_image_bytes(),
        "buffered_bytes": shared.buffered.taken_units(),
        "max_buffered_bytes": shared.config.max_buffered,
        "dropped_log_records": shared.config.dropped_records.load(Ordering::Relaxed),
    });
    Ok(json(StatusCode::OK, &body))
}

fn list(shared: &Shared, asked: Asked<'_>) -> Result<BoxResponse, Problem> {
    if asked.head.method != Method::GET {
        return Err(Problem::method("GET"));
    }
    let functions = shared.deployer.registry.list(only(asked.tenant));
    Ok(json(StatusCode::OK, &json!({ "functions": functions })))
}

fn get(shared: &Shared, name: &FunctionName, asked: Asked<'_>) -> Result<BoxResponse, Problem> {
    let found = shared.deployer.registry.get(name);
    match found.filter(|found| only(asked.tenant).is_none_or(|only| found.tenant() == only)) {
        Some(registered) => Ok(json(StatusCode::OK, &registered.status())),
        None => Err(unknown(name)),
    }
}

async fn put(
    shared: &Arc<Shared>,
    exchange: &Exchange,
    name: FunctionName,
    asked: Asked<'_>,
    body: &mut Incoming,
) -> Result<BoxResponse, Problem> {
    let spec = spec(asked.head).map_err(crate::deploy::DeployError::from)?;
    let tenant = asked.tenant.clone();
    // Before the upload, which may be long.
    shared.deployer.check_tenant(&name, &spec, &tenant)?;
    // Before the file, so that it outlives the file's bytes.
    let mut lease = shared.staged.lease(Holders::default());
    let staged = shared.deployer.layout.stage()?;
    let limit = shared.config.max_artifact;
    match body::receive_file(body, limit, exchange, &staged, &mut lease).await {
        Ok(()) => {}
        Err(UploadError::Problem(problem)) => return Err(problem),
        Err(UploadError::Io(error)) => return Err(StoreError::at(staged.path())(error).into()),
    }
    let deployed = blocking(shared, move |shared| {
        let _staged = lease;
        shared.deployer.deploy(name, spec, staged, &tenant)
    });
    let (info, replaced) = deployed.await??;
    tracing::info!(function = %info.name, artifact = info.artifact, replaced, "deployed");
    let status = if replaced { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, &FunctionStatus::Ready(info)))
}

async fn delete(
    shared: &Arc<Shared>,
    name: FunctionName,
    tenant: &Arc<Tenant>,
) -> Result<BoxResponse, Problem> {
    let (deleted, tenant) = (name.clone(), tenant.clone());
    if !blocking(shared, move |shared| shared.deployer.delete(&deleted, &tenant)).await?? {
        return Err(unknown(&name));
    }
    tracing::info!(function = %name, "deleted");
    let mut response = Box::new(Response::new(Answer::default()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn spec(head: &Parts) -> Result<Spec, SpecError> {
    let mut values = head.headers.get_all(CONFIG_HEADER).iter();
    let Some(value) = values.next() else { return Ok(Spec::default()) };
    if values.next().is_some() {
        return Err(SpecError::Json(format!("there is more than one {CONFIG_HEADER}")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| SpecError::Json(format!("{CONFIG_HEADER} is not UTF-8")))?;
    Spec::from_json(text)
}

fn unknown(name: &FunctionName) -> Problem {
    Problem::not_found(format!("there is no function {name}"))
}
