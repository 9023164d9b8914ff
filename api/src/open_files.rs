//! As many open files as the system lets us have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one. Each stream is one, and many systems begin with
/// 1,024.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(failure) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%failure, "the limit of open files stays as it is");
    }
}
