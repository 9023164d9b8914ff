//! The terminal client as it is used: the real program, in a pipe or a pseudo-terminal, with a fake
//! server that can be made to fail.
#![expect(
    clippy::too_many_lines,
    reason = "a scenario is easier to read in one piece"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where its own scaffold fails"
)]

mod ahead;
mod connection;
mod draft;
mod fake;
mod gate;
mod history;
mod home;
mod lobby;
mod messages;
mod outbox;
mod pipe;
mod program;
mod pty;
mod reading;
mod screen;
mod script;
mod send;
mod servers;
mod status;
mod system;
mod table;
mod tls;
mod trial;
mod typing;
