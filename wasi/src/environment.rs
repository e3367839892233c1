//! Arguments and environment variables, checked to be such that a guest reads them as they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A guest's arguments and environment variables, checked to be representable as C strings.
#[derive(Debug, Default)]
pub struct Environment {
    args: Vec<String>,
    /// By name, so that none is there twice.
    env: BTreeMap<String, String>,
    /// A bit for each function of WASI that guests in this environment have called in vain.
    missed: AtomicU64,
}

/// Why strings cannot be a guest's environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// An argument with a zero byte.
    #[error("args: argument {index} contains a NUL character, which guests take for its end")]
    NulInArgument {
        /// Which one, from 0 (the program's name).
        index: usize,
    },
    /// A variable with a zero byte in name or value.
    #[error("env: the variable {name:?} contains a NUL character")]
    NulInVariable {
        /// Its name.
        name: String,
    },
    /// A variable's name that is empty or contains `=`.
    #[error("env: {name:?} cannot be the name of a variable: it is empty or contains `=`")]
    Name {
        /// The name.
        name: String,
    },
    /// More than the host is willing to copy into every instance.
    #[error(
        "args and env: together they take {bytes} bytes, at most {} are allowed",
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
    /// Checks arguments (the program's name first) and variables; of two variables with the same
    /// name the later one counts.
    ///
    /// # Errors
    /// [`EnvironmentError`] if a string contains a NUL, a name is not one, or it is all too much.
    pub fn new(
        args: Vec<String>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, EnvironmentError> {
        let env: BTreeMap<String, String> = env.into_iter().collect();
        if let Some(index) = args.iter().position(|arg| arg.contains('\0')) {
            return Err(EnvironmentError::NulInArgument { index });
        }
        env.iter().try_for_each(|(name, value)| Environment::check_variable(name, value))?;
        let bytes = args.iter().map(|arg| arg.len() + 1).sum::<usize>()
            + env.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
        if bytes > MAX_ENVIRONMENT_BYTES {
            return Err(EnvironmentError::TooLarge { bytes });
        }
        Ok(Environment { args, env, missed: AtomicU64::new(0) })
    }

    /// Notes that a guest has called function `number` of WASI in vain; whether it is the first to.
    pub(crate) fn miss(&self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        self.missed.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// Checks a variable by itself.
    ///
    /// # Errors
    /// [`EnvironmentError`] if name or value contain a NUL, or the name is not one.
    pub fn check_variable(name: &str, value: &str) -> Result<(), EnvironmentError> {
        if name.contains('\0') || value.contains('\0') {
            return Err(EnvironmentError::NulInVariable { name: name.to_owned() });
        }
        if name.is_empty() || name.contains('=') {
            return Err(EnvironmentError::Name { name: name.to_owned() });
        }
        Ok(())
    }

    /// The arguments, the program's name first.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// The variables: name and value.
    pub fn env(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Neither arguments nor variables.
pub(crate) static EMPTY: Environment =
    Environment { args: Vec::new(), env: BTreeMap::new(), missed: AtomicU64::new(0) };

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
    fn no_variable_is_there_twice() {
        let twice = [("A", "1"), ("B", "2"), ("A", "3")];
        let twice = twice.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::new(vec![], twice).unwrap();
        assert_eq!(environment.env().collect::<Vec<_>>(), [("A", "3"), ("B", "2")]);
    }

    #[test]
    fn an_environment_has_a_largest_size() {
        let value = "x".repeat(MAX_ENVIRONMENT_BYTES);
        assert!(matches!(variable("A", &value), Err(EnvironmentError::TooLarge { .. })));
    }
}
