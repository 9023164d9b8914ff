//! How replicas agree, in reading order: what they say to each other (`wire`), what one knows of
//! another (`peer`, `liveness`, `identity`, `presence`, `forks`), what must move (`plan`), the pure
//! core that decides (`core`), what others may know (`view`), and the shell: `auth`, `link`,
//! `driver`.

pub mod core;
mod forks;
mod identity;
pub mod link;
pub mod liveness;
mod peer;
pub mod plan;
pub mod presence;
pub mod view;
pub mod wire;
