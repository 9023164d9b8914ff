//! The one source of wall time, for stamping what is written and for showing how old something is.

use jiff::Timestamp;

/// Returns the time on this machine's clock.
#[expect(clippy::disallowed_methods, reason = "the one source of wall time")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
