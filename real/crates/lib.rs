//! Nothing: a package has a target.
