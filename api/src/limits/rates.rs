//! Rate limits per user and per address, by `governor` (the generic cell rate algorithm). Local to
//! this replica; peers are not limited.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Standing;
use crate::config::Rates;

/// Callers are counted in as many buckets, chosen by a seeded hash, so memory is bounded whatever
/// names and addresses come. Two active callers rarely share one.
const BUCKETS: u64 = 1 << 18;
/// How many calls pass between two sweeps of the buckets that are full again.
const SWEEP_EVERY: u32 = 4_096;

/// The limiters of a replica.
#[derive(Default)]
pub struct Limiters {
    /// Of writes, by user.
    pub writes: Option<Limiter>,
    /// Of reads, by user.
    pub reads: Option<Limiter>,
    /// Of log-ins, by name and address.
    pub logins: Option<Limiter>,
    /// Of new groups, by user.
    pub new_groups: Option<Limiter>,
    /// Of calls without a token, by address.
    pub requests: Option<Limiter>,
}

impl Limiters {
    /// The limiters of these rates.
    pub fn new(rates: &Rates) -> Self {
        let limiter = |policy, rate: Option<NonZeroU32>, window_s| {
            rate.map(|quota| Limiter::new(policy, quota, window_s))
        };
        Self {
            writes: limiter("writes", rates.writes_per_second, 1),
            reads: limiter("reads", rates.reads_per_second, 1),
            logins: limiter("logins", rates.logins_per_minute, 60),
            new_groups: limiter("new-groups", rates.new_groups_per_hour, 3_600),
            requests: limiter("requests", rates.requests_per_second, 1),
        }
    }
}

type Buckets = RateLimiter<u32, HashMapStateStore<u32>, MonotonicClock, StateInformationMiddleware>;

/// Limits one kind of call. Unused quota is saved up to one window's worth.
pub struct Limiter {
    policy: &'static str,
    quota: NonZeroU32,
    window_s: u32,
    buckets: Buckets,
    hasher: RandomState,
    calls: AtomicU32,
}

impl Limiter {
    fn new(policy: &'static str, quota: NonZeroU32, window_s: u32) -> Self {
        let per_window = match window_s {
            1 => Quota::per_second(quota),
            60 => Quota::per_minute(quota),
            _ => Quota::per_hour(quota),
        };
        Self {
            policy,
            quota,
            window_s,
            buckets: Buckets::new(per_window, HashMapStateStore::default(), MonotonicClock),
            hasher: RandomState::new(),
            calls: AtomicU32::new(0),
        }
    }

    /// Counts a call.
    pub fn count(&self, caller: &impl Hash) -> Standing {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        let bucket = self.hasher.hash_one(caller) % BUCKETS;
        let bucket = u32::try_from(bucket).unwrap_or(0);
        let (remaining, wait) = match self.buckets.check_key(&bucket) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(MonotonicClock.now()))),
        };
        let quota = self.quota.get();
        // Until the whole quota is there again.
        let used = u64::from(quota.saturating_sub(remaining));
        let reset_s = (used * u64::from(self.window_s)).div_ceil(u64::from(quota));
        Standing {
            policy: self.policy,
            quota,
            window_s: self.window_s,
            remaining,
            reset_s: u32::try_from(reset_s).unwrap_or(self.window_s),
            retry_after_s: wait.map(|wait| {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(quota: u32, window_s: u32) -> Limiter {
        Limiter::new("writes", NonZeroU32::new(quota).unwrap(), window_s)
    }

    #[test]
    fn a_caller_is_refused_beyond_the_quota_and_others_are_not() {
        let limiter = limiter(3, 3_600);
        let remaining = |standing: Standing| (standing.remaining, standing.retry_after_s);

        assert_eq!(remaining(limiter.count(&"ann")), (2, None));
        assert_eq!(remaining(limiter.count(&"ann")), (1, None));
        assert_eq!(remaining(limiter.count(&"ann")), (0, None));
        let refused = limiter.count(&"ann");

        assert_eq!(refused.remaining, 0);
        assert!(
            refused
                .retry_after_s
                .is_some_and(|s| (1_100..=1_200).contains(&s))
        );
        assert_eq!(refused.reset_s, 3_600);
        assert_eq!(remaining(limiter.count(&"bob")), (2, None));
    }

    #[test]
    fn callers_without_end_take_bounded_memory_and_full_buckets_are_dropped() {
        let limiter = limiter(1_000_000, 1);

        for caller in 0..10 * SWEEP_EVERY {
            limiter.count(&caller);
        }

        let kept = limiter.buckets.len();
        assert!(kept <= 2 * SWEEP_EVERY as usize, "{kept}");
    }
}
