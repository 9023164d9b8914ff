//! The limit of open files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: each stream needs one, and the usual soft limit
/// is 1,024.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(failure) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%failure, "the limit of open files could not be raised");
    }
}
