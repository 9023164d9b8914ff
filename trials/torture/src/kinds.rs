//! The kinds of faults: their names, what they affect, and whether they destroy state.

use std::str::FromStr;

/// What a fault affects. Faults of one lane are injected one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Links.
    Network,
    /// Clocks.
    Clocks,
    /// Servers and databases as processes.
    Processes,
    /// Data on disk.
    Disks,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two sides that cannot reach each other.
    Halves,
    /// Two sides and one replica that reaches both.
    Bridge,
    /// Each replica reaches only its two neighbours.
    Ring,
    /// One replica is cut off in both directions.
    Isolate,
    /// One replica cannot call the others, which can call it.
    OneWay,
    /// No replica can call one, which can call all.
    Deaf,
    /// Each link is cut at random.
    Ragged,
    /// The links of one replica are cut one by one and healed in another order.
    OneByOne,
    /// All links are cut.
    Apart,
    /// Links that accept everything and forward nothing.
    BlackHole,
    /// Slow links.
    Delay,
    /// Links so slow that no call ends in time.
    Stall,
    /// Links cut and healed again several times a second.
    Flap,
    /// Truncated answers.
    Torn,
    /// Requests that arrive twice, and once more later.
    Again,
    /// A clock that is wrong, and jumps.
    Clock,
    /// `kill -9` of a server.
    KillServer,
    /// `kill -9` of a postmaster.
    KillPostgres,
    /// `kill -9` of both.
    KillBoth,
    /// A server killed repeatedly while it starts.
    KillLoop,
    /// All servers and databases killed at once.
    Blackout,
    /// A paused server.
    PauseServer,
    /// A server paused for longer than every timeout.
    LongPause,
    /// A paused database.
    PausePostgres,
    /// A database restarted every few seconds.
    RestartPostgres,
    /// A rolling restart of all servers.
    Rolling,
    /// The cluster key rotated, in rounds of restarts.
    NewKey,
    /// A full disk.
    FullDisk,
    /// A data folder emptied.
    Wipe,
    /// An old dump restored; the file beside the database stays.
    OldDump,
    /// An old copy of the whole data folder restored.
    OldFolder,
    /// A restored old copy that is written to before it reaches a peer, and its rescue.
    Fork,
    /// A copy that runs beside its original, is written to, and replaces it, and its rescue.
    Clone,
}

const ALL: [(&str, Kind); 33] = [
    ("halves", Kind::Halves),
    ("bridge", Kind::Bridge),
    ("ring", Kind::Ring),
    ("isolate", Kind::Isolate),
    ("one-way", Kind::OneWay),
    ("deaf", Kind::Deaf),
    ("ragged", Kind::Ragged),
    ("one-by-one", Kind::OneByOne),
    ("apart", Kind::Apart),
    ("black-hole", Kind::BlackHole),
    ("delay", Kind::Delay),
    ("stall", Kind::Stall),
    ("flap", Kind::Flap),
    ("torn", Kind::Torn),
    ("again", Kind::Again),
    ("clock", Kind::Clock),
    ("kill-server", Kind::KillServer),
    ("kill-postgres", Kind::KillPostgres),
    ("kill-both", Kind::KillBoth),
    ("kill-loop", Kind::KillLoop),
    ("blackout", Kind::Blackout),
    ("pause-server", Kind::PauseServer),
    ("long-pause", Kind::LongPause),
    ("pause-postgres", Kind::PausePostgres),
    ("restart-postgres", Kind::RestartPostgres),
    ("rolling", Kind::Rolling),
    ("new-key", Kind::NewKey),
    ("full-disk", Kind::FullDisk),
    ("wipe", Kind::Wipe),
    ("old-dump", Kind::OldDump),
    ("old-folder", Kind::OldFolder),
    ("fork", Kind::Fork),
    ("clone", Kind::Clone),
];

impl Kind {
    /// Every kind.
    pub fn all() -> Vec<Self> {
        ALL.iter().map(|(_, kind)| *kind).collect()
    }

    /// The names of all kinds.
    pub fn names() -> Vec<&'static str> {
        ALL.iter().map(|(name, _)| *name).collect()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let mut named = ALL.iter().filter(|(_, kind)| *kind == self);
        named.next().map_or("", |(name, _)| name)
    }

    /// What it affects.
    pub fn lane(self) -> Lane {
        match self {
            Self::Halves
            | Self::Bridge
            | Self::Ring
            | Self::Isolate
            | Self::OneWay
            | Self::Deaf
            | Self::Ragged
            | Self::OneByOne
            | Self::Apart
            | Self::BlackHole
            | Self::Delay
            | Self::Stall
            | Self::Flap
            | Self::Torn
            | Self::Again => Lane::Network,
            Self::Clock => Lane::Clocks,
            Self::KillServer
            | Self::KillPostgres
            | Self::KillBoth
            | Self::KillLoop
            | Self::Blackout
            | Self::PauseServer
            | Self::LongPause
            | Self::PausePostgres
            | Self::RestartPostgres
            | Self::Rolling
            | Self::NewKey => Lane::Processes,
            Self::FullDisk
            | Self::Wipe
            | Self::OldDump
            | Self::OldFolder
            | Self::Fork
            | Self::Clone => Lane::Disks,
        }
    }

    /// Whether a replica loses state.
    pub fn destroys(self) -> bool {
        matches!(
            self,
            Self::Wipe | Self::OldDump | Self::OldFolder | Self::Fork | Self::Clone
        )
    }

    /// Whether it excludes other faults. Only peers can detect that a replica was rolled back
    /// together with the file beside its database, so it must reach them before it is written to; a
    /// rescue needs peers too; and a blackout affects all replicas.
    pub fn is_alone(self) -> bool {
        matches!(
            self,
            Self::OldFolder | Self::Fork | Self::Clone | Self::Blackout
        )
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut named = ALL.iter().filter(|(it, _)| *it == name);
        let found = named.next().map(|(_, kind)| *kind);
        found.ok_or_else(|| format!("unknown fault `{name}`: {}", Kind::names().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::all() {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("earthquake".parse::<Kind>().unwrap_err().contains("halves"));
    }
}
