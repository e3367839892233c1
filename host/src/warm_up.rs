//! Warm-up at build time: make requests, and keep in the artifact which pages they wrote to.
//!
//! The requests are answered as a server would, each by a pristine faaslet. Their answers are
//! dropped; only the profile is kept. New slots start with its pages learned.

use crate::config::FunctionConfig;
use crate::function::{Function, FunctionError};
use crate::invoke::{InvokeError, Request};
use wfaas_abi::artifact::{MAX_PROFILE_PAGES, Profile, set_profile};
use wfaas_abi::{Artifact, ArtifactError};
use wfaas_vm::{Config, Engine, Module, Tracking};

/// Most requests of a warm-up: building should not take much longer for them.
pub const MAX_REQUESTS: usize = 64;

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
    /// There are more requests than may be.
    #[error("{0} warm-up requests are too many, the limit is {MAX_REQUESTS}")]
    TooMany(usize),
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
    /// Why there is no profile, for the user.
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
    config: FunctionConfig,
    requests: Vec<Request>,
) -> Result<WarmedUp, WarmUpError> {
    if requests.len() > MAX_REQUESTS {
        return Err(WarmUpError::TooMany(requests.len()));
    }
    let parsed = Artifact::parse(artifact)?;
    // All requests are answered in the one slot of this engine.
    let engine = Engine::new(Config { tracking: Tracking::Record, ..Config::default() })?;
    let module = Module::from_bytes(&engine, artifact)?;
    let function = Function::new(&engine, &module, config)?;
    for (index, request) in requests.into_iter().enumerate() {
        let failed = |error| WarmUpError::Request { number: index + 1, error };
        function.handle(request).map_err(failed)?;
    }
    match function.recorded()? {
        Some(profile) => Ok(WarmedUp::Artifact(set_profile(&parsed, &profile)?, profile)),
        None => Ok(WarmedUp::TooLarge),
    }
}
