//! File descriptors of the server: one for each connection, and a few of its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's soft limit of file descriptors to the hard one. The soft limit is often
/// 1024, for the sake of programs that call `select(2)`, which is fewer than the connections of a server.
///
/// # Errors
/// Those of `setrlimit(2)`.
pub fn raise_descriptor_limit() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}
