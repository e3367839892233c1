//! What became of a script.

/// Counts of directives and instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Directives that did what they must.
    pub passed: usize,
    /// The others.
    pub failed: Vec<Failure>,
    /// Directives that say nothing about a core WebAssembly implementation, such as those about
    /// custom sections' annotations, and those that want a trap for an access outside of the
    /// memory from a strategy that does not trap there.
    pub skipped: usize,
    /// Instances that were replaced by their restored copy.
    pub restored: usize,
    /// Instances that went on as they were, since they refer to something outside of them.
    pub not_captured: usize,
}

/// A directive that did not do what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Line in the script; 0 if there is no line to blame.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}
