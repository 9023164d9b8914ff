//! How replicas agree, decided: no HTTP, no clock, no task. In reading order: what they say to each
//! other (`wire`, signed as `auth` says), what one knows of another (`peer`, `liveness`, `identity`,
//! `presence`, `forks`, `clock`), what must move (`plan`, `pipeline`, `prefetch`), what is being stored
//! (`storing`, `inbound`), the core that decides (`core`), what others may know (`view`, `alarm`), and where histories part after a fork
//! (`parting`).

pub mod alarm;
pub mod auth;
mod blocked;
pub mod certificate;
pub mod clock;
pub mod core;
pub mod failure;
mod forks;
pub mod freshness;
mod identity;
mod inbound;
mod inflow;
pub mod instance;
mod lag;
pub mod liveness;
pub mod me;
pub mod now;
pub mod orphans;
pub mod parting;
mod peer;
mod pipeline;
pub mod plan;
pub mod prefetch;
pub mod presence;
mod run;
mod storing;
pub mod view;
pub mod wire;
