//! How replicas agree, in reading order: what they say to each other (`wire`), what one knows of
//! another (`peer`, `liveness`, `identity`, `presence`, `forks`), what must move (`plan`), the pure
//! core that decides (`core`), what others may know (`view`), and the shell: the calls (`link`,
//! `auth`), their other end (`serve`), and what drives the core (`driver`).

pub mod auth;
pub mod core;
pub mod driver;
mod forks;
mod identity;
pub mod link;
pub mod liveness;
mod peer;
pub mod plan;
pub mod presence;
pub mod serve;
pub mod view;
pub mod wire;
