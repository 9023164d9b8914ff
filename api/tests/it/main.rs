//! What Causeway promises, tested from outside with real servers, real HTTP and real Postgres. A file
//! for each promise.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is easier to read in one piece"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests read the clock and make clients of their own"
)]

mod harness;

mod agreement;
mod away;
mod backup;
mod bad_bodies;
mod bad_parameters;
mod bad_peers;
mod bad_programs;
mod bad_requests;
mod bad_settings;
mod bad_tokens;
mod browser;
mod busy;
mod changes;
mod checks;
mod clocks;
mod clones;
mod crashes;
mod cursors;
mod dashboard;
mod documents;
mod examples;
mod exhaustion;
mod foreign_postgres;
mod forks;
mod frames;
mod full_disk;
mod idempotency;
mod inspect;
mod key_rotation;
mod large_pages;
mod likes;
mod links;
mod local_cluster;
mod lost_log;
mod marks;
mod membership;
mod messages;
mod names;
mod paging;
mod partition;
mod peer_tls;
mod pooler;
mod postgres_tls;
mod presence;
mod private_postgres;
mod promotion;
mod rate_limits;
mod readers;
mod refused_starts;
mod replays;
mod replicas;
mod rescue;
mod resume;
mod server;
mod settling;
mod standby;
mod storm;
mod swaps;
mod texts;
mod tls;
mod upgrades;
mod views;
mod web;
