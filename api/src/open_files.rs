//! The limit of open files, and how many of them the connections of each port may take.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::edge::accept::REFUSALS;
use crate::failure::UserError;

/// What the process needs besides connections of clients and peers: sessions of the database, the
/// file beside it, the ports, and pipes to its Postgres while that is started again.
const OWN: usize = 64;
/// Most connections on a port for metrics.
pub(crate) const METRICS_CONNECTIONS: usize = 16;
/// Calls to each peer, and connections that a peer keeps for the next ones.
const PER_PEER: usize = 8;
/// Most connections on the public port where nothing is set.
const USUAL_CONNECTIONS: usize = 20_000;
/// Most connections of one address where nothing is set.
const USUAL_PER_ADDRESS: usize = 1_000;

/// Raises the soft limit of open files to the hard one: each stream needs one, and the usual soft limit
/// is 1,024.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(failure) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%failure, "the limit of open files could not be raised");
    }
}

/// Most connections of each port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// On the public port.
    pub clients: usize,
    /// On the public port from one address.
    pub clients_per_address: usize,
    /// On the port for peers. Neither port can take the other's.
    pub peers: usize,
    /// On the port for peers from one address.
    pub peers_per_address: usize,
}

/// What the settings say of connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub connections: Option<usize>,
    pub per_address: Option<usize>,
    pub peers: usize,
}

/// Returns the connections that the limit of open files of this process leaves.
pub(crate) fn budget(wanted: Wanted) -> Result<Budget, UserError> {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    });
    let budget = shared_out(limit, wanted)?;
    if let Some(set) = wanted.connections
        && budget.clients < set
    {
        let (possible, open_files) = (budget.clients, limit);
        tracing::warn!(
            set,
            possible,
            open_files,
            "limits.max_connections is above what the limit of open files allows: raise that \
             (LimitNOFILE)"
        );
    }
    Ok(budget)
}

/// Shares out the open files: each port has connections of its own, and those that are being refused.
fn shared_out(limit: usize, wanted: Wanted) -> Result<Budget, UserError> {
    let reserve = OWN + METRICS_CONNECTIONS + PER_PEER * wanted.peers + 3 * REFUSALS;
    let least = reserve + 64;
    if limit < least {
        return Err(UserError(format!(
            "at most {limit} files may be open, and this replica needs {least} at least: raise the \
             limit (`ulimit -n`, or LimitNOFILE of systemd)"
        )));
    }
    let left = limit - reserve;
    let peers = (64 + PER_PEER * wanted.peers).min(left / 4);
    let clients = wanted.connections.unwrap_or(USUAL_CONNECTIONS);
    let clients = clients.min(left - peers);
    let per_address = wanted.per_address;
    Ok(Budget {
        clients,
        clients_per_address: per_address
            .unwrap_or_else(|| USUAL_PER_ADDRESS.min(clients.div_ceil(4))),
        peers,
        peers_per_address: peers.div_ceil(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_together_stay_below_the_limit_of_open_files() {
        for limit in [384, 1_024, 4_096, 20_000, 1 << 20] {
            for peers in [0, 1, 4, 9] {
                let wanted = Wanted {
                    peers,
                    ..Wanted::default()
                };
                let Ok(budget) = shared_out(limit, wanted) else {
                    assert!(limit < 420, "{limit} {peers}");
                    continue;
                };
                let taken = budget.clients + budget.peers + METRICS_CONNECTIONS + 3 * REFUSALS;
                assert!(taken + OWN + PER_PEER * peers <= limit, "{limit} {peers}");
                assert!(budget.clients >= 48 && budget.peers >= 16, "{budget:?}");
                assert!(budget.clients_per_address <= budget.clients.div_ceil(4));
            }
        }
    }

    #[test]
    fn what_is_set_is_kept_where_it_is_possible() {
        let wanted = Wanted {
            connections: Some(500),
            per_address: Some(400),
            peers: 4,
        };

        let roomy = shared_out(20_000, wanted).unwrap();
        let narrow = shared_out(640, wanted).unwrap();

        assert_eq!((roomy.clients, roomy.clients_per_address), (500, 400));
        assert!(narrow.clients < 500, "{narrow:?}");
    }

    #[test]
    fn too_few_open_files_are_refused_with_the_number_that_is_needed() {
        let refused = shared_out(100, Wanted::default()).unwrap_err();

        assert!(refused.0.contains("100") && refused.0.contains("336"));
    }
}
