//! What the log is opened with.

use std::path::PathBuf;
use std::sync::Arc;

use causeway_domain::ids::ReplicaId;

/// Reads the wall clock: milliseconds since 1970. Injected, so that tests can set it.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Whether the disk has room for more writes. Called before each write, so it must be cheap.
pub type HasRoom = Arc<dyn Fn() -> bool + Send + Sync>;

/// The options for opening the log.
#[derive(Clone)]
pub struct Options {
    /// The number of this replica.
    pub replica: ReplicaId,
    /// The cluster's name: a database of another cluster is refused.
    pub cluster: String,
    /// The URL of the Postgres database.
    pub database_url: String,
    /// The folder for the file beside the database, which proves its continuity.
    pub data_dir: PathBuf,
    /// The wall clock, for displayed times.
    pub wall: WallClock,
    /// The clock that the HLC follows: the wall clock, with its lead over the peers capped (F15).
    pub order: WallClock,
    /// 32 fresh random bits, used when a new epoch must be drawn.
    pub fresh_epoch: u32,
    /// Maximum commands of one user that wait for their answer; one more is `Busy`. All users
    /// together have half as many again. Peers' events do not count.
    pub max_waiting_writes: usize,
    /// How far readers may be behind before clients' writes are slowed down, in milliseconds; 0 for
    /// any time.
    pub max_lag_ms: u64,
    /// Accept a Postgres that can lose acknowledged writes (F29).
    pub allow_unsafe_postgres: bool,
    /// Returns false before the disk is full: all writes are refused then (F31).
    pub has_room: HasRoom,
}
