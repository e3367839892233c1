//! Names of stores, and the spaces that keep their keys apart.

use crate::spec::TenantName;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;

/// The name by which a function opens a store: letters, digits, `-`, `_` and `.`, at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreName(String);

/// Text that is no store's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no store's name: use at most 63 letters, digits, `-`, `_` and `.`")]
pub struct StoreNameError(String);

/// Longest name, in characters.
const MAX_NAME: usize = 63;

impl TryFrom<String> for StoreName {
    type Error = StoreNameError;

    fn try_from(text: String) -> Result<StoreName, StoreNameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match text.len() {
            1..=MAX_NAME if text.bytes().all(plain) => Ok(StoreName(text)),
            _ => Err(StoreNameError(text)),
        }
    }
}

impl From<StoreName> for String {
    fn from(StoreName(name): StoreName) -> String {
        name
    }
}

impl Borrow<str> for StoreName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// How a function is granted a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreGrant {
    /// Whether all functions of the tenant that are granted a shared store of this name have the same one.
    /// Otherwise it is the function's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

/// One store among those of all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Space {
    tenant: String,
    /// `TENANT/FUNCTION/STORE`; a store that functions share has none of them.
    path: String,
}

impl Space {
    /// The store of this name. None of the names has a `/`.
    pub fn new(tenant: &TenantName, function: &str, name: &StoreName, grant: StoreGrant) -> Space {
        let tenant = tenant.as_str().to_owned();
        let function = if grant.shared { "" } else { function };
        let path = format!("{tenant}/{function}/{}", name.0);
        Space { tenant, path }
    }

    /// The tenant, whose stores are limited together.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }
}

impl fmt::Display for Space {
    /// As `TENANT/FUNCTION/STORE`, which no other store is called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}
