//! As what each replica runs, and what is past at all of them.

use causeway_domain::hlc::Hlc;
use causeway_domain::ids::Origin;

use crate::instance::Instance;
use crate::now::Now;
use crate::orphans::IN_FLIGHT_MS;
use crate::wire::Digest;

/// As what a replica runs, by its newest digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// As what it writes: a database that was wiped or restored has another origin.
    origin: Origin,
    /// Its process: another one may run on a database that was rolled back.
    instance: Instance,
    /// Since when both are known.
    since_ms: u64,
    /// When the digest came.
    spoke_ms: u64,
    /// All that the replica writes after the digest has a higher clock reading.
    closed_ts: Hlc,
}

impl Run {
    /// Takes in a digest, given what was known before.
    pub fn of(digest: &Digest, now: Now, former: Option<Self>) -> Self {
        let origin = Origin {
            replica: digest.replica,
            epoch: digest.epoch,
        };
        let instance = digest.instance;
        let is_same = |former: &Self| (former.origin, former.instance) == (origin, instance);
        Self {
            origin,
            instance,
            since_ms: former.filter(is_same).map_or(now.ms, |it| it.since_ms),
            spoke_ms: now.ms,
            closed_ts: digest.closed_ts,
        }
    }
}

/// Returns a clock reading that was past at every replica when it last said what it holds: nothing
/// before all have been heard since each of them runs as it does, and since what was under way then
/// has arrived or failed. `closed_ts`: our own.
pub(crate) fn all_past(closed_ts: Hlc, peers: impl Iterator<Item = Option<Run>>) -> Option<Hlc> {
    let known: Vec<Run> = peers.collect::<Option<_>>()?;
    let since_ms = known.iter().map(|it| it.since_ms).max().unwrap_or(0);
    let is_over = known
        .iter()
        .all(|it| it.spoke_ms >= since_ms + IN_FLIGHT_MS);
    let past = known
        .iter()
        .map(|it| it.closed_ts)
        .fold(closed_ts, Hlc::min);
    is_over.then_some(past)
}
