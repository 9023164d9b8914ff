//! The rate limits of `[limits]`.

use std::num::NonZeroU32;

use super::ConfigError;
use super::raw::RawLimits;

/// Most calls in a window.
const MAX: i64 = 1_000_000;

/// How often one user or address may call. Each rate is a whole number up to 1000000; 0, and the
/// default in mode `open`, is no limit. Beyond it a call is refused (429 `rate_limited`) until the
/// time in `Retry-After`. What is not used is saved up, at most one window's worth. Each replica
/// counts for itself, and never its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Posts, likes, joins and other writes of one user in a second. A person needs less than 5, a
    /// client that sends what it kept during an outage takes longer with less.
    /// `CAUSEWAY_LIMITS_WRITES_PER_SECOND`.
    pub writes_per_second: Option<NonZeroU32>,
    /// Reads of one user in a second, opening a stream included. A client that opens a group needs
    /// some 10 at once. `CAUSEWAY_LIMITS_READS_PER_SECOND`.
    pub reads_per_second: Option<NonZeroU32>,
    /// Log-ins with one name from one address in a minute.
    /// `CAUSEWAY_LIMITS_LOGINS_PER_MINUTE`.
    pub logins_per_minute: Option<NonZeroU32>,
    /// Groups that one user creates in an hour; joining a group that exists does not count.
    /// `CAUSEWAY_LIMITS_NEW_GROUPS_PER_HOUR`.
    pub new_groups_per_hour: Option<NonZeroU32>,
    /// Calls without a valid token from one address in a second, where the addresses of an IPv6
    /// network (/64) count as one; `/healthz` and `/readyz` do not count. Many people may share an
    /// address. Behind a proxy set `trusted_proxies`, or all of them share the proxy's.
    /// `CAUSEWAY_LIMITS_REQUESTS_PER_SECOND`.
    pub requests_per_second: Option<NonZeroU32>,
}

pub(super) fn rates(raw: &RawLimits) -> Result<Rates, ConfigError> {
    Ok(Rates {
        writes_per_second: rate("limits.writes_per_second", raw.writes_per_second)?,
        reads_per_second: rate("limits.reads_per_second", raw.reads_per_second)?,
        logins_per_minute: rate("limits.logins_per_minute", raw.logins_per_minute)?,
        new_groups_per_hour: rate("limits.new_groups_per_hour", raw.new_groups_per_hour)?,
        requests_per_second: rate("limits.requests_per_second", raw.requests_per_second)?,
    })
}

fn rate(key: &str, value: Option<i64>) -> Result<Option<NonZeroU32>, ConfigError> {
    let value = value.unwrap_or(0);
    let rate = Some(value).filter(|value| *value <= MAX);
    let rate = rate.and_then(|value| u32::try_from(value).ok());
    let why = || ConfigError::wrong(key, format!("{value} is not a number from 0 to {MAX}"));
    rate.map(NonZeroU32::new).ok_or_else(why)
}
