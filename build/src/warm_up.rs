//! Warm-up: make requests, and keep in the artifact which pages they wrote to.
//!
//! The requests are answered as a server would, each by a pristine faaslet. Their answers are
//! dropped; only the profile is kept. New slots start with its pages learned.

use http::Request;
use wfaas_abi::artifact::{MAX_PROFILE_PAGES, Profile, set_profile};
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_function::{AllowedDirs, Body, Exchange, Function, FunctionError, InvokeError, Spec};
use wfaas_function::{SpecError, State};
use wfaas_vm::{Config, Engine, Module, Tracking};

/// Most requests of a warm-up: building should not take much longer for them.
pub const MAX_REQUESTS: usize = 64;

/// A request to make.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WarmUp {
    /// HTTP method.
    pub method: String,
    /// Path below the function's route, as a client would send it.
    pub path: String,
    /// What follows the `?`.
    pub query: String,
    /// Body.
    pub body: Vec<u8>,
}

impl WarmUp {
    /// A POST to the function's route.
    pub fn with_body(body: impl Into<Vec<u8>>) -> WarmUp {
        WarmUp { method: "POST".to_owned(), body: body.into(), ..WarmUp::default() }
    }

    /// The request, the `number`th one, to a function with this route.
    pub(crate) fn exchange(self, number: usize, route: &str) -> Result<Exchange, http::Error> {
        let route = route.trim_end_matches('/');
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        let uri = format!("{route}{}{query}", self.path);
        let request = Request::builder().method(self.method.as_str());
        // A path of nothing is the root's.
        let request = request.uri(if uri.starts_with('/') { uri } else { format!("/{uri}") });
        let (id, route_bytes) = (format!("warmup-{number}"), route.len());
        let exchange = Exchange::new(request.body(Body::complete(self.body))?);
        Ok(Exchange { id: id.into(), route_bytes, ..exchange })
    }
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarmUpError {
    /// The artifact cannot be used.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The VM cannot load it.
    #[error(transparent)]
    Vm(#[from] wfaas_vm::Error),
    /// The module does not answer requests.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// A directory cannot be opened.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There are more requests than may be.
    #[error("{0} warm-up requests are too many, the limit is {MAX_REQUESTS}")]
    TooMany(usize),
    /// What was asked for is no request.
    #[error("warm-up request {number} is none: {error}")]
    NoRequest {
        /// Which one, from 1.
        number: usize,
        /// Why.
        error: http::Error,
    },
    /// A request was not answered.
    #[error("warm-up request {number} failed: {error}")]
    Request {
        /// Which one, from 1.
        number: usize,
        /// Why.
        error: InvokeError,
    },
}

/// An artifact after warm-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarmedUp {
    /// The artifact with the profile, and the profile itself.
    Artifact(Vec<u8>, Profile),
    /// The artifact stays as it is: the requests write to more pages than a profile may have.
    TooLarge,
}

impl WarmedUp {
    /// Why there is no profile, for people.
    pub fn reason(&self) -> Option<String> {
        match self {
            WarmedUp::Artifact(..) => None,
            WarmedUp::TooLarge => Some(format!(
                "no profile: the warm-up requests write to more than {MAX_PROFILE_PAGES} pages"
            )),
        }
    }
}

/// Answers `requests` with the function that an artifact is, and puts into the artifact what they
/// wrote to. The same requests give the same bytes, unless the guest itself asks for random numbers
/// or the time.
///
/// # Errors
/// [`WarmUpError`]: the artifact is no function, or a request failed.
pub fn warm_up(
    artifact: &[u8],
    spec: Spec,
    requests: Vec<WarmUp>,
) -> Result<WarmedUp, WarmUpError> {
    if requests.len() > MAX_REQUESTS {
        return Err(WarmUpError::TooMany(requests.len()));
    }
    let parsed = Artifact::parse(artifact)?;
    // All requests are answered in the one slot of this engine.
    let engine = Engine::new(Config { tracking: Tracking::Record, ..Config::default() })?;
    let module = Module::from_bytes(&engine, artifact)?;
    let route = spec.route();
    let mut function = Function::new(&engine, &module, spec)?;
    function.open_dirs_at_init(AllowedDirs::Any)?;
    for (index, request) in requests.into_iter().enumerate() {
        let number = index + 1;
        let exchange = request.exchange(number, &route);
        let exchange = exchange.map_err(|error| WarmUpError::NoRequest { number, error })?;
        let answer = function.handle(exchange);
        answer.map_err(|error| WarmUpError::Request { number, error })?;
    }
    match recorded(&function)? {
        Some(profile) => Ok(WarmedUp::Artifact(set_profile(&parsed, &profile)?, profile)),
        None => Ok(WarmedUp::TooLarge),
    }
}

/// What the requests so far wrote to.
fn recorded(function: &Function) -> Result<Option<Profile>, wfaas_vm::Error> {
    let mut faaslet = function.pool().acquire(State::default())?;
    let instance = faaslet.instance();
    instance.recorded(faaslet.store())
}
