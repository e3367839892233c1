//! Names and routes, valid once they exist.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A function's name: lower-case letters, digits, `-` and `_`, starting with a letter or digit, at
/// most 63 characters. It is a file name in the store and, by default, a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(String);

/// Text that is no function name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no function name: use at most 63 lower-case letters, digits, `-` and `_`, starting \
     with a letter or digit"
)]
pub struct NameError(String);

/// Longest name, in characters.
const MAX_NAME: usize = 63;

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= MAX_NAME
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'_')
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = is_name(text).then(|| FunctionName(text.to_owned()));
        name.ok_or_else(|| NameError(text.to_owned()))
    }
}

/// A tenant's name: who is accounted, limited and kept apart. Names are as those of functions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

/// Text that is no tenant's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no tenant's name: use at most 63 lower-case letters, digits, `-` and `_`, starting \
     with a letter or digit"
)]
pub struct TenantNameError(String);

impl FromStr for TenantName {
    type Err = TenantNameError;

    fn from_str(text: &str) -> Result<Self, TenantNameError> {
        let name = is_name(text).then(|| TenantName(text.to_owned()));
        name.ok_or_else(|| TenantNameError(text.to_owned()))
    }
}

impl Default for TenantName {
    /// The tenant of everybody who names none.
    fn default() -> TenantName {
        TenantName("default".to_owned())
    }
}

impl TenantName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FunctionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a function is reached: this path, and everything below.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Route(String);

/// Text that is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{route:?} is no route: {reason}")]
pub struct RouteError {
    /// The text.
    pub route: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Longest route, in bytes.
const MAX_ROUTE: usize = 256;

impl FromStr for Route {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let refuse = |reason| Err(RouteError { route: text.to_owned(), reason });
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        let Some(rest) = text.strip_prefix('/') else {
            return refuse("it has to start with `/`");
        };
        if text.len() > MAX_ROUTE {
            return refuse("it is longer than 256 bytes");
        }
        if !text.bytes().all(allowed) {
            return refuse("only letters, digits, `-`, `.`, `_`, `~` and `/` are allowed");
        }
        if !rest.is_empty() && rest.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refuse("empty parts, `.`, `..` and a `/` at the end are not allowed");
        }
        if rest == "v1" || rest.starts_with("v1/") {
            return refuse("`/v1` is the management interface");
        }
        Ok(Route(text.to_owned()))
    }
}

impl Route {
    /// The route as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is left of `path`, which this route has matched, after the route.
    pub fn rest<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.0.trim_end_matches('/')).unwrap_or(path)
    }
}

macro_rules! text_conversions {
    ($name:ident, $error:ident) => {
        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_conversions!(FunctionName, NameError);
text_conversions!(TenantName, TenantNameError);
text_conversions!(Route, RouteError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_file_names() {
        for good in ["a", "0", "hello-world_2", &"x".repeat(63)] {
            assert_eq!(good.parse::<FunctionName>().unwrap().as_str(), good);
            assert_eq!(good.parse::<TenantName>().unwrap().as_str(), good);
        }
        let long = "x".repeat(64);
        for bad in ["", "-a", "_a", ".", "..", "a/b", "a.json", "A", "ä", "a b", "a\0", &long] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad:?}");
            assert!(bad.parse::<TenantName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn routes_are_plain_paths_outside_of_management() {
        for good in ["/", "/a", "/a/b.c", "/v2", "/v1x"] {
            assert_eq!(good.parse::<Route>().unwrap().as_str(), good);
        }
        for bad in ["", "a", "/a/", "//", "/a//b", "/..", "/a/./b", "/a?b", "/%20", "/v1", "/v1/x"]
        {
            assert!(bad.parse::<Route>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_rest_of_a_path_keeps_its_slash() {
        let rest = |route: &str, path| route.parse::<Route>().unwrap().rest(path).to_owned();
        assert_eq!(rest("/a", "/a/b"), "/b");
        assert_eq!(rest("/a", "/a"), "");
        assert_eq!(rest("/", "/b"), "/b");
    }
}
