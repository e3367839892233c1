//! Why a command fails, and the exit code that says so.
//!
//! | failure | exit code | examples |
//! |---|---|---|
//! | [`Kind::User`] | 2 | wrong arguments, a damaged file, a module that does not compile |
//! | [`Kind::Trap`] | 134 | the guest executed `unreachable`, ran out of stack or of time |
//! | [`Kind::Host`] | 1 | the disk is full, the port is taken, a bug of ours |
//!
//! An error that goes up by `?` alone is the host's; who knows better says so with [`Blame`].

use crate::hints;
use crate::output::OutputError;
use std::fmt::Display;

/// The exit code after a guest's trap: what a shell reports for a program that called `abort`.
pub(crate) const TRAP_EXIT_CODE: u8 = 134;

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the user asked for is not possible.
    User,
    /// The guest trapped.
    Trap,
    /// Something around us, or a bug.
    Host,
}

/// An error and whose it is.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    error: anyhow::Error,
}

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Failure {
        Failure { kind, error: error.into() }
    }

    /// A user's mistake with this message.
    pub(crate) fn user(message: impl Display) -> Failure {
        Failure::new(Kind::User, anyhow::anyhow!("{message}"))
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::User => 2,
            Kind::Trap => TRAP_EXIT_CODE,
            Kind::Host => 1,
        }
    }

    /// Whether the reader of our output has gone away, which is no error in a pipeline.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let error = self.error.downcast_ref::<OutputError>();
        error.is_some_and(|OutputError(error)| error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

impl Display for Failure {
    /// The error, then each cause on a line of its own unless it only repeats what was said, and what
    /// to do about it. All lines but the first are indented.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let indented = |text: &str| text.trim_end().replace('\n', "\n  ");
        let mut said = self.error.to_string();
        f.write_str(&indented(&said))?;
        for cause in self.error.chain().skip(1) {
            let text = cause.to_string();
            if !said.contains(&text) {
                write!(f, "\n  because: {}", indented(&text))?;
            }
            said = text;
        }
        match self.error.chain().find_map(hints::of) {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(Kind::Host, error)
    }
}

/// Says whose failure an error is.
pub(crate) trait Blame<T> {
    /// The user's: exit code 2.
    fn user_error(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn user_error(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(Kind::User, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("the disk is on fire");
        let error = Err::<(), _>(inner).context("cannot write").user_error().unwrap_err();
        assert_eq!(error.to_string(), "cannot write\n  because: the disk is on fire");
        let repeated = anyhow::anyhow!("it hurts").context("no: it hurts");
        assert_eq!(Failure::from(repeated).to_string(), "no: it hurts");
    }

    #[test]
    fn only_our_own_output_is_a_pipeline() {
        let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(Failure::from(OutputError(broken())).is_broken_pipe());
        let connection = anyhow::Error::new(broken()).context("cannot deploy");
        assert!(!Failure::from(connection).is_broken_pipe());
    }

    #[test]
    fn codes_differ() {
        let code = |kind| Failure::new(kind, anyhow::anyhow!("x")).exit_code();
        assert_eq!([code(Kind::User), code(Kind::Trap), code(Kind::Host)], [2, 134, 1]);
    }
}
