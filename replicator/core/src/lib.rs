//! How replicas agree, decided: no HTTP, no clock, no task. In reading order: what they say to each
//! other (`wire`, signed as `auth` says), what one knows of another (`peer`, `liveness`, `identity`,
//! `presence`, `forks`, `clock`), what must move (`plan`, `foreseen`), the core that decides
//! (`core`), what others may know (`view`, `alarm`), and where histories part after a fork
//! (`parting`).

pub mod alarm;
pub mod auth;
mod blocked;
pub mod clock;
pub mod core;
pub mod failure;
pub mod foreseen;
mod forks;
mod identity;
pub mod instance;
pub mod liveness;
pub mod me;
pub mod now;
pub mod orphans;
pub mod parting;
mod peer;
pub mod plan;
pub mod presence;
mod run;
mod unconfirmed;
pub mod view;
pub mod wire;
