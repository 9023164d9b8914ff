//! How replicas agree, in reading order: what they say to each other (`wire`), what one knows of
//! another (`peer`, `liveness`, `identity`, `presence`, `forks`, `clock`), what must move (`plan`,
//! `foreseen`), the pure core that decides (`core`), what others may know (`view`, `alarm`), and the shell: the calls (`link`,
//! `auth`, `inquiry`, `rescue`), their other end (`serve`), what drives the core (`driver`), and how much
//! went by (`traffic`).

pub mod alarm;
mod aside;
pub mod auth;
mod blocked;
pub mod clock;
pub mod core;
pub mod driver;
pub mod failure;
pub mod foreseen;
mod forks;
mod identity;
pub mod inquiry;
pub mod instance;
pub mod link;
pub mod liveness;
pub mod me;
pub mod now;
pub mod orphans;
mod peer;
pub mod plan;
pub mod presence;
pub mod rescue;
pub mod serve;
pub mod traffic;
mod unconfirmed;
pub mod view;
pub mod wire;
