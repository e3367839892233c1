//! What a function is given and what it may use.

use crate::abi::GuestAbi;
use std::time::Duration;

/// What one request may use. Going beyond ends the request, not the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of linear memory, tables and exceptions together; `memory.grow` and `table.grow`
    /// beyond answer -1.
    pub memory_bytes: u64,
    /// Longest time a request may take.
    pub time: Duration,
    /// Most bytes of an answer.
    pub output_bytes: u64,
    /// Most bytes a request may write to the log; the rest is dropped.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 256 << 20,
            time: Duration::from_secs(10),
            output_bytes: 8 << 20,
            log_bytes: 64 << 10,
        }
    }
}

/// Everything about a function but its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionConfig {
    /// Name in the log, and the guest's argument 0.
    pub name: String,
    /// The guest's further arguments.
    pub args: Vec<String>,
    /// Environment variables: name and value.
    pub env: Vec<(String, String)>,
    /// The guest ABI; `None` to find it out from the exports.
    pub abi: Option<GuestAbi>,
    /// What a request may use.
    pub limits: Limits,
}

impl FunctionConfig {
    /// The default configuration under this name: no arguments, no variables, default limits.
    pub fn named(name: impl Into<String>) -> Self {
        FunctionConfig {
            name: name.into(),
            args: Vec::new(),
            env: Vec::new(),
            abi: None,
            limits: Limits::default(),
        }
    }
}

/// A guest's arguments and environment variables, checked to be representable as C strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    args: Vec<String>,
    env: Vec<(String, String)>,
    dirs: Vec<String>,
}

/// Why strings cannot be a guest's environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// An argument with a zero byte.
    #[error("argument {index} contains a NUL character, which guests take for its end")]
    NulInArgument {
        /// Which one, from 0 (the program's name).
        index: usize,
    },
    /// A variable with a zero byte in name or value.
    #[error("environment variable {name:?} contains a NUL character")]
    NulInVariable {
        /// Its name.
        name: String,
    },
    /// A variable's name that is empty or contains `=`.
    #[error("{name:?} cannot be the name of an environment variable: it is empty or contains `=`")]
    Name {
        /// The name.
        name: String,
    },
    /// A directory's name that is empty or contains a NUL character.
    #[error("{name:?} cannot be a guest's name for a directory")]
    Directory {
        /// The name.
        name: String,
    },
    /// More than the host is willing to copy into every instance.
    #[error(
        "arguments and environment take {bytes} bytes, at most {} are allowed",
        MAX_ENVIRONMENT_BYTES
    )]
    TooLarge {
        /// Bytes they take together.
        bytes: usize,
    },
}

/// Most bytes of arguments and environment variables together.
pub(crate) const MAX_ENVIRONMENT_BYTES: usize = 1 << 20;

impl Environment {
    /// Checks arguments (the program's name first) and variables.
    ///
    /// # Errors
    /// [`EnvironmentError`] if a string contains a NUL, a name is not one, or it is all too much.
    pub fn new(args: Vec<String>, env: Vec<(String, String)>) -> Result<Self, EnvironmentError> {
        if let Some(index) = args.iter().position(|arg| arg.contains('\0')) {
            return Err(EnvironmentError::NulInArgument { index });
        }
        for (name, value) in &env {
            if name.contains('\0') || value.contains('\0') {
                return Err(EnvironmentError::NulInVariable { name: name.clone() });
            }
            if name.is_empty() || name.contains('=') {
                return Err(EnvironmentError::Name { name: name.clone() });
            }
        }
        let bytes = args.iter().map(|arg| arg.len() + 1).sum::<usize>()
            + env.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        if bytes > MAX_ENVIRONMENT_BYTES {
            return Err(EnvironmentError::TooLarge { bytes });
        }
        Ok(Environment { args, env, dirs: Vec::new() })
    }

    /// The same with directories that the guest is told about, by the names it knows them by.
    ///
    /// # Errors
    /// [`EnvironmentError::Directory`] if a name is empty or contains a NUL.
    pub fn with_dirs(mut self, dirs: Vec<String>) -> Result<Self, EnvironmentError> {
        if let Some(name) = dirs.iter().find(|name| name.is_empty() || name.contains('\0')) {
            return Err(EnvironmentError::Directory { name: name.clone() });
        }
        self.dirs = dirs;
        Ok(self)
    }

    /// The preopened directories, by the guest's names; descriptors from 3 on.
    pub fn dirs(&self) -> &[String] {
        &self.dirs
    }

    /// The arguments, the program's name first.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The variables: name and value.
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Result<Environment, EnvironmentError> {
        Environment::new(vec![], vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn strings_a_guest_would_misread_are_refused() {
        assert!(variable("A", "b=c").is_ok());
        assert!(matches!(variable("A", "b\0c"), Err(EnvironmentError::NulInVariable { .. })));
        assert!(matches!(variable("A=B", "c"), Err(EnvironmentError::Name { .. })));
        assert!(matches!(variable("", "c"), Err(EnvironmentError::Name { .. })));
        let error = Environment::new(vec!["a".into(), "b\0".into()], vec![]).unwrap_err();
        assert_eq!(error, EnvironmentError::NulInArgument { index: 1 });
    }

    #[test]
    fn an_environment_has_a_largest_size() {
        let value = "x".repeat(MAX_ENVIRONMENT_BYTES);
        assert!(matches!(variable("A", &value), Err(EnvironmentError::TooLarge { .. })));
    }
}
